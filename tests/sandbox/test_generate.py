"""Generated worlds."""

from __future__ import annotations

from datetime import date

from bridge.sandbox import Launch27, generate


def test_generated_bookings_never_overlap_and_stay_in_their_days() -> None:
    launch27 = Launch27()
    ids = generate(launch27, bookings=96, courts=2, start=date(2025, 10, 25), days=2)
    taken = {(each["services"][0]["id"], each["service_date"]) for each in map(launch27.bookings.get, ids) if each}
    assert len(taken) == len(ids) == 96
    assert {service for service, _ in taken} == {1, 2} == {entry["id"] for entry in launch27.catalogue}
    assert min(start for _, start in taken) == "2025-10-24T22:00:00Z"
    assert max(start for _, start in taken) == "2025-10-26T21:00:00Z"
