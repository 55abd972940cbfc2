"""Start and end: an instant or wall time, and the first length that is known."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.config.schema import CourtRule
from bridge.errors import ExitStatus
from bridge.planning.memory import Memory
from tests.support.builders import DOCUMENTED, NOON, ONE, SECOND
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


# --- catalogues ---


def at_three_locations(club: Club) -> list[int]:
    """Book a court of which only the location's catalogue knows how long it is: at 1, 2, 3, and nowhere."""
    extras = [{"id": 5, "quantity_based": True, "duration": 15}, {"id": 6, "quantity_based": False, "duration": 5}]
    club.launch27.catalogue[0] |= {"duration": 30}
    for location, minutes in ((2, 45), (3, 90)):
        parameters = [{"id": 5, "duration": 10}]
        club.launch27.add_service(
            1, "Court 1", location=location, duration=minutes, extras=extras, pricing_parameters=parameters
        )
    chosen = {
        "id": 1,
        "extras": [{"id": 5, "quantity": 2}, {"id": 6, "quantity": 2}],
        "pricing_parameters": [{"id": 5}],
    }
    places: list[Any] = [{"id": 1}, {"id": 2}, {"id": 3}, None]
    return [club.book(hour=24 + 3 * n, services=[chosen], location=place) for n, place in enumerate(places)]


def lengths(club: Club, numbers: list[int]) -> list[float]:
    """Return the minutes for which each has its court."""
    times = [map(datetime.fromisoformat, club.times_of(number)) for number in numbers]
    return [(end - start).total_seconds() / 60 for start, end in times]


def asked_locations(club: Club) -> list[str | None]:
    """Return the locations whose catalogue was asked for, and forget it."""
    found = [(entry.body or {}).get("location_id") for entry in club.asked("booking", "services")]
    club.launch27.log.clear()
    return found


async def test_each_location_has_its_own_catalogue_and_extras_take_time(club: Club) -> None:
    numbers = at_three_locations(club)
    await club.expect(created=4)
    assert lengths(club, numbers) == [30, 45 + 45, 90 + 45, 30]
    assert sorted(asked_locations(club), key=str) == ["1", "2", "3", None]
    await club.expect(unchanged=4)
    assert asked_locations(club) == []


def is_catalogue(_method: str, path: str) -> bool:
    return path.endswith("/booking/services")


@pytest.mark.parametrize("status", [403, 404, 422, 500, 503])
async def test_a_catalogue_that_is_missing_or_refused_later_changes_no_length(club: Club, status: int) -> None:
    numbers = at_three_locations(club)
    await club.expect(created=4)
    club.launch27.faults.add("status", status=status, times=None, match=is_catalogue)
    for _ in range(2):
        club.tick(hours=1)
        await club.expect(unchanged=4)
        await club.close()
    assert lengths(club, numbers) == [30, 90, 135, 30]


async def test_while_nobody_knows_a_locations_lengths_its_bookings_wait_and_the_others_do_not(club: Club) -> None:
    old, gone = club.book(1, 30, services=[1], location=None), club.book()
    await club.expect(created=2)
    await club.close()
    club.launch27.add_service(2, "Court 2", location=3, duration=75)
    new = club.book(2, 40, services=[2], location={"id": 3})
    other = club.book(3, 40, location={"id": 3})
    club.launch27.edit(old, location={"id": 3})
    club.vanish(gone)
    fault = club.launch27.faults.add("status", status=503, times=None, match=is_catalogue)
    result = await club.expect(
        created=1, deleted=1, held=dict.fromkeys((old, new), "no_duration"), status=ExitStatus.TRY_LATER
    )
    assert "503" in str(result.errors[0])
    assert (lengths(club, [old, other]), club.slot_of(new)) == ([60, 60], None)
    hits = fault.hits
    club.tick(seconds=59)
    again = await club.expect(unchanged=1, held=dict.fromkeys((old, new), "no_duration"), status=ExitStatus.TRY_LATER)
    assert (fault.hits, list(map(str, again.errors))) == (hits, list(map(str, result.errors)))
    club.clear_faults()
    club.tick(seconds=1)
    await club.expect(created=1, unchanged=2)
    assert lengths(club, [new]) == [75]


async def test_a_state_of_before_knows_the_default_locations_lengths(club: Club) -> None:
    club.launch27.catalogue[0]["duration"] = 30
    number = club.book(services=[1], location=None)
    await club.expect(created=1)
    old = {"zone": club.ledger.recall(Memory).zone, "candidate": "", "candidate_ms": 0, "catalogue": {"1": 30}}
    with club.ledger._transaction() as db:
        db.execute("UPDATE meta SET value = ? WHERE name = 'memory'", (json.dumps(old),))
    await club.close()
    club.launch27.faults.add("status", status=503, times=None, match=is_catalogue)
    await club.expect(unchanged=1)
    assert lengths(club, [number]) == [30]


# --- how often ---


