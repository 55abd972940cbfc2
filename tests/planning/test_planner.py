"""The plan, judged by a tiny Wingfield that refuses overlaps, stale versions and conflicting ones.

Writes are carried out in any order that respects ``after``, with any ending, through the real ledger (in
memory); what the ledger then knows is what the next plan is made of. So every situation here is one that a
bridge can get into. The long form: ``COURTBRIDGE_EXAMPLES=2000 pytest tests/planning``.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Self

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.ledger.store import Ledger
from bridge.model import (
    ABSENT,
    CourtBooking,
    CyclePlace,
    Deletion,
    Ending,
    Held,
    Identity,
    Known,
    Outcome,
    Plan,
    Rejection,
    Slot,
    Stored,
    Verb,
    Write,
    fingerprint,
    to_ms,
)
from bridge.planning.planner import FOREIGN, REFUSAL_LASTS_MS, Situation, make_plan, refusal_detail

DAY = datetime(2026, 11, 21, tzinfo=UTC)
NOW_MS = to_ms(datetime(2026, 11, 20, 9, tzinfo=UTC))
PLAYER = ("player@example.com",)
EXAMPLES = int(os.environ.get("COURTBRIDGE_EXAMPLES", "40"))
SEEDS = st.integers(0, 2**32)
SOME = settings(max_examples=3 * EXAMPLES // 2, deadline=None)


def slot(court: int, hour: float, hours: float = 1) -> Slot:
    start = DAY + timedelta(hours=hour)
    return Slot(f"c{court}", start, start + timedelta(hours=hours))


def booking(id_: object, place: Slot, players: Sequence[str] = PLAYER) -> CourtBooking:
    return CourtBooking(str(id_), place, tuple(players), None, fingerprint(place, players))


def standing(id_: object, place: Slot, version_ms: int = 1000, players: Sequence[str] = PLAYER) -> Known:
    """Return what the ledger knows of a booking that stands where it should."""
    content = fingerprint(place, players)
    start, end = to_ms(place.start), to_ms(place.end)
    times = (place.court_id, start, end)
    return Known(str(id_), "a", version_ms, content, *times, version_ms, content, content, version_ms)


def situation(
    desired: Iterable[CourtBooking] = (),
    known: Iterable[Known] = (),
    deleted: Iterable[str] = (),
    *,
    config: str = "cfg",
    now_ms: int = NOW_MS,
    stuck: Mapping[str, str] | None = None,
) -> Situation:
    return Situation(
        {each.id: each for each in desired},
        {each.id: each for each in known},
        {id_: Deletion(id_, "cancelled or gone in Launch27", now_ms) for id_ in deleted},
        config,
        now_ms,
        stuck or {},
    )


def plan(
    desired: Iterable[CourtBooking] = (),
    known: Iterable[Known] = (),
    deleted: Iterable[str] = (),
    *,
    config: str = "cfg",
    now_ms: int = NOW_MS,
    stuck: Mapping[str, str] | None = None,
) -> Plan:
    return make_plan(situation(desired, known, deleted, config=config, now_ms=now_ms, stuck=stuck))


def lines(made: Plan) -> list[str]:
    return [f"{write.verb} {write.id}" for write in made.writes]


# --- a tiny Wingfield ---


class Judge:
    """Wingfield's rules, and nothing else; ``refuses`` are contents it refuses for their own sake."""

    def __init__(self) -> None:
        self.there: dict[str, tuple[Slot, bytes]] = {}
        self.versions: dict[str, tuple[int, bytes]] = {}
        self.strangers: list[Slot] = []
        self.refuses: set[tuple[str, bytes]] = set()

    def answer(self, write: Write) -> str | None:
        """Apply a write, or return why not; an overlap with one of ours says with whom."""
        version, content = self.versions.get(write.id, (0, ABSENT))
        if write.version_ms < version:
            return "stale_write"
        if write.version_ms == version and write.fingerprint != content:
            return "version_conflict"
        if write.verb is Verb.DELETE:
            self.there.pop(write.id, None)
        else:
            assert write.slot is not None
            if refusal := self._refusal(write, write.slot):
                return refusal
            self.there[write.id] = write.slot, write.fingerprint
        self.versions[write.id] = write.version_ms, write.fingerprint
        return None

    def _refusal(self, write: Write, place: Slot) -> str | None:
        if (write.id, write.fingerprint) in self.refuses:
            return "court_not_found"
        for other, (taken, _) in self.there.items():
            if other != write.id and taken.overlaps(place):
                return f"overlaps {other}"
        if any(stranger.overlaps(place) for stranger in self.strangers):
            return "court_booking_overlap"
        return None


