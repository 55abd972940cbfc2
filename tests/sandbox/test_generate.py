"""Generated worlds."""

from __future__ import annotations

from datetime import date

from bridge.sandbox import Launch27, generate
from tests.sandbox.conftest import Clock


def test_generated_bookings_never_overlap_and_stay_in_their_days() -> None:
    launch27 = Launch27()
    ids = generate(launch27, bookings=96, courts=2, start=date(2025, 10, 25), days=2)
    taken = {(each["services"][0]["id"], each["service_date"]) for each in map(launch27.bookings.get, ids) if each}
    assert len(taken) == len(ids) == 96
    assert {service for service, _ in taken} == {1, 2} == {entry["id"] for entry in launch27.catalogue}
    assert min(start for _, start in taken) == "2025-10-24T22:00:00Z"
    assert max(start for _, start in taken) == "2025-10-26T21:00:00Z"


async def test_generated_worlds_are_the_same_every_time(clock: Clock) -> None:
    first, second = Launch27(clock=clock), Launch27(clock=clock)
    for world in (first, second):
        generate(world, bookings=10, courts=3, start=date(2025, 11, 21), days=2, services_by_court={3: 7})
    assert dict(first.bookings) == dict(second.bookings)
    assert [entry["id"] for entry in first.catalogue] == [1, 2, 7]
    generate(first, bookings=1, courts=1, start=date(2025, 12, 21), days=1)
    assert len(first.catalogue) == 3
