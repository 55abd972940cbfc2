"""Court: the one whose rules match."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.config.schema import CourtRule
from tests.support.builders import ONE, TWO
from tests.support.club import Club, service


async def test_any_of_several_rules_for_one_court_will_do(club: Club) -> None:
    club.rules = (
        CourtRule(court_id=ONE, service_ids=frozenset({1})),
        CourtRule(court_id=ONE, service_ids=frozenset({2}), location_ids=frozenset({1})),
        CourtRule(court_id=TWO, location_ids=frozenset({7})),
    )
    numbers = [club.book(1, 24), club.book(2, 26), club.book(3, 28, location={"id": 7})]
    await club.expect(created=3)
    assert [club.slot_of(number)[0] for number in numbers] == [ONE, ONE, TWO]  # type: ignore[index]


async def test_services_that_no_rule_names_do_not_disturb(club: Club) -> None:
    number = club.book(1, 24, services=[{"id": 9}, service(1, 60)])
    await club.expect(created=1)
    assert club.slot_of(number) == (ONE, "2026-11-21T12:00:00Z")


async def test_a_booking_without_a_court_is_ignored_and_holds_nothing(club: Club) -> None:
    club.book(9)
    club.book(9, services=[])
    club.book(1)
    await club.expect(created=1, ignored=2)


async def test_a_booking_for_two_different_courts_is_held(club: Club) -> None:
    number = club.book(services=[service(1, 60), service(2, 60)])
    await club.expect(held={number: "ambiguous_court"})
    assert club.writes == []


@pytest.mark.parametrize(
    "fields",
    [
        {"players": "a@b.co", "court": {"values": 3}},
        {"players": {"value": "a@b.co"}, "court": 3},
        [{"code": "players", "value": "a@b.co"}, {"code": "court", "values": [{"id": 3, "label": "Court 2"}]}],
    ],
)
async def test_custom_fields_may_be_an_object_by_code_and_teams_nothing(club: Club, fields: Any) -> None:
    club.rules = (CourtRule(court_id=TWO, custom_field="Court", custom_values=("3",)),)
    number = club.book(1, 24, custom_fields=fields, teams=None)
    await club.expect(created=1)
    assert club.slot_of(number) == (TWO, "2026-11-21T12:00:00Z")
    assert club.emails_of(number) == ["player@example.com", "a@b.co"]
