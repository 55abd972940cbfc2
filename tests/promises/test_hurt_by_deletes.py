"""How a club lost bookings that were none of anybody's business to delete, and does not any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bridge.errors import ExitStatus
from bridge.launch27.client import Absent, Launch27
from bridge.model import DAY_MS, to_ms
from bridge.sync.narrator import withheld_advice
from tests.support.builders import EMAIL, SECOND
from tests.support.club import Club, is_delete, is_listing, keys

FEW = {"max_delete_count": 2, "max_delete_fraction": 0.1}


def is_look_up(_method: str, path: str) -> bool:
    return "/customer/bookings/" in path


def approve(club: Club, *numbers: int) -> None:
    """Do what ``courtbridge approve`` does."""
    with club.ledger._transaction() as db:
        for number in numbers:
            db.execute("INSERT OR REPLACE INTO approvals VALUES (?, ?)", (str(number), to_ms(club.now)))


# --- questions without an answer ---


async def test_four_deletes_a_pass_went_through_until_eighty_were_gone(club: Club) -> None:
    """Most look-ups got no answer, and the few that did were below the limit in every pass."""
    club.limit(max_delete_count=5, max_delete_fraction=0.2)
    numbers = await club.some(40)
    for number in numbers[:32]:
        club.launch27.cancel(number)
    club.launch27.faults.add("status", times=None, after=4, match=is_look_up)
    for _ in range(3):
        result = await club.run()
        assert "look-ups without an answer" in (result.objection or "")
        assert result.record.withheld
        club.tick(minutes=1)
    assert club.deletes == []


async def test_look_ups_that_there_was_no_time_for_count_like_deletes(
    club: Club, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.sync.reader.LOOK_UP_SECONDS", -1.0)
    club.limit(max_delete_count=3, max_delete_fraction=0.2)
    numbers = await club.some(10)
    club.vanish(*numbers[:3])
    club.launch27.edit(numbers[9], services=[9])
    result = await club.run()
    assert result.record.withheld == (str(numbers[9]),)
    assert "3 look-ups without an answer" in (result.objection or "")


async def test_those_found_gone_while_they_were_withheld_did_not_count(club: Club) -> None:
    club.limit(**FEW)
    numbers = await club.some(10)
    club.vanish(*numbers[:5])
    await club.expect(withheld=5, unchanged=5)
    club.launch27.faults.add("status", times=None, match=is_look_up)
    club.launch27.cancel(numbers[5])
    club.tick(minutes=1)
    assert len((await club.run()).record.withheld) == 5
    assert club.deletes == []


@pytest.mark.parametrize("hurt", [is_listing, is_look_up, lambda *_: True], ids=["listing", "look-ups", "all"])
async def test_a_pass_that_could_not_decide_forgot_what_was_withheld(
    club: Club, hurt: Callable[[str, str], bool]
) -> None:
    club.limit(**FEW)
    numbers = await club.some(10)
    for number in numbers[:6]:
        club.launch27.cancel(number)
    withheld = (await club.expect(withheld=6, unchanged=4)).record.withheld
    club.launch27.faults.add("status", times=None, match=hurt)
    for _ in range(2):
        club.tick(hours=2)
        result = await club.run()
        assert result.status is ExitStatus.TRY_LATER
        assert (result.record.withheld, result.bridged) == (withheld, 10)
        assert "None" not in withheld_advice(result)
    club.clear_faults()
    club.launch27.restore(numbers[0])
    approve(club, *numbers[:3])
    result = await club.run()
    assert result.record.withheld == tuple(map(str, numbers[3:6])), "one is back, and two are approved"
    assert sorted(club.deletes) == [*map(str, numbers[1:3])]


# --- another account's booking ---


@pytest.mark.parametrize("status", [503, 403])
async def test_a_booking_handed_to_another_account_whose_listing_fails_was_deleted(club: Club, status: int) -> None:
    club.accounts = 2
    number, _ = club.book(1, owner=EMAIL), club.books(2, 30, owner=SECOND)
    await club.expect(created=3)
    club.launch27.give(number, SECOND)
    club.launch27.hide(number)
    club.launch27.faults.add("status", times=None, status=status, match=is_listing, after=1)
    await club.run()
    assert club.deletes == []
    club.clear_faults()
    await club.expect(unchanged=3)


async def test_a_listing_that_fails_is_waited_for_a_day_and_no_longer(club: Club) -> None:
    """Its login was refused, so that nothing of that account is answered."""
    club.accounts = 2
    number = club.books(2, owner=EMAIL)[0]
    club.book(3, owner=SECOND)
    await club.expect(created=3)
    club.launch27.vanish(number)
    club.launch27.add_account(SECOND, "changed")
    club.launch27.expire_tokens()
    for hours in (0, 12, 11.9):
        club.tick(hours=hours)
        assert (await club.run()).status is ExitStatus.CREDENTIALS
        assert club.deletes == []
    club.tick(hours=0.1)
    await club.run()
    assert club.deletes == [str(number)]


async def test_an_account_that_was_never_read_kept_cancelled_bookings_for_ever(club: Club) -> None:
    """The second account of the configuration has never been let in."""
    club.accounts = 2
    club.launch27.add_account(SECOND, "another")
    gone, back, _ = club.books(3, owner=EMAIL)
    assert (await club.run()).record.created == 3
    club.launch27.vanish(gone)
    for hours in (0, 12, 11.9):
        club.tick(hours=hours)
        await club.run()
        assert club.deletes == []
    club.tick(hours=0.1)
    await club.run()
    assert club.deletes == [str(gone)]
    club.launch27.add_account(SECOND, club.password)
    await club.expect(unchanged=2)
    club.launch27.add_account(SECOND, "another")
    club.launch27.expire_tokens()
    club.launch27.vanish(back)
    for hours in (0, 23.9):
        club.tick(hours=hours)
        await club.run()
    assert club.deletes == [str(gone)], "a complete listing begins the day anew"


async def test_a_listing_that_a_stop_breaks_off_does_not_fail(club: Club) -> None:
    hang = club.launch27.faults.add("hang", match=is_listing)
    club.book()
    reading = asyncio.create_task(club.run())
    await asyncio.to_thread(hang.struck.wait, 5)
    club.stop.set()
    club.clients.stop()
    hang.release()
    await reading
    (mark,) = club.ledger.watermarks()
    assert (mark.listed_ms, mark.failing_since_ms) == (None, None)


# --- a doubtful 404 ---


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Return a function that fixes what is said of every booking that is looked up."""

    def set_answer(answer: Any) -> None:
        async def booking(*_: Any) -> Any:
            return answer

        monkeypatch.setattr(Launch27, "booking", booking)

    return set_answer


