"""What is shown of a club, made up: for the page, the metrics, and a listener that serves them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from bridge.model import Held, Known, to_ms
from bridge.records import PassRecord
from bridge.sync.status import Running, Status
from bridge.sync.words import Places
from bridge.web.app import Clubs, make_app
from bridge.web.listener import Listener
from tests.support.builders import COURTS, HOUR, NOON, ONE, TWO, known, slot

NOW_MS = to_ms(NOW := NOON)
RECORD = PassRecord(NOW_MS - 60_000, 184, "attention", 42, 1, 2, 1, 36, 2, 1)


def at(id_: object, court_id: str, hour: float, **fields: Any) -> Known:
    """Return a booking of an hour that is in sync, so many hours after NOON."""
    start_ms = NOW_MS + round(hour * 3_600_000)
    place: dict[str, Any] = {"court_id": court_id, "start_ms": start_ms, "end_ms": start_ms + 3_600_000}
    return known(id_, slot(), **place, **fields)


def _end_of(passes: Sequence[PassRecord]) -> int | None:
    return next((each.started_ms + each.duration_ms for each in passes if each.is_complete), None)


def status(*bookings: Known, **changes: Any) -> Status:
    """Return how three courts stand at NOON, in Berlin."""
    fields: dict[str, Any] = {
        "held": (),
        "watermarks": (),
        "passes": (RECORD,),
        "full_interval": timedelta(minutes=5),
        "running": Running(4711, NOW - HOUR, NOW + timedelta(seconds=9)),
        "now": NOW,
        "places": Places(COURTS, ZoneInfo("Europe/Berlin")),
        "last_success_ms": _end_of(changes.get("passes", (RECORD,))),
        **changes,
    }
    return Status(Path("courtbridge.db"), {each.id: each for each in bookings}, **fields)


def busy(**changes: Any) -> Status:
    """Return a status with a booking of every state, and one of a stranger's making among what is held."""
    held = (
        Held("1003", "court_booking_overlap", "booking 1009 has its court", NOW_MS - 3_600_000),
        Held("<b>7</b>", "invalid_booking", "<script>alert(1)</script>", NOW_MS - 60_000),
    )
    record = PassRecord(NOW_MS - 20_000, 184, "attention", 42, 1, 2, 1, 36, 2, 2, 1, ("1004",))
    return status(
        at(1001, ONE, -3),
        at(1002, ONE, 1, seen_fingerprint=b"other"),
        at(1003, TWO, 0),
        at(1004, TWO, 2.5),
        **{"held": held, "passes": (record, RECORD), **changes},
    )


class Shown:
    """A club that shows what it is given."""

    def __init__(self, shown: Status) -> None:
        self.shown = shown

    def __call__(self) -> Status:
        return self.shown


@asynccontextmanager
async def served(
    clubs: Clubs, password: str | None = None, *, is_many: bool = False
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of a listener that serves ``clubs``."""
    listener = Listener(make_app(clubs, password, is_many=is_many))
    assert await listener.start("127.0.0.1:0") == ""
    assert listener.server is not None
    port = listener.server.sockets[0].getsockname()[1]
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield client
    finally:
        await listener.stop()
