"""Moves that cross: chains move from the free end, a cycle is broken by one temporary delete."""

from __future__ import annotations

import random

import pytest

from bridge.errors import ExitStatus
from tests.support.builders import TWO
from tests.support.club import Club, Place, at, is_write, keys, of, reasons

SWAP: list[Place] = [(1, 24), (2, 24)]
TRIANGLE: list[Place] = [(1, 24), (2, 24), (3, 24)]
SIX: list[Place] = [(1, 24), (2, 24), (3, 24), (3, 25), (2, 25), (1, 25)]
CYCLES = pytest.mark.parametrize("old", [SWAP, TRIANGLE, SIX], ids=["swap", "three", "six"])
STEPS = pytest.mark.parametrize("step", range(3, 16, 2))


def go_round(club: Club, numbers: list[int], old: list[Place]) -> list[Place]:
    """Send each booking to the place of the next; return their new places."""
    return go(club, numbers, old[1:] + old[:1])


def go(club: Club, numbers: list[int], new: list[Place]) -> list[Place]:
    for number, place in zip(numbers, new, strict=True):
        club.move(number, *place)
    return new


def stand(club: Club, numbers: list[int], places: list[Place]) -> bool:
    """Whether each booking stands at its place."""
    return [club.slot_of(number) for number in numbers] == [at(place) for place in places]


# --- without a rejection ---


@pytest.mark.parametrize(
    ("old", "new", "deletes"),
    [
        pytest.param(SWAP, SWAP[::-1], 1, id="two swap"),
        pytest.param(TRIANGLE, TRIANGLE[1:] + TRIANGLE[:1], 1, id="three go round"),
        pytest.param(SIX, SIX[1:] + SIX[:1], 1, id="six go round"),
        pytest.param([*SWAP, (1, 30), (2, 30)], [*SWAP[::-1], (2, 30), (1, 30)], 2, id="two cycles cost one each"),
        pytest.param(
            [(1, 24, 120), (2, 24), (2, 25)], [(2, 24, 120), (1, 24), (1, 25)], 1, id="one long against two short"
        ),
        pytest.param([(1, 24)], [(1, 24.5)], 0, id="one overlaps its own old place"),
        pytest.param(SWAP, [(1, 24), (1, 25)], 0, id="two that only touch"),
    ],
)
async def test_bookings_free_of_overlaps_move_and_a_cycle_costs_one_temporary_delete(
    club: Club, old: list[Place], new: list[Place], deletes: int
) -> None:
    numbers = await club.bridged(*old)
    go(club, numbers, new)
    moved = sum(here != there for here, there in zip(old, new, strict=True))
    for updated in (moved, 0):
        await club.expect(updated=updated, unchanged=len(old) - updated)
        assert stand(club, numbers, new)
        assert club.rejections == []
        assert (len(club.deletes), len(club.writes)) == (deletes, moved + deletes)


async def test_a_chain_is_moved_from_the_free_end(club: Club) -> None:
    numbers = await club.bridged(*((1, 24 + n) for n in range(8)))
    go(club, numbers, [(1, 25 + n) for n in range(8)])
    await club.expect(updated=8)
    assert club.rejections == club.deletes == []
    assert [entry.id for entry in club.writes] == [str(number) for number in reversed(numbers)]


@pytest.mark.parametrize("withdrawn", [False, True], ids=["cancelled", "withdrawn"])
async def test_a_vacated_slot_is_taken_in_the_same_pass(club: Club, *, withdrawn: bool) -> None:
    gone, mover = await club.bridged(*SWAP)
    if withdrawn:
        club.launch27.edit(gone, services=[9])
    else:
        club.launch27.cancel(gone)
    club.move(mover, 1, 24)
    new = club.book(2, 24)
    await club.expect(created=1, updated=1, deleted=1, ignored=int(withdrawn))
    assert club.rejections == []
    assert [entry.id for entry in club.writes] == [str(gone), str(mover), str(new)]


@pytest.mark.parametrize("seed", range(6))
async def test_thirty_bookings_in_any_new_order_never_overlap(club: Club, seed: int) -> None:
    chance = random.Random(seed)
    slots: list[Place] = [(court, 24 + hour) for court in (1, 2, 3) for hour in range(12)]
    numbers = await club.bridged(*chance.sample(slots, 30))
    new = go(club, numbers, chance.sample(slots, 30))
    await club.run()  # a mass change waits for the second sighting
    club.tick(minutes=1)
    assert (await club.run()).status is ExitStatus.OK
    assert stand(club, numbers, new)
    assert club.rejections == []


# --- a cycle with a rejection ---