async def test_settings_and_catalogues_are_asked_for_once_an_hour(club: Club) -> None:
    club.books(3)
    await club.expect(created=3)
    club.launch27.log.clear()
    for minutes in (0, 1, 30, 28):
        club.tick(minutes=minutes)
        await club.expect(unchanged=3)
    assert [entry.path for entry in club.launch27.log] == ["/latest/customer/bookings"] * 8
    club.tick(minutes=1)
    await club.expect(unchanged=3)
    assert (len(club.asked("settings")), asked_locations(club)) == (1, ["1"])
    await club.close()
    await club.expect(unchanged=3)
    assert (len(club.asked("settings")), asked_locations(club)) == (1, ["1"])


async def test_a_service_or_a_location_that_is_new_is_asked_for_at_once(club: Club) -> None:
    await club.one()
    asked_locations(club)
    club.tick(minutes=1)
    club.launch27.add_service(4, "Court 4", duration=45)
    club.rules = (*club.rules, CourtRule(court_id=club.rules[0].court_id, service_ids=frozenset({4})))
    new = club.book(services=[4], hour=30)
    await club.expect(created=1, unchanged=1)
    assert (lengths(club, [new]), asked_locations(club)) == ([45], ["1"])
    club.launch27.add_service(4, "Court 4", location=8, duration=75)
    elsewhere = club.book(services=[4], hour=33, location={"id": 8})
    await club.expect(created=1, unchanged=2)
    assert (lengths(club, [elsewhere]), asked_locations(club)) == ([75], ["8"])


async def test_a_service_that_the_catalogue_lacks_is_asked_for_once_a_minute(club: Club) -> None:
    club.book(services=[service(1, 60), {"id": 77}])
    await club.expect(created=1)
    for seconds, locations in ((0, []), (59, []), (1, ["1"]), (59, []), (1, ["1"])):
        asked_locations(club)
        club.tick(seconds=seconds)
        await club.expect(unchanged=1)
        assert asked_locations(club) == locations


async def test_what_a_wrong_clock_kept_from_the_ledger_is_asked_for_again(club: Club) -> None:
    club.launch27.catalogue[0]["duration"] = 75
    number = club.book(services=[1])
    club.launch27.date_skew_seconds = club.wingfield.date_skew_seconds = 4000.0
    await club.try_later()
    club.launch27.date_skew_seconds = club.wingfield.date_skew_seconds = 0.0
    club.tick(minutes=1)
    await club.expect(created=1)
    assert lengths(club, [number]) == [75]


async def test_another_zone_is_asked_for_again_after_a_minute(club: Club) -> None:
    number = club.book(service_date="2026-11-21T13:00")
    await club.expect(created=1)
    club.launch27.settings["timezone"] = "America/New_York"
    for delta, updated in (("hours", 0), ("seconds", 0), ("minutes", 1)):
        club.tick(**{delta: 1})
        await club.expect(updated=updated, unchanged=1 - updated)
    assert club.times_of(number)[0] == "2026-11-21T18:00:00Z"
    assert len(club.asked("settings")) == 3


async def test_an_account_that_rests_keeps_nobody_from_the_catalogue(club: Club) -> None:
    club.accounts = 2
    club.book(1, owner=SECOND)
    await club.run()
    club.clients.sessions[0].rest(1000)
    number = club.book(2, 30, services=[2], owner=SECOND, location={"id": 8})
    club.launch27.add_service(2, "Court 2", location=8, duration=75)
    await club.try_later()
    assert lengths(club, [number]) == [75]


async def test_a_booking_that_is_looked_up_has_the_length_of_its_location(club: Club) -> None:
    number = await club.one()
    club.launch27.hide(number)
    club.launch27.edit(number, services=[1], location={"id": 8})
    club.launch27.faults.add("status", status=503, times=None, match=is_catalogue)
    await club.expect(held={number: "no_duration"}, status=ExitStatus.TRY_LATER)
    assert lengths(club, [number]) == [60]
    club.clear_faults()
    club.tick(minutes=1)
    club.launch27.add_service(1, "Court 1", location=8, duration=75)
    await club.expect(updated=1)
    assert lengths(club, [number]) == [75]


# --- a Z that means wall time ---


@pytest.mark.parametrize("zone", [None, "America/New_York"])
async def test_a_z_may_be_wall_time(club: Club, zone: str | None) -> None:
    club.service_dates, club.timezone, club.launch27.wall_dates = "wall", zone, zone is None
    number = club.book(service_date="2026-11-21T12:00:00Z")
    offset = club.book(2, service_date="2026-11-21T12:00:00+00:00")
    aware = club.book(3, hour=24)
    await club.expect(created=3)
    assert club.times_of(number)[0] == ("2026-11-21T17:00:00Z" if zone else "2026-11-21T11:00:00Z")
    assert club.times_of(offset)[0] == "2026-11-21T12:00:00Z"
    assert zone or club.times_of(aware)[0] == "2026-11-21T12:00:00Z"


async def test_a_changed_meaning_of_z_moves_every_booking_at_once(club: Club) -> None:
    """An edit of the configuration is no mass change."""
    await club.some(24)
    club.service_dates = "wall"
    await club.close()
    await club.expect(updated=24)
