"""What a pass promises: which bookings, key, start and end, court, participants, shape, and their counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.config.schema import CourtRule
from bridge.errors import ExitStatus
from tests.support.club import COURT_IDS, EMAIL, NOON, PASSWORD, SECOND, Club, counts, reasons

ONE, TWO, THREE = COURT_IDS


@pytest.fixture
async def club(tmp_path: Path) -> AsyncIterator[Club]:
    async with Club(tmp_path) as club:
        yield club


def hourly(service: int, minutes: int) -> dict[str, Any]:
    return {"id": service, "hourly": {"quantity": 1, "minutes": minutes}}


def times_of(club: Club, number: int) -> tuple[str, str]:
    stored = club.wingfield.bookings[str(number)]
    return stored["startDate"], stored["endDate"]


def emails_of(club: Club, number: int) -> list[str]:
    return [person["email"] for person in club.wingfield.bookings[str(number)]["participants"]]


# --- which bookings ---


async def test_every_active_booking_of_every_account_arrives(club: Club) -> None:
    club.accounts = 2
    first = [club.book(1, 24 + hour, owner=EMAIL) for hour in range(12)]
    second = [club.book(2, 24 + hour, owner=SECOND) for hour in range(12)]
    result = await club.run()
    assert result.status is ExitStatus.OK
    assert counts(result) == {"created": 24}
    assert set(club.wingfield.bookings) == {str(number) for number in first + second}


async def test_thirty_bookings_behind_a_server_that_caps_pages_at_seven_arrive_complete(club: Club) -> None:
    club.launch27.max_page = 7
    club.page_size = 100
    booked = [club.book(1 + n % 3, 24 + n // 3) for n in range(30)]
    assert counts(await club.run()) == {"created": 30}
    assert set(club.wingfield.bookings) == set(map(str, booked))
    assert counts(await club.run()) == {"unchanged": 30}


@pytest.mark.parametrize("count", [0, 1, 10, 20, 21])
async def test_a_listing_ends_with_an_empty_page(club: Club, count: int) -> None:
    for n in range(count):
        club.book(1 + n % 3, 24 + n // 3)
    assert (await club.run()).record.created == count
    assert str(count) in {entry[5]["offset"] for entry in club.asked("customer", "bookings")}


async def test_a_short_page_in_the_middle_does_not_end_a_listing(club: Club) -> None:
    for n in range(30):
        club.book(1 + n % 3, 24 + n // 3)
    club.launch27.faults.add(
        "truncate_listing", keep=3, after=1, match=lambda _, path: path.endswith("/bookings")
    )
    assert counts(await club.run()) == {"created": 30}


async def test_a_short_first_page_does_not_end_a_listing(club: Club) -> None:
    for n in range(30):
        club.book(1 + n % 3, 24 + n // 3)
    club.launch27.faults.add("truncate_listing", keep=1, match=lambda _, path: path.endswith("/bookings"))
    assert counts(await club.run()) == {"created": 30}


@pytest.mark.parametrize(
    ("wall_time", "is_in"),
    [
        ("2026-11-18T23:30:00", False),
        ("2026-11-19T00:00:00", True),
        ("2026-11-30T23:30:00", True),
        ("2026-12-01T00:00:00", False),
    ],
)
async def test_the_window_is_whole_days_of_the_accounts_time_zone(
    club: Club, wall_time: str, is_in: bool
) -> None:
    club.launch27.add_booking(service_date=wall_time, services=[hourly(1, 60)])
    assert counts(await club.run()) == ({"created": 1} if is_in else {})


async def test_the_window_moves_with_the_day(club: Club) -> None:
    number = club.book(1, 11 * 24)
    assert counts(await club.run()) == {}
    club.tick(days=1)
    assert counts(await club.run()) == {"created": 1}
    assert club.slot_of(number) == (ONE, "2026-12-01T12:00:00Z")


async def test_forecasted_bookings_are_no_bookings_until_they_are_made_real(club: Club) -> None:
    club.role = "staff"
    club.launch27.add_account(EMAIL, PASSWORD, kind="staff")
    number = club.book(1, 24, forecasted=True)
    club.book(2, 24)
    assert counts(await club.run()) == {"created": 1}
    assert club.slot_of(number) is None
    club.launch27.make_real(number)
    assert counts(await club.run()) == {"created": 1, "unchanged": 1}


@pytest.mark.parametrize("mark", [{"forecasted": True}, {"booking_status": "forecasted"}])
async def test_forecasted_bookings_are_none_in_whatever_listing_they_come(
    club: Club, mark: dict[str, Any]
) -> None:
    club.book(1, 24, **mark)
    assert counts(await club.run()) == {}


@pytest.mark.parametrize("mark", [{"active": False}, {"booking_status": "cancelled"}])
async def test_a_cancelled_booking_that_is_listed_all_the_same_is_not_bridged(
    club: Club, mark: dict[str, Any]
) -> None:
    number = club.book(1, 24)
    club.launch27.bookings[number].update(mark)
    club.launch27.logins.add(EMAIL, PASSWORD, kind="staff")
    club.role = "staff"
    assert counts(await club.run()) == {}


async def test_a_completed_booking_stays(club: Club) -> None:
    number = club.book(1, -2)
    await club.run()
    club.launch27.complete(number)
    assert counts(await club.run()) == {"unchanged": 1}
    assert club.slot_of(number) is not None


async def test_staff_see_every_customers_bookings(club: Club) -> None:
    club.role = "staff"
    club.launch27.add_account(EMAIL, PASSWORD, kind="staff")
    for hour, owner in enumerate(("anna@example.com", "ben@example.com", None)):
        club.book(1, 24 + hour, owner=owner, email=owner or "carla@example.com")
    assert counts(await club.run()) == {"created": 3}
    assert emails_of(club, 1001) == ["anna@example.com"]


async def test_a_booking_that_two_accounts_list_is_one_booking(club: Club) -> None:
    club.accounts = 2
    number = club.book(1, 24)
    club.launch27._behind[number].owner = None
    club.launch27._touched(number)
    assert counts(await club.run()) == {"created": 1}
    assert counts(await club.run()) == {"unchanged": 1}


# --- the documented examples ---

EXAMPLE: dict[str, Any] = {
    "id": 1,
    "digest": "Nc…c2",
    "service_date": "2019-08-15T14:30:00Z",
    "arrival_window": 0,
    "active": True,
    "completed": False,
    "location": {"id": 1, "name": "Sandbox"},
    "name": "First Last",
    "email": "user@email.com",
    "phone": "…",
    "frequency": {"id": 1, "interval": "o", "name": "One Time"},
    "customer_notes": None,
    "services": [
        {
            "id": 1,
            "name": "…",
            "price": 99.0,
            "extras": None,
            "pricing_parameters": None,
            "hourly": {"quantity": 1, "minutes": 90},
        }
    ],
    "teams": [],
    "custom_fields": [],
    "actions": {"edit": True, "cancel": True},
}


async def test_the_documented_customer_booking_goes_all_the_way(club: Club) -> None:
    club.now = datetime(2019, 8, 15, 8, tzinfo=UTC)
    club.launch27.add_booking(**EXAMPLE)
    assert counts(await club.run()) == {"created": 1}
    stored = club.wingfield.bookings["1"]
    assert (stored["courtId"], stored["externalCourtBookingId"]) == (ONE, "1")
    assert times_of(club, 1) == ("2019-08-15T14:30:00Z", "2019-08-15T16:00:00Z")
    assert emails_of(club, 1) == ["user@email.com"]
    assert club.version(1) == "2019-08-15T08:00:00Z"


async def test_the_documented_booking_with_a_legacy_wall_time_goes_all_the_way(club: Club) -> None:
    club.now = datetime(2019, 8, 15, 8, tzinfo=UTC)
    club.launch27.timezone = club.launch27.settings["timezone"] = "America/New_York"
    club.launch27.add_booking(**{**EXAMPLE, "service_date": "2019-08-15T14:30:00"})
    assert counts(await club.run()) == {"created": 1}
    assert times_of(club, 1) == ("2019-08-15T18:30:00Z", "2019-08-15T20:00:00Z")


# --- key ---


async def test_the_key_is_the_prefix_and_the_launch27_id(club: Club) -> None:
    club.remap(id_prefix="north-")
    number = club.book(1, 24)
    await club.run()
    assert set(club.wingfield.bookings) == {f"north-{number}"}
    club.launch27.cancel(number)
    assert counts(await club.run()) == {"deleted": 1}
    assert not club.wingfield.bookings


async def test_a_prefix_that_a_path_cannot_carry_as_it_is_works_too(club: Club) -> None:
    club.remap(id_prefix="a/b ?#%é-")
    number = club.book(1, 24)
    await club.run()
    assert set(club.wingfield.bookings) == {f"a/b ?#%é-{number}"}
    assert counts(await club.run()) == {"unchanged": 1}


# --- start and end ---


@pytest.mark.parametrize(
    ("written", "start"),
    [
        ("2026-11-21T12:00:00Z", "2026-11-21T12:00:00Z"),
        ("2026-11-21T12:00:00+03:00", "2026-11-21T09:00:00Z"),
        ("2026-11-21T12:00:00-0500", "2026-11-21T17:00:00Z"),
        ("2026-11-21T12:00:00", "2026-11-21T11:00:00Z"),
        ("2026-11-21T12:00", "2026-11-21T11:00:00Z"),
    ],
)
async def test_a_date_with_an_offset_is_that_instant_and_one_without_is_wall_time(
    club: Club, written: str, start: str
) -> None:
    number = club.launch27.add_booking(service_date=written, services=[hourly(1, 60)])
    await club.run()
    assert times_of(club, number)[0] == start


async def test_a_configured_time_zone_comes_before_the_accounts(club: Club) -> None:
    club.timezone = "Asia/Tokyo"
    number = club.launch27.add_booking(service_date="2026-11-21T12:00:00", services=[hourly(1, 60)])
    await club.run()
    assert times_of(club, number)[0] == "2026-11-21T03:00:00Z"


LENGTHS: list[tuple[str, dict[str, Any], int]] = [
    ("service_minutes", {"services": [hourly(1, 120)], "duration": 150}, 45),
    ("hourly", {"services": [hourly(1, 120)], "duration": 150}, 120),
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
    start, end = (datetime.fromisoformat(each) for each in times_of(club, number))
    assert end - start == timedelta(minutes=minutes)


async def test_without_any_length_a_booking_is_held(club: Club) -> None:
    club.remap(default_minutes=None)
    number = club.book(1, 24, services=[{"id": 1}])
    result = await club.run()
    assert reasons(result) == {str(number): "no_duration"}
    assert result.status is ExitStatus.ATTENTION


async def test_two_services_for_the_same_court_add_up_and_racket_hire_adds_nothing(club: Club) -> None:
    club.rules = (CourtRule(court_id=ONE, service_ids=frozenset({1, 2})),)
    number = club.book(1, 24, services=[hourly(1, 60), hourly(2, 30), hourly(9, 45)])
    await club.run()
    assert times_of(club, number) == ("2026-11-21T12:00:00Z", "2026-11-21T13:30:00Z")


async def test_editing_service_minutes_updates_without_one_version_conflict(club: Club) -> None:
    for n in range(12):
        club.book(1 + n % 3, 24 + 2 * (n // 3))
    await club.run()
    club.remap(service_minutes={1: 90, 2: 75})
    result = await club.run()
    assert counts(result) == {"updated": 8, "unchanged": 4}
    assert result.status is ExitStatus.OK
    assert club.refusals == []
    assert counts(await club.run()) == {"unchanged": 12}


# --- court ---


async def test_any_of_several_rules_for_one_court_will_do(club: Club) -> None:
    club.rules = (
        CourtRule(court_id=ONE, service_ids=frozenset({1})),
        CourtRule(court_id=ONE, service_ids=frozenset({2}), location_ids=frozenset({1})),
        CourtRule(court_id=TWO, location_ids=frozenset({7})),
    )
    numbers = [club.book(1, 24), club.book(2, 26), club.book(3, 28, location={"id": 7})]
    assert counts(await club.run()) == {"created": 3}
    assert [club.slot_of(number)[0] for number in numbers] == [ONE, ONE, TWO]  # type: ignore[index]


async def test_services_that_no_rule_names_do_not_disturb(club: Club) -> None:
    number = club.book(1, 24, services=[{"id": 9}, hourly(1, 60)])
    assert counts(await club.run()) == {"created": 1}
    assert club.slot_of(number) == (ONE, "2026-11-21T12:00:00Z")


async def test_a_booking_without_a_court_is_ignored_and_holds_nothing_back(club: Club) -> None:
    club.book(9, 24)
    club.book(9, 24, services=[])
    result = await club.run()
    assert (counts(result), result.status) == ({"ignored": 2}, ExitStatus.OK)
    assert result.held == ()
    assert club.writes == []


async def test_a_booking_for_two_different_courts_is_held(club: Club) -> None:
    number = club.book(1, 24, services=[hourly(1, 60), hourly(2, 60)])
    result = await club.run()
    assert (counts(result), result.status) == ({"held": 1}, ExitStatus.ATTENTION)
    assert reasons(result) == {str(number): "ambiguous_court"}
    assert club.writes == []


# --- participants ---


async def test_participants_are_the_bookings_address_then_those_in_the_fields(club: Club) -> None:
    club.remap(participant_fields=("players", "7"))
    number = club.book(
        1,
        24,
        email=" Anna@Example.COM ",
        custom_fields=[
            {"id": 7, "code": "coach", "value": "dora@example.com"},
            {"code": "players", "value": "ben@example.com,ANNA@example.com;\n carla@example.com"},
            {"code": "note", "value": "nobody@example.com"},
        ],
    )
    await club.run()
    names = ["anna", "ben", "carla", "dora"]
    assert emails_of(club, number) == [f"{name}@example.com" for name in names]


async def test_only_the_first_four_take_part(club: Club) -> None:
    others = " ".join(f"p{n}@example.com" for n in range(8))
    number = club.book(1, 24, custom_fields=[{"code": "players", "value": others}])
    assert counts(await club.run()) == {"created": 1}
    expected = ["player@example.com", *(f"p{n}@example.com" for n in range(3))]
    assert emails_of(club, number) == expected


async def test_unusable_addresses_are_skipped_with_a_warning(club: Club) -> None:
    number = club.book(
        1, 24, email="not an address", custom_fields=[{"code": "players", "value": "ben@, ben@example.com"}]
    )
    assert counts(await club.run()) == {"created": 1}
    assert emails_of(club, number) == ["ben@example.com"]
    assert [id_ for id_, _ in club.narrator.skipped] == [str(number)]
    await club.run()
    assert len(club.narrator.skipped) == 1


async def test_without_a_usable_address_a_booking_is_held_or_the_desk_stands_in(club: Club) -> None:
    number = club.book(1, 24, email=None)
    assert reasons(await club.run()) == {str(number): "no_participant"}
    club.remap(fallback_email="desk@example.com")
    assert counts(await club.run()) == {"created": 1}
    assert emails_of(club, number) == ["desk@example.com"]


async def test_a_change_of_participants_is_an_update(club: Club) -> None:
    number = club.book(1, 24)
    await club.run()
    club.launch27.edit(number, email="someone@example.com")
    assert counts(await club.run()) == {"updated": 1}
    assert emails_of(club, number) == ["someone@example.com"]


# --- shape ---

BREAKS: list[dict[str, Any]] = [
    {"service_date": "soon"},
    {"service_date": None},
    {"service_date": 1_600_000_000},
    {"service_date": "2026-11-21"},
    {"services": None},
    {"services": {"id": 1}},
    {"services": [{}]},
    {"services": [7]},
]


@pytest.mark.parametrize("damage", BREAKS, ids=str)
async def test_a_booking_out_of_shape_is_held_and_its_neighbours_are_bridged(
    club: Club, damage: dict[str, Any]
) -> None:
    before, number, after = club.book(1, 24), club.book(1, 25), club.book(1, 26)
    club.launch27.bookings[number].update(damage)
    result = await club.run()
    assert counts(result) == {"created": 2, "held": 1}
    assert reasons(result) == {str(number): "invalid_booking"}
    assert set(club.wingfield.bookings) == {str(before), str(after)}


@pytest.mark.parametrize("key", ["service_date", "services"])
async def test_a_booking_that_lacks_what_is_needed_is_held(club: Club, key: str) -> None:
    number = club.book(1, 24)
    del club.launch27.bookings[number][key]
    assert reasons(await club.run()) == {str(number): "invalid_booking"}


@pytest.mark.parametrize("id_", [None, "x", 0, -4, 1.5, True, [], ""])
async def test_a_booking_without_a_readable_id_is_held_under_no_id(club: Club, id_: object) -> None:
    number = club.book(1, 24)
    club.book(1, 25)
    club.launch27.bookings[number]["id"] = id_
    result = await club.run()
    assert counts(result) == {"created": 1, "held": 1}
    assert reasons(result) == {"": "invalid_booking"}


async def test_several_bookings_without_an_id_are_each_counted(club: Club) -> None:
    for hour in (24, 25, 26):
        number = club.book(1, hour)
        del club.launch27.bookings[number]["id"]
    result = await club.run()
    assert counts(result) == {"held": 3}
    assert [held.id for held in result.held] == ["", "", ""]


async def test_what_is_no_object_at_all_is_held_too(club: Club) -> None:
    club.book(1, 24)
    odd = [club.book(1, 25 + n) for n in range(3)]
    for number, value in zip(odd, ("text", None, [1]), strict=True):
        club.launch27.bookings[number] = value
    result = await club.run()
    assert counts(result) == {"created": 1, "held": 3}


async def test_what_the_bridge_does_not_use_may_be_missing_or_odd(club: Club) -> None:
    number = club.book(1, 24)
    raw = club.launch27.bookings[number]
    for key in ("digest", "arrival_window", "name", "phone", "frequency", "actions", "teams"):
        del raw[key]
    raw.update(
        completed="maybe", location=[], custom_fields="none", customer_notes={}, updated_at="yesterday"
    )
    assert counts(await club.run()) == {"created": 1}


async def test_an_id_written_as_text_is_the_same_booking(club: Club) -> None:
    number = club.book(1, 24)
    await club.run()
    club.launch27.bookings[number]["id"] = str(number)
    assert counts(await club.run()) == {"unchanged": 1}


# --- counts ---


async def test_seen_is_each_booking_once(club: Club) -> None:
    created, moved, same, gone = (club.book(1, 24 + n) for n in range(4))
    club.launch27.hide(created)
    await club.run()
    club.launch27.hide(created, hidden=False)
    club.move(moved, 2, 25)
    club.launch27.cancel(gone)
    club.book(9, 30)
    held = club.book(1, 31, email=None)
    result = await club.run()
    expected = {"created": 1, "updated": 1, "deleted": 1, "unchanged": 1, "ignored": 1, "held": 1}
    assert counts(result) == expected
    assert (result.record.seen, same, held) == (5, 1003, 1006)


async def test_a_booking_that_was_asked_for_and_stays_is_seen(club: Club) -> None:
    number = club.book(1, 24)
    await club.run()
    club.launch27.hide(number)
    assert counts(await club.run()) == {"unchanged": 1}
