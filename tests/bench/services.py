"""The services of many clubs, in one process apart from the daemon's."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import resource
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from bridge.sandbox import Launch27, Sandbox, Wingfield
from tests.support.builders import EMAIL, PASSWORD
from tests.support.configuration import configuration, introduction, write_config

PLAYER = "player@example.com"


def name_of(number: int) -> str:
    """Return a club's name."""
    return f"club-{number:04}"


def daemons_core() -> set[int]:
    """Return the one core that the daemon has for itself; the services have the others, where there are any."""
    return {max(os.sched_getaffinity(0))}


def _serve(pipe: Connection, clubs: int, *how: Any) -> None:
    """Serve both services for each club, all in one event loop, until the other side closes.

    A message is a club's number: it books another hour of tomorrow or of the days after; None asks only. The answer is
    the count of 429s, how long each such booking took, or has taken so far, to come to its court, and the CPU seconds
    spent.
    """
    os.sched_setaffinity(0, os.sched_getaffinity(0) - daemons_core() or daemons_core())
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(_answer(pipe, [_world(number, *how) for number in range(clubs)]))


async def _answer(pipe: Connection, worlds: list[Sandbox]) -> None:
    for world in worlds:
        world.launch27.reads, world.launch27.writes = worlds[0].launch27.reads, worlds[0].launch27.writes
    waiting: dict[tuple[int, str], float] = {}
    delays: list[float] = []
    refused, free_hours = 0, [itertools.count(1, 2) for _ in worlds]
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
                waiting[asked, str(_book(worlds[asked].launch27, next(free_hours[asked])))] = time.monotonic()
            for world in worlds:
                refused += sum(entry.status == 429 for entry in world.launch27.log)
                world.launch27.log.clear()
                world.wingfield.log.clear()
            so_far = [time.monotonic() - at for at in waiting.values()]
            pipe.send((refused, [*delays, *so_far], time.process_time()))


def _world(number: int, bookings: int, rates: bool, are_written: bool) -> Sandbox:
    launch27 = Launch27(rates=rates)
    launch27.add_account(EMAIL, PASSWORD)
    launch27.add_service(1, "Court")
    court_id = str(uuid5(NAMESPACE_URL, f"court/{number}"))
    wingfield = Wingfield(courts={court_id: "Court"})
    for hour in range(0, 2 * bookings, 2):
        key, start = str(_book(launch27, hour)), _start(hour)
        if are_written:
            end, now = start + timedelta(hours=1), datetime.now(UTC)
            wingfield.store(key, court_id=court_id, start=start, end=end, updated_at=now, emails=[PLAYER])
    return Sandbox(launch27, wingfield)


def _book(launch27: Launch27, hour: int) -> int:
    """Book one of the hours from tomorrow on."""
    place: dict[str, Any] = {"service_date": _start(hour), "services": [1], "minutes": 60}
    return launch27.add_booking(owner=EMAIL, email=PLAYER, **place)


def _start(hour: int) -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1, hours=hour)


class Services:
    """The services in their process, and the directory of their clubs."""

    def __init__(self, pipe: Connection, directory: Path) -> None:
        self._pipe = pipe
        self.directory = directory

    def ask(self, number: int | None = None) -> tuple[int, list[float], float]:
        """Book an hour of a club, or none; return the 429s, the delays of all such bookings, and the CPU seconds."""
        self._pipe.send(number)
        refused, delays, cpu = self._pipe.recv()
        return refused, delays, cpu


@contextmanager
def services(clubs: int, bookings: int, *, rates: bool = False, are_written: bool = False) -> Iterator[Services]:
    """Run the services of so many clubs; with ``rates`` behind one rate limit.

    With ``are_written`` all bookings are in Wingfield, as a daemon without states finds them.
    """
    ours, theirs = multiprocessing.Pipe()
    how = theirs, clubs, bookings, rates, are_written
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=how)
    process.start()
    theirs.close()
    with TemporaryDirectory(prefix="courtbridge-bench-") as folder:
        for number, world in enumerate(ours.recv()):
            text = configuration(world)
            if rates:
                text = text.replace("reads_per_second = 1000.0\nread_burst = 1000\n", "")
            write_config(Path(folder, f"{name_of(number)}.toml"), text)
        yield Services(ours, Path(folder))
        ours.close()
        process.join(10)
