"""``python -m tests.bench.clubs``: what many clubs in one process cost, on simulated services in another.

Memory, CPU and delays are those of the daemon's process alone. Other work on the machine makes the delays longer, so
CPU time is shown beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self
from uuid import NAMESPACE_URL, uuid5

from bridge.sandbox import Launch27, Sandbox, Wingfield
from tests.support.builders import EMAIL, PASSWORD
from tests.support.configuration import configuration, introduction, write_config

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") / 1024


def name_of(number: int) -> str:
    return f"club-{number:04}"


def _court(number: int) -> str:
    return str(uuid5(NAMESPACE_URL, f"court/{number}"))


def serve(pipe: Connection, clubs: int, bookings: int, rates: bool) -> None:
    """Serve both services for each club, all in one event loop, until the other side closes.

    A message is a club's number: it books another hour. The answer is the count of 429s, and how long each such booking
    took, or has taken so far, to come to its court.
    """
    asyncio.run(_serve(pipe, clubs, bookings, rates))


async def _serve(pipe: Connection, clubs: int, bookings: int, rates: bool) -> None:
    worlds = [_world(number, bookings, rates) for number in range(clubs)]
    for world in worlds:
        world.launch27.reads, world.launch27.writes = worlds[0].launch27.reads, worlds[0].launch27.writes
    waiting: dict[tuple[int, str], float] = {}
    delays: list[float] = []
    async with AsyncExitStack() as stack:
        for world in worlds:
            await stack.enter_async_context(world)
        pipe.send([introduction(world.launch27, world.wingfield) for world in worlds])
        while True:
            await asyncio.sleep(0.02)
            for number, key in [each for each in waiting if each[1] in worlds[each[0]].wingfield.bookings]:
                delays.append(time.monotonic() - waiting.pop((number, key)))
            if not pipe.poll():
                continue
            try:
                asked = pipe.recv()
            except EOFError:
                return
            if asked is not None:
                count = len(worlds[asked].launch27.bookings)
                waiting[asked, str(_book(worlds[asked].launch27, 2 * count))] = time.monotonic()
            refused = sum(entry.status == 429 for world in worlds for entry in world.launch27.log)
            pipe.send((refused, [*delays, *(time.monotonic() - at for at in waiting.values())]))


def _world(number: int, bookings: int, rates: bool) -> Sandbox:
    launch27 = Launch27(rates=rates)
    launch27.add_account(EMAIL, PASSWORD)
    launch27.add_service(1, "Court")
    for index in range(bookings):
        _book(launch27, 2 * index)
    return Sandbox(launch27, Wingfield(courts={_court(number): "Court"}))


def _book(launch27: Launch27, hour: int) -> int:
    """Book an hour: every second one, of those from tomorrow on."""
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1, hours=hour)
    place: dict[str, Any] = {"service_date": start, "services": [1], "minutes": 60}
    return launch27.add_booking(owner=EMAIL, email="player@example.com", **place)


class Daemon:
    """The daemon on a directory of clubs, as a process, and what its log says."""

    def __init__(self, directory: Path) -> None:
        command = [sys.executable, "-m", "bridge", "--config", str(directory), "--log-level", "debug"]
        self.began = time.monotonic()
        self.popen = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self.finished: list[tuple[float, dict[str, Any]]] = []
        self.other: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.popen.stderr is not None
        for text in self.popen.stderr:
            line = json.loads(text)
            if line["event"] == "pass_finished":
                self.finished.append((time.monotonic(), line))
            elif line["level"] not in {"info", "debug"}:
                self.other.append(text)

    def first_passes(self, clubs: int) -> tuple[float, float, float]:
        """Wait for a pass of each club; return the CPU seconds, MiB and seconds until then."""
        while len({line["club"] for _, line in self.finished}) < clubs:
            time.sleep(0.1)
            assert self.popen.poll() is None, self.other
        return *self.usage(), time.monotonic() - self.began

    def usage(self) -> tuple[float, float]:
        """Return the CPU seconds so far, and the resident memory in MiB."""
        stat = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(stat[11]) + int(stat[12])) / TICKS, int(stat[21]) * PAGE_KIB / 1024

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.popen.send_signal(signal.SIGTERM)
        self.popen.wait(10)


@contextmanager
def services(clubs: int, bookings: int, *, rates: bool = False) -> Iterator[tuple[Path, Connection]]:
    """Yield the directory of the clubs, and the pipe to their services."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, clubs, bookings, rates))
    process.start()
    theirs.close()
    with tempfile.TemporaryDirectory() as folder:
        for number, world in enumerate(ours.recv()):
            text = configuration(world)
            if rates:
                text = text.replace("reads_per_second = 1000.0\nread_burst = 1000\n", "")
            write_config(Path(folder, f"{name_of(number)}.toml"), text)
        yield Path(folder), ours
        ours.close()
    process.join(10)