Fate = Callable[[Write], str]


def fine(_: Write) -> str:
    return "answered"


@dataclass
class World:
    """A judge, a ledger, what the source wants, and a clock."""

    chance: random.Random
    judge: Judge = field(default_factory=Judge)
    ledger: Ledger = field(
        default_factory=lambda: Ledger.snapshot(Path("/nonexistent/state.db"), Identity("h", "s", ""))
    )
    desired: dict[str, CourtBooking] = field(default_factory=dict)
    withheld: set[str] = field(default_factory=set)
    now_ms: int = NOW_MS
    takeouts: int = 0
    refusals: list[tuple[str, str]] = field(default_factory=list)
    repeats: dict[str, int] = field(default_factory=dict)
    """The newest version of those whose last answer is missing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ledger.close()

    def want(self, *bookings: CourtBooking) -> None:
        self.desired.update((each.id, each) for each in bookings)

    def plan(self, stuck: Mapping[str, str] | None = None, *, deleting: bool = True) -> Plan:
        known = self.ledger.known
        gone = {
            id_
            for id_, entry in known.items()
            if id_ not in self.desired
            and id_ not in self.withheld
            and (entry.is_bridged or entry.is_temporarily_deleted)
        }
        deletions = {id_: Deletion(id_, "gone", self.now_ms) for id_ in sorted(gone)} if deleting else {}
        return make_plan(Situation(self.desired, known, deletions, "cfg", self.now_ms, stuck or {}))

    def run(self, made: Plan, fate: Fate = fine) -> dict[int, Ending]:
        """Carry a plan out in a random order that respects ``after``, up to a write that kills."""
        known = self.ledger.known.values()
        self.repeats = {entry.id: written.version_ms for entry in known for written in entry.unsettled}
        endings: dict[int, Ending] = {}
        left = set(range(len(made.writes)))
        while True:
            ready = [i for i in left if all(self._ok(endings, other) for other in made.writes[i].after)]
            if not ready:
                return endings
            index = self.chance.choice(ready)
            left.discard(index)
            write = made.writes[index]
            self.ledger.record([write], [])
            how = fate(write)
            if how.startswith("killed"):
                if how == "killed after":
                    self._apply(write)
                return endings
            endings[index] = self._send(write, how)

    @staticmethod
    def _ok(endings: Mapping[int, Ending], index: int) -> bool:
        return endings.get(index) is Ending.ACKNOWLEDGED

    def _apply(self, write: Write) -> str | None:
        self.takeouts += write.is_temporary
        reason = self.judge.answer(write)
        if reason is not None:
            assert reason in ("court_not_found", "court_booking_overlap"), f"{reason} for {write}"
            self.refusals.append((write.id, reason))
        return reason

    def _send(self, write: Write, how: str) -> Ending:
        """Send a write and record how it ended; what may be there of an earlier try is not forgotten."""
        repeats = self.repeats.get(write.id) == write.version_ms
        if how == "not sent":
            ending, reason = Ending.UNANSWERED if repeats else Ending.NOT_SENT, None
        else:
            reason = None if how == "lost before" else self._apply(write)
            ending = Ending.UNANSWERED if how.startswith("lost") else Ending.ACKNOWLEDGED
            ending = Ending.REJECTED if reason and ending is Ending.ACKNOWLEDGED else ending
        found = [self.read(write.id)] if repeats and ending is Ending.REJECTED else []
        self.ledger.record([], [Outcome(write, ending, reason or "", "cfg", self.now_ms), *found])
        return ending

    def read(self, id_: str) -> Stored:
        place, content = self.judge.there.get(id_, (None, ABSENT))
        version_ms, _ = self.judge.versions.get(id_, (self.ledger.known[id_].highest_ms, ABSENT))
        return Stored(id_, version_ms, content, place)

    def run_pass(self) -> Plan:
        """Plan and execute, and again while something was refused or a ring came to its end.

        That is what a pass does. Returns the last plan.
        """
        self.clear_doubts()
        made, refused = self.plan(), set[str]()
        for _ in range(5):
            had_rings = self.has_rings()
            endings = self.run(made)
            now_refused = {made.writes[i].id for i, ending in endings.items() if ending is Ending.REJECTED}
            refused |= now_refused
            has_rings = self.has_rings()
            waited = bool(now_refused) and len(endings) < len(made.writes)
            if not (has_rings or waited or had_rings):
                break
            made = self.plan(dict.fromkeys(refused, FOREIGN), deleting=False)
        return made

    def clear_doubts(self) -> None:
        """Read back those in doubt that are not written in this pass."""
        for id_, entry in self.ledger.known.items():
            if entry.unsettled and id_ in self.withheld:
                self.ledger.record([], [self.read(id_)])

    def has_rings(self) -> bool:
        return any(entry.cycle for entry in self.ledger.known.values())

    # --- what must be true ---

    def at(self, id_: str) -> Slot | None:
        return self.judge.there[id_][0] if id_ in self.judge.there else None

    def taken_out(self) -> set[str]:
        """Return those that are out of Wingfield for a moment, as far as the ledger knows."""
        known = self.ledger.known
        return {id_ for id_, entry in known.items() if entry.is_temporarily_deleted and not entry.is_bridged}

    def is_right(self, held: Iterable[Held]) -> None:
        """Everybody stands where the source wants, but for those held for a reason; nobody is out."""
        excused = {each.id for each in held}
        for id_, wanted in self.desired.items():
            if id_ not in excused:
                assert self.judge.there.get(id_) == (wanted.slot, wanted.fingerprint), id_
        assert not self.taken_out() & self.desired.keys() - excused
        assert self.judge.there.keys() <= self.desired.keys() | self.withheld

    def blockers(self, made: Plan) -> Iterator[tuple[Held, set[str]]]:
        """Yield each that is held with those that have its place, may have it, or will when all is done."""
        places = {id_: set(entry.places) for id_, entry in self.ledger.known.items()}
        for write in made.writes:
            if write.verb is not Verb.DELETE and write.slot is not None:
                places[write.id] = {write.slot}
        for held in made.held:
            if held.reason == "court_booking_overlap":
                wanted = self.desired[held.id].slot
                found = {id_ for id_, slots in places.items() if any(map(wanted.overlaps, slots))}
                yield held, found - {held.id}

    def wants(self, write: Write) -> bool:
        wanted = self.desired.get(write.id)
        return wanted is not None and write.fingerprint == wanted.fingerprint

    def has_real_blockers(self, made: Plan) -> None:
        """Nobody is held for nothing: its place is taken, or it is of a ring, or a stranger had its place."""
        known = self.ledger.known
        reaching = {write.id for write in made.writes if self.wants(write)}
        assert not reaching & {held.id for held in made.held}, "held, and written all the same"
        for held, blockers in self.blockers(made):
            goes_back = held.id in known and known[held.id].cycle is not None
            lately = blocker_of(held) is None and any(entry.rejection for entry in known.values())
            assert blockers or goes_back or lately, held


def blocker_of(held: Held) -> str | None:
    """Return the id of the booking that is named as being in the way; None where it is a stranger's."""
    if "by booking " not in held.detail:
        return None
    return held.detail.split("by booking ")[1].split(",")[0]


