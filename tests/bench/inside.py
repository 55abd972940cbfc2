"""Quiet passes inside one long-lived process, start-up left out: the CPU of each, and what the ledger writes."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

from bridge import log as logs
from bridge.config.loading import load_config
from bridge.config.schema import Config
from bridge.ledger.store import Ledger
from bridge.sync.clients import connected
from bridge.sync.narrator import LogNarrator
from bridge.sync.run import Synchronizer
from tests.bench.floor import Json, floor


def quiet_passes(config: Path, job: Path, passes: int) -> tuple[float, float, float]:
    """Return the CPU seconds of the median pass and of the floor's, and the transactions of a pass.

    The state of ``config`` must be in sync.
    """
    logs.configure("warning")
    return asyncio.run(_measured(load_config(config, {}), json.loads(job.read_text()), passes))


async def _measured(config: Config, job: Json, passes: int) -> tuple[float, float, float]:
    commits: list[str] = []
    ours: list[float] = []
    theirs: list[float] = []
    with Ledger.open(config.sync.state, config.identity) as ledger:
        ledger._connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        async with connected(config) as services, floor(job) as floor_pass:
            narrator, clock = LogNarrator(lasting=True), partial(datetime.now, UTC)
            bridge = Synchronizer(config, services, ledger, narrator, clock=clock, stop=asyncio.Event())

            async def run_pass() -> None:
                services.new_pass()
                result = await bridge.run_pass()
                assert result.record.outcome == "in_sync", result

            for run, costs in ((run_pass, ours), (floor_pass, theirs)) * (passes + 1):
                before = time.process_time()
                await run()
                costs.append(time.process_time() - before)
    return median(ours[1:]), median(theirs[1:]), len(commits) / len(ours)
