"""``python -m bridge.sandbox``: both services in a process of their own.

Prints one JSON line when they listen, and another with its CPU seconds and requests when it ends: on
SIGTERM or SIGINT, when its standard input (a pipe) or its parent is gone, or after ``--max-seconds``.
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
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from bridge.sandbox.generate import generate
from bridge.sandbox.launch27 import Launch27
from bridge.sandbox.server import Sandbox
from bridge.sandbox.wingfield import FACILITY_ID, Wingfield

_CUSTOMER = ("club@example.com", "club-secret")
_STAFF = ("desk@example.com", "desk-secret")
_PARENT_EVERY_SECONDS = 0.5


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bridge.sandbox", description="Both services, simulated.")
    parser.add_argument("--launch27-port", type=int, default=0, help="0: a free one")
    parser.add_argument("--wingfield-port", type=int, default=0, help="0: a free one")
    parser.add_argument("--bookings", type=int, default=0, metavar="N", help="bookings to generate")
    parser.add_argument("--courts", type=int, default=4, metavar="M", help="courts to spread them over")
    parser.add_argument("--start", type=date.fromisoformat, help="their first day; default: tomorrow")
    parser.add_argument("--days", type=int, default=30, help="and how many days")
    parser.add_argument("--timezone", default="Europe/Berlin", help="the tenant's")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="waited before every answer")
    parser.add_argument("--rates", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--max-seconds", type=float, default=600.0, help="stops by itself after these")
    return parser.parse_args(argv)


def _worlds(options: argparse.Namespace) -> tuple[Launch27, Wingfield]:
    launch27 = Launch27(timezone=options.timezone, rates=options.rates)
    launch27.add_account(*_CUSTOMER)
    launch27.add_account(*_STAFF, kind="staff")
    start = options.start or datetime.now(ZoneInfo(options.timezone)).date() + timedelta(days=1)
    generate(launch27, bookings=options.bookings, courts=options.courts, start=start, days=options.days)
    courts = {str(uuid5(NAMESPACE_URL, f"court/{n}")): f"Court {n}" for n in range(1, options.courts + 1)}
    wingfield = Wingfield(courts=courts)
    launch27.delay_seconds = wingfield.delay_seconds = options.delay_ms / 1000
    return launch27, wingfield


def _introduction(sandbox: Sandbox) -> dict[str, Any]:
    return {
        "launch27_url": sandbox.launch27.url,
        "wingfield_url": sandbox.wingfield.url,
        "email": _CUSTOMER[0],
        "password": _CUSTOMER[1],
        "staff_email": _STAFF[0],
        "staff_password": _STAFF[1],
        "timezone": sandbox.launch27.timezone,
        "services": [entry["id"] for entry in sandbox.launch27.catalogue],
        "service_id": sandbox.wingfield.service_id,
        "token": sandbox.wingfield.token,
        "facility_id": FACILITY_ID,
        "courts": list(sandbox.wingfield.courts),
    }


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
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


async def _ended(max_seconds: float) -> None:
    """Wait for a reason to stop."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    _watch_input(loop, stop)
    _watch_parent(loop, stop, os.getppid())
    loop.call_later(max_seconds, stop.set)
    await stop.wait()


async def _run(options: argparse.Namespace) -> None:
    launch27, wingfield = _worlds(options)
    async with Sandbox(
        launch27, wingfield, launch27_port=options.launch27_port, wingfield_port=options.wingfield_port
    ) as sandbox:
        ending = asyncio.create_task(_ended(options.max_seconds))
        await asyncio.sleep(0)  # the signal handlers are there before anybody can know of us
        _say(_introduction(sandbox))
        before = time.process_time()
        await ending
        spent = time.process_time() - before
    counts = {"launch27_requests": launch27.requests, "wingfield_requests": wingfield.requests}
    _say({"cpu_seconds": round(spent, 6), "requests": sum(counts.values()), **counts})


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
