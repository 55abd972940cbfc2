"""What a pass promises: vanished, withdrawn, and the delete guard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.config.schema import CourtRule
from bridge.errors import ExitStatus
from bridge.sync.narrator import withheld_advice
from tests.support.club import COURT_IDS, EMAIL, NOON, SECOND, Club, counts, reasons

ONE, TWO, THREE = COURT_IDS
DAY = timedelta(days=1)


@pytest.fixture
async def club(tmp_path: Path) -> AsyncIterator[Club]:
    async with Club(tmp_path) as club:
        yield club


def books(club: Club, count: int, **fields: Any) -> list[int]:
    return [club.book(1 + n % 3, 24 + n // 3, **fields) for n in range(count)]


def keys(numbers: Iterable[int]) -> set[str]:
    return set(map(str, numbers))


def deletes(club: Club) -> list[str]:
    return [entry[2] for entry in club.writes if entry[0] == "DELETE"]


def questions(club: Club, number: int) -> int:
    return len(club.asked("bookings", str(number)))


# --- vanished ---


@pytest.mark.parametrize("how", ["cancelled", "not found", "no access"])
async def test_what_is_gone_is_asked_for_by_its_id_and_deleted(club: Club, how: str) -> None:
    number, other = books(club, 2)
    await club.run()
    if how == "cancelled":
        club.launch27.cancel(number)
    elif how == "not found":
        club.launch27.vanish(number)
    else:
        club.launch27.give(number, "somebody@example.com")
    result = await club.run()
    assert (counts(result), result.status) == ({"deleted": 1, "unchanged": 1}, ExitStatus.OK)
    assert questions(club, number) == 1
    assert questions(club, other) == 0
    assert deletes(club) == [str(number)]
    assert set(club.wingfield.bookings) == {str(other)}


async def test_a_deleted_booking_is_not_asked_for_again(club: Club) -> None:
    (number,) = books(club, 1)
    await club.run()
    club.launch27.cancel(number)
    for _ in range(3):
        await club.run()
    assert questions(club, number) == 1
    assert deletes(club) == [str(number)]


@pytest.mark.parametrize("mark", [{"active": False}, {"booking_status": "cancelled"}])
async def test_a_booking_listed_as_cancelled_is_deleted(club: Club, mark: dict[str, Any]) -> None:
    """A server may list cancelled ones; they are in no listing of active bookings then."""
    club.role = "staff"
    club.launch27.add_account(EMAIL, club.password, kind="staff")
    (number,) = books(club, 1)
    await club.run()
    club.launch27.bookings[number].update(mark)
    assert counts(await club.run()) == {"deleted": 1}


async def test_a_booking_that_moved_out_of_the_window_is_kept_in_step(club: Club) -> None:
    (number,) = books(club, 1)
    await club.run()
    club.move(number, 2, 20 * 24)
    result = await club.run()
    assert (counts(result), result.status) == ({"updated": 1}, ExitStatus.OK)
    assert club.slot_of(number) == (TWO, "2026-12-10T12:00:00Z")
    assert deletes(club) == []


async def test_a_booking_that_slipped_between_two_pages_is_kept(club: Club) -> None:
    numbers = books(club, 25)
    await club.run()
    club.launch27.hide(numbers[7])
    assert counts(await club.run()) == {"unchanged": 25}
    assert len(club.writes) == 25


async def test_a_booking_that_slipped_and_was_edited_is_updated(club: Club) -> None:
    (number,) = books(club, 1)
    await club.run()
    club.move(number, 3, 48)
    club.launch27.hide(number)
    assert counts(await club.run()) == {"updated": 1}
    assert club.slot_of(number) == (THREE, "2026-11-22T12:00:00Z")


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 429},
        {"kind": "status", "status": 400},
        {"kind": "status", "status": 405},
        {"kind": "garbage"},
        {"kind": "wrong_shape"},
        {"kind": "half"},
        {"kind": "lose"},
        {"kind": "redirect", "location": "/latest/customer/bookings/1"},
        {"kind": "hang"},
    ],
    ids=lambda fault: "-".join(map(str, list(fault.values())[:2])),
)
async def test_any_other_answer_leaves_it_alone_until_the_next_pass(
    club: Club, fault: dict[str, Any]
) -> None:
    number, other = books(club, 2)
    await club.run()
    club.launch27.cancel(number)
    club.move(other, 3, 30)
    club.launch27.faults.add(**fault, times=None, match=lambda _, path: path.endswith(f"/{number}"))
    result = await club.run()
    assert (counts(result), result.status) == ({"updated": 1}, ExitStatus.TRY_LATER)
    assert result.record.outcome == "incomplete"
    assert deletes(club) == []
    club.launch27.faults.clear()
    assert counts(await club.run()) == {"deleted": 1, "unchanged": 1}


async def test_an_answer_about_another_booking_says_nothing(club: Club) -> None:
    (number,) = books(club, 1)
    await club.run()
    club.launch27.hide(number)
    club.launch27.bookings[number]["id"] = 77
    club.launch27.bookings[number]["active"] = False
    assert (await club.run()).status is ExitStatus.TRY_LATER
    assert deletes(club) == []


async def test_an_answer_out_of_shape_keeps_the_booking_and_holds_it(club: Club) -> None:
    (number,) = books(club, 1)
    await club.run()
    club.launch27.hide(number)
    club.launch27.bookings[number]["service_date"] = "soon"
    result = await club.run()
    assert reasons(result) == {str(number): "invalid_booking"}
    assert (counts(result), result.status) == ({"held": 1}, ExitStatus.ATTENTION)
    assert club.slot_of(number) is not None


async def test_a_booking_that_vanished_and_is_a_forecast_again_is_deleted(club: Club) -> None:
    """A recurring series' future is no booking."""
    club.role = "staff"
    club.launch27.add_account(EMAIL, club.password, kind="staff")
    (number,) = books(club, 1)
    await club.run()
    club.launch27._behind[number].forecasted = True
    club.launch27._touched(number)
    result = await club.run()
    assert (counts(result), result.status) == ({"deleted": 1}, ExitStatus.OK)


