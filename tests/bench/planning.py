"""The planner alone: bookings of which a tenth change places.

Prints the seconds for each number of bookings, the least of three times.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from datetime import UTC, datetime, timedelta

from bridge.model import CourtBooking, Known, Slot, fingerprint, to_ms
from bridge.planning.planner import Situation, make_plan

COURTS = 40
TIMES = 3
START = datetime(2026, 11, 20, tzinfo=UTC)
PLAYERS = ("player@example.com",)


def situation(bookings: int, moving: int) -> Situation:
    """Return a full calendar in which ``moving`` bookings change places: pairs, and rings of up to seven."""
    hours = bookings // COURTS + 1
    places = {
        str(1000 + n): Slot(
            f"court {n // hours}", START + timedelta(hours=n % hours), START + timedelta(hours=n % hours + 1)
        )
        for n in range(bookings)
    }
    step = bookings // moving
    movers = list(places)[: step * moving : step]
    targets = dict(places)
    size = 2
    while movers:
        ring, movers = movers[:size], movers[size:]
        targets.update(zip(ring, (places[id_] for id_ in (*ring[1:], ring[0])), strict=True))
        size = size + 1 if size < 7 else 2
    return Situation(
        {id_: _booking(id_, slot) for id_, slot in targets.items()},
        {id_: _known(id_, slot) for id_, slot in places.items()},
        {},
        "",
        to_ms(START),
    )


def _booking(id_: str, slot: Slot) -> CourtBooking:
    return CourtBooking(id_, slot, PLAYERS, None, fingerprint(slot, PLAYERS))


def _known(id_: str, slot: Slot) -> Known:
    content, start_ms, end_ms = fingerprint(slot, PLAYERS), to_ms(slot.start), to_ms(slot.end)
    return Known(id_, "", 1, content, slot.court_id, start_ms, end_ms, 1, content, content, 1)


def _planned(given: Situation, moving: int) -> float:
    gc.collect()
    began = time.perf_counter()
    plan = make_plan(given)
    assert len(plan.writes) > moving
    return time.perf_counter() - began


def main() -> None:
    seconds = {}
    for bookings in map(int, sys.argv[1:]):
        given = situation(bookings, bookings // 10)
        seconds[bookings] = min(_planned(given, bookings // 10) for _ in range(TIMES))
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
