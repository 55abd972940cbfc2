"""``python -m bridge.sandbox``: both services in a process of their own, with a page to play with them.

It prints its addresses and a configuration, and runs until SIGTERM or SIGINT, or for ``--max-seconds``. As the
``--child`` of a script it prints one JSON line when everything listens, and another with its CPU seconds and requests
when it ends, and ends with its parent or its standard input (a pipe) too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import stat
import sys
import time
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bridge.sandbox.configuration import WEB
from bridge.sandbox.generate import generate
from bridge.sandbox.launch27 import Launch27
from bridge.sandbox.living import Living
from bridge.sandbox.page import served
from bridge.sandbox.playground import EMAIL, PASSWORD, Playground, courts
from bridge.sandbox.wingfield import FACILITY_ID, Wingfield

_STAFF = ("desk@example.com", "desk-secret")
_PARENT_EVERY_SECONDS = 0.5
_BOOKINGS = 30
_MARK = "# Made by python -m bridge.sandbox: everything in it is simulated.\n"
_SYNC = """\
[sync]
interval = "5s"
full_interval = "20s"
state = "sandbox-{began:%Y%m%d-%H%M%S}.db"  # of this run: the next one begins with another world
"""
_WORDS = """\
Launch27 and Wingfield, simulated on this computer: nobody is booked anywhere, and all is gone at the end.

  the page    {page}  (book, move, cancel, break, mend)
  Launch27    {club.launch27.url}
  Wingfield   {club.wingfield.url}

{configuration}
Ctrl-C ends it.
"""
_TO_PASTE = """\
To bridge them, save this as config.toml, and run in another terminal: courtbridge --config config.toml

{configuration}"""
_WRITTEN = """\
The configuration is in {path}. To bridge them, run in another terminal: courtbridge --config {path}
"""


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m bridge.sandbox", description="Launch27 and Wingfield, simulated, with a page to play with them."
    )
    parser.add_argument("--write-config", type=Path, metavar="PATH", help="write a configuration for courtbridge")
    parser.add_argument("--live", type=float, metavar="SECONDS", help="let something happen every so often")
    parser.add_argument("--page-port", type=int, metavar="N", help="default: 8028, or a free one where that is taken")
    parser.add_argument("--launch27-port", type=int, default=0, metavar="N", help="default: a free one")
    parser.add_argument("--wingfield-port", type=int, default=0, metavar="N", help="default: a free one")
    parser.add_argument("--bookings", type=int, metavar="N", help="bookings to generate; default: a few")
    parser.add_argument("--courts", type=int, default=4, metavar="M", help="courts to spread them over (4)")
    parser.add_argument("--start", type=date.fromisoformat, metavar="DAY", help="their first day (tomorrow)")
    parser.add_argument("--days", type=int, default=30, metavar="N", help="and how many days (30)")
    parser.add_argument("--timezone", default="Europe/Berlin", metavar="ZONE", help="the club's (Europe/Berlin)")
    parser.add_argument("--delay-ms", type=float, default=0.0, metavar="MS", help="waited before every answer")
    parser.add_argument("--rates", action="store_true", help="keep to Launch27's limits of requests")
    parser.add_argument("--max-seconds", type=float, metavar="S", help="stop after these; default: run until stopped")
    parser.add_argument("--child", action="store_true", help="speak JSON, and end with the parent or standard input")
    return parser.parse_args(argv)


def _playground(options: argparse.Namespace) -> Playground:
    launch27 = Launch27(timezone=options.timezone, rates=options.rates)
    wingfield = Wingfield(courts=courts(options.courts))
    launch27.delay_seconds = wingfield.delay_seconds = options.delay_ms / 1000
    now = datetime.now(ZoneInfo(options.timezone))
    club = Playground(launch27, wingfield, _SYNC.format(began=now), WEB.format(listen="127.0.0.1:8027"))
    launch27.add_account(*_STAFF, kind="staff")
    if options.bookings is not None:
        start = options.start or now.date() + timedelta(days=1)
        generate(launch27, bookings=options.bookings, courts=options.courts, start=start, days=options.days)
    elif not options.child:
        Living(club).fill(_BOOKINGS)
    return club


def _introduction(club: Playground, page: str) -> dict[str, Any]:
    return {
        "launch27_url": club.launch27.url,
        "wingfield_url": club.wingfield.url,
        "page_url": page,
        "email": EMAIL,
        "password": PASSWORD,
        "staff_email": _STAFF[0],
        "staff_password": _STAFF[1],
        "timezone": club.launch27.timezone,
        "services": [entry["id"] for entry in club.launch27.catalogue],
        "service_id": club.wingfield.service_id,
        "token": club.wingfield.token,
        "facility_id": FACILITY_ID,
        "courts": list(club.wingfield.courts),
    }


def _words(club: Playground, page: str, path: Path | None) -> str:
    if path is None:
        configuration = _TO_PASTE.format(configuration=club.configuration)
    else:
        _write(path, club.configuration)
        configuration = _WRITTEN.format(path=path)
    return _WORDS.format(page=page, club=club, configuration=configuration)


def _write(path: Path, configuration: str) -> None:
    """Write a configuration that only its owner can read, over one of an earlier run, but over no other file."""
    if path.exists() and not path.read_text(errors="replace").startswith(_MARK):
        raise ValueError(f"{path} is there already, and not from here; name another file")
    path.touch(mode=0o600)
    path.write_text(_MARK + configuration)


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _watch_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event, descriptor: int = 0) -> None:
    """Stop when standard input ends; only a pipe or a socket ends because somebody is gone."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return

    def read() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            stop.set()

    loop.add_reader(descriptor, read)


def _watch_parent(loop: asyncio.AbstractEventLoop, stop: asyncio.Event, parent: int) -> None:
    """Stop when the parent has ended and somebody else has taken us in."""
    if os.getppid() == parent:
        loop.call_later(_PARENT_EVERY_SECONDS, _watch_parent, loop, stop, parent)
    else:
        stop.set()


async def _ended(max_seconds: float | None, *, is_child: bool) -> None:
    """Wait for a reason to stop."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if is_child:
        _watch_input(loop, stop)
        _watch_parent(loop, stop, os.getppid())
    if max_seconds is not None:
        loop.call_later(max_seconds, stop.set)
    await stop.wait()


async def _run(options: argparse.Namespace) -> None:
    club = _playground(options)
    async with served(
        club,
        launch27_port=options.launch27_port,
        wingfield_port=options.wingfield_port,
        port=options.page_port,
        living=Living(club) if options.live else None,
        every_seconds=options.live or 0,
    ) as page:
        ending = asyncio.create_task(_ended(options.max_seconds, is_child=options.child))
        await asyncio.sleep(0)  # the signal handlers are there before anybody can know of us
        if not options.child:
            _say(_words(club, page, options.write_config))
            await ending
            return
        _say(json.dumps(_introduction(club, page)) + "\n")
        before = time.process_time()
        await ending
        spent = time.process_time() - before
    counts = {"launch27_requests": club.launch27.requests, "wingfield_requests": club.wingfield.requests}
    _say(json.dumps({"cpu_seconds": round(spent, 6), "requests": sum(counts.values()), **counts}) + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run both services until told to stop; return the exit status, 1 when a port cannot be had."""
    options = _arguments(argv)
    try:
        asyncio.run(_run(options))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