def settled_world(chance: random.Random, bookings: Iterable[CourtBooking]) -> World:
    world = World(chance)
    world.want(*bookings)
    world.run(world.plan())
    world.now_ms += 60_000
    return world


def places_of(chance: random.Random, count: int, *, mixed: bool) -> list[Slot]:
    """Return up to ``count`` slots on 3 courts of 12 hours that do not overlap."""
    if not mixed:
        return chance.sample([slot(court, hour) for court in range(3) for hour in range(12)], count)
    found: list[Slot] = []
    for _ in range(200):
        place = slot(chance.randrange(3), chance.randrange(48) / 4, chance.choice([0.5, 1, 1, 1.5, 2, 3]))
        if len(found) < count and not any(place.overlaps(other) for other in found):
            found.append(place)
    return found


def cycles(before: Mapping[str, Slot], after: Mapping[str, Slot]) -> int:
    """Return how many circles of two or more a permutation of equal slots has."""
    owner = {place: id_ for id_, place in before.items()}
    following = {id_: owner.get(place) for id_, place in after.items() if before.get(id_) != place}
    count, seen = 0, set[str]()
    for id_ in following:
        path: list[str] = []
        node: str | None = id_
        while node is not None and node in following and node not in seen:
            seen.add(node)
            path.append(node)
            node = following[node]
        count += node in path
    return count


# --- the promise: moves that cross ---


@SOME
@given(SEEDS, st.integers(1, 30))
@example(1, 30)
@example(2, 30)
def test_any_permutation_meets_no_overlap_and_one_extra_delete_per_cycle(seed: int, count: int) -> None:
    chance = random.Random(seed)
    before = places_of(chance, count, mixed=False)
    with settled_world(chance, (booking(n, place) for n, place in enumerate(before))) as world:
        only_among_themselves = chance.random() < 0.5
        after = chance.sample(before, count) if only_among_themselves else places_of(chance, count, mixed=False)
        world.want(*(booking(n, place) for n, place in enumerate(after)))
        made = world.plan()
        world.run(made)
        assert made.held == ()
        world.is_right([])
        was, is_ = ({str(n): place for n, place in enumerate(where)} for where in (before, after))
        assert world.takeouts == cycles(was, is_)
        assert len(made.writes) == sum(was[id_] != is_[id_] for id_ in was) + world.takeouts
        assert world.plan().writes == ()