async def test_a_gateways_404_deleted_an_active_booking(club: Club, says: Callable[[Any], None]) -> None:
    """In another shape than the API's it is believed the second time, a minute later."""
    number, _ = await club.some(2)
    club.launch27.vanish(number)
    says(Absent.DOUBTFUL)
    for seconds in (30, 29, 1):
        await club.run()
        assert club.deletes == []
        club.tick(seconds=seconds)
    await club.expect(deleted=1, unchanged=1)


async def test_a_doubt_ends_when_the_booking_is_seen_again(club: Club, says: Callable[[Any], None]) -> None:
    number, _ = await club.some(2)
    club.launch27.hide(number)
    says(Absent.DOUBTFUL)
    await club.run()
    club.launch27.hide(number, hidden=False)
    await club.expect(unchanged=2)
    club.tick(minutes=2)
    club.launch27.hide(number)
    await club.run()
    assert club.deletes == []


async def test_a_404_of_the_apis_own_shape_is_believed_at_once(club: Club, says: Callable[[Any], None]) -> None:
    number, _ = await club.some(2)
    club.launch27.vanish(number)
    says(Absent.CERTAIN)
    await club.expect(deleted=1, unchanged=1)


# --- slow drains ---


async def test_five_a_minute_for_nineteen_minutes_drained_the_club(club: Club) -> None:
    club.limit(max_delete_count=5, max_delete_fraction=0.2)
    numbers = await club.some(40)
    club.vanish(*numbers[:5])
    await club.expect(deleted=5, unchanged=35)
    for n in range(1, 7):
        club.tick(minutes=9)
        club.vanish(*numbers[5 * n : 5 * n + 5])
        await club.run()
        assert len(club.deletes) == 5
    await club.expect(withheld=30, unchanged=5)
    await club.expect(deleted=30, unchanged=5, allow=True)


async def test_what_a_person_let_through_leaves_the_guard_its_whole_allowance(club: Club) -> None:
    club.limit(max_delete_count=5, max_delete_fraction=0.2)
    numbers = await club.some(40)
    club.vanish(*numbers[:20])
    await club.expect(deleted=20, unchanged=20, allow=True)
    club.vanish(*numbers[20:25])
    await club.expect(deleted=5, unchanged=15)


async def test_one_of_two_accounts_was_suspended_and_all_its_bookings_were_deleted(club: Club) -> None:
    club.accounts = 2
    club.limit(max_delete_count=5, max_delete_fraction=0.5)
    first = club.books(3, owner=EMAIL)
    club.books(20, 40, owner=SECOND)
    await club.expect(created=23)
    club.vanish(*first)
    result = await club.expect(withheld=3, unchanged=20)
    assert "the listing of account 1 is entirely empty" in (result.objection or "")


async def test_permissions_piled_up_while_delete_answered_503(club: Club) -> None:
    club.limit(max_delete_count=5, max_delete_fraction=0.2)
    numbers = await club.some(60)
    club.wingfield.faults.add("status", status=503, times=None, match=is_delete)
    for n in range(6):
        club.vanish(*numbers[5 * n : 5 * n + 5])
        await club.run()
        club.tick(hours=2)
    club.clear_faults()
    club.wingfield.log.clear()
    await club.run()
    assert len(club.deletes) == 10, "at most a fifth"


