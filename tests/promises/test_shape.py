"""Shape: what breaks it holds one booking; what the bridge does not use may be missing or odd."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.errors import ExitStatus
from tests.support.club import Club, keys

MISSING = ...
BREAKS: dict[str, list[object]] = {
    "service_date": [MISSING, None, "soon", 1_600_000_000, "2026-11-21"],
    "services": [MISSING, None, {"id": 1}, [{}], [7]],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in BREAKS for value in BREAKS[name]])
async def test_a_booking_out_of_shape_is_held_alone(club: Club, name: str, value: object) -> None:
    before, number, after = club.books(3)
    raw = club.launch27.bookings[number]
    raw[name] = value
    if value is MISSING:
        del raw[name]
    await club.expect(created=2, held={number: "invalid_booking"})
    assert set(club.wingfield.bookings) == keys([before, after])


@pytest.mark.parametrize("id_", [None, "x", 0, -4, 1.5, True, [], ""])
async def test_bookings_without_a_readable_id_are_held_under_no_id(club: Club, id_: object) -> None:
    *odd, _ = club.books(3)
    for number in odd:
        club.launch27.bookings[number]["id"] = id_
    result = await club.expect(created=1, held=2)
    assert [(held.id, held.reason) for held in result.held] == [("", "invalid_booking")] * 2


async def test_what_is_no_object_or_has_no_id_at_all_is_held_too(club: Club) -> None:
    _, *odd = (club.book(1, hour) for hour in (24, 25, 26, 27, 28))
    for number, value in zip(odd, ("text", None, [1]), strict=False):
        club.launch27.bookings[number] = value
    del club.launch27.bookings[odd[3]]["id"]
    await club.expect(created=1, held=4)


async def test_what_the_bridge_does_not_use_may_be_missing_or_odd(club: Club) -> None:
    number = club.book(1, 24)
    raw = club.launch27.bookings[number]
    for key in ("digest", "arrival_window", "name", "phone", "frequency", "actions", "teams"):
        del raw[key]
    raw.update(completed="maybe", location=[], custom_fields="none", customer_notes={}, updated_at="yesterday")
    await club.expect(created=1)


async def test_an_id_written_as_text_is_the_same_booking(club: Club) -> None:
    number = await club.one()
    club.launch27.bookings[number]["id"] = str(number)
    await club.expect(unchanged=1)


async def test_numbers_beyond_all_bounds_hold_one_booking_only(club: Club) -> None:
    _, odd = club.books(2)
    club.launch27.bookings[odd].update(id=10**400, duration=10**400, location={"id": 10**400})
    await club.expect(created=1, held=1)


async def test_a_deeply_nested_answer_harms_nothing(club: Club) -> None:
    first = await club.one()
    deep: list[Any] = []
    for _ in range(400):
        deep = [deep]
    dict.__setitem__(club.launch27.bookings[club.book(2)], "customer_notes", deep)
    assert (await club.run()).status in (ExitStatus.OK, ExitStatus.TRY_LATER)
    assert club.slot_of(first) is not None
