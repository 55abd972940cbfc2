"""13. Planning held the event loop for 28 s, and with it SIGTERM and the watchdog."""

from __future__ import annotations

import asyncio
import threading
import time
from itertools import product

import pytest

from bridge.planning.planner import Plan, make_plan
from bridge.planning.situation import Situation
from tests.support.builders import booking, known, slot
from tests.support.club import Club

pytestmark = pytest.mark.hurt(13)


def test_six_swapped_pairs_of_courts_took_28_seconds() -> None:
    """5,040 bookings on twelve courts, each to be half an hour later on the other court of its pair."""
    places = {str(n): place for n, place in enumerate(product(range(420), range(6), (0, 1)))}
    desired = {id_: booking(id_, slot(hour + 0.5, 2 * pair + 1 - side)) for id_, (hour, pair, side) in places.items()}
    stands = {id_: known(id_, slot(hour, 2 * pair + side)) for id_, (hour, pair, side) in places.items()}
    began = time.process_time()
    plan = make_plan(Situation(desired, stands, {}, "config", 2000))
    assert time.process_time() - began < 2
    assert (len(desired), len(plan.held)) == (5040, 0)
    assert {write.id for write in plan.writes} == desired.keys()


async def test_while_a_pass_plans_the_loop_goes_on(club: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, has_turned = asyncio.get_running_loop(), threading.Event()

    def plan(situation: Situation) -> Plan:
        loop.call_soon_threadsafe(has_turned.set)
        assert has_turned.wait(5), "the event loop waits for the plan"
        return make_plan(situation)

    monkeypatch.setattr("bridge.sync.plan.make_plan", plan)
    await club.one()