@CYCLES
@pytest.mark.parametrize("which", range(6))
async def test_what_was_temporarily_deleted_is_recreated_in_the_same_pass_whichever_is_rejected(
    club: Club, old: list[Place], which: int
) -> None:
    """Also where that is the last, or the one that was temporarily deleted itself."""
    which %= len(old)
    numbers = await club.bridged(*old)
    new = go_round(club, numbers, old)
    club.wingfield.faults.add("status", status=400, match=of("PUT", numbers[which]))
    held = dict.fromkeys(numbers, "court_booking_overlap") | {numbers[which]: "invalid_schema"}
    await club.expect(held=held)
    assert stand(club, numbers, old)
    assert "court_booking_overlap" not in club.rejections

    writes = len(club.writes)
    await club.expect(held=len(old))
    assert len(club.writes) == writes, "a cycle is broken only if all of it can move"
    club.tick(hours=2)
    await club.expect(updated=len(old))
    assert stand(club, numbers, new)


async def test_a_cycle_that_a_stranger_blocks_goes_back(club: Club) -> None:
    """The swap of a long and a short booking needs an hour that a stranger has."""
    numbers = await club.bridged((1, 24, 120), (2, 24))
    stranger = club.stranger(TWO, 25)
    go(club, numbers, [(2, 24, 120), (1, 24)])
    await club.expect(held=dict.fromkeys(numbers, "court_booking_overlap"))
    assert stand(club, numbers, SWAP)
    club.wingfield.remove_stranger(stranger)
    for _ in range(2):
        await club.run()
        club.tick(hours=2)
    await club.expect(unchanged=2)


@pytest.mark.parametrize("which", range(3))
async def test_a_cycle_whose_answer_is_missing_is_recreated_or_finished_next_time(club: Club, which: int) -> None:
    numbers = await club.bridged(*TRIANGLE)
    new = go_round(club, numbers, TRIANGLE)
    club.wingfield.faults.add("status", status=500, times=None, match=of("PUT", numbers[which]))
    await club.try_later()
    club.clear_faults()
    assert (await club.run()).status is ExitStatus.OK
    assert stand(club, numbers, new)
    assert set(club.rejections) <= {"fault:status"}


async def test_what_waits_for_a_rejected_write_is_held(club: Club) -> None:
    first, second, third = await club.bridged(*TRIANGLE)
    go(club, [first, second, third], [(2, 24), (3, 30), (1, 24)])
    club.wingfield.faults.add("status", status=400, match=of("PUT", second))
    overlap = dict.fromkeys((first, third), "court_booking_overlap")
    await club.expect(held={second: "invalid_schema", **overlap})
    assert [entry.id for entry in club.writes] == [str(second)]


# --- what cannot move ---


async def test_a_place_taken_by_one_that_cannot_move_is_not_asked_for(club: Club) -> None:
    stuck, mover = await club.bridged(*SWAP)
    club.launch27.edit(stuck, email=None)
    club.move(mover, 1, 24)
    result = await club.expect(held={stuck: "no_participant", mover: "court_booking_overlap"})
    assert any(str(stuck) in held.detail for held in result.held if held.id == str(mover))
    assert club.writes == []


async def test_a_cycle_is_broken_only_if_all_of_it_can_move(club: Club) -> None:
    long, short, stuck = await club.bridged((1, 24, 120), (2, 24), (2, 25))
    club.launch27.edit(stuck, email=None)
    go(club, [long, short], [(2, 24, 120), (1, 24)])
    result = await club.expect(held={stuck: "no_participant", **dict.fromkeys((long, short), "court_booking_overlap")})
    assert club.writes == []
    details = {held.id: held.detail for held in result.held}
    assert str(stuck) in details[str(long)]
    assert str(long) in details[str(short)]


@pytest.mark.parametrize("stands", [True, False], ids=["one stands there", "both are new"])
async def test_of_two_that_want_the_same_place_one_is_bridged(club: Club, *, stands: bool) -> None:
    """The one that stands there keeps it."""
    first = await club.one() if stands else club.book()
    second = club.book(1, 24.5)
    result = await club.expect(created=int(not stands), unchanged=int(stands), held={second: "court_booking_overlap"})
    assert str(first) in result.held[0].detail
    assert (len(club.writes), club.rejections) == (1, [])


async def test_a_write_whose_predecessor_failed_is_not_sent_in_this_pass(club: Club) -> None:
    numbers = await club.bridged((1, 24), (1, 25), (1, 26))
    for n, number in enumerate(numbers):
        club.move(number, 1, 25 + n)
    club.wingfield.faults.add("refuse", times=3, match=is_write)
    await club.try_later()
    assert {entry.id for entry in club.writes} == {str(numbers[2])}
    assert (await club.run()).status is ExitStatus.OK
    assert not {"court_booking_overlap"} & set(club.rejections)


