"""Start and end: an instant or wall time, and the first length that is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.config.schema import CourtRule
from tests.support.builders import DOCUMENTED, NOON, ONE
from tests.support.club import Club, service


@pytest.mark.parametrize(
    ("date", "start", "end"),
    [
        pytest.param("2019-08-15T14:30:00Z", "2019-08-15T14:30:00Z", "2019-08-15T16:00:00Z", id="an instant"),
        pytest.param("2019-08-15T14:30:00", "2019-08-15T18:30:00Z", "2019-08-15T20:00:00Z", id="legacy wall time"),
    ],
)
async def test_the_documented_booking_goes_all_the_way(club: Club, date: str, start: str, end: str) -> None:
    club.now = datetime(2019, 8, 15, 8, tzinfo=UTC)
    club.launch27.timezone = club.launch27.settings["timezone"] = "America/New_York"
    club.launch27.add_booking(**{**DOCUMENTED, "service_date": date})
    await club.expect(created=1)
    assert (club.stored(1)["courtId"], club.stored(1)["externalCourtBookingId"]) == (ONE, "1")
    assert club.times_of(1) == (start, end)
    assert club.emails_of(1) == ["user@email.com"]
    assert club.version(1) == "2019-08-15T08:00:00Z"


@pytest.mark.parametrize(
    ("written", "zone", "start"),
    [
        ("2026-11-21T12:00:00Z", None, "2026-11-21T12:00:00Z"),
        ("2026-11-21T12:00:00+03:00", None, "2026-11-21T09:00:00Z"),
        ("2026-11-21T12:00:00-0500", None, "2026-11-21T17:00:00Z"),
        ("2026-11-21T12:00:00", None, "2026-11-21T11:00:00Z"),
        ("2026-11-21T12:00", None, "2026-11-21T11:00:00Z"),
        ("2026-11-21T12:00:00", "Asia/Tokyo", "2026-11-21T03:00:00Z"),
    ],
)
async def test_a_date_is_an_instant_or_wall_time_in_the_configured_or_the_accounts_zone(
    club: Club, written: str, zone: str | None, start: str
) -> None:
    club.timezone = zone
    number = club.book(service_date=written)
    await club.run()
    assert club.times_of(number)[0] == start


LENGTHS: list[tuple[str, dict[str, Any], int]] = [
    ("service_minutes", {"services": [service(1, 120)], "duration": 150}, 45),
    ("hourly", {"services": [service(1, 120)], "duration": 150}, 120),
    ("duration", {"services": [{"id": 1}], "duration": 150}, 150),
    ("catalogue", {"services": [{"id": 1}]}, 75),
    ("default", {"services": [{"id": 1}]}, 30),
]


@pytest.mark.parametrize(("source", "fields", "minutes"), LENGTHS, ids=[each[0] for each in LENGTHS])
async def test_the_length_is_the_first_that_is_known(
    club: Club, source: str, fields: dict[str, Any], minutes: int
) -> None:
    club.remap(default_minutes=30, service_minutes={1: 45} if source == "service_minutes" else {})
    if source != "default":
        club.launch27.catalogue[0]["duration"] = 75
    number = club.launch27.add_booking(service_date=NOON + timedelta(days=1), **fields)
    await club.run()
    start, end = (datetime.fromisoformat(each) for each in club.times_of(number))
    assert end - start == timedelta(minutes=minutes)


async def test_without_any_length_a_booking_is_held(club: Club) -> None:
    club.remap(default_minutes=None)
    number = club.book(1, 24, services=[{"id": 1}])
    await club.expect(held={number: "no_duration"})


async def test_two_services_for_the_same_court_add_up_and_racket_hire_adds_nothing(club: Club) -> None:
    club.rules = (CourtRule(court_id=ONE, service_ids=frozenset({1, 2})),)
    number = club.book(1, 24, services=[service(1, 60), service(2, 30), service(9, 45)])
    await club.run()
    assert club.times_of(number) == ("2026-11-21T12:00:00Z", "2026-11-21T13:30:00Z")


async def test_editing_service_minutes_updates_without_one_version_conflict(club: Club) -> None:
    await club.bridged(*((court, hour) for court in (1, 2, 3) for hour in (24, 26, 28, 30)))
    club.remap(service_minutes={1: 90, 2: 75})
    await club.expect(updated=8, unchanged=4)
    assert club.rejections == []
    await club.expect(unchanged=12)