@pytest.mark.parametrize("after", range(6))
async def test_an_incomplete_listing_vanishes_none_of_its_accounts_bookings(club: Club, after: int) -> None:
    club.accounts = 2
    first = [club.book(1, 24 + n, owner=EMAIL) for n in range(25)]
    second = [club.book(2, 24 + n, owner=SECOND) for n in range(3)]
    await club.run()
    for number in (first[3], second[0]):
        club.launch27.vanish(number)
    club.tick(minutes=1)
    club.launch27.faults.add(
        "status", times=None, after=after, match=lambda _, path: path.endswith("/customer/bookings")
    )
    result = await club.run()
    assert result.status is ExitStatus.TRY_LATER
    marks = club.ledger.watermarks()
    complete = {mark.account for mark in marks if mark.listed_ms == result.record.started_ms}
    assert len(complete) < 2
    assert all(club.ledger.known[id_].account in complete for id_ in deletes(club))
    club.launch27.faults.clear()
    assert (await club.run()).status is ExitStatus.OK
    assert set(deletes(club)) == keys([first[3], second[0]])


async def test_one_accounts_incomplete_listing_does_not_keep_the_others_bookings(club: Club) -> None:
    club.accounts = 2
    first, second = club.book(1, 24, owner=EMAIL), club.book(2, 24, owner=SECOND)
    keep = [club.book(3, 24, owner=EMAIL), club.book(3, 25, owner=SECOND)]
    await club.run()
    for number in (first, second):
        club.launch27.vanish(number)
    club.launch27.add_account(SECOND, "changed")
    club.launch27.expire_tokens()
    result = await club.run()
    assert result.status is ExitStatus.CREDENTIALS
    assert deletes(club) == [str(first)]
    assert questions(club, second) == 0
    club.launch27.add_account(SECOND, club.password)
    assert counts(await club.run()) == {"deleted": 1, "unchanged": 2}
    assert set(club.wingfield.bookings) == keys(keep)