@pytest.mark.parametrize("kind", ["lose", "refuse"])
async def test_a_booking_whose_last_write_is_uncertain_stands_at_both_its_places(club: Club, kind: str) -> None:
    uncertain, old, new = await club.bridged((1, 24), (2, 26), (3, 26))
    club.move(uncertain, 2, 24)
    club.wingfield.faults.add(kind, times=3)
    await club.try_later()
    go(club, [uncertain, old, new], [(3, 24), (1, 24), (2, 24)])
    assert (await club.run()).status is ExitStatus.OK
    assert set(club.rejections) <= {f"fault:{kind}"}
    order = [entry.id for entry in club.writes if entry.status == 200]
    assert order[-3] == str(uncertain)


async def test_a_rejection_says_nothing_of_an_earlier_try_of_the_same_write(club: Club) -> None:
    """Applied, but the answer was lost; the second try is refused for something that happened since."""
    (number,) = await club.bridged((1, 24))
    club.move(number, 2, 24)
    club.wingfield.faults.add("lose", times=3)
    await club.try_later()
    assert club.slot_of(number) == at((2, 24))
    club.wingfield.faults.add("status", status=400, match=of("PUT", number))
    await club.run()
    other = club.book(2, 24)
    result = await club.run()
    assert club.slot_of(other) is None
    assert reasons(result).get(str(other)) == "court_booking_overlap"
    assert "court_booking_overlap" not in club.rejections


# --- killed while one of the cycle is temporarily deleted ---


@CYCLES
async def test_killed_at_any_step_of_a_cycle_the_next_pass_finishes_it(club: Club, old: list[Place]) -> None:
    numbers = await club.bridged(*old)
    new = go_round(club, numbers, old)
    step = 0
    while await club.run_and_die(step):
        assert (await club.run()).status is ExitStatus.OK
        assert stand(club, numbers, new)
        assert {entry.error_type for entry in club.writes} <= {None}
        new = go_round(club, numbers, new)
        step += 1
    assert step > 8


@pytest.mark.parametrize("step", range(3, 16))
async def test_after_a_kill_it_is_recreated_where_it_now_belongs(club: Club, step: int) -> None:
    """The source thinks better of it while the bridge is dead."""
    numbers = await club.bridged(*TRIANGLE)
    go_round(club, numbers, TRIANGLE)
    await club.run_and_die(step)
    go(club, numbers, TRIANGLE)
    assert (await club.run()).status is ExitStatus.OK
    assert stand(club, numbers, TRIANGLE)
    assert {entry.error_type for entry in club.writes} <= {None}


@pytest.mark.parametrize("which", range(3))
@STEPS
async def test_after_a_kill_and_a_rejection_it_goes_back_to_its_old_place(club: Club, step: int, which: int) -> None:
    numbers = await club.bridged(*TRIANGLE)
    new = go_round(club, numbers, TRIANGLE)
    await club.run_and_die(step)
    if club.slot_of(numbers[which]) != at(new[which]):
        club.wingfield.faults.add("status", status=400, match=of("PUT", numbers[which]))
    await club.run()
    assert set(club.wingfield.bookings) == keys(numbers), "it never stays deleted"
    club.clear_faults()
    club.tick(hours=2)
    assert (await club.run()).status is ExitStatus.OK
    assert stand(club, numbers, new)


@STEPS
async def test_after_a_kill_a_dry_run_says_that_it_is_recreated(club: Club, step: int) -> None:
    numbers = await club.bridged(*SWAP)
    go_round(club, numbers, SWAP)
    await club.run_and_die(step)
    deleted = keys(numbers) - club.wingfield.bookings.keys()
    planned = await club.run(dry_run=True)
    assert {write.id for write in planned.planned if not write.is_temporary} >= deleted
    assert (await club.run()).status is ExitStatus.OK


async def half_swapped(club: Club) -> tuple[int, int]:
    """Kill a swap at its middle; return the booking that is temporarily deleted, and the other."""
    numbers = await club.bridged(*SWAP)
    go_round(club, numbers, SWAP)
    step = 0
    while await club.run_and_die(step) and len(club.wingfield.bookings) == 2:
        step += 1
    (other,) = map(int, club.wingfield.bookings)
    return sum(numbers) - other, other


async def test_after_a_kill_and_a_cancellation_it_stays_deleted(club: Club) -> None:
    deleted, other = await half_swapped(club)
    club.launch27.cancel(deleted)
    assert (await club.run()).status is ExitStatus.OK
    assert club.slot_of(deleted) is None
    assert club.slot_of(other) == at(SWAP[int(other < deleted)])


async def test_after_a_kill_and_unreadable_it_is_held_and_recreated_once_it_can_be_read(club: Club) -> None:
    deleted, other = await half_swapped(club)
    email = club.launch27.bookings[deleted]["email"]
    club.launch27.edit(deleted, email=None)
    assert reasons(await club.run())[str(deleted)] == "no_participant"
    club.launch27.edit(deleted, email=email)
    assert (await club.run()).status is ExitStatus.OK
    assert stand(club, sorted((deleted, other)), SWAP[::-1])
