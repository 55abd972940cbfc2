"""The planner alone: bookings of which a tenth change places.

Prints the seconds for each number of bookings, the least of three times.
"""

from __future__ import annotations

import gc
import json
import sys
import time

from bridge.model import to_ms
from bridge.planning.planner import make_plan
from bridge.planning.situation import Situation
from tests.support.builders import NOON, booking, known, slot

COURTS = 40
TIMES = 3


def situation(bookings: int, moving: int) -> Situation:
    """Return a full calendar in which ``moving`` bookings change places: cycles of two to seven."""
    hours = bookings // COURTS + 1
    places = {str(1000 + n): slot(n % hours, n // hours) for n in range(bookings)}
    step = bookings // moving
    movers = list(places)[: step * moving : step]
    targets = dict(places)
    size = 2
    while movers:
        cycle, movers = movers[:size], movers[size:]
        targets.update(zip(cycle, (places[id_] for id_ in (*cycle[1:], cycle[0])), strict=True))
        size = size + 1 if size < 7 else 2
    return Situation(
        {id_: booking(id_, place) for id_, place in targets.items()},
        {id_: known(id_, place) for id_, place in places.items()},
        {},
        "",
        to_ms(NOON),
    )


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
