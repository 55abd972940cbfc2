"""What odd answers did to a club: a catalogue, a zone, a clock, or one broken court hurt nobody any more."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from bridge.cli.once import pass_json
from bridge.errors import ExitStatus, StateError
from tests.support.club import Club, Matcher, at, of, reasons

WALL = datetime(2026, 11, 21, 13)  # noqa: DTZ001 (wall time: 12:00 UTC in Berlin)


def is_catalogue(_method: str, path: str) -> bool:
    return path.endswith("/booking/services")


def is_settings(_method: str, path: str) -> bool:
    return path.endswith("/settings")


async def of_ninety_minutes(club: Club) -> list[int]:
    """Bridge twenty bookings of which only the catalogue knows how long they are."""
    for entry in club.launch27.catalogue[:3]:
        entry["duration"] = 90
    numbers = [club.book(1 + n % 3, 24 + 2 * n, services=[1 + n % 3]) for n in range(20)]
    await club.expect(created=20)
    club.wingfield.log.clear()
    return numbers


def empty(club: Club) -> None:
    club.launch27.catalogue.clear()


def shrunken(club: Club) -> None:
    del club.launch27.catalogue[1:]


def without_lengths(club: Club) -> None:
    for entry in club.launch27.catalogue:
        entry.pop("duration", None)


def unavailable(club: Club) -> None:
    club.launch27.faults.add("status", status=503, times=None, match=is_catalogue)


def refused(club: Club) -> None:
    club.launch27.faults.add("status", status=403, times=None, match=is_catalogue)


@pytest.mark.parametrize("catalogue", [empty, shrunken, without_lengths, unavailable, refused])
async def test_a_catalogue_that_lost_its_services_shortened_every_booking(club: Club, catalogue: Any) -> None:
    numbers = await of_ninety_minutes(club)
    catalogue(club)
    for _ in range(2):
        await club.expect(unchanged=20)
        await club.close()
        club.tick(minutes=2)
    assert club.writes == []
    assert {club.times_of(number)[1][11:16] for number in numbers[:1]} == {"13:30"}


@pytest.mark.parametrize("zone", [None, "", "Mars/Olympus"])
async def test_settings_without_a_zone_stopped_the_passes(club: Club, zone: str | None) -> None:
    number = club.book(service_date=WALL)
    await club.expect(created=1)
    club.launch27.settings["timezone"] = zone
    await club.close()
    club.book(2, service_date=WALL)
    await club.expect(created=1, unchanged=1)
    assert club.slot_of(number) == at((1, 24))


async def test_another_zone_for_one_pass_moved_every_court(club: Club) -> None:
    numbers = [club.book(1, service_date=WALL.replace(hour=7 + n)) for n in range(5)]
    await club.expect(created=5)
    before = [club.slot_of(number) for number in numbers]
    club.launch27.settings["timezone"] = "America/New_York"
    club.tick(hours=1)
    await club.expect(unchanged=5)
    club.launch27.settings["timezone"] = "Europe/Berlin"
    club.tick(minutes=1)
    await club.expect(unchanged=5)
    club.launch27.settings["timezone"] = "America/New_York"
    club.tick(hours=1)
    await club.expect(unchanged=5)
    assert [club.slot_of(number) for number in numbers] == before
    club.tick(minutes=1)
    await club.expect(updated=5)


def later(club: Club, numbers: list[int], hours: int) -> None:
    for n, number in enumerate(numbers):
        club.move(number, 1 + n % 3, 24 + 2 * n + hours)


async def spread(club: Club, count: int) -> list[int]:
    numbers = [club.book(1 + n % 3, 24 + 2 * n) for n in range(count)]
    await club.expect(created=count)
    club.tick(minutes=1)
    return numbers


async def test_everything_an_hour_later_for_one_pass_moved_every_court(club: Club) -> None:
    numbers = await spread(club, 21)
    later(club, numbers, 1)
    new = club.book(3, 90)
    result = await club.expect(pending=21, created=1)
    assert pass_json(result, dry_run=False)["error"].startswith("21 bookings wait for a minute")
    later(club, numbers, 0)
    club.tick(minutes=1)
    await club.expect(unchanged=22)
    assert club.slot_of(numbers[0]) == at((1, 24))
    assert club.slot_of(new) == at((3, 90))
    later(club, numbers, 1)
    for seconds in (30, 29):
        await club.expect(pending=21, unchanged=1)
        club.tick(seconds=seconds)
    await club.expect(pending=21, unchanged=1)
    club.tick(seconds=1)
    await club.expect(updated=21, unchanged=1)
    assert club.slot_of(numbers[0]) == at((1, 25))


@pytest.mark.parametrize(("bridged", "moved"), [(20, 20), (44, 22)])
async def test_twenty_or_half_of_all_are_no_mass_change(club: Club, bridged: int, moved: int) -> None:
    numbers = await spread(club, bridged)
    later(club, numbers[:moved], 1)
    await club.expect(updated=moved, unchanged=bridged - moved)


async def test_a_persons_edit_had_to_wait(club: Club) -> None:
    """Also where what it causes is written later."""
    numbers = await spread(club, 24)
    club.remap(service_minutes={1: 90, 2: 90, 3: 90})
    club.wingfield.faults.add("status", status=503, times=None, match=lambda method, _: method == "PUT")
    await club.expect(pending=24)
    club.clear_faults()
    await club.expect(updated=24)
    assert club.times_of(numbers[0])[1] == "2026-11-21T13:30:00Z"


async def test_last_months_bookings_hid_a_mass_change(club: Club) -> None:
    for n in range(30):
        club.book(1 + n % 3, 1 + n // 3)
    numbers = [club.book(1 + n % 3, 72 + 2 * n) for n in range(21)]
    await club.expect(created=51)
    club.tick(days=2)
    for n, number in enumerate(numbers):
        club.move(number, 1 + n % 3, 73 + 2 * n)
    await club.expect(pending=21)


# --- one broken court ---


def on(club: Club, numbers: list[int]) -> Matcher:
    return lambda _, path: path.rpartition("/")[2] in set(map(str, numbers))


async def test_one_broken_court_starved_the_others_and_looked_fine(club: Club) -> None:
    broken, healthy = [club.book(1, 24 + n) for n in range(3)], [club.book(2, 24 + n) for n in range(20)]
    club.wingfield.faults.add("status", times=None, match=on(club, broken))
    for _ in range(4):
        result = await club.run()
        club.tick(minutes=1)
    assert all(club.slot_of(number) for number in healthy)
    assert reasons(result) == {str(number): "no_answer" for number in broken}
    assert (result.status, result.record.pending) == (ExitStatus.ATTENTION, 0)
    club.clear_faults()
    await club.expect(created=3, unchanged=20)


async def test_two_passes_without_an_answer_are_pending_and_the_third_is_held(club: Club) -> None:
    number, _ = club.books(2)
    club.wingfield.faults.add("status", times=None, match=of("PUT", number))
    await club.expect(pending=1, created=1)
    await club.expect(pending=1, unchanged=1)
    await club.expect(held={number: "no_answer"}, unchanged=1)
    club.clear_faults()
    await club.expect(created=1, unchanged=1)
    club.move(number, 1, 30)
    club.wingfield.faults.add("status", times=None, match=of("PUT", number))
    await club.expect(pending=1, unchanged=1)


async def test_what_got_no_answer_went_first(club: Club) -> None:
    club.concurrency = 1
    numbers = club.books(4)
    club.wingfield.faults.add("status", times=None, match=of("PUT", numbers[0]))
    await club.expect(created=3, pending=1)
    club.clear_faults()
    for number in numbers:
        club.launch27.edit(number, email="other@example.com")
    club.wingfield.log.clear()
    await club.expect(created=1, updated=3)
    assert [entry.id for entry in club.writes][-1] == str(numbers[0])


async def test_while_wingfield_answers_nobody_its_bookings_are_pending_for_ever(club: Club) -> None:
    await club.one()
    club.book(2)
    club.wingfield.faults.add("status", times=None)
    for _ in range(5):
        await club.expect(pending=1, unchanged=1)


async def test_one_failing_read_back_left_all_others_in_doubt(club: Club) -> None:
    numbers = club.books(3)
    club.wingfield.faults.add("refuse", times=None, match=lambda method, _: method == "PUT")
    await club.run()
    club.clear_faults()
    for number in numbers:
        club.launch27.edit(number, service_date="soon")
    club.wingfield.faults.add("status", times=None, match=of("GET", numbers[0]))
    await club.run()
    assert [bool(club.ledger.known[str(number)].unsettled) for number in numbers] == [True, False, False]


# --- a clock that is wrong ---


def offsets(monkeypatch: pytest.MonkeyPatch, club: Club, launch27: float | None, wingfield: float | None) -> None:
    assert club.services is not None
    for client, seconds in ((club.services.launch27, launch27), (club.services.wingfield, wingfield)):
        monkeypatch.setattr(type(client.http), "clock_offset_seconds", None, raising=False)
        client.http.__class__ = type("Skewed", (type(client.http),), {"clock_offset_seconds": seconds})


@pytest.mark.parametrize(
    ("launch27", "wingfield", "wrong"),
    [
        *((-259_200, -259_200, True), (301, None, True), (None, -301, True), (400, 350, True)),
        *((299, -299, False), (None, None, False), (0, 5000, False), (-5000, 5000, False)),
    ],
)
async def test_a_clock_three_days_ahead_left_court_bookings_nobody_owned(
    club: Club, monkeypatch: pytest.MonkeyPatch, launch27: float | None, wingfield: float | None, *, wrong: bool
) -> None:
    number = await club.one()
    club.launch27.vanish(number)
    club.book(2)
    before, requests = dict(club.ledger.known), len(club.writes)
    offsets(monkeypatch, club, launch27, wingfield)
    result = await club.run()
    assert (result.status is ExitStatus.TRY_LATER) is wrong
    assert (dict(club.ledger.known) == before) is wrong
    assert (len(club.writes) == requests) is wrong
    assert [type(error).__name__ for error in result.errors] == ["ClockWrong"] * wrong


async def test_what_a_wrong_clock_made_history_is_owned_still_when_it_is_right_again(club: Club) -> None:
    """For 30 days."""
    number = await club.one()
    club.tick(days=5)
    await club.expect()
    club.tick(days=-5)
    club.launch27.cancel(number)
    await club.expect(deleted=1)


# --- whose state ---


async def test_going_live_under_the_state_of_the_trial_wrote_nothing(club: Club) -> None:
    await club.one()
    await club.close()
    address, club.wingfield.address = club.wingfield.address, "http://127.0.0.1:9"
    with pytest.raises(StateError, match=r"127\.0\.0\.1:9") as caught:
        await club.run()
    assert caught.value.exit_status is ExitStatus.STATE
    club.wingfield.address = address
    await club.expect(unchanged=1)


async def test_a_state_of_0_1_belongs_to_the_first_wingfield_it_sees(club: Club) -> None:
    await club.one()
    with club.ledger._transaction() as db:
        db.execute("DELETE FROM meta WHERE name = 'wingfield_host'")
    await club.close()
    await club.expect(unchanged=1)
    await club.close()
    club.wingfield.address = "http://127.0.0.1:9"
    with pytest.raises(StateError):
        await club.run()


async def test_wingfield_is_asked_something_in_every_pass(club: Club) -> None:
    """So that a wrong token is noticed while nothing changes."""
    await club.one()
    club.wingfield.log.clear()
    await club.expect(unchanged=1)
    assert [entry.method for entry in club.wingfield.log] == ["GET"]