async def test_an_incomplete_listing_still_brings_what_it_has(club: Club) -> None:
    books(club, 10)
    await club.run()
    new = [club.book(2, 60 + n) for n in range(10)]
    club.launch27.faults.add(
        "status", status=500, times=3, after=1, match=lambda _, path: path.endswith("/customer/bookings")
    )
    result = await club.run()
    assert result.status is ExitStatus.TRY_LATER
    assert deletes(club) == []
    assert (await club.run()).status is ExitStatus.OK
    assert len(club.wingfield.bookings) == 10 + len(new)


async def test_a_bridged_booking_beyond_the_window_is_asked_for_at_most_once_a_day(club: Club) -> None:
    (number,) = books(club, 1)
    await club.run()
    club.move(number, 1, 20 * 24)
    await club.run()
    assert questions(club, number) == 1
    for _ in range(5):
        club.tick(hours=4)
        assert counts(await club.run()) == {}
    assert questions(club, number) == 1
    club.tick(hours=4)
    assert counts(await club.run()) == {"unchanged": 1}
    assert questions(club, number) == 2


async def test_a_booking_beyond_the_window_that_was_cancelled_is_found_within_a_day(club: Club) -> None:
    (number,) = books(club, 1)
    await club.run()
    club.move(number, 1, 20 * 24)
    await club.run()
    club.launch27.cancel(number)
    assert counts(await club.run()) == {}
    club.tick(hours=24)
    assert counts(await club.run()) == {"deleted": 1}


async def test_a_booking_whose_day_has_passed_is_history_and_not_deleted(club: Club) -> None:
    number = club.book(1, 1)
    await club.run()
    club.tick(days=2)
    club.launch27.vanish(number)
    result = await club.run()
    assert (counts(result), result.status) == ({}, ExitStatus.OK)
    assert questions(club, number) == 0
    assert deletes(club) == []
    assert club.slot_of(number) is not None
    assert club.ledger.known == {}


async def test_history_ends_where_the_windows_first_day_begins(club: Club) -> None:
    """At 23:00 UTC it is midnight in Berlin: what ends then is history, what ends a minute later is not."""
    history = club.launch27.add_booking(
        service_date="2026-11-20T22:00:00Z", services=[{"id": 1, "hourly": {"minutes": 60}}]
    )
    vanished = club.launch27.add_booking(
        service_date="2026-11-20T22:00:00Z", services=[{"id": 2, "hourly": {"minutes": 61}}]
    )
    await club.run()
    club.tick(days=2)
    for number in (history, vanished):
        club.launch27.vanish(number)
    assert counts(await club.run()) == {"deleted": 1}
    assert deletes(club) == [str(vanished)]


async def test_a_booking_that_comes_back_from_history_is_bridged_again(club: Club) -> None:
    number = club.book(1, 1)
    await club.run()
    club.tick(days=3)
    await club.run()
    club.move(number, 2, 5 * 24)
    result = await club.run()
    assert result.status is ExitStatus.OK
    assert club.slot_of(number) == (TWO, "2026-11-25T12:00:00Z")
    assert club.refusals == []


async def test_a_booking_handed_to_another_bridged_account_is_kept(club: Club) -> None:
    club.accounts = 2
    number = club.book(1, 24, owner=EMAIL)
    club.book(2, 24, owner=SECOND)
    await club.run()
    club.launch27.give(number, SECOND)
    assert counts(await club.run()) == {"unchanged": 2}
    assert deletes(club) == []


# --- withdrawn ---


@pytest.mark.parametrize(
    ("services", "told"), [([9], {"ignored": 1}), ([], {"ignored": 1}), ([1, 2], {"held": 1})]
)
async def test_a_bridged_booking_that_is_no_court_booking_any_more_is_deleted(
    club: Club, services: list[int], told: dict[str, int]
) -> None:
    (number,) = books(club, 1)
    await club.run()
    club.launch27.edit(number, services=services)
    assert counts(await club.run()) == {**told, "deleted": 1}
    assert club.wingfield.bookings == {}
    assert counts(await club.run()) == told
    assert len(deletes(club)) == 1


