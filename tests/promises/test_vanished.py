"""Vanished: looked up by its id before anything is deleted."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.errors import ExitStatus
from tests.support.builders import EMAIL, SECOND, TWO
from tests.support.club import Club, Place, at, is_listing, keys


@pytest.mark.parametrize("how", ["cancelled", "not found", "no access"])
async def test_what_is_gone_is_looked_up_by_its_id_and_deleted_once(club: Club, how: str) -> None:
    number, other = await club.some(2)
    if how == "cancelled":
        club.launch27.cancel(number)
    elif how == "not found":
        club.launch27.vanish(number)
    else:
        club.launch27.give(number, "somebody@example.com")
    await club.expect(deleted=1, unchanged=1)
    for _ in range(2):
        await club.expect(unchanged=1)
    assert (club.look_ups(number), club.look_ups(other)) == (1, 0)
    assert club.deletes == [str(number)]
    assert set(club.wingfield.bookings) == {str(other)}


@pytest.mark.parametrize(
    ("place", "hidden"),
    [((2, 20 * 24), False), ((1, 24), True), ((3, 48), True)],
    ids=["moved out of the window", "slipped between two pages", "slipped and was edited"],
)
async def test_a_booking_that_is_still_active_is_kept_in_sync(club: Club, place: Place, *, hidden: bool) -> None:
    number, *_ = await club.some(25)
    club.move(number, *place)
    club.launch27.hide(number, hidden=hidden)
    moved = place != (1, 24)
    await club.expect(updated=int(moved), unchanged=25 - moved)
    assert club.slot_of(number) == at(place)
    assert (club.deletes, len(club.writes)) == ([], 25 + moved)


@pytest.mark.parametrize(
    "fault",
    [
        *({"kind": "status", "status": status} for status in (500, 429, 400, 405)),
        *({"kind": kind} for kind in ("garbage", "wrong_shape", "half", "lose", "hang")),
        {"kind": "redirect", "location": "/latest/customer/bookings/1"},
    ],
    ids=lambda fault: "-".join(map(str, fault.values())),
)
async def test_any_other_answer_leaves_it_alone_until_the_next_pass(club: Club, fault: dict[str, Any]) -> None:
    number, other = await club.some(2)
    club.launch27.cancel(number)
    club.move(other, 3, 30)
    club.launch27.faults.add(**fault, times=None, match=lambda _, path: path.endswith(f"/{number}"))
    result = await club.expect(updated=1, status=ExitStatus.TRY_LATER)
    assert result.record.outcome == "incomplete"
    assert club.deletes == []
    club.clear_faults()
    await club.expect(deleted=1, unchanged=1)


async def test_an_answer_about_another_booking_says_nothing(club: Club) -> None:
    number = await club.one()
    club.launch27.hide(number)
    club.launch27.bookings[number].update(id=77, active=False)
    await club.try_later()
    assert club.deletes == []


async def test_an_answer_out_of_shape_keeps_the_booking_and_holds_it(club: Club) -> None:
    number = await club.one()
    club.launch27.hide(number)
    club.launch27.bookings[number]["service_date"] = "soon"
    await club.expect(held={number: "invalid_booking"})
    assert club.slot_of(number) is not None


async def test_a_booking_that_vanished_and_is_a_forecast_again_is_deleted(club: Club) -> None:
    """A recurring series' future is no booking."""
    club.staff()
    number = await club.one()
    club.launch27._behind[number].forecasted = True
    club.launch27._touched(number)
    await club.expect(deleted=1)


async def test_a_booking_handed_to_another_bridged_account_is_kept(club: Club) -> None:
    club.accounts = 2
    number = club.book(1, 24, owner=EMAIL)
    club.book(2, 24, owner=SECOND)
    await club.run()
    club.launch27.give(number, SECOND)
    await club.expect(unchanged=2)
    assert club.deletes == []


# --- incomplete listings ---


