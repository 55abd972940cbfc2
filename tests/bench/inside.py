"""Quiet passes inside one long-lived process, start-up left out: the CPU of each, and what the ledger writes.

Takes the path of a configuration whose state is in sync, a floor's job, and how many passes. Prints the CPU
milliseconds of the median pass and of the floor's, and the transactions of a pass.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
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


async def cpu_seconds(run: Callable[[], Awaitable[object]]) -> float:
    before = time.process_time()
    await run()
    return time.process_time() - before


async def main(config: Config, job: Json, passes: int) -> None:
    commits: list[str] = []
    ours: list[float] = []
    theirs: list[float] = []
    with Ledger.open(config.sync.state, config.identity) as ledger:
        ledger._connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        async with connected(config) as services, floor(job) as floor_pass:
            bridge = Synchronizer(
                config,
                services,
                ledger,
                LogNarrator(lasting=True),
                clock=lambda: datetime.now(UTC),
                stop=asyncio.Event(),
            )

            async def run_pass() -> None:
                services.new_pass()
                result = await bridge.run_pass()
                assert result.record.outcome == "in_sync", result

            for run, costs in ((run_pass, ours), (floor_pass, theirs)) * (passes + 1):
                costs.append(await cpu_seconds(run))
    result = {
        "cpu_ms": round(median(ours[1:]) * 1000, 1),
        "floor_cpu_ms": round(median(theirs[1:]) * 1000, 1),
        "transactions": len(commits) / len(ours),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    logs.configure("warning")
    path, job_path, passes = sys.argv[1:]
    config = load_config(Path(path), os.environ)
    asyncio.run(main(config, json.loads(Path(job_path).read_text()), int(passes)))