async def test_a_court_that_is_temporarily_deleted_of_the_configuration_is_withdrawn(club: Club) -> None:
    numbers = books(club, 3)
    await club.run()
    rules, club.rules = club.rules, club.rules[1:]
    assert counts(await club.run()) == {"deleted": 1, "ignored": 1, "unchanged": 2}
    club.rules = rules
    assert counts(await club.run()) == {"created": 1, "unchanged": 2}
    assert set(club.wingfield.bookings) == keys(numbers)
    assert club.refusals == []


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"service_date": "soon"}, "invalid_booking"),
        ({"services": None}, "invalid_booking"),
        ({"email": None}, "no_participant"),
        ({"services": [{"id": 1}]}, "no_duration"),
    ],
)
async def test_a_booking_that_merely_cannot_be_read_or_mapped_stays_as_it_is(
    club: Club, damage: dict[str, Any], reason: str
) -> None:
    club.remap(default_minutes=None)
    (number,) = books(club, 1)
    await club.run()
    before = dict(club.wingfield.bookings[str(number)])
    club.launch27.bookings[number].update(damage)
    result = await club.run()
    assert reasons(result) == {str(number): reason}
    assert (counts(result), result.status) == ({"held": 1}, ExitStatus.ATTENTION)
    assert club.wingfield.bookings[str(number)] == before
    assert questions(club, number) == 0


async def test_a_booking_that_could_not_be_read_and_is_cancelled_then_is_deleted(club: Club) -> None:
    (number,) = books(club, 1)
    await club.run()
    club.launch27.bookings[number]["services"] = None
    await club.run()
    club.launch27.cancel(number)
    assert counts(await club.run()) == {"deleted": 1}


async def test_withdrawn_bookings_are_under_the_guard(club: Club) -> None:
    club.limit(max_delete_count=1, max_delete_fraction=0.2)
    numbers = books(club, 6)
    await club.run()
    club.rules = club.rules[1:]
    result = await club.run()
    assert result.status is ExitStatus.ATTENTION
    assert set(result.record.withheld) == keys(numbers[::3])
    assert deletes(club) == []


# --- the delete guard ---


@pytest.mark.parametrize(
    ("count", "fraction", "gone", "withheld"),
    [
        (2, 0.2, 3, True),
        (3, 0.2, 3, False),
        (2, 0.3, 3, False),
        (2, 0.29, 3, True),
        (0, 0.0, 1, True),
        (9, 0.0, 9, False),
        (0, 1.0, 9, False),
    ],
)
async def test_deletes_are_withheld_only_beyond_both_limits(
    club: Club, count: int, fraction: float, gone: int, *, withheld: bool
) -> None:
    """Ten are bridged."""
    club.limit(max_delete_count=count, max_delete_fraction=fraction)
    numbers = books(club, 10)
    await club.run()
    for number in numbers[:gone]:
        club.launch27.cancel(number)
    result = await club.run()
    assert len(deletes(club)) == (0 if withheld else gone)
    assert len(result.record.withheld) == (gone if withheld else 0)
    assert result.status is (ExitStatus.ATTENTION if withheld else ExitStatus.OK)


async def test_with_deletes_withheld_everything_else_is_sent(club: Club) -> None:
    club.limit(max_delete_count=1, max_delete_fraction=0.2)
    numbers = books(club, 6)
    await club.run()
    for number in numbers[:3]:
        club.launch27.vanish(number)
    club.move(numbers[4], 2, 60)
    new = club.book(3, 70)
    result = await club.run()
    assert counts(result) == {"created": 1, "updated": 1, "unchanged": 2, "withheld": 3}
    assert (result.status, result.record.outcome) == (ExitStatus.ATTENTION, "attention")
    assert set(result.record.withheld) == keys(numbers[:3])
    assert set(club.wingfield.bookings) == keys([*numbers, new])


