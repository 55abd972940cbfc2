"""Processes and what they cost: CPU (user and system), wall, peak memory, all of the whole process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import IO, Any, TypeVar

T = TypeVar("T")
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run cost; ``served`` are the sandbox's own CPU seconds meanwhile."""

    cpu_seconds: float
    wall_seconds: float
    peak_mib: float
    served_seconds: float = 0.0
    requests: int = 0
    pages: int = 0

    @property
    def sandbox_share(self) -> float:
        """How much of the time the sandbox (one thread) was busy."""
        return self.served_seconds / self.wall_seconds


def middle(costs: Sequence[Cost]) -> Cost:
    """Return the medians of several runs."""
    return Cost(*(median(getattr(cost, name) for cost in costs) for name in Cost.__slots__))


def measure(command: Sequence[str | Path], log: Path) -> tuple[Cost, str]:
    """Run a command to its end; return its cost and what it printed. Its stderr goes to ``log``."""
    # Byte code is kept, as an installation does.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environ["PYTHONPYCACHEPREFIX"] = str(log.with_name("bytecode"))
    began = time.perf_counter()
    with log.open("wb") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, env=environ)
        assert process.stdout is not None
        printed = process.stdout.read().decode()
        process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    wall_seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = log.read_text()[-2000:]
        raise SystemExit(f"{' '.join(map(str, command))}: exit {process.returncode}\n{printed}{tail}")
    return Cost(usage.ru_utime + usage.ru_stime, wall_seconds, usage.ru_maxrss / 1024), printed


def apart(function: Callable[..., T], *arguments: object) -> T:
    """Return what a function returns in a process of its own, so that this one remains small: a child begins as big."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


class World:
    """The sandbox in its process."""

    def __init__(self, sending: IO[bytes], receiving: IO[bytes]) -> None:
        self._sending = sending
        self._receiving = receiving
        self.introduction: dict[str, Any] = json.loads(receiving.readline())

    def tell(self, command: str, *arguments: object) -> Any:
        """Give a command and return the answer."""
        self._sending.write(json.dumps([command, *arguments]).encode() + b"\n")
        self._sending.flush()
        return json.loads(self._receiving.readline())

    def serving(self, command: Sequence[str | Path], log: Path) -> tuple[Cost, str]:
        """Measure a command that talks to the sandbox, which must not have refused anything."""
        before = self.tell("stats")["cpu_seconds"]
        cost, printed = measure(command, log)
        stats = self.tell("stats")
        if stats["errors"]:
            raise SystemExit(f"the sandbox answered {', '.join(stats['errors'])}")
        served = stats["cpu_seconds"] - before
        return replace(cost, served_seconds=served, requests=stats["requests"], pages=stats["pages"]), printed


@contextmanager
def world(bookings: int) -> Iterator[World]:
    """Run a sandbox with so many bookings on 40 courts."""
    command = [sys.executable, "-m", "tests.bench.world", str(bookings)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield World(process.stdin, process.stdout)
