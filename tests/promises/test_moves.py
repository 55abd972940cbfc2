"""What a pass promises: moves that cross."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from bridge.errors import ExitStatus
from tests.support.club import COURT_IDS, NOON, Club, counts, reasons

ONE, TWO, THREE = COURT_IDS
Place = tuple[int, float]
DAY = timedelta(days=1)


@pytest.fixture
async def club(tmp_path: Path) -> AsyncIterator[Club]:
    async with Club(tmp_path) as club:
        yield club


def at(place: Place) -> tuple[str, str]:
    court, hour = place
    return COURT_IDS[court - 1], (NOON + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ")


async def stand(club: Club, *places: Place, minutes: int = 60) -> list[int]:
    """Bridge bookings at these places."""
    numbers = [club.book(court, hour, minutes) for court, hour in places]
    assert counts(await club.run()) == {"created": len(places)}
    club.tick(minutes=1)
    club.wingfield.log.clear()
    return numbers


def places(club: Club, numbers: list[int]) -> list[tuple[str, str] | None]:
    return [club.slot_of(number) for number in numbers]


def deletes(club: Club) -> int:
    return sum(entry[0] == "DELETE" for entry in club.writes)


def of(method: str, number: int) -> Callable[[str, str], bool]:
    return lambda asked, path: asked == method and path.endswith(f"/{number}")


def go_round(club: Club, numbers: list[int], old: list[Place]) -> list[Place]:
    """Send each booking to the place of the next."""
    new = old[1:] + old[:1]
    for number, place in zip(numbers, new, strict=True):
        club.move(number, *place)
    return new


SWAP: list[Place] = [(1, 24), (2, 24)]
CYCLE: list[Place] = [(1, 24), (2, 24), (3, 24)]
LONG: list[Place] = [(1, 24), (2, 24), (3, 24), (3, 25), (2, 25), (1, 25)]
RINGS = pytest.mark.parametrize("old", [SWAP, CYCLE, LONG], ids=["swap", "three-cycle", "six"])


# --- without a refusal ---


@RINGS
async def test_a_ring_is_broken_by_taking_one_out_and_putting_it_back(club: Club, old: list[Place]) -> None:
    numbers = await stand(club, *old)
    new = go_round(club, numbers, old)
    result = await club.run()
    assert (counts(result), result.status) == ({"updated": len(old)}, ExitStatus.OK)
    assert places(club, numbers) == [at(place) for place in new]
    assert club.refusals == []
    assert deletes(club) == 1
    assert len(club.writes) == len(old) + 1
    assert counts(await club.run()) == {"unchanged": len(old)}
    assert len(club.writes) == len(old) + 1


async def test_a_chain_is_moved_from_the_free_end(club: Club) -> None:
    old: list[Place] = [(1, 24 + n) for n in range(8)]
    numbers = await stand(club, *old)
    for number, (court, hour) in zip(numbers, old, strict=True):
        club.move(number, court, hour + 1)
    result = await club.run()
    assert (counts(result), result.status) == ({"updated": 8}, ExitStatus.OK)
    assert club.refusals == []
    assert deletes(club) == 0
    assert [entry[2] for entry in club.writes] == [str(number) for number in reversed(numbers)]


async def test_a_vacated_slot_is_taken_in_the_same_pass(club: Club) -> None:
    gone, mover = await stand(club, (1, 24), (2, 24))
    club.launch27.cancel(gone)
    club.move(mover, 1, 24)
    new = club.book(2, 24)
    result = await club.run()
    assert counts(result) == {"created": 1, "updated": 1, "deleted": 1}
    assert club.refusals == []
    assert [entry[2] for entry in club.writes] == [str(gone), str(mover), str(new)]


async def test_a_slot_that_a_withdrawn_booking_vacates_is_taken_in_the_same_pass(club: Club) -> None:
    withdrawn, mover = await stand(club, (1, 24), (2, 24))
    club.launch27.edit(withdrawn, services=[9])
    club.move(mover, 1, 24)
    assert counts(await club.run()) == {"updated": 1, "deleted": 1, "ignored": 1}
    assert club.refusals == []


async def test_a_booking_that_overlaps_its_own_old_place_just_moves(club: Club) -> None:
    (number,) = await stand(club, (1, 24))
    club.move(number, 1, 24.5)
    assert counts(await club.run()) == {"updated": 1}
    assert [entry[0] for entry in club.writes] == ["PUT"]


async def test_bookings_that_only_touch_do_not_wait_for_each_other(club: Club) -> None:
    first, second = await stand(club, (1, 24), (2, 24))
    club.move(second, 1, 25)
    assert counts(await club.run()) == {"updated": 1, "unchanged": 1}
    assert first


async def test_long_and_short_bookings_change_places(club: Club) -> None:
    """One long booking against two short ones: the ring has three, and one cut is enough."""
    long = club.book(1, 24, 120)
    short = [club.book(2, 24), club.book(2, 25)]
    await club.run()
    club.wingfield.log.clear()
    club.move(long, 2, 24, 120)
    for n, number in enumerate(short):
        club.move(number, 1, 24 + n)
    assert counts(await club.run()) == {"updated": 3}
    assert club.refusals == []
    assert deletes(club) == 1


async def test_two_rings_cost_one_delete_each(club: Club) -> None:
    numbers = await stand(club, (1, 24), (2, 24), (1, 30), (2, 30))
    for number, place in zip(numbers, [(2, 24), (1, 24), (2, 30), (1, 30)], strict=True):
        club.move(number, *place)
    assert counts(await club.run()) == {"updated": 4}
    assert (club.refusals, deletes(club)) == ([], 2)


def circles(old: list[Place], new: list[Place]) -> int:
    """How many circles a permutation has, those of one booking left out."""
    goes_to = {here: there for here, there in zip(old, new, strict=True) if here != there}
    found = 0
    while goes_to:
        here, there = goes_to.popitem()
        while there in goes_to:
            there = goes_to.pop(there)
        found += there == here
    return found


@pytest.mark.parametrize("seed", range(6))
async def test_thirty_bookings_in_any_new_order_never_overlap(club: Club, seed: int) -> None:
    chance = random.Random(seed)
    slots: list[Place] = [(court, 24 + hour) for court in (1, 2, 3) for hour in range(12)]
    old, new = chance.sample(slots, 30), chance.sample(slots, 30)
    numbers = await stand(club, *old)
    for number, place in zip(numbers, new, strict=True):
        club.move(number, *place)
    result = await club.run()
    assert result.status is ExitStatus.OK
    assert places(club, numbers) == [at(place) for place in new]
    assert club.refusals == []
    assert deletes(club) <= circles(old, new)


# --- a ring with a refusal ---


@RINGS
@pytest.mark.parametrize("who", range(6))
async def test_what_was_taken_out_goes_back_in_the_same_pass_whoever_is_refused(
    club: Club, old: list[Place], who: int
) -> None:
    """Also where the refused one is the last, or the one that was taken out itself."""
    who %= len(old)
    numbers = await stand(club, *old)
    new = go_round(club, numbers, old)
    club.wingfield.faults.add("status", status=400, match=of("PUT", numbers[who]))
    result = await club.run()
    assert places(club, numbers) == [at(place) for place in old]
    assert result.status is ExitStatus.ATTENTION
    held = reasons(result)
    assert held.pop(str(numbers[who])) == "invalid_schema"
    assert set(held.values()) == {"court_booking_overlap"}
    assert counts(result) == {"held": len(old)}
    assert "court_booking_overlap" not in club.refusals

    writes = len(club.writes)
    assert counts(await club.run()) == {"held": len(old)}
    assert len(club.writes) == writes, "a ring is cut only if all of it can move"
    club.tick(hours=2)
    result = await club.run()
    assert (counts(result), result.status) == ({"updated": len(old)}, ExitStatus.OK)
    assert places(club, numbers) == [at(place) for place in new]


@RINGS
async def test_after_a_refused_ring_the_source_may_turn_back(club: Club, old: list[Place]) -> None:
    numbers = await stand(club, *old)
    go_round(club, numbers, old)
    club.wingfield.faults.add("status", status=400, match=of("PUT", numbers[1]))
    await club.run()
    for number, place in zip(numbers, old, strict=True):
        club.move(number, *place)
    result = await club.run()
    assert (counts(result), result.status) == ({"unchanged": len(old)}, ExitStatus.OK)


async def test_a_ring_that_a_stranger_blocks_goes_back(club: Club) -> None:
    """The swap of a long and a short booking needs an hour that a stranger has."""
    long, short = club.book(1, 24, 120), club.book(2, 24)
    await club.run()
    before = places(club, [long, short])
    hour = timedelta(hours=1)
    stranger = club.wingfield.add_stranger(TWO, NOON + DAY + hour, NOON + DAY + 2 * hour)
    club.move(long, 2, 24, 120)
    club.move(short, 1, 24)
    result = await club.run()
    assert places(club, [long, short]) == before
    assert reasons(result) == dict.fromkeys((str(long), str(short)), "court_booking_overlap")
    club.wingfield.remove_stranger(stranger)
    for _ in range(3):
        result = await club.run()
        club.tick(hours=2)
    assert (counts(result), result.status) == ({"unchanged": 2}, ExitStatus.OK)


@pytest.mark.parametrize("who", range(3))
async def test_a_ring_whose_answer_is_missing_is_made_whole_or_finished_next_time(
    club: Club, who: int
) -> None:
    numbers = await stand(club, *CYCLE)
    new = go_round(club, numbers, CYCLE)
    club.wingfield.faults.add("status", status=500, times=None, match=of("PUT", numbers[who]))
    assert (await club.run()).status is ExitStatus.TRY_LATER
    club.wingfield.faults.clear()
    result = await club.run()
    assert result.status is ExitStatus.OK
    assert places(club, numbers) == [at(place) for place in new]
    assert set(club.refusals) <= {"fault:status"}


async def test_everybody_who_waits_for_a_refused_ring_is_held(club: Club) -> None:
    numbers = await stand(club, *SWAP, (3, 24))
    club.move(numbers[0], 2, 24)
    club.move(numbers[1], 3, 30)
    club.move(numbers[2], 1, 24)
    club.wingfield.faults.add("status", status=400, match=of("PUT", numbers[1]))
    result = await club.run()
    assert reasons(result) == {
        str(numbers[1]): "invalid_schema",
        str(numbers[0]): "court_booking_overlap",
        str(numbers[2]): "court_booking_overlap",
    }
    assert [entry[2] for entry in club.writes] == [str(numbers[1])]


# --- who cannot move ---


async def test_a_place_taken_by_one_that_cannot_move_is_not_asked_for(club: Club) -> None:
    stuck, mover = await stand(club, (1, 24), (2, 24))
    club.launch27.edit(stuck, email=None)
    club.move(mover, 1, 24)
    result = await club.run()
    assert reasons(result) == {str(stuck): "no_participant", str(mover): "court_booking_overlap"}
    detail = next(held.detail for held in result.held if held.id == str(mover))
    assert str(stuck) in detail
    assert club.writes == []


async def test_a_ring_is_cut_only_if_all_of_it_can_move(club: Club) -> None:
    long, short = club.book(1, 24, 120), club.book(2, 24)
    stuck = club.book(2, 25)
    await club.run()
    club.wingfield.log.clear()
    club.launch27.edit(stuck, email=None)
    club.move(long, 2, 24, 120)
    club.move(short, 1, 24)
    result = await club.run()
    assert club.writes == []
    details = {held.id: held.detail for held in result.held if held.reason == "court_booking_overlap"}
    assert set(details) == {str(long), str(short)}
    assert str(stuck) in details[str(long)]
    assert str(long) in details[str(short)]


async def test_of_two_that_want_the_same_place_the_one_that_stands_there_keeps_it(club: Club) -> None:
    (stands,) = await stand(club, (1, 24))
    late = club.book(1, 24)
    result = await club.run()
    assert reasons(result) == {str(late): "court_booking_overlap"}
    assert str(stands) in result.held[0].detail
    assert club.writes == []


async def test_of_two_new_ones_one_is_bridged(club: Club) -> None:
    first, second = club.book(1, 24), club.book(1, 24.5)
    result = await club.run()
    assert counts(result) == {"created": 1, "held": 1}
    assert reasons(result) == {str(second): "court_booking_overlap"}
    assert str(first) in result.held[0].detail
    assert club.refusals == []


async def test_a_write_whose_predecessor_failed_is_not_sent_in_this_pass(club: Club) -> None:
    numbers = await stand(club, (1, 24), (1, 25), (1, 26))
    for n, number in enumerate(numbers):
        club.move(number, 1, 25 + n)
    club.wingfield.faults.add("refuse", times=3)
    result = await club.run()
    assert result.status is ExitStatus.TRY_LATER
    assert {entry[2] for entry in club.writes} == {str(numbers[2])}
    assert (await club.run()).status is ExitStatus.OK
    assert not {"court_booking_overlap"} & set(club.refusals)


@pytest.mark.parametrize("kind", ["lose", "refuse"])
async def test_a_booking_whose_last_write_is_uncertain_stands_at_both_its_places(
    club: Club, kind: str
) -> None:
    uncertain, old, new = await stand(club, (1, 24), (2, 26), (3, 26))
    club.move(uncertain, 2, 24)
    club.wingfield.faults.add(kind, times=3)
    assert (await club.run()).status is ExitStatus.TRY_LATER
    club.move(uncertain, 3, 24)
    club.move(old, 1, 24)
    club.move(new, 2, 24)
    result = await club.run()
    assert result.status is ExitStatus.OK
    assert set(club.refusals) <= {f"fault:{kind}"}
    order = [entry[2] for entry in club.writes if entry[3] == 200]
    assert order[-3] == str(uncertain)


# --- kills and stops ---


@RINGS
async def test_taken_out_and_killed_the_next_pass_puts_it_back(club: Club, old: list[Place]) -> None:
    numbers = await stand(club, *old)
    new = go_round(club, numbers, old)
    step = 0
    while await club.run_and_die(step):
        result = await club.run()
        assert result.status is ExitStatus.OK
        assert places(club, numbers) == [at(place) for place in new]
        assert {entry[4] for entry in club.writes} <= {None}
        new = go_round(club, numbers, new)
        step += 1
    assert step > 8


@pytest.mark.parametrize("step", range(3, 16))
async def test_taken_out_and_killed_the_next_pass_puts_it_back_where_it_now_belongs(
    club: Club, step: int
) -> None:
    """The source thinks better of it while the bridge is dead."""
    numbers = await stand(club, *CYCLE)
    go_round(club, numbers, CYCLE)
    await club.run_and_die(step)
    for number, place in zip(numbers, CYCLE, strict=True):
        club.move(number, *place)
    assert (await club.run()).status is ExitStatus.OK
    assert places(club, numbers) == [at(place) for place in CYCLE]
    assert {entry[4] for entry in club.writes} <= {None}


@pytest.mark.parametrize("who", range(3))
@pytest.mark.parametrize("step", range(3, 16, 2))
async def test_taken_out_killed_and_refused_it_goes_back_to_its_old_place(
    club: Club, step: int, who: int
) -> None:
    numbers = await stand(club, *CYCLE)
    new = go_round(club, numbers, CYCLE)
    await club.run_and_die(step)
    if club.slot_of(numbers[who]) != at(new[who]):
        club.wingfield.faults.add("status", status=400, match=of("PUT", numbers[who]))
    await club.run()
    found = places(club, numbers)
    assert None not in found, "what was taken out never stays out"
    club.wingfield.faults.clear()
    club.tick(hours=2)
    assert (await club.run()).status is ExitStatus.OK
    assert places(club, numbers) == [at(place) for place in new]


async def test_a_refusal_says_nothing_of_an_earlier_try_of_the_same_write(club: Club) -> None:
    """Applied, but the answer was lost; the second try is refused for something that happened since."""
    (number,) = await stand(club, (1, 24))
    club.move(number, 2, 24)
    club.wingfield.faults.add("lose", times=3)
    assert (await club.run()).status is ExitStatus.TRY_LATER
    assert club.slot_of(number) == at((2, 24))
    club.wingfield.faults.add("status", status=400, match=of("PUT", number))
    await club.run()
    other = club.book(2, 24)
    result = await club.run()
    assert club.slot_of(other) is None
    assert reasons(result).get(str(other)) == "court_booking_overlap"
    assert "court_booking_overlap" not in club.refusals


@pytest.mark.parametrize("step", range(3, 16, 2))
async def test_taken_out_and_killed_a_dry_run_says_it_is_put_back(club: Club, step: int) -> None:
    numbers = await stand(club, *SWAP)
    go_round(club, numbers, SWAP)
    await club.run_and_die(step)
    out = [number for number in numbers if club.slot_of(number) is None]
    planned = await club.run(dry_run=True)
    assert {write.id for write in planned.planned if not write.is_temporary} >= set(map(str, out))
    assert (await club.run()).status is ExitStatus.OK


async def test_taken_out_killed_and_cancelled_it_stays_out(club: Club) -> None:
    numbers = await stand(club, *SWAP)
    go_round(club, numbers, SWAP)
    step = 0
    while await club.run_and_die(step) and all(places(club, numbers)):
        step += 1
    (out,) = [number for number in numbers if club.slot_of(number) is None]
    (other,) = [number for number in numbers if number != out]
    club.launch27.cancel(out)
    assert (await club.run()).status is ExitStatus.OK
    assert club.slot_of(out) is None
    assert club.slot_of(other) == at(SWAP[1 - numbers.index(other)])


async def test_taken_out_killed_and_unreadable_it_is_held_and_put_back_once_it_can_be_read(
    club: Club,
) -> None:
    numbers = await stand(club, *SWAP)
    new = go_round(club, numbers, SWAP)
    step = 0
    while await club.run_and_die(step) and all(places(club, numbers)):
        step += 1
    (out,) = [number for number in numbers if club.slot_of(number) is None]
    email = club.launch27.bookings[out]["email"]
    club.launch27.edit(out, email=None)
    assert reasons(await club.run())[str(out)] == "no_participant"
    club.launch27.edit(out, email=email)
    assert (await club.run()).status is ExitStatus.OK
    assert places(club, numbers) == [at(place) for place in new]


@RINGS
@pytest.mark.parametrize("after", range(3))
async def test_sigterm_finishes_the_ring_first(club: Club, old: list[Place], after: int) -> None:
    numbers = await stand(club, *old)
    new = go_round(club, numbers, old)
    others = [club.book(1, 40 + n) for n in range(6)]
    club.concurrency = 1
    ring = set(map(str, numbers))
    hanging = club.wingfield.faults.add(
        "hang",
        after=after,
        match=lambda method, path: method in {"PUT", "DELETE"} and path.rpartition("/")[2] in ring,
    )
    running = asyncio.create_task(club.run())
    await hanging.struck.reached()
    club.stop_now()
    hanging.release()
    result = await running
    assert result.status is ExitStatus.TRY_LATER
    assert places(club, numbers) == [at(place) for place in new]
    assert club.refusals == []
    await club.start_again()
    assert (await club.run()).status is ExitStatus.OK
    assert None not in places(club, others)
    sent = [(entry[2], entry[5]["externalUpdatedAt"]) for entry in club.writes if entry[3]]
    assert len(sent) == len(set(sent)), "nothing is sent twice"


@pytest.mark.parametrize("who", range(3))
async def test_sigterm_during_a_ring_that_is_refused_puts_it_back(club: Club, who: int) -> None:
    numbers = await stand(club, *CYCLE)
    go_round(club, numbers, CYCLE)
    hanging = club.wingfield.faults.add("hang", match=lambda method, _: method == "DELETE")
    club.wingfield.faults.add("status", status=400, match=of("PUT", numbers[who]))
    running = asyncio.create_task(club.run())
    await hanging.struck.reached()
    club.stop_now()
    hanging.release()
    await running
    assert places(club, numbers) == [at(place) for place in CYCLE]


async def test_sigterm_before_a_ring_is_cut_leaves_it_whole(club: Club) -> None:
    numbers = await stand(club, *SWAP)
    go_round(club, numbers, SWAP)
    hanging = club.launch27.faults.add("hang", match=lambda _, path: path.endswith("/bookings"))
    running = asyncio.create_task(club.run())
    await hanging.struck.reached()
    club.stop_now()
    hanging.release()
    assert (await running).status is ExitStatus.TRY_LATER
    assert club.writes == []
