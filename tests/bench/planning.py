"""The planner alone: bookings of which a tenth change places."""

from __future__ import annotations

import gc
import itertools
import time

from bridge.model import to_ms
from bridge.planning.planner import make_plan
from bridge.planning.situation import Situation
from tests.support.builders import NOON, booking, known, slot


def situation(bookings: int, moving: int) -> Situation:
    """Return a full calendar in which ``moving`` bookings change places: cycles of two to seven."""
    hours = bookings // 40 + 1
    places = {str(1000 + n): slot(n % hours, n // hours) for n in range(bookings)}
    step = bookings // moving
    movers = list(places)[: step * moving : step]
    targets = dict(places)
    sizes = itertools.cycle(range(2, 8))
    while movers:
        size = next(sizes)
        cycle, movers = movers[:size], movers[size:]
        targets.update(zip(cycle, (places[id_] for id_ in (*cycle[1:], cycle[0])), strict=True))
    desired = {id_: booking(id_, place) for id_, place in targets.items()}
    return Situation(desired, {id_: known(id_, place) for id_, place in places.items()}, {}, "", to_ms(NOON))


def seconds(bookings: int) -> float:
    """Return how long it takes to plan for so many bookings."""
    given = situation(bookings, bookings // 10)
    gc.collect()
    began = time.perf_counter()
    plan = make_plan(given)
    assert len(plan.writes) > bookings // 10
    return time.perf_counter() - began