# --- a person's word ---


async def test_an_approval_is_for_its_ids_and_nothing_else(club: Club) -> None:
    club.limit(max_delete_count=0, max_delete_fraction=0.0)
    first, second, third, *_ = await club.some(6)
    club.vanish(first, second)
    await club.expect(withheld=2, unchanged=4)
    approve(club, first, third)
    club.launch27.vanish(third)
    club.launch27.restore(first)
    result = await club.run()
    assert (club.deletes, result.record.withheld) == ([str(third)], (str(second),))
    assert set(result.approved) == keys([first, third])


async def test_a_stale_approval_deleted_a_booking_that_had_come_back(club: Club) -> None:
    """It came back as one that cannot be read, and was held."""
    club.limit(max_delete_count=0, max_delete_fraction=0.0)
    number, _ = await club.some(2)
    club.launch27.vanish(number)
    await club.expect(withheld=1, unchanged=1)
    approve(club, number)
    club.launch27.restore(number)
    club.launch27.edit(number, service_date="soon")
    await club.expect(held={number: "invalid_booking"}, unchanged=1)
    club.launch27.vanish(number)
    await club.expect(withheld=1, unchanged=1)


@pytest.mark.parametrize(("hours", "deleted"), [(23.9, 1), (24, 0)])
async def test_an_approval_ends_after_a_day(club: Club, hours: float, deleted: int) -> None:
    club.limit(max_delete_count=0, max_delete_fraction=0.0)
    number, _ = await club.some(2)
    club.move(number, 1, 60)
    await club.expect(updated=1, unchanged=1)
    club.launch27.vanish(number)
    await club.expect(withheld=1, unchanged=1)
    approve(club, number)
    club.wingfield.faults.add("status", status=503, times=None, match=is_delete)
    await club.run()
    club.clear_faults()
    club.wingfield.log.clear()
    known = club.ledger.known[str(number)]
    club.ledger.save([known._replace(unsettled=())])  # that it was never sent is known
    club.tick(hours=hours)
    await club.run()
    assert len(club.deletes) == deleted


async def test_an_approved_delete_whose_booking_is_active_is_not_sent(club: Club) -> None:
    club.limit(max_delete_count=0, max_delete_fraction=0.0)
    number, _ = await club.some(2)
    club.launch27.vanish(number)
    await club.expect(withheld=1, unchanged=1)
    approve(club, number)
    club.launch27.restore(number)
    club.launch27.hide(number)
    await club.expect(unchanged=2)
    assert club.deletes == []


# --- a frozen account ---


@pytest.mark.parametrize("status", ["frozen", "sleep"])
async def test_a_frozen_accounts_listing_emptied_the_courts(club: Club, status: str) -> None:
    """Also of what was let through before."""
    number, other = await club.some(2)
    club.launch27.vanish(number)
    club.wingfield.faults.add("status", status=503, times=None, match=is_delete)
    await club.run()
    club.clear_faults()
    club.wingfield.log.clear()
    club.launch27.settings["status"] = status
    club.tick(minutes=1)
    club.move(other, 3, 30)
    result = await club.expect(withheld=1, updated=1)
    assert status in (result.objection or "")
    assert club.deletes == []
    club.launch27.settings["status"] = "active"
    club.tick(minutes=1)
    await club.expect(deleted=1, unchanged=1)


# --- a listing that lost a field ---


async def by_location(club: Club, count: int) -> list[int]:
    club.rules = tuple(rule.model_copy(update={"location_ids": frozenset({1})}) for rule in club.rules)
    return await club.some(count)


async def test_a_listing_without_locations_withdrew_every_booking(club: Club) -> None:
    club.limit(max_delete_count=5, max_delete_fraction=0.2)
    numbers = await by_location(club, 10)
    for number in numbers:
        club.launch27.bookings[number]["location"] = None
    await club.expect(withheld=10, ignored=10)
    for number in numbers:
        club.launch27.bookings[number]["location"] = {"id": 1}
    await club.expect(unchanged=10)


async def test_a_mass_of_withdrawals_waits_for_the_second_sighting(club: Club) -> None:
    numbers = await club.some(30)
    for number in numbers[:21]:
        club.launch27.edit(number, services=[9])
    for seconds in (59, 1):
        assert len((await club.expect(pending=21, unchanged=9)).waiting) == 21
        club.tick(seconds=seconds)
    assert not (await club.expect(deleted=21, ignored=21, unchanged=9)).waiting


async def test_history_is_kept_for_a_month(club: Club) -> None:
    number = club.book(1, 1)
    await club.run()
    end_ms = club.ledger.known[str(number)].last_end_ms
    club.tick(days=2)
    await club.expect()
    while str(number) in club.ledger.known:
        club.tick(days=1)
        await club.run()
    assert 31 <= (to_ms(club.now) - end_ms) / DAY_MS <= 33
    assert set(club.wingfield.bookings) == keys([number])