@SOME
@given(SEEDS, st.integers(1, 30))
@example(1, 30)
def test_any_change_of_mixed_lengths_creates_and_deletes_meets_no_overlap(seed: int, count: int) -> None:
    chance = random.Random(seed)
    with settled_world(
        chance, (booking(n, place) for n, place in enumerate(places_of(chance, count, mixed=True)))
    ) as world:
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
def test_rings_are_cut_at_the_fewest_bookings(seed: int, count: int) -> None:
    chance = random.Random(seed)
    before = [booking(n, place) for n, place in enumerate(places_of(chance, count, mixed=True))]
    after = [booking(n, place) for n, place in enumerate(places_of(chance, len(before), mixed=True))]
    before, pairs = before[: len(after)], {each.id: each.slot for each in after}
    with settled_world(chance, before) as world:
        world.want(*after)
        waits = {
            each.id: [o.id for o in before if o.id != each.id and o.slot.overlaps(pairs[each.id])]
            for each in before
            if each.slot != pairs[each.id]
        }
        world.run(world.plan())
        assert world.takeouts == fewest_cuts(waits)


def fewest_cuts(waits: Mapping[str, Sequence[str]]) -> int:
    """Return how many must be taken out so that nobody waits in a circle, by trying everything."""

    def works(out: Sequence[str]) -> bool:
        left = {id_: {o for o in others if o in waits} - set(out) for id_, others in waits.items() if id_ not in out}
        while free := [id_ for id_, others in left.items() if not others & left.keys()]:
            for id_ in free:
                del left[id_]
        return not left

    return next(n for n in range(len(waits) + 1) if any(works(out) for out in combinations(waits, n)))


# --- anything at all ---


