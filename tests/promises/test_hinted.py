"""Where the rate is low, a near pass looks only at what hints have named, and lists where that is not enough."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from bridge.errors import ExitStatus
from bridge.sync.result import PassResult
from tests.support.builders import COURT_IDS, EMAIL, SECOND
from tests.support.club import Club, at, counts, is_listing, keys, of

NEAR, FAR = 24, 6 * 24
"""Hours from noon: tomorrow, and beyond the near days."""


async def hinted(club: Club, *numbers: int, **wanted: Any) -> PassResult:
    """Run a pass that looks only at these bookings, and comes to these counts."""
    club.launch27.log.clear()
    return await club.expect(kind="near", hinted=numbers, only_hinted=True, **wanted)


def listings(club: Club) -> int:
    return sum(is_listing(entry.method, entry.path) for entry in club.launch27.log)


async def test_each_hinted_booking_is_looked_up_and_written_and_no_listing_is_read(club: Club) -> None:
    near, far, gone, same = await club.bridged((1, NEAR), (2, FAR), (3, NEAR), (2, NEAR))
    club.move(near, 1, FAR)
    club.move(far, 2, NEAR + 1)
    club.launch27.cancel(gone)
    new, unhinted = club.book(3, NEAR + 1), club.book(3, NEAR + 2)
    result = await hinted(club, near, far, gone, same, new, created=1, updated=2, deleted=1, unchanged=1)
    assert set(club.wingfield.bookings) == keys([near, far, same, new])
    assert [club.slot_of(number) for number in (near, far)] == [at((1, FAR)), at((2, NEAR + 1))]
    assert ([club.look_ups(each) for each in (near, far, gone, same, new)], listings(club)) == ([1] * 5, 0)
    assert (result.record.kind, result.needs_full) == ("near", False)
    await club.expect(kind="near", created=1, unchanged=3)
    assert str(unhinted) in club.wingfield.bookings


async def test_a_booking_that_does_not_exist_costs_one_look_up_and_nothing_else(club: Club) -> None:
    await club.some(5)
    club.tick(minutes=2)
    await hinted(club, 999_999)
    assert [entry.id for entry in club.launch27.log] == ["999999"]
    assert (club.writes[5:], club.ledger.passes(1)[0].outcome) == ([], "in_sync")


async def test_a_cancelled_one_is_deleted_however_few_are_looked_at(club: Club) -> None:
    """That nothing else is seen is no empty listing; the account's status is asked for as before any delete."""
    numbers = await club.some(5)
    club.tick(minutes=2)
    club.launch27.cancel(numbers[0])
    await hinted(club, numbers[0], deleted=1)
    assert [entry.path.rpartition("/")[2] for entry in club.launch27.log] == [str(numbers[0]), "settings"]
    club.launch27.settings["status"] = "frozen"
    club.tick(minutes=2)
    club.launch27.cancel(numbers[1])
    await hinted(club, numbers[1], withheld=1)


async def test_the_guard_counts_the_deletes_of_earlier_passes_and_compares_with_the_near_days(club: Club) -> None:
    club.limit(max_delete_count=2, max_delete_fraction=0.2)
    numbers = await club.some(8)
    club.books(20, FAR)
    await club.run()
    for number in numbers[:4]:
        club.launch27.cancel(number)
    await hinted(club, *numbers[:2], deleted=2)
    result = await hinted(club, *numbers[2:4], withheld=2)
    assert "2 deletes and 2 deletes sent lately of 6 bookings" in str(result.objection)


async def test_a_place_that_another_of_ours_may_leave_has_the_days_listed_in_the_same_pass(club: Club) -> None:
    first, second = await club.bridged((1, NEAR), (2, NEAR))
    club.move(first, 2, NEAR)
    club.move(second, 3, NEAR)
    await hinted(club, first, updated=2)
    assert (listings(club), club.rejections) == (2, [])
    assert [club.slot_of(number) for number in (first, second)] == [at((2, NEAR)), at((3, NEAR))]


async def test_a_place_that_one_beyond_the_near_days_has_is_left_to_a_full_pass(club: Club) -> None:
    near, far = await club.bridged((1, NEAR), (2, FAR))
    club.move(near, 2, FAR)
    club.move(far, 3, FAR)
    assert (await hinted(club, near, pending=1)).needs_full
    assert (listings(club), club.writes) == (1, [])
    await club.expect(updated=2)