def many(clubs: int, bookings: int, seconds: float) -> None:
    """Show what clubs cost from a start with their states to quiet near passes."""
    with services(clubs, bookings) as (folder, _):
        with Daemon(folder) as daemon:
            cpu, mib, wall = daemon.first_passes(clubs)
            print(
                f"{clubs} clubs of {bookings}, all written: {wall:.1f} s (CPU {cpu:.1f} s), {mib:.0f} MiB", flush=True
            )
        with Daemon(folder) as daemon:
            cpu, mib, wall = daemon.first_passes(clubs)
            print(f"  begun again: {wall:.1f} s to the last first pass (CPU {cpu:.1f} s), {mib:.0f} MiB", flush=True)
            time.sleep(25)
            (before, _), count, began = daemon.usage(), len(daemon.finished), time.monotonic()
            time.sleep(seconds)
            (after, mib), passes = daemon.usage(), daemon.finished[count:]
        wall = time.monotonic() - began
        each = 1000 * (after - before) / max(len(passes), 1)
        print(f"  quiet: {mib:.0f} MiB; {len(passes)} near passes in {wall:.0f} s, CPU {each:.1f} ms each")
        late = sorted(_delays(daemon.finished[clubs:])) or [0.0]
        print(f"  later than due: worst {late[-1]:.2f} s, median {late[len(late) // 2]:.2f} s")
        print("".join(daemon.other[:5]), end="")


def _delays(finished: list[tuple[float, dict[str, Any]]]) -> Iterator[float]:
    """Yield by how much each pass ended later than its club's place in the interval allows (21 s with jitter)."""
    last: dict[str, float] = {}
    for at, line in finished:
        if (club := line["club"]) in last and line["kind"] == "near":
            yield max(at - last[club] - 21.0 - line["duration_ms"] / 1000, 0.0)
        last[club] = at


def limited(clubs: int, bookings: int, seconds: float) -> None:
    """Show how clubs behind one real rate limit fare: 429s, and how long a change takes to its court."""
    with services(clubs, bookings, rates=True) as (folder, pipe), Daemon(folder) as daemon:
        wall = daemon.first_passes(clubs)[2]
        print(f"{clubs} clubs of {bookings} behind one rate limit: first passes in {wall:.0f} s", flush=True)
        end, number = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            pipe.send(number % clubs if time.monotonic() < end - 60 else None)
            (refused, delays), number = pipe.recv(), number + 7
            time.sleep(5)
        middle = sorted(delays)[len(delays) // 2]
        changes = f"{len(delays)} changes, worst {max(delays):.0f} s, median {middle:.0f} s"
        print(f"  {seconds:.0f} s: {refused} times 429; {changes}")
        print("".join(daemon.other[:5]), end="")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("many", "limited"))
    parser.add_argument("--clubs", type=int, default=200)
    parser.add_argument("--bookings", type=int, default=250)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    {"many": many, "limited": limited}[options.what](options.clubs, options.bookings, options.seconds)


if __name__ == "__main__":
    main()
