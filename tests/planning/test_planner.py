"""The plan, judged by a tiny Wingfield that rejects overlaps, stale versions and conflicting ones.

Writes are carried out in any order that respects ``after``, with any ending, through the real ledger (in
memory); what the ledger then knows is what the next plan is made of. So every situation here is one that a
bridge can get into. The long form: ``COURTBRIDGE_EXAMPLES=2000 pytest tests/planning``.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Mapping

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.model import ABSENT, CourtBooking, CyclePlace, Known, Rejection, Stored, Verb
from bridge.planning.planner import Plan, make_plan
from bridge.planning.situation import FOREIGN, REJECTION_LASTS_MS, Deletion, Situation, rejection_detail
from tests.planning.graphs import fewest
from tests.planning.world import (
    NOW_MS,
    World,
    blocker_of,
    clear_up,
    count_cycles,
    edit,
    places_of,
    reject_some,
    settled_world,
    trouble,
)
from tests.support.builders import HOUR, NOON, booking, never_sent, slot
from tests.support.builders import known as standing

EXAMPLES = int(os.environ.get("COURTBRIDGE_EXAMPLES", "40"))
SEEDS = st.integers(0, 2**32)
SOME = settings(max_examples=3 * EXAMPLES // 2, deadline=None)


def situation(
    desired: Iterable[CourtBooking] = (),
    known: Iterable[Known] = (),
    deleted: Iterable[str] = (),
    stuck: Mapping[str, str] | None = None,
) -> Situation:
    return Situation(
        {each.id: each for each in desired},
        {each.id: each for each in known},
        {id_: Deletion(id_, "cancelled or gone in Launch27", NOW_MS) for id_ in deleted},
        "cfg",
        NOW_MS,
        stuck or {},
    )


def plan(
    desired: Iterable[CourtBooking] = (),
    known: Iterable[Known] = (),
    deleted: Iterable[str] = (),
    stuck: Mapping[str, str] | None = None,
) -> Plan:
    return make_plan(situation(desired, known, deleted, stuck))


def lines(made: Plan) -> list[str]:
    return [f"{write.verb} {write.id}" for write in made.writes]


def blocked(made: Plan) -> dict[str, str | None]:
    """Return what is held, each with the booking in its way; None for one that is not ours."""
    return {held.id: blocker_of(held) for held in made.held}


# --- the promise: moves that cross ---


@SOME
@given(SEEDS, st.integers(1, 30))
@example(1, 30)
@example(2, 30)
def test_any_permutation_meets_no_overlap_and_one_extra_delete_per_cycle(seed: int, count: int) -> None:
    chance = random.Random(seed)
    before = places_of(chance, count, mixed=False)
    with settled_world(chance, (booking(n, place) for n, place in enumerate(before))) as world:
        among_themselves = chance.random() < 0.5
        after = chance.sample(before, count) if among_themselves else places_of(chance, count, mixed=False)
        world.want(*(booking(n, place) for n, place in enumerate(after)))
        made = world.plan()
        world.run(made)
        assert made.held == ()
        world.is_right([])
        was, is_ = ({str(n): place for n, place in enumerate(where)} for where in (before, after))
        assert world.detours == count_cycles(was, is_)
        assert len(made.writes) == sum(was[id_] != is_[id_] for id_ in was) + world.detours
        assert world.plan().writes == ()


@SOME
@given(SEEDS, st.integers(1, 30))
@example(1, 30)
def test_any_change_of_mixed_lengths_creates_and_deletes_meets_no_overlap(seed: int, count: int) -> None:
    chance = random.Random(seed)
    before = places_of(chance, count, mixed=True)
    with settled_world(chance, (booking(n, place) for n, place in enumerate(before))) as world:
        after = places_of(chance, count, mixed=True)
        numbers = chance.sample(range(count + 10), len(after))
        world.desired = {str(n): booking(n, place) for n, place in zip(numbers, after, strict=True)}
        made = world.plan()
        world.run(made)
        assert made.held == ()
        world.is_right([])
        assert world.plan().writes == ()


@SOME
@given(SEEDS, st.integers(2, 8))
def test_cycles_are_cut_at_the_fewest_bookings(seed: int, count: int) -> None:
    chance = random.Random(seed)
    before = [booking(n, place) for n, place in enumerate(places_of(chance, count, mixed=True))]
    after = [booking(n, place) for n, place in enumerate(places_of(chance, len(before), mixed=True))]
    before, pairs = before[: len(after)], {each.id: each.slot for each in after}
    with settled_world(chance, before) as world:
        world.want(*after)
        movers = [each for each in before if each.slot != pairs[each.id]]
        waits = {each.id: [o.id for o in movers if o.slot.overlaps(pairs[each.id])] for each in movers}
        world.run(world.plan())
        assert world.detours == fewest(waits)


# --- anything at all ---


@settings(max_examples=3 * EXAMPLES, deadline=None)
@example(seed=200_000, passes=5, overlapping=False)
@given(SEEDS, st.integers(1, 5), st.booleans())
def test_whatever_happened_no_write_ever_meets_one_of_ours(seed: int, passes: int, overlapping: bool) -> None:
    """Withheld deletes, lost answers, kills, rejections, open cycles: the judge looks at each write."""
    with World(random.Random(seed)) as world:
        for _ in range(passes):
            edit(world, overlapping=overlapping)
            reject_some(world)
            made = world.plan()
            world.has_real_blockers(made)
            world.run(made, trouble(world.chance))
            world.now_ms += world.chance.choice([1, 60_000, -60_000, REJECTION_LASTS_MS])
        clear_up(world)


@SOME
@given(SEEDS, st.integers(2, 30), st.integers(1, 3))
def test_where_some_are_rejected_all_temporarily_deleted_ones_are_back_in_the_same_pass(
    seed: int, count: int, rejected: int
) -> None:
    chance = random.Random(seed)
    mixed = chance.random() < 0.5
    before = places_of(chance, count, mixed=mixed)
    with settled_world(chance, (booking(n, place) for n, place in enumerate(before))) as world:
        size = len(before)
        after = places_of(chance, size, mixed=True) if mixed else chance.sample(before, size)
        world.want(*(booking(n, place) for n, place in enumerate(after)))
        movers = [each for id_, each in world.desired.items() if world.at(id_) != each.slot]
        losers = chance.sample(movers, min(rejected, len(movers)))
        world.judge.rejects = {(each.id, each.fingerprint) for each in losers}
        world.run_pass()
        assert not world.temporarily_deleted()
        for id_, wanted in world.desired.items():
            assert world.at(id_) in (wanted.slot, before[int(id_)])
        assert world.plan().writes == ()


@SOME
@given(SEEDS, st.integers(2, 12))
def test_whatever_happens_to_one_write_of_a_cycle_its_old_places_stay_free_for_it(seed: int, count: int) -> None:
    """Nothing outside moves in before the cycle is done, so it can always go back the way it came."""
    chance = random.Random(seed)
    before = places_of(chance, count + 6, mixed=False)
    with settled_world(chance, (booking(n, place) for n, place in enumerate(before[:count]))) as world:
        after = [*chance.sample(before[:count], count), *before[count:]]
        chance.shuffle(after)
        world.want(*(booking(n, place) for n, place in enumerate(after[: count + 3])))
        steps = chance.randint(0, 2 * count)

        def fate(_: object) -> str:
            nonlocal steps
            steps -= 1
            return "answered" if steps >= 0 else chance.choice(["killed before", "killed after"])

        world.run(world.plan(), fate)
        cycles = {id_: entry.cycle for id_, entry in world.ledger.known.items() if entry.cycle}
        for id_, cycle in cycles.items():
            for other, (place, _) in world.judge.there.items():
                same = other in cycles and cycles[other].cycle == cycle.cycle
                assert other == id_ or same or not place.overlaps(cycle.slot)
        clear_up(world)


@SOME
@given(SEEDS, st.integers(2, 20))
def test_where_the_source_is_free_of_overlaps_none_is_held_or_out_after_a_kill(seed: int, count: int) -> None:
    chance = random.Random(seed)
    places = places_of(chance, count, mixed=chance.random() < 0.5)
    with settled_world(chance, (booking(n, place) for n, place in enumerate(places))) as world:
        for _ in range(chance.randint(1, 3)):
            chance.shuffle(places)
            world.want(*(booking(n, place) for n, place in enumerate(places)))
            world.run(world.plan(), trouble(chance))
            world.now_ms += chance.choice([-1000, 1, 60_000])
        made = world.run_pass()
        assert made.held == ()
        assert not world.has_cycles()
        world.is_right([])
        assert world.plan().writes == ()


@SOME
@given(SEEDS, st.integers(2, 24))
def test_the_booking_named_in_the_detail_is_in_the_way(seed: int, count: int) -> None:
    chance = random.Random(seed)
    before = places_of(chance, count, mixed=True)
    with settled_world(chance, (booking(n, place) for n, place in enumerate(before))) as world:
        for _ in range(3):
            edit(world, overlapping=True)
            made = world.plan()
            for held, blockers in world.blockers(made):
                assert blocker_of(held) in blockers, held
            world.run(made)


# --- speed ---


def big_club(count: int, moves: int) -> Situation:
    """Return ``count`` bookings on 40 courts, of which ``moves`` cross."""
    chance = random.Random(1)
    places = chance.sample([slot(hour, court) for court in range(40) for hour in range(count // 20)], count)
    desired = [booking(n, place) for n, place in enumerate(places)]
    known = [standing(n, place) for n, place in enumerate(places)]
    movers = chance.sample(range(count), moves)
    for one, other in zip(movers, chance.sample(movers, moves), strict=True):
        desired[one] = booking(one, places[other])
    return situation(desired, known)


def seconds(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def test_twenty_thousand_bookings_with_two_thousand_crossing_moves_take_a_moment() -> None:
    small, large = big_club(5_000, 500), big_club(20_000, 2_000)
    quick = min(seconds(lambda: make_plan(small)) for _ in range(3))
    slow = min(seconds(lambda: make_plan(large)) for _ in range(2))
    assert slow < 5
    assert slow / quick < 12, "four times the bookings: n log n, not n squared"


# --- examples: 1 stands on c1, 2 on c2 … at 9, or in a row on c1 ---

NINE = {court: slot(9, court) for court in (1, 2, 3)}
ONE, TWO, THREE = (standing(n, NINE[n]) for n in (1, 2, 3))
ROW = [standing(n, slot(n)) for n in range(4)]
LOST_MOVE = ONE._replace(
    unsettled=(Stored("1", 2000, booking(1, NINE[2]).fingerprint, NINE[2]),),
    intended_version_ms=2000,
    intended_fingerprint=booking(1, NINE[2]).fingerprint,
)
DELETED = ONE._replace(acked_fingerprint=ABSENT, intended_fingerprint=ABSENT)
OUT = DELETED._replace(cycle=CyclePlace(7, NINE[1], is_deleted=True))


@pytest.mark.parametrize(("desired", "known"), [([booking(1, NINE[1])], [ONE]), ([], []), ([], [ONE])])
def test_what_is_in_sync_or_neither_wanted_nor_deleted_stays_as_it_is(
    desired: list[CourtBooking], known: list[Known]
) -> None:
    assert plan(desired, known) == Plan()


@pytest.mark.parametrize("hours", [None, 12])
def test_a_new_booking_is_created_under_its_modification_time_or_first_sight(hours: int | None) -> None:
    modified = None if hours is None else NOON + hours * HOUR
    (write,) = plan([booking(1, source_updated_at=modified)]).writes
    version_ms = NOW_MS + (hours or 0) * 3_600_000
    assert (write.verb, write.why) == (Verb.CREATE, "new")
    assert (write.version_ms, write.sighted_ms) == (version_ms, NOW_MS)


def test_a_delete_goes_under_the_moment_it_was_found_gone() -> None:
    (write,) = plan([], [ONE], ["1"]).writes
    assert (write.verb, write.slot, write.version_ms) == (Verb.DELETE, NINE[1], NOW_MS)
    assert (write.participants, write.fingerprint, write.why) == ((), ABSENT, "cancelled or gone in Launch27")


def test_a_chain_runs_from_its_free_end() -> None:
    made = plan([booking(n, slot(n + 1)) for n in range(4)], ROW)
    assert lines(made) == ["update 3", "update 2", "update 1", "update 0"]
    assert [write.after for write in made.writes] == [(), (0,), (1,), (2,)]


def test_a_vacated_slot_is_taken_after_the_delete() -> None:
    made = plan([booking(2, NINE[1])], [ONE], ["1"])
    assert lines(made) == ["delete 1", "create 2"]
    assert made.writes[1].after == (0,)


def test_a_swap_deletes_one_and_recreates_it_above_its_delete() -> None:
    made = plan([booking(1, NINE[2]), booking(2, NINE[1])], [ONE, TWO])
    out, move, back = made.writes
    assert lines(made) == ["delete 1", "update 2", "update 1"]
    assert [write.is_temporary for write in made.writes] == [True, False, False]
    assert out.cycle == move.cycle == back.cycle
    assert set(out.places) == {("1", NINE[1]), ("2", NINE[2])}
    assert back.version_ms > out.version_ms
    assert [write.after for write in made.writes] == [(), (0,), (0, 1)]
    assert "so that 2 bookings can change places" in out.why


def test_courts_do_not_wait_for_each_other_where_none_moves_between_them() -> None:
    known = [standing(n, slot(9, n)) for n in range(5)]
    made = plan([booking(n, slot(9.5, n)) for n in range(5)], known)
    assert [write.after for write in made.writes] == [()] * 5


def test_one_whose_answer_is_missing_stands_at_both_its_places() -> None:
    made = plan([booking(1, NINE[3]), booking(2, NINE[1]), booking(3, NINE[2])], [LOST_MOVE])
    assert lines(made) == ["update 1", "create 2", "create 3"]
    assert [write.after for write in made.writes] == [(), (0,), (0,)]
    assert made.writes[0].version_ms > 2000


@pytest.mark.parametrize(
    ("known", "wanted", "verb", "why"),
    [
        (ONE, booking(1, NINE[2]), Verb.UPDATE, "court changed"),
        (ONE, booking(1, slot(10)), Verb.UPDATE, "start and end changed"),
        (ONE, booking(1, slot(9, hours=2)), Verb.UPDATE, "end changed"),
        (ONE, booking(1, slot(10, 2)), Verb.UPDATE, "court and start and end changed"),
        (ONE, booking(1, NINE[1], ["other@example.com"]), Verb.UPDATE, "participants changed"),
        (LOST_MOVE, booking(1, NINE[2]), Verb.UPDATE, "Wingfield's last answer is missing"),
        (DELETED, booking(1, NINE[1]), Verb.CREATE, "back again"),
        (OUT, booking(1, NINE[2]), Verb.UPDATE, "recreated after it was temporarily deleted"),
        (never_sent(1), booking(1, NINE[1]), Verb.CREATE, "new"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_a_write_says_what_changed_and_waits_for_none(known: Known, wanted: CourtBooking, verb: Verb, why: str) -> None:
    (write,) = plan([wanted], [known]).writes
    assert (write.verb, write.why, write.after) == (verb, why, ())


@pytest.mark.parametrize(
    ("known", "wanted", "version_ms"),
    [(LOST_MOVE, booking(1, NINE[2]), 2000), (DELETED, booking(1, NINE[1]), 1001)],
    ids=["lost: the same version", "back again: a higher one"],
)
def test_a_write_that_is_repeated_keeps_its_version(known: Known, wanted: CourtBooking, version_ms: int) -> None:
    assert [write.version_ms for write in plan([wanted], [known]).writes] == [version_ms]


# --- held ---

BLOCKED: dict[str, tuple[list[CourtBooking], list[Known], dict[str, str | None], list[str]]] = {
    "its place is taken by one that stays": ([booking(2, slot(9.5))], [ONE], {"2": "1"}, []),
    "in a chain behind one that stays": ([booking(0, slot(1)), booking(1, slot(2))], ROW[:3], {"0": "1", "1": "2"}, []),
    "of a cycle that cannot be finished: 2 would reach into 4": (
        [booking(1, NINE[2]), booking(2, slot(9, hours=2))],
        [ONE, TWO, standing(4, slot(10))],
        {"1": "2", "2": "4"},
        [],
    ),
    "the new one of two, as the other stands already": (
        [booking(1, NINE[1]), booking(2, NINE[1])],
        [TWO],
        {"1": "2"},
        ["update 2"],
    ),
    "the higher of two new ones, as a number": (
        [booking(10, NINE[1]), booking(9, NINE[1])],
        [],
        {"10": "9"},
        ["create 9"],
    ),
    "9 alone: it wins against 10, but is beaten by 1": (
        [booking(1, NINE[1]), booking(9, slot(9, hours=3)), booking(10, slot(11))],
        [standing(1, NINE[2])],
        {"9": "10"},
        ["update 1", "create 10"],
    ),
}


@pytest.mark.parametrize("case", BLOCKED)
def test_one_that_cannot_move_is_held_with_the_id_of_what_is_in_its_way(case: str) -> None:
    desired, known, held, writes = BLOCKED[case]
    made = plan(desired, known)
    assert (blocked(made), lines(made)) == (held, writes)


def test_the_detail_says_which_court_is_taken_when() -> None:
    (held,) = plan([booking(2, slot(9.5))], [ONE]).held
    assert held.reason == "court_booking_overlap"
    assert "court c1 is taken from 2026-11-20T21:30:00Z by booking 1," in held.detail


def test_one_that_is_stuck_is_held_and_keeps_others_from_its_place() -> None:
    made = plan([booking(1, NINE[3]), booking(2, NINE[1])], [ONE, TWO], stuck={"1": FOREIGN})
    assert made.writes == ()
    assert blocked(made) == {"1": None, "2": "1"}


# --- rejections ---


def rejected(reason: str = "court_not_found", *, at_ms: int = NOW_MS, config: str = "cfg") -> Known:
    return ONE._replace(rejection=Rejection(booking(1, NINE[2]).fingerprint, reason, config, at_ms))


@pytest.mark.parametrize(
    ("known", "is_sent"),
    [
        pytest.param(rejected(), False, id="lately"),
        pytest.param(rejected(at_ms=NOW_MS - REJECTION_LASTS_MS + 1), False, id="nearly an hour ago"),
        pytest.param(rejected(at_ms=NOW_MS - REJECTION_LASTS_MS), True, id="an hour ago"),
        pytest.param(rejected(at_ms=NOW_MS + 1), True, id="in the future: the clock went back"),
        pytest.param(rejected(config="older"), True, id="under another configuration"),
        pytest.param(rejected("court_booking_overlap"), True, id="an overlap"),
        pytest.param(rejected("stale_write"), True, id="a stale write"),
        pytest.param(rejected("version_conflict"), True, id="a version conflict"),
        pytest.param(rejected("a_word_of_tomorrow"), False, id="for an unknown reason"),
        pytest.param(rejected()._replace(unsettled=LOST_MOVE.unsettled), True, id="but its place is in doubt"),
        pytest.param(
            ONE._replace(rejection=Rejection(b"other", "court_not_found", "cfg", NOW_MS)), True, id="but other content"
        ),
    ],
)
def test_what_was_rejected_is_sent_again_only_where_that_makes_sense(known: Known, is_sent: bool) -> None:
    made = plan([booking(1, NINE[2])], [known])
    assert bool(made.writes) is is_sent
    assert [held.id for held in made.held] == ([] if is_sent else ["1"])


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("court_not_found", "courtbridge courts"),
        ("a_word_of_tomorrow", "tried again in an hour"),
        ("court_booking_overlap", "by a booking that is not ours"),
        ("stale_write", "every pass"),
    ],
)
def test_a_rejection_is_explained_in_the_bridges_own_words(reason: str, words: str) -> None:
    assert words in rejection_detail(reason, NINE[1])


def test_a_cycle_of_which_one_met_a_stranger_lately_is_not_cut_again() -> None:
    made = plan([booking(1, NINE[2]), booking(2, NINE[1])], [rejected("court_booking_overlap"), TWO])
    assert made.writes == ()
    assert blocked(made).keys() == {"1", "2"}


# --- cycles that were cut, and something came between ---


def swapped(loser: str) -> World:
    """A world of two that were to swap, of which one was rejected."""
    world = settled_world(random.Random(1), [booking(0, slot(0)), booking(1, slot(1))])
    world.want(booking(0, slot(1)), booking(1, slot(0)))
    world.judge.rejects = {(loser, world.desired[loser].fingerprint)}
    world.run_pass()
    return world


@pytest.mark.parametrize("loser", ["0", "1"], ids=["the deleted one", "the other"])
def test_a_cycle_of_which_one_is_rejected_goes_back_in_the_same_pass_and_is_left_so(loser: str) -> None:
    with swapped(loser) as world:
        assert (world.at("0"), world.at("1")) == (slot(0), slot(1))
        assert not world.has_cycles()
        assert world.plan().writes == ()
        world.now_ms += REJECTION_LASTS_MS
        assert lines(world.plan()) == ["delete 0", "update 1", "update 0"]


def test_two_cycles_of_one_plan_are_two_in_the_ledger() -> None:
    with settled_world(random.Random(1), [booking(n, slot(n)) for n in range(4)]) as world:
        world.want(*(booking(n, slot(n ^ 1)) for n in range(4)))
        world.ledger.record([write for write in world.plan().writes if write.is_temporary], [])
        cycles = {id_: entry.cycle.cycle for id_, entry in world.ledger.known.items() if entry.cycle}
        assert cycles["0"] == cycles["1"] != cycles["2"] == cycles["3"]


def test_a_cycle_that_cannot_go_back_is_left_as_it_is() -> None:
    """1 is out, 2 took its place and may not move again, 3 is where it belongs: it stays there."""
    known = [
        OUT,
        standing(2, NINE[1], cycle=CyclePlace(7, NINE[2], is_deleted=False)),
        standing(3, NINE[2], cycle=CyclePlace(7, NINE[3], is_deleted=False)),
        standing(9, NINE[3]),
    ]
    made = plan([booking(1, NINE[3]), booking(3, NINE[2])], known)
    assert made.writes == ()
    assert blocked(made) == {"1": "9"}


def test_one_that_is_out_and_no_longer_wanted_leaves_the_others_alone() -> None:
    moved = standing(2, NINE[1], cycle=CyclePlace(7, NINE[2], is_deleted=False))
    assert lines(plan([booking(2, NINE[1])], [OUT, moved], ["1"])) == ["delete 1"]