def edit(world: World, *, overlapping: bool) -> None:
    """Let the source change its mind: moves, swaps, cancels, news, and bookings nobody can read."""
    chance, count = world.chance, world.chance.randint(1, 24)
    everyone = sorted({*world.desired, *world.ledger.known, *map(str, range(count))}, key=int)
    if chance.random() < 0.5 and world.desired:
        places = [each.slot for each in world.desired.values()]
        everyone = sorted(world.desired, key=int)
    else:
        places = places_of(chance, count, mixed=chance.random() < 0.6)
    if overlapping:
        places += [slot(chance.randrange(3), chance.randrange(24) / 2, 1) for _ in range(4)]
    chosen = chance.sample(everyone, min(len(places), len(everyone)))
    chance.shuffle(places)
    world.desired = {id_: booking(id_, place) for id_, place in zip(chosen, places, strict=False)}
    gone = [id_ for id_ in world.ledger.known if id_ not in world.desired]
    world.withheld = set(chance.sample(gone, len(gone) // 3)) if chance.random() < 0.4 else set()


def trouble(chance: random.Random) -> Fate:
    """Return how writes end in a pass with faults: most are answered, some are lost, one may be the last."""
    level = chance.choice([0.0, 0.1, 0.4])
    kills = chance.choice([0.0, 0.0, 0.15])

    def fate(_: Write) -> str:
        if chance.random() < kills:
            return chance.choice(["killed before", "killed after"])
        if chance.random() < level:
            return chance.choice(["lost before", "lost after", "not sent"])
        return "answered"

    return fate


def refuse_some(world: World) -> None:
    contents = [(each.id, each.fingerprint) for each in world.desired.values()]
    world.judge.refuses = set(world.chance.sample(contents, min(len(contents), world.chance.choice([0, 0, 1, 3]))))
    world.judge.strangers = []
    for _ in range(world.chance.choice([0, 0, 1, 2])):
        place = slot(world.chance.randrange(3), world.chance.randrange(24) / 2, 1)
        if not any(place.overlaps(taken) for taken, _ in world.judge.there.values()):
            world.judge.strangers.append(place)


@settings(max_examples=3 * EXAMPLES, deadline=None)
@given(SEEDS, st.integers(1, 5), st.booleans())
def test_whatever_happened_no_write_ever_meets_one_of_ours(seed: int, passes: int, overlapping: bool) -> None:
    """Withheld deletes, lost answers, kills, refusals, open rings: the judge looks at every single write."""
    with World(random.Random(seed)) as world:
        for _ in range(passes):
            edit(world, overlapping=overlapping)
            refuse_some(world)
            made = world.plan()
            world.has_real_blockers(made)
            world.run(made, trouble(world.chance))
            world.now_ms += world.chance.choice([1, 60_000, -60_000, REFUSAL_LASTS_MS])
        clear_up(world)


def clear_up(world: World) -> None:
    """After one undisturbed pass nobody is out, all is right, and there is nothing left to write."""
    world.judge.refuses, world.judge.strangers = set(), []
    world.now_ms += 2 * REFUSAL_LASTS_MS
    made = world.run_pass()
    world.is_right(made.held)
    world.has_real_blockers(made)
    again = world.plan()
    assert again.writes == ()
    assert {each.id for each in again.held} == {each.id for each in made.held}


@settings(max_examples=3 * EXAMPLES // 2, deadline=None)
@given(SEEDS, st.integers(2, 30), st.integers(1, 3))
def test_where_some_are_refused_everybody_taken_out_is_back_in_the_same_pass(
    seed: int, count: int, refused: int
) -> None:
    chance = random.Random(seed)
    mixed = chance.random() < 0.5
    before = places_of(chance, count, mixed=mixed)
    with settled_world(chance, (booking(n, place) for n, place in enumerate(before))) as world:
        after = chance.sample(before, len(before)) if not mixed else places_of(chance, len(before), mixed=True)
        world.want(*(booking(n, place) for n, place in enumerate(after)))
        movers = [each for n, each in world.desired.items() if world.at(n) != each.slot]
        world.judge.refuses = {(each.id, each.fingerprint) for each in chance.sample(movers, min(refused, len(movers)))}
        world.run_pass()
        assert not world.taken_out()
        for id_, wanted in world.desired.items():
            was = before[int(id_)] if int(id_) < len(before) else None
            assert world.at(id_) in (wanted.slot, was)
        again = world.plan()
        assert again.writes == ()


@settings(max_examples=3 * EXAMPLES // 2, deadline=None)
@given(SEEDS, st.integers(2, 12))
def test_whatever_happens_to_one_write_of_a_ring_its_old_places_stay_free_for_it(seed: int, count: int) -> None:
    """Nobody outside moves in before the ring is done, so it can always go back the way it came."""
    chance = random.Random(seed)
    before = places_of(chance, count + 6, mixed=False)
    with settled_world(chance, (booking(n, place) for n, place in enumerate(before[:count]))) as world:
        after = [*chance.sample(before[:count], count), *before[count:]]
        chance.shuffle(after)
        world.want(*(booking(n, place) for n, place in enumerate(after[: count + 3])))
        steps = chance.randint(0, 2 * count)

        def fate(_: Write) -> str:
            nonlocal steps
            steps -= 1
            return "answered" if steps >= 0 else chance.choice(["killed before", "killed after"])

        world.run(world.plan(), fate)
        rings = {id_: entry.cycle for id_, entry in world.ledger.known.items() if entry.cycle}
        for id_, ring in rings.items():
            for other, (place, _) in world.judge.there.items():
                same = other in rings and rings[other].cycle == ring.cycle
                assert other == id_ or same or not place.overlaps(ring.slot)
        clear_up(world)


@SOME
@given(SEEDS, st.integers(2, 20))
def test_where_the_source_is_free_of_overlaps_nobody_is_held_or_out_after_a_kill(seed: int, count: int) -> None:
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
        assert not world.has_rings()
        world.is_right([])
        assert world.plan().writes == ()


# --- speed ---


def big_club(count: int, moves: int) -> Situation:
    """Return ``count`` bookings on 40 courts, of which ``moves`` cross."""
    chance = random.Random(1)
    grid = [slot(court, hour) for court in range(40) for hour in range(count // 20)]
    places = chance.sample(grid, count)
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


# --- examples ---


def test_nothing_to_do_is_an_empty_plan() -> None:
    here = slot(1, 9)
    assert plan([booking(1, here)], [standing(1, here)]) == Plan()
    assert plan() == Plan()


def test_a_known_booking_that_nobody_wants_and_nobody_deletes_stays_as_it_is() -> None:
    assert plan([], [standing(1, slot(1, 9))]) == Plan()


def test_a_new_booking_is_created_under_the_moment_it_was_first_seen() -> None:
    made = plan([booking(1, slot(1, 9))])
    (write,) = made.writes
    assert (write.verb, write.why, write.version_ms, write.sighted_ms) == (Verb.CREATE, "new", NOW_MS, NOW_MS)


def test_a_modification_time_is_the_version_and_the_sighting_is_remembered_all_the_same() -> None:
    new = replace(booking(1, slot(1, 9)), source_updated_at=DAY)
    (write,) = plan([new]).writes
    assert (write.version_ms, write.sighted_ms) == (to_ms(DAY), NOW_MS)


def test_a_delete_goes_under_the_moment_it_was_found_gone() -> None:
    (write,) = plan([], [standing(1, slot(1, 9))], ["1"]).writes
    assert (write.verb, write.slot, write.version_ms) == (Verb.DELETE, slot(1, 9), NOW_MS)
    assert (write.participants, write.fingerprint, write.why) == ((), ABSENT, "cancelled or gone in Launch27")


def test_a_chain_runs_from_its_free_end() -> None:
    known = [standing(n, slot(1, n)) for n in range(4)]
    made = plan([booking(n, slot(1, n + 1)) for n in range(4)], known)
    assert lines(made) == ["update 3", "update 2", "update 1", "update 0"]
    assert [write.after for write in made.writes] == [(), (0,), (1,), (2,)]


def test_a_vacated_slot_is_taken_after_the_delete() -> None:
    made = plan([booking(2, slot(1, 9))], [standing(1, slot(1, 9))], ["1"])
    assert lines(made) == ["delete 1", "create 2"]
    assert made.writes[1].after == (0,)


def test_a_swap_takes_one_out_and_puts_it_back_above_its_delete() -> None:
    known = [standing(1, slot(1, 9)), standing(2, slot(2, 9))]
    made = plan([booking(1, slot(2, 9)), booking(2, slot(1, 9))], known)
    out, move, back = made.writes
    assert lines(made) == ["delete 1", "update 2", "update 1"]
    assert (out.is_temporary, move.is_temporary, back.is_temporary) == (True, False, False)
    assert out.cycle == move.cycle == back.cycle
    assert out.places == (("1", slot(1, 9)), ("2", slot(2, 9))) or set(out.places) == {
        ("1", slot(1, 9)),
        ("2", slot(2, 9)),
    }
    assert back.version_ms > out.version_ms
    assert [write.after for write in made.writes] == [(), (0,), (0, 1)]
    assert "so that 2 bookings can change places" in out.why


def test_courts_do_not_wait_for_each_other_where_nobody_moves_between_them() -> None:
    known = [standing(n, slot(n, 9)) for n in range(5)]
    made = plan([booking(n, slot(n, 9.5)) for n in range(5)], known)
    assert all(write.after == () for write in made.writes)


def test_one_whose_answer_is_missing_stands_at_both_its_places() -> None:
    there = booking(1, slot(2, 9))
    entry = standing(1, slot(1, 9))._replace(
        unsettled=(Stored(2000, there.fingerprint, there.slot),),
        intended_version_ms=2000,
        intended_fingerprint=there.fingerprint,
    )
    wanted = [booking(1, slot(3, 9)), booking(2, slot(1, 9)), booking(3, slot(2, 9))]
    made = plan(wanted, [entry])
    assert lines(made) == ["update 1", "create 2", "create 3"]
    assert [write.after for write in made.writes] == [(), (0,), (0,)]
    assert made.writes[0].version_ms > 2000
    assert made.writes[0].why == "Wingfield's last answer is missing"


def test_what_was_lost_is_sent_again_under_the_same_version() -> None:
    there = booking(1, slot(2, 9))
    entry = standing(1, slot(1, 9))._replace(
        unsettled=(Stored(2000, there.fingerprint, there.slot),),
        intended_version_ms=2000,
        intended_fingerprint=there.fingerprint,
    )
    (write,) = plan([there], [entry]).writes
    assert write.version_ms == 2000


def test_one_that_grows_over_its_own_old_place_waits_for_nobody() -> None:
    (write,) = plan([booking(1, slot(1, 9, 2))], [standing(1, slot(1, 9))]).writes
    assert (write.after, write.why) == ((), "end changed")


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (booking(1, slot(2, 9)), "court changed"),
        (booking(1, slot(1, 10)), "start and end changed"),
        (booking(1, slot(2, 10)), "court and start and end changed"),
        (booking(1, slot(1, 9), ["other@example.com"]), "participants changed"),
    ],
)
def test_an_update_says_what_changed(wanted: CourtBooking, why: str) -> None:
    (write,) = plan([wanted], [standing(1, slot(1, 9))]).writes
    assert (write.verb, write.why) == (Verb.UPDATE, why)


def test_one_that_was_deleted_and_wanted_again_is_created_as_back_again() -> None:
    deleted = standing(1, slot(1, 9))._replace(acked_fingerprint=ABSENT, intended_fingerprint=ABSENT)
    (write,) = plan([booking(1, slot(1, 9))], [deleted]).writes
    assert (write.verb, write.why, write.version_ms) == (Verb.CREATE, "back again", 1001)


def test_one_that_was_taken_out_is_put_back_as_an_update() -> None:
    out = standing(1, slot(1, 9))._replace(acked_fingerprint=ABSENT, cycle=CyclePlace(1, slot(1, 9), is_deleted=True))
    (write,) = plan([booking(1, slot(2, 9))], [out]).writes
    assert (write.verb, write.why) == (Verb.UPDATE, "put back after it was taken out")


# --- held back ---


def test_one_whose_place_is_taken_by_one_that_stays_is_held_with_the_others_id() -> None:
    made = plan([booking(2, slot(1, 9.5))], [standing(1, slot(1, 9))])
    (held,) = made.held
    assert made.writes == ()
    assert (held.id, held.reason, blocker_of(held)) == ("2", "court_booking_overlap", "1")
    assert "court c1 is taken from 2026-11-21T09:30:00Z" in held.detail


def test_one_in_a_chain_behind_one_that_stays_is_held_too() -> None:
    known = [standing(n, slot(1, n)) for n in range(3)]
    made = plan([booking(0, slot(1, 1)), booking(1, slot(1, 2))], known)
    assert made.writes == ()
    assert {held.id: blocker_of(held) for held in made.held} == {"0": "1", "1": "2"}


def test_a_ring_that_cannot_be_finished_is_not_cut() -> None:
    """1 and 2 would swap, but 2 is as long as to reach into 3, which stays."""
    known = [standing(1, slot(1, 9)), standing(2, slot(2, 9)), standing(3, slot(1, 10))]
    made = plan([booking(1, slot(2, 9)), booking(2, slot(1, 9, 2))], known)
    assert made.writes == ()
    assert {held.id for held in made.held} == {"1", "2"}


def test_of_two_that_want_one_slot_the_one_that_stands_goes_before_the_new_one() -> None:
    made = plan([booking(1, slot(1, 9)), booking(2, slot(1, 9))], [standing(2, slot(2, 9))])
    assert lines(made) == ["update 2"]
    assert [(held.id, blocker_of(held)) for held in made.held] == [("1", "2")]


def test_of_two_new_ones_that_want_one_slot_the_lower_id_counts_as_a_number() -> None:
    made = plan([booking(10, slot(1, 9)), booking(9, slot(1, 9))])
    assert lines(made) == ["create 9"]
    assert [held.id for held in made.held] == ["10"]


def test_one_whose_rival_lost_elsewhere_moves_after_all() -> None:
    """9 wins against 10, but 9 is in the way of nobody once 1 has beaten it."""
    long, high = booking(9, slot(1, 9, 3)), booking(10, slot(1, 11))
    made = plan([booking(1, slot(1, 9)), long, high], [standing(1, slot(2, 9))])
    assert lines(made) == ["update 1", "create 10"]
    assert [held.id for held in made.held] == ["9"]


def test_one_that_is_stuck_is_held_and_keeps_others_from_its_place() -> None:
    known = [standing(1, slot(1, 9)), standing(2, slot(2, 9))]
    wanted = [booking(1, slot(3, 9)), booking(2, slot(1, 9))]
    made = plan(wanted, known, stuck={"1": FOREIGN})
    assert made.writes == ()
    assert {held.id: blocker_of(held) for held in made.held} == {"1": None, "2": "1"}


# --- refusals ---


def refused(reason: str, *, at_ms: int = NOW_MS, config: str = "cfg") -> Known:
    wanted = booking(1, slot(2, 9))
    return standing(1, slot(1, 9))._replace(rejection=Rejection(wanted.fingerprint, reason, config, at_ms))


@pytest.mark.parametrize(
    ("known", "is_sent"),
    [
        (refused("court_not_found"), False),
        (refused("court_not_found", at_ms=NOW_MS - REFUSAL_LASTS_MS + 1), False),
        (refused("court_not_found", at_ms=NOW_MS - REFUSAL_LASTS_MS), True),
        (refused("court_not_found", at_ms=NOW_MS + 1), True),
        (refused("court_not_found", config="older"), True),
        (refused("court_booking_overlap"), True),
        (refused("stale_write"), True),
        (refused("version_conflict"), True),
        (refused("a_word_of_tomorrow"), False),
        (refused("court_not_found")._replace(unsettled=(Stored(2000, b"x", slot(3, 9)),)), True),
        (refused("court_not_found")._replace(rejection=Rejection(b"other", "court_not_found", "cfg", NOW_MS)), True),
    ],
    ids=[
        "lately",
        "nearly an hour ago",
        "an hour ago",
        "in the future: the clock went back",
        "under another configuration",
        "an overlap",
        "a stale write",
        "a version conflict",
        "for a reason nobody knows",
        "but its place is in doubt",
        "but other content",
    ],
)
def test_what_was_refused_is_sent_again_only_where_that_makes_sense(known: Known, is_sent: bool) -> None:
    made = plan([booking(1, slot(2, 9))], [known])
    assert bool(made.writes) is is_sent
    assert [held.id for held in made.held] == ([] if is_sent else ["1"])


def test_a_refusal_is_explained_in_the_bridges_own_words() -> None:
    assert "compare [[courts]]" in refusal_detail("court_not_found", slot(1, 9))
    assert "tried again in an hour" in refusal_detail("a_word_of_tomorrow", slot(1, 9))
    assert refusal_detail("court_booking_overlap", slot(1, 9)).endswith("by a booking that is not ours")
    assert "every pass" in refusal_detail("stale_write", slot(1, 9))


def test_a_ring_of_which_one_met_a_stranger_lately_is_not_cut_again() -> None:
    wanted = [booking(1, slot(2, 9)), booking(2, slot(1, 9))]
    refusal = Rejection(wanted[0].fingerprint, "court_booking_overlap", "cfg", NOW_MS)
    known = [standing(1, slot(1, 9))._replace(rejection=refusal), standing(2, slot(2, 9))]
    made = plan(wanted, known)
    assert made.writes == ()
    assert {held.id for held in made.held} == {"1", "2"}


# --- rings that were cut, and something came between ---


def swapped(refuse: str) -> World:
    """A world of two that were to swap, of which one was refused."""
    world = settled_world(random.Random(1), [booking(0, slot(1, 0)), booking(1, slot(1, 1))])
    world.want(booking(0, slot(1, 1)), booking(1, slot(1, 0)))
    world.judge.refuses = {(refuse, world.desired[refuse].fingerprint)}
    world.run_pass()
    return world


def test_one_taken_out_goes_back_where_another_of_its_ring_is_refused() -> None:
    with swapped("1") as world:
        assert (world.at("0"), world.at("1")) == (slot(1, 0), slot(1, 1))
        assert not world.has_rings()
        assert world.plan().writes == ()


def test_one_taken_out_and_refused_goes_back_to_its_old_place_in_the_same_pass() -> None:
    with swapped("0") as world:
        assert (world.at("0"), world.at("1")) == (slot(1, 0), slot(1, 1))


def test_a_ring_that_went_back_is_not_cut_again_while_the_refusal_lasts() -> None:
    with swapped("0") as world:
        assert world.plan().writes == ()
        world.now_ms += REFUSAL_LASTS_MS
        assert lines(world.plan()) == ["delete 0", "update 1", "update 0"]


def test_two_rings_of_one_plan_are_two_in_the_ledger() -> None:
    with settled_world(random.Random(1), [booking(n, slot(1, n)) for n in range(4)]) as world:
        world.want(*(booking(n, slot(1, n ^ 1)) for n in range(4)))
        made = world.plan()
        world.ledger.record([write for write in made.writes if write.is_temporary], [])
        rings = {id_: entry.cycle.cycle for id_, entry in world.ledger.known.items() if entry.cycle}
        assert rings["0"] == rings["1"] != rings["2"] == rings["3"]


def test_a_ring_that_cannot_go_back_is_left_as_it_is() -> None:
    """0 is out, 1 took its place and may not move again, 2 is where it belongs: it stays there."""
    ring = {n: CyclePlace(7, slot(1, n), is_deleted=n == 0) for n in range(3)}
    out = standing(0, slot(1, 0))._replace(acked_fingerprint=ABSENT, cycle=ring[0])
    known = [
        out,
        standing(1, slot(1, 0))._replace(cycle=ring[1]),
        standing(2, slot(1, 1))._replace(cycle=ring[2]),
        standing(9, slot(2, 0)),
    ]
    made = plan([booking(0, slot(2, 0)), booking(2, slot(1, 1))], known)
    assert made.writes == ()
    assert [(held.id, blocker_of(held)) for held in made.held] == [("0", "9")]


def test_one_that_is_out_and_no_longer_wanted_leaves_the_others_alone() -> None:
    ring = CyclePlace(7, slot(1, 0), is_deleted=True)
    out = standing(0, slot(1, 0))._replace(acked_fingerprint=ABSENT, cycle=ring)
    moved = standing(1, slot(1, 0))._replace(cycle=CyclePlace(7, slot(1, 1), is_deleted=False))
    made = plan([booking(1, slot(1, 0))], [out, moved], ["0"])
    assert lines(made) == ["delete 0"]


@settings(max_examples=EXAMPLES, deadline=None)
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
