"""Withdrawn: deleted where it is no court booking any more, and left alone where it cannot be read."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.config.schema import CourtRule
from tests.support.builders import THREE
from tests.support.club import Club, keys


@pytest.mark.parametrize("services", [[9], []])
async def test_a_bridged_booking_that_is_none_for_a_court_any_more_is_deleted(club: Club, services: list[int]) -> None:
    number = await club.one()
    club.launch27.edit(number, services=services)
    await club.expect(ignored=1, deleted=1)
    assert club.wingfield.bookings == {}
    await club.expect(ignored=1)
    assert len(club.deletes) == 1


async def test_the_bookings_of_a_court_that_left_the_configuration_are_withdrawn(club: Club) -> None:
    numbers = await club.some(3)
    rules, club.rules = club.rules, club.rules[1:]
    await club.expect(withheld=1, ignored=1, unchanged=2)
    await club.expect(deleted=1, ignored=1, unchanged=2, allow=True)
    club.rules = rules
    await club.expect(created=1, unchanged=2)
    assert set(club.wingfield.bookings) == keys(numbers)
    assert club.rejections == []


async def test_rules_that_send_a_booking_elsewhere_are_no_withdrawal(club: Club) -> None:
    number = await club.one()
    club.rules = (CourtRule(court_id=THREE, service_ids=frozenset({1})),)
    await club.expect(updated=1)
    assert club.slot_of(number) == (THREE, "2026-11-21T12:00:00Z")


@pytest.mark.parametrize(
    ("reason", "damage"),
    [
        ("invalid_booking", {"service_date": "soon"}),
        ("invalid_booking", {"services": None}),
        ("no_participant", {"email": None}),
        ("no_duration", {"services": [{"id": 1}]}),
        ("ambiguous_court", {"services": [{"id": 1}, {"id": 2}]}),
    ],
)
async def test_a_booking_that_merely_cannot_be_read_or_mapped_stays_as_it_is(
    club: Club, reason: str, damage: dict[str, Any]
) -> None:
    """Until it is cancelled."""
    club.remap(default_minutes=None)
    number = await club.one()
    before = dict(club.stored(number))
    club.launch27.bookings[number].update(damage)
    await club.expect(held={number: reason})
    assert club.stored(number) == before
    assert club.look_ups(number) == 0
    club.launch27.cancel(number)
    await club.expect(deleted=1)
