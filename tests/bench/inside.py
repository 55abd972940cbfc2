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
from bridge.model import Kind
from bridge.planning.drift import Mark
from bridge.sync import drift
from bridge.sync.clients import connected
from bridge.sync.narrator import LogNarrator
from bridge.sync.result import Extent
from bridge.sync.run import Synchronizer
from tests.bench.floor import Json, floor


def quiet_passes(config: Path, job: Path, passes: int) -> tuple[float, ...]:
    """Return the CPU seconds of the median pass, the floor's, a near one, a look at Wingfield, and a verification.

    After them the transactions of a pass. The state of ``config`` must be in sync.
    """
    logs.configure("warning")
    return asyncio.run(_measured(load_config(config, {}), json.loads(job.read_text()), passes))


async def _measured(config: Config, job: Json, passes: int) -> tuple[float, ...]:
    commits: list[str] = []
    ours: list[float] = []
    theirs: list[float] = []
    nears: list[float] = []
    looks: list[float] = []
    verifications: list[float] = []
    with Ledger.open(config.sync.state, config.identity) as ledger:
        ledger._connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        async with connected(config) as services, floor(job) as floor_pass:
            narrator, clock = LogNarrator(lasting=True), partial(datetime.now, UTC)
            bridge = Synchronizer(config, services, ledger, narrator, clock=clock, stop=asyncio.Event())

            async def run_pass(kind: Kind = "full") -> None:
                services.new_pass()
                result = await bridge.run_pass(Extent(kind))
                assert result.record.outcome == "in_sync", result

            async def look(*, whole: bool) -> None:
                mark, known = ledger.recall(Mark), ledger.known
                found = await drift.read(services.wingfield, known, None if whole else mark)
                assert found.compare(known, {}, 0) == []
                assert mark.after(found, known, mark.verified_ms).fits(found.total, known)

            cheap, whole = partial(look, whole=False), partial(look, whole=True)
            near = partial(run_pass, "near")
            runs = (run_pass, ours), (floor_pass, theirs), (near, nears), (cheap, looks), (whole, verifications)
            for run, costs in runs * (passes + 1):
                before = time.process_time()
                await run()
                costs.append(time.process_time() - before)
    medians = (median(costs[1:]) for costs in (ours, theirs, nears, looks, verifications))
    return *medians, len(commits) / (len(ours) + len(nears))
