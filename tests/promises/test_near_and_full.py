"""Near and full: a near pass reads today and two days more, and leaves all else where it stands."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.errors import ExitStatus
from bridge.mapping import Mapper
from bridge.model import from_ms
from bridge.planning.memory import Memory
from tests.support.builders import COURT_IDS, EMAIL, HOUR, NOON, SECOND
from tests.support.club import Club, Place, at, is_listing, keys, of

NEAR, FAR = 24, 6 * 24
"""Hours from noon: tomorrow, and beyond the near days."""


async def test_a_near_pass_reads_the_next_days_and_writes_what_differs_there(club: Club) -> None:
    moved, gone, far = await club.bridged((1, NEAR), (2, NEAR), (3, FAR))
    club.move(moved, 1, NEAR + 1)
    club.launch27.cancel(gone)
    club.launch27.cancel(far)
    new, later = club.book(3, NEAR), club.book(3, FAR + 1)
    result = await club.expect(kind="near", created=1, updated=1, deleted=1)
    assert set(club.wingfield.bookings) == keys([moved, new, far])
    assert (result.record.kind, result.needs_full) == ("near", False)
    assert club.ledger.passes(1)[0].kind == "near"
    await club.expect(created=1, deleted=1, unchanged=2)
    assert set(club.wingfield.bookings) == keys([moved, new, later])


@pytest.mark.parametrize(
    ("days", "hour", "created"), [("0d", 10, 1), ("0d", 12, 0), ("2d", 58, 1), ("2d", 59, 0), ("30d", 9 * 24, 1)]
)
async def test_the_near_days_are_those_of_the_accounts_zone(club: Club, days: str, hour: int, created: int) -> None:
    """At 23:00 UTC it is midnight in Berlin; the window ends after ten days."""
    await club.one()
    club.limit(near=int(days[:-1]) * (from_ms(86_400_000) - from_ms(0)))
    club.book(2, hour)
    await club.run(kind="near")
    assert len(club.wingfield.bookings) == 1 + created


async def test_a_quiet_near_pass_asks_for_two_pages(club: Club) -> None:
    club.page_size = 100
    await club.some(5)
    club.books(3, FAR)
    await club.run()
    for _ in range(2):
        club.launch27.log.clear()
        await club.expect(kind="near", unchanged=5)
        assert len(club.asked("bookings")) == 2
        assert club.look_ups(1001) == 0


async def test_services_that_go_to_no_court_are_counted_by_complete_full_passes(club: Club) -> None:
    def unmapped() -> dict[int, int]:
        return {id_: each.bookings for id_, each in club.ledger.recall(Memory).unmapped.items()}

    await club.one()
    for hour, services in ((NEAR, [9]), (FAR, [9]), (FAR, [8, 9]), (NEAR, [1, 9])):
        club.launch27.add_booking(service_date=NOON + (hour + 3) * HOUR, services=services, email=EMAIL, minutes=60)
    await club.run()
    assert unmapped() == {8: 1, 9: 3}
    club.launch27.add_booking(service_date=NOON + NEAR * HOUR, services=[9])
    await club.run(kind="near")
    assert unmapped() == {8: 1, 9: 3}
    club.launch27.faults.add("status", times=None, status=500, match=lambda _, path: "/bookings" in path)
    await club.try_later()
    assert unmapped() == {8: 1, 9: 3}
    club.clear_faults()
    await club.run()
    assert unmapped() == {8: 1, 9: 4}


# --- across the border ---


async def test_what_moves_out_of_the_near_days_is_looked_up_and_moved(club: Club) -> None:
    number = await club.one()
    club.move(number, 2, FAR)
    await club.expect(kind="near", updated=1)
    assert club.slot_of(number) == at((2, FAR))
    await club.expect(kind="near")
    assert club.look_ups(number) == 1


async def test_what_moves_into_the_near_days_is_simply_listed(club: Club) -> None:
    (number,) = await club.bridged((1, FAR))
    club.move(number, 2, NEAR)
    await club.expect(kind="near", updated=1)
    assert (club.slot_of(number), club.look_ups(number)) == (at((2, NEAR)), 0)


CROSSING: dict[str, tuple[list[Place], list[Place], int]] = {
    "one takes the place that another leaves": ([(1, NEAR), (2, FAR)], [(2, FAR), (3, FAR)], 0),
    "two change places": ([(1, NEAR), (1, FAR)], [(1, FAR), (1, NEAR)], 1),
    "one waits for one that waits": ([(1, NEAR), (2, NEAR), (3, FAR)], [(2, NEAR), (3, FAR), (1, FAR)], 0),
}


@pytest.mark.parametrize("case", CROSSING)
async def test_what_a_near_pass_cannot_decide_is_left_to_a_full_one(club: Club, case: str) -> None:
    """The booking in the way wants to move, too, which a near pass does not know unless it moves into its days."""
    old, new, deletes = CROSSING[case]
    numbers = await club.bridged(*old)
    for number, place in zip(numbers, new, strict=True):
        club.move(number, *place)
    result = await club.run(kind="near")
    is_known = case == "two change places"  # the other one is listed
    assert result.needs_full is not is_known
    assert club.narrator.began == []
    if not is_known:
        assert (club.writes, result.status) == ([], ExitStatus.TRY_LATER)
    await club.run()
    assert [club.slot_of(number) for number in numbers] == [at(place) for place in new]
    assert (len(club.deletes), club.rejections) == (deletes, [])


async def test_a_lasting_overlap_asks_for_one_full_pass_for_each_content(club: Club) -> None:
    number, far = await club.bridged((1, NEAR), (2, FAR))
    club.move(number, 2, FAR)
    assert (await club.expect(kind="near", pending=1)).needs_full
    await club.expect(held={number: "court_booking_overlap"}, unchanged=1)
    for _ in range(3):
        result = await club.expect(kind="near", held={number: "court_booking_overlap"})
        assert not result.needs_full
    assert f"booking {far}" in result.held[0].detail
    assert (len(club.narrator.began), club.narrator.ended) == (1, [])
    club.launch27.edit(number, email="other@example.com")
    assert (await club.expect(kind="near", pending=1)).needs_full
    assert (club.narrator.ended, len(club.ledger.held())) == ([], 1)


async def test_a_write_without_an_answer_outside_asks_for_one_full_pass(club: Club) -> None:
    (far,) = await club.bridged((1, FAR))
    club.move(far, 2, FAR)
    club.wingfield.faults.add("lose", times=None, match=of("PUT", far))
    await club.try_later()
    sent = len(club.writes)
    assert [(await club.run(kind="near")).needs_full for _ in range(3)] == [True, False, False]
    assert len(club.writes) == sent
    club.clear_faults()
    await club.expect(updated=1)
    assert not (await club.run(kind="near")).needs_full


async def test_a_cycle_that_reaches_outside_is_finished_by_a_full_pass(club: Club) -> None:
    near, far = await club.bridged((1, NEAR), (1, FAR))
    club.move(near, 1, FAR)
    club.move(far, 1, NEAR)
    for step in range(40):
        if not await club.run_and_die(step) or any(known.cycle for known in club.ledger.known.values()):
            break
    assert any(known.is_temporarily_deleted for known in club.ledger.known.values())
    club.move(near, 1, NEAR)
    club.move(far, 1, FAR)
    before = len(club.writes)
    result = await club.run(kind="near")
    assert (result.needs_full, len(club.writes)) == (True, before)
    await club.run()
    assert (club.slot_of(near), club.slot_of(far)) == (at((1, NEAR)), at((1, FAR)))


# --- what a near pass leaves as it was ---


async def test_held_bookings_watermarks_and_withheld_deletes_outside_outlast_a_near_pass(club: Club) -> None:
    club.limit(max_delete_count=1, max_delete_fraction=0.0)
    (near, *_) = await club.bridged((1, NEAR), (2, FAR), (3, FAR))
    odd = club.book(1, FAR, email=None)
    club.vanish(near + 1, near + 2)
    await club.expect(unchanged=1, withheld=2, held={odd: "no_participant"})
    marks, held, ended = club.ledger.watermarks(), club.ledger.held(), len(club.narrator.ended)
    club.tick(minutes=1)
    result = await club.run(kind="near")
    assert (club.ledger.watermarks(), club.ledger.held()) == (marks, held)
    assert (result.record.withheld, len(club.narrator.ended)) == ((str(near + 1), str(near + 2)), ended)


async def test_a_near_pass_said_all_was_well_while_a_booking_of_a_later_day_was_held(club: Club) -> None:
    await club.bridged((1, NEAR))
    club.book(1, FAR, email=None)
    await club.run()
    near = await club.run(kind="near")
    assert (near.status, near.record.outcome, near.held) == (ExitStatus.ATTENTION, "attention", ())
    words = "needs a person: a booking of other days is held; 1 booking of the next days in sync"
    assert near.record.in_words() == words


async def test_an_approved_delete_outside_is_sent_by_the_full_pass_that_follows_at_once(club: Club) -> None:
    club.limit(max_delete_count=0, max_delete_fraction=0.0)
    (far,) = await club.bridged((1, FAR))
    club.vanish(far)
    await club.expect(withheld=1)
    club.ledger.approve([str(far)], int(club.now.timestamp() * 1000))
    assert (await club.run(kind="near")).needs_full
    await club.expect(deleted=1)


async def test_the_guard_compares_with_what_stands_in_the_days_read(club: Club) -> None:
    club.limit(max_delete_count=2, max_delete_fraction=0.2)
    near = await club.some(8)
    club.books(40, FAR)
    await club.run()
    for number in near[:3]:
        club.launch27.cancel(number)
    result = await club.run(kind="near")
    assert "3 deletes of 8 bookings" in str(result.objection)
    assert club.deletes == []
    await club.expect(deleted=3, unchanged=45)


@pytest.mark.club(accounts=2)
@pytest.mark.parametrize(("of_second", "withheld"), [(NEAR, 3), (FAR, 0)])
async def test_an_empty_listing_of_an_account_is_compared_with_its_near_bookings(
    club: Club, of_second: int, withheld: int
) -> None:
    numbers = [club.book(n, of_second, owner=SECOND) for n in (1, 2, 3)]
    own = [club.book(n, NEAR + 1, owner=EMAIL) for n in (1, 2, 3)]
    await club.run()
    for number in (*numbers, own[0]):
        club.launch27.cancel(number)
    result = await club.run(kind="near")
    assert len(result.record.withheld) == (4 if withheld else 0)
    assert len(club.deletes) == (0 if withheld else 1)


@pytest.mark.parametrize("kind", ["near", "full"])
async def test_a_mass_change_is_not_believed_sooner_because_a_near_pass_sees_a_part_of_it(
    club: Club, kind: str
) -> None:
    near, far = await club.some(6), club.books(30, FAR)
    await club.run()
    for index, number in enumerate((*near, *far)):
        hour = NEAR if number in near else FAR
        club.move(number, 1 + index % 3, hour + 24 + index // 3)
    await club.expect(pending=36)
    club.tick(seconds=20)
    club.wingfield.log.clear()
    assert len((await club.run(kind="near")).waiting) == 6
    assert club.writes == []
    club.tick(seconds=40)
    await club.run(kind="near" if kind == "near" else "full")
    assert len(club.writes) == (6 if kind == "near" else 36)


async def test_an_incomplete_near_listing_vanishes_nothing(club: Club) -> None:
    number = await club.one()
    club.vanish(number)
    club.launch27.faults.add("status", times=None, status=500, match=is_listing)
    assert (await club.run(kind="near")).status is ExitStatus.TRY_LATER
    assert (club.deletes, club.look_ups(number)) == ([], 0)


async def test_with_a_new_ledger_every_pass_is_full(club: Club) -> None:
    await club.bridged((1, NEAR), (2, FAR))
    await club.lose_state()
    result = await club.expect(kind="near", unchanged=2)
    assert result.record.kind == "full"


async def test_the_last_complete_full_pass_is_remembered_among_any_number_of_near_ones(
    club: Club, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.ledger.store.PASSES_KEPT", 3)
    await club.one()
    ended = club.ledger.last_success_ms
    for _ in range(6):
        club.tick(seconds=20)
        await club.run(kind="near")
    assert club.ledger.last_success_ms == ended
    assert [each.kind for each in club.ledger.passes()] == ["near"] * 3 + ["full"]


# --- hints ---


async def test_a_hinted_booking_outside_the_near_days_is_looked_up_and_written(club: Club) -> None:
    moved, gone, silent = await club.bridged((1, FAR), (2, FAR), (3, FAR))
    club.move(moved, 1, FAR + 1)
    club.launch27.cancel(gone)
    club.vanish(silent)
    new, beyond = club.book(3, FAR + 2), club.book(3, 20 * 24)
    hinted = [moved, gone, silent, new, beyond, 999_999]
    await club.expect(kind="near", hinted=hinted, created=1, updated=1, deleted=1)
    assert set(club.wingfield.bookings) == keys([moved, silent, new])
    assert [club.look_ups(number) for number in hinted] == [1] * 6
    await club.expect(deleted=1, unchanged=2)


async def test_a_hinted_booking_that_is_listed_is_not_looked_up(club: Club) -> None:
    number = await club.one()
    club.move(number, 2, NEAR)
    await club.expect(kind="near", hinted=[number], updated=1)
    assert club.look_ups(number) == 0


async def test_the_guard_stands_before_what_hints_would_delete(club: Club) -> None:
    club.limit(max_delete_count=0, max_delete_fraction=0.0)
    (number,) = await club.bridged((1, FAR))
    club.launch27.cancel(number)
    await club.expect(kind="near", hinted=[number], withheld=1)
    assert club.deletes == []


async def test_hinted_history_stays(club: Club) -> None:
    (number,) = await club.bridged((1, 1))
    club.tick(days=3)
    club.launch27.cancel(number)
    await club.expect(kind="near", hinted=[number])
    assert (club.deletes, club.look_ups(number)) == ([], 0)


async def test_a_stranger_on_a_near_court_is_held_as_in_a_full_pass(club: Club) -> None:
    await club.one()
    club.stranger(COURT_IDS[1], NEAR)
    number = club.book(2, NEAR)
    result = await club.expect(kind="near", held={number: "court_booking_overlap"}, unchanged=1)
    assert not result.needs_full


async def test_a_page_that_comes_again_unchanged_is_read_and_mapped_once(
    club: Club, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers, mapped = await club.some(25), list[str]()
    real = Mapper.map

    def counting(self: Mapper, booking: Any) -> Any:
        mapped.append(booking.id)
        return real(self, booking)

    monkeypatch.setattr(Mapper, "map", counting)
    await club.expect(kind="near", unchanged=25)
    assert len(mapped) == 25
    await club.expect(kind="near", unchanged=25)
    assert len(mapped) == 25
    club.move(numbers[12], 1, 40)
    await club.expect(kind="near", updated=1, unchanged=24)
    assert 25 < len(mapped) < 50
    club.remap(default_minutes=45, service_minutes={1: 45})
    await club.expect(kind="near", updated=9, unchanged=16)