@pytest.mark.parametrize("after", range(6))
async def test_an_incomplete_listing_vanishes_none_of_its_accounts_bookings(club: Club, after: int) -> None:
    club.accounts = 2
    first = [club.book(1, 24 + n, owner=EMAIL) for n in range(25)]
    second = [club.book(2, 24 + n, owner=SECOND) for n in range(3)]
    await club.run()
    club.vanish(first[3], second[0])
    club.tick(minutes=1)
    club.launch27.faults.add("status", times=None, after=after, match=is_listing)
    result = await club.try_later()
    marks = club.ledger.watermarks()
    complete = {mark.account for mark in marks if mark.listed_ms == result.record.started_ms}
    assert len(complete) < 2
    assert all(club.ledger.known[id_].account in complete for id_ in club.deletes)
    club.clear_faults()
    assert (await club.run()).status is ExitStatus.OK
    assert set(club.deletes) == keys([first[3], second[0]])


async def test_while_one_accounts_listing_is_incomplete_only_what_is_cancelled_is_deleted(club: Club) -> None:
    """What is not found may be the other's now."""
    club.accounts = 2
    (first, away, *keep), (second, *kept) = club.books(3, owner=EMAIL), club.books(2, 30, owner=SECOND)
    await club.run()
    club.launch27.cancel(first)
    club.vanish(away, second)
    club.launch27.add_account(SECOND, "changed")
    club.launch27.expire_tokens()
    assert (await club.run()).status is ExitStatus.CREDENTIALS
    assert (club.deletes, club.look_ups(second)) == ([str(first)], 0)
    club.launch27.add_account(SECOND, club.password)
    await club.expect(deleted=2, unchanged=2)
    assert set(club.wingfield.bookings) == keys(keep + kept)


async def test_an_incomplete_listing_still_brings_what_it_has(club: Club) -> None:
    await club.some(10)
    new = [club.book(2, 60 + n) for n in range(10)]
    club.launch27.faults.add("status", status=500, times=3, after=1, match=is_listing)
    await club.try_later()
    assert club.deletes == []
    assert (await club.run()).status is ExitStatus.OK
    assert len(club.wingfield.bookings) == 10 + len(new)


# --- beyond the window, and before it ---


@pytest.mark.parametrize("cancelled", [False, True], ids=["lives", "was cancelled"])
async def test_a_bridged_booking_beyond_the_window_is_looked_up_once_a_day(club: Club, *, cancelled: bool) -> None:
    number = await club.one()
    club.move(number, 1, 20 * 24)
    await club.run()
    if cancelled:
        club.launch27.cancel(number)
    for _ in range(5):
        club.tick(hours=4)
        await club.expect()
    assert club.look_ups(number) == 1
    club.tick(hours=4)
    await club.expect(deleted=int(cancelled), unchanged=int(not cancelled))
    assert club.look_ups(number) == 2


async def test_a_booking_whose_day_has_passed_is_history_and_not_deleted(club: Club) -> None:
    """It is forgotten after 30 days. When it comes back it is bridged again."""
    number = club.book(1, 1)
    await club.run()
    club.tick(days=2)
    club.launch27.vanish(number)
    await club.expect()
    assert list(club.ledger.known) == [str(number)]
    club.tick(days=30)
    await club.expect()
    assert (club.look_ups(number), club.deletes, club.ledger.known) == (0, [], {})
    assert club.slot_of(number) is not None
    club.launch27.restore(number)
    club.move(number, 2, 35 * 24)
    assert (await club.run()).status is ExitStatus.OK
    assert club.slot_of(number) == (TWO, "2026-12-25T12:00:00Z")
    assert club.rejections == []


async def test_history_ends_where_the_windows_first_day_begins(club: Club) -> None:
    """At 23:00 UTC it is midnight in Berlin: what ends then is history, what ends a minute later is not."""
    history, vanished = club.book(1, 10, minutes=60), club.book(2, 10, minutes=61)
    await club.run()
    club.tick(days=2)
    club.vanish(history, vanished)
    await club.expect(deleted=1)
    assert club.deletes == [str(vanished)]