async def test_a_withheld_delete_blocks_whoever_wants_its_place(club: Club) -> None:
    club.limit(max_delete_count=0, max_delete_fraction=0.0)
    first, second = books(club, 2)
    await club.run()
    club.launch27.vanish(first)
    club.move(second, 1, 24)
    result = await club.run()
    assert reasons(result) == {str(second): "court_booking_overlap"}
    assert str(first) in result.held[0].detail
    assert len(club.writes) == 2


@pytest.mark.parametrize(("bridged", "withheld"), [(2, False), (3, True), (4, True)])
async def test_an_entirely_empty_listing_is_not_believed_where_three_are_bridged(
    club: Club, bridged: int, *, withheld: bool
) -> None:
    club.limit(max_delete_count=1000, max_delete_fraction=1.0)
    numbers = books(club, bridged)
    await club.run()
    for number in numbers:
        club.launch27.vanish(number)
    result = await club.run()
    assert len(result.record.withheld) == (bridged if withheld else 0)
    assert len(deletes(club)) == (0 if withheld else bridged)
    assert result.status is (ExitStatus.ATTENTION if withheld else ExitStatus.OK)


async def test_an_empty_listing_counts_all_accounts_together(club: Club) -> None:
    club.accounts = 2
    club.limit(max_delete_count=1000)
    first = books(club, 5, owner=EMAIL)
    club.book(3, 60, owner=SECOND)
    await club.run()
    for number in first:
        club.launch27.vanish(number)
    assert counts(await club.run()) == {"deleted": 5, "unchanged": 1}


async def test_an_empty_listing_whose_bookings_live_deletes_nothing(club: Club) -> None:
    numbers = books(club, 5)
    await club.run()
    for number in numbers:
        club.launch27.hide(number)
    result = await club.run()
    assert (counts(result), result.status) == ({"unchanged": 5}, ExitStatus.OK)


async def test_an_empty_listing_goes_through_when_it_is_allowed(club: Club) -> None:
    numbers = books(club, 5)
    await club.run()
    for number in numbers:
        club.launch27.vanish(number)
    assert counts(await club.run()) == {"withheld": 5}
    result = await club.run(allow=True)
    assert (counts(result), result.status) == ({"deleted": 5}, ExitStatus.OK)


async def test_the_permission_is_for_one_pass(club: Club) -> None:
    club.limit(max_delete_count=0, max_delete_fraction=0.0)
    numbers = books(club, 4)
    await club.run()
    club.launch27.vanish(numbers[0])
    assert counts(await club.run(allow=True)) == {"deleted": 1, "unchanged": 3}
    club.launch27.vanish(numbers[1])
    assert counts(await club.run()) == {"withheld": 1, "unchanged": 2}


@pytest.mark.parametrize("kind", ["refuse", "lose", "status"])
async def test_deletes_that_were_allowed_and_interrupted_go_on(club: Club, kind: str) -> None:
    club.limit(max_delete_count=1, max_delete_fraction=0.1)
    club.concurrency = 1
    numbers = books(club, 10)
    await club.run()
    for number in numbers[:6]:
        club.launch27.vanish(number)
    assert counts(await club.run()) == {"withheld": 6, "unchanged": 4}
    club.wingfield.faults.add(
        kind, status=500, after=2, times=None, match=lambda method, _: method == "DELETE"
    )
    result = await club.run(allow=True)
    assert result.status is ExitStatus.TRY_LATER
    assert result.record.deleted == 2
    club.wingfield.faults.clear()
    await club.close()
    result = await club.run()
    assert (counts(result), result.status) == ({"deleted": 4, "unchanged": 4}, ExitStatus.OK)


@pytest.mark.parametrize("step", range(0, 24, 2))
async def test_deletes_that_were_allowed_and_killed_go_on_or_were_never_begun(club: Club, step: int) -> None:
    club.limit(max_delete_count=1, max_delete_fraction=0.1)
    numbers = books(club, 10)
    await club.run()
    for number in numbers[:6]:
        club.launch27.vanish(number)
    await club.run_and_die(step)
    begun = bool(deletes(club))
    result = await club.run()
    assert bool(result.record.withheld) is not (
        begun or not club.wingfield.bookings.keys() & keys(numbers[:6])
    )


