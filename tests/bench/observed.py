"""The daemon on a directory of clubs, and how late its passes begin.

Run as a process, it is the daemon with the log level an operator has, on one core; it prints a JSON object for each
pass, and one a second for the longest time that the event loop was held up.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple, Self

from bridge.service import process
from bridge.service.clubs import Clubs
from bridge.service.schedule import Schedule
from bridge.sync.result import Extent, PassResult
from bridge.sync.run import Synchronizer
from tests.bench.processes import ROOT
from tests.bench.services import daemons_core

TICKS = os.sysconf("SC_CLK_TCK")
BEAT_SECONDS = 0.1


class Pass(NamedTuple):
    """A pass that has ended at a moment of the monotonic clock; it began so much later than it was due."""

    ended: float
    club: str
    kind: str
    seconds: float
    late: float


class Daemon:
    """The daemon as a process."""

    def __init__(self, directory: Path) -> None:
        self.began = time.monotonic()
        self.passes: list[Pass] = []
        self.held_up = 0.0
        """The longest time that the event loop was held up, in seconds."""
        self._log = directory / "stderr"
        command = [sys.executable, "-m", "tests.bench.observed", str(directory)]
        with self._log.open("wb") as log:
            self._popen = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            match json.loads(line):
                case [*values]:
                    self.passes.append(Pass(*values))
                case held_up:
                    self.held_up = max(self.held_up, held_up)

    def first_passes(self, clubs: int) -> tuple[float, float]:
        """Wait for a pass of each club; return the seconds since the start, and those of CPU."""
        while len({each.club for each in self.passes}) < clubs:
            time.sleep(0.1)
            assert self._popen.poll() is None, self.complaints
        return max(each.ended for each in self.passes) - self.began, self.cpu_seconds

    @property
    def cpu_seconds(self) -> float:
        """What it took so far."""
        stat = Path(f"/proc/{self._popen.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(stat[11]) + int(stat[12])) / TICKS

    @property
    def waited_seconds(self) -> float:
        """How long its main thread was ready to run so far, and had to wait for the core: for others' work."""
        return int(Path(f"/proc/{self._popen.pid}/schedstat").read_text().split()[1]) / 1e9

    def mib(self, name: str = "VmHWM") -> float:
        """Return its resident memory: the most there was, or what there is (``VmRSS``)."""
        lines = Path(f"/proc/{self._popen.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024

    @property
    def complaints(self) -> list[str]:
        """What the log says beside what is usual."""
        lines = self._log.read_text().splitlines()
        return [line for line in lines if not line.startswith("{") or json.loads(line)["level"] != "info"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        began = time.monotonic()
        self._popen.send_signal(signal.SIGTERM)
        self._popen.wait(60)
        print(f"  ended {time.monotonic() - began:.1f} s after SIGTERM", file=sys.stderr)
        self._listener.join(10)
        for line in self.complaints[:5]:
            print(line, file=sys.stderr)


def _tell(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _observe() -> None:
    """Have each pass told, and how long the event loop is held up."""
    late = ContextVar[float]("late")  # a pass is a task of its own, which begins with its club's context
    begin, run_pass, run = Schedule.begin, Synchronizer.run_pass, Clubs.run

    def observed_begin(self: Schedule, *how: Any) -> Any:
        late.set(time.monotonic() - self.due_at)
        return begin(self, *how)

    async def observed_pass(self: Synchronizer, extent: Extent) -> PassResult:
        began = time.monotonic()
        result = await run_pass(self, extent)
        ended = time.monotonic()
        _tell((ended, self.config.path.stem, result.record.kind, ended - began, late.get()))
        return result

    async def observed_run(self: Clubs) -> None:
        watching = asyncio.create_task(_watch_loop())
        await run(self)
        watching.cancel()

    Schedule.begin, Synchronizer.run_pass, Clubs.run = observed_begin, observed_pass, observed_run  # type: ignore[assignment,method-assign]


async def _watch_loop() -> None:
    while True:
        until, worst = time.monotonic() + 1, 0.0
        while (began := time.monotonic()) < until:
            await asyncio.sleep(BEAT_SECONDS)
            worst = max(worst, time.monotonic() - began - BEAT_SECONDS)
        _tell(worst)


def main() -> None:
    """Run the daemon on the directory that is named."""
    os.sched_setaffinity(0, daemons_core())
    _observe()
    sys.exit(process.run(Path(sys.argv[1]), environ=os.environ, log_level="info"))


if __name__ == "__main__":
    main()