async def test_two_that_change_places_do_so_without_a_listing(club: Club) -> None:
    first, second = await club.bridged((1, NEAR), (2, FAR))
    club.move(first, 2, FAR)
    club.move(second, 1, NEAR)
    await hinted(club, first, second, updated=2)
    assert (listings(club), club.slot_of(first)) == (0, at((2, FAR)))


async def test_a_look_up_without_an_answer_has_the_days_listed_in_the_same_pass(club: Club) -> None:
    (number,) = await club.bridged((1, NEAR))
    club.move(number, 2, NEAR)
    club.launch27.faults.add("status", times=None, status=500, match=of("GET", number))
    await hinted(club, number, updated=1)
    assert club.slot_of(number) == at((2, NEAR))


async def test_so_has_a_catalogue_that_cannot_be_read(club: Club) -> None:
    number = await club.one()
    club.launch27.edit(number, location={"id": 5, "name": "Elsewhere"})
    club.launch27.faults.add("status", times=None, status=500, match=lambda _, path: path.endswith("/services"))
    await hinted(club, number, status=ExitStatus.TRY_LATER, unchanged=1)
    assert listings(club) == 2


async def test_a_refused_login_is_tried_once_and_found_as_by_any_pass(club: Club) -> None:
    number = await club.one()
    club.launch27.add_account(EMAIL, "another one")
    club.launch27.expire_tokens()
    club.launch27.log.clear()
    result = await club.run(kind="near", hinted=[number], only_hinted=True)
    assert (result.status, result.listed, club.logins) == (ExitStatus.CREDENTIALS, frozenset(), 1)


async def test_what_is_withheld_held_and_approved_outlasts_it(club: Club) -> None:
    club.limit(max_delete_count=0, max_delete_fraction=0.0)
    number, gone = await club.bridged((1, NEAR), (2, NEAR))
    odd = club.book(3, NEAR, email=None)
    club.launch27.cancel(gone)
    await club.expect(unchanged=1, withheld=1, held={odd: "no_participant"})
    held, marks = club.ledger.held(), club.ledger.watermarks()
    club.ledger.approve([str(gone)], int(club.now.timestamp() * 1000))
    result = await club.run(kind="near", hinted=[number], only_hinted=True)
    assert (result.record.withheld, club.ledger.held(), club.ledger.watermarks()) == ((str(gone),), held, marks)
    await club.expect(kind="near", unchanged=1, deleted=1, held={odd: "no_participant"})


async def test_what_it_learns_of_a_new_location_counts_where_it_lists_after_all(club: Club) -> None:
    first, second = await club.bridged((1, NEAR), (2, NEAR))
    club.launch27.add_service(2, "Court 2", location=8, duration=90)
    club.move(second, 3, NEAR)
    club.launch27.edit(first, services=[2], location={"id": 8})
    await hinted(club, first, updated=2)
    assert (listings(club), len(club.asked("services")), club.slot_of(first)) == (2, 1, at((2, NEAR)))
    start, end = map(datetime.fromisoformat, club.times_of(first))
    assert end - start == timedelta(minutes=90)


@pytest.mark.parametrize("only_hinted", [True, False])
async def test_unusable_addresses_of_what_is_looked_up_are_skipped_with_a_warning(
    club: Club, only_hinted: bool
) -> None:
    await club.one()
    number = club.book(2, FAR, custom_fields=[{"id": 1, "code": "players", "value": "nobody"}])
    for _ in range(2):
        await club.run(kind="near", hinted=[number], only_hinted=only_hinted)
    assert club.narrator.skipped == [(str(number), 1)]


async def test_one_of_a_mass_change_that_waits_is_not_believed_because_of_a_hint(club: Club) -> None:
    await club.one()
    far = club.books(30, FAR)
    await club.run()
    for index, number in enumerate(far):
        club.move(number, 1 + index % 3, FAR + 24 + index // 3)
    await club.expect(pending=30, unchanged=1)
    await club.expect(kind="near", unchanged=1)
    result = await club.run(kind="near", hinted=[far[0]], only_hinted=True)
    assert (result.waiting, club.puts(far[0])) == ((str(far[0]),), 1)


@pytest.mark.club(accounts=2)
async def test_who_was_handed_to_another_account_is_found_there(club: Club) -> None:
    number = await club.one()
    club.launch27.give(number, owner=SECOND)
    club.move(number, 2, NEAR)
    await hinted(club, number, updated=1)
    assert club.look_ups(number) == 2
    assert counts(await club.run())["unchanged"] == 1
    assert club.slot_of(number) == (COURT_IDS[1], at((2, NEAR))[1])