async def test_an_allowed_delete_whose_booking_lives_again_is_not_sent(club: Club) -> None:
    club.limit(max_delete_count=0, max_delete_fraction=0.0)
    numbers = books(club, 4)
    await club.run()
    for number in numbers[:2]:
        club.launch27.vanish(number)
    club.wingfield.faults.add("refuse", times=None)
    await club.run(allow=True)
    club.wingfield.faults.clear()
    club.launch27.restore(numbers[0])
    result = await club.run()
    assert result.record.withheld == ()
    assert set(club.wingfield.bookings) == {str(numbers[0]), *keys(numbers[2:])}


async def test_a_permission_does_not_outlive_the_bookings_return(club: Club) -> None:
    club.limit(max_delete_count=0, max_delete_fraction=0.0)
    numbers = books(club, 4)
    await club.run()
    club.launch27.vanish(numbers[0])
    club.wingfield.faults.add("refuse", times=None)
    await club.run(allow=True)
    club.wingfield.faults.clear()
    club.launch27.restore(numbers[0])
    await club.run()
    club.launch27.vanish(numbers[0])
    assert (await club.run()).record.withheld == (str(numbers[0]),)


async def test_the_log_line_says_how_many_of_how_many_why_and_the_way_through(club: Club) -> None:
    club.limit(max_delete_count=2, max_delete_fraction=0.1)
    numbers = books(club, 10)
    await club.run()
    for number in numbers[:3]:
        club.launch27.vanish(number)
    advice = withheld_advice(await club.run())
    for part in ("3 of 10", "max_delete_count = 2", "max_delete_fraction = 0.1"):
        assert part in advice
    stop, allow, start = map(
        advice.index, ("stop the daemon", "courtbridge --once --allow-mass-delete", "start it again")
    )
    assert stop < allow < start


async def test_accounts_that_left_the_configuration_are_withdrawn_under_the_guard(club: Club) -> None:
    club.accounts = 2
    club.limit(max_delete_count=1, max_delete_fraction=0.2)
    keep = books(club, 3, owner=EMAIL)
    leaving = [club.book(3, 60 + n, owner=SECOND) for n in range(3)]
    await club.run()
    club.accounts = 1
    result = await club.run()
    assert (counts(result), result.status) == ({"unchanged": 3, "withheld": 3}, ExitStatus.ATTENTION)
    assert counts(await club.run(allow=True)) == {"unchanged": 3, "deleted": 3}
    assert set(club.wingfield.bookings) == keys(keep)
    assert all(club.launch27.bookings[number]["active"] for number in leaving)


async def test_deletes_asked_for_again_while_withheld_do_not_hammer(club: Club) -> None:
    club.limit(max_delete_count=0, max_delete_fraction=0.0)
    number, _ = books(club, 2)
    await club.run()
    club.launch27.vanish(number)
    for _ in range(5):
        assert (await club.run()).record.withheld == (str(number),)
        club.tick(minutes=1)
    assert questions(club, number) == 1


async def test_a_withheld_booking_that_lives_again_is_not_withheld(club: Club) -> None:
    club.limit(max_delete_count=0, max_delete_fraction=0.0)
    number, _ = books(club, 2)
    await club.run()
    club.launch27.vanish(number)
    await club.run()
    club.launch27.restore(number)
    result = await club.run()
    assert (counts(result), result.status) == ({"unchanged": 2}, ExitStatus.OK)


async def test_rules_that_send_a_booking_elsewhere_are_no_withdrawal(club: Club) -> None:
    (number,) = books(club, 1)
    await club.run()
    club.rules = (CourtRule(court_id=THREE, service_ids=frozenset({1})),)
    assert counts(await club.run()) == {"updated": 1}
    assert club.slot_of(number) == (THREE, (NOON + DAY).strftime("%Y-%m-%dT%H:%M:%SZ"))
