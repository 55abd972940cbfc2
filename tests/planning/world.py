"""A tiny Wingfield that rejects overlaps, stale versions and conflicting ones, and a world around it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bridge.ledger.entry import Ending, Outcome
from bridge.ledger.store import Ledger
from bridge.model import ABSENT, CourtBooking, Held, Slot, Stored, Verb, Write, to_ms
from bridge.planning.planner import Plan, make_plan
from bridge.planning.situation import FOREIGN, REJECTION_LASTS_MS, Deletion, Situation
from bridge.records import Identity
from tests.support.builders import NOON, booking, slot

NOW_MS = to_ms(NOON)
NOWHERE = Path("/nonexistent/state.db")


class Judge:
    """Wingfield's rules, and nothing else; ``rejects`` are contents it rejects for their own sake."""

    def __init__(self) -> None:
        self.there: dict[str, tuple[Slot, bytes]] = {}
        self.versions: dict[str, tuple[int, bytes]] = {}
        self.strangers: list[Slot] = []
        self.rejects: set[tuple[str, bytes]] = set()

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
            if rejection := self._rejection(write, write.slot):
                return rejection
            self.there[write.id] = write.slot, write.fingerprint
        self.versions[write.id] = write.version_ms, write.fingerprint
        return None

    def _rejection(self, write: Write, place: Slot) -> str | None:
        if (write.id, write.fingerprint) in self.rejects:
            return "court_not_found"
        for other, (taken, _) in self.there.items():
            if other != write.id and taken.overlaps(place):
                return f"overlaps {other}"
        if any(stranger.overlaps(place) for stranger in self.strangers):
            return "court_booking_overlap"
        return None


Fate = Callable[[Write], str]
"""How a write ends: answered, lost before or after it was applied, not sent, or killed around it."""


def fine(_: Write) -> str:
    return "answered"


@dataclass
class World:
    """A judge, a ledger, what the source wants, and a clock."""

    chance: random.Random
    judge: Judge = field(default_factory=Judge)
    ledger: Ledger = field(default_factory=lambda: Ledger.snapshot(NOWHERE, Identity("h", "w", "s", "")))
    desired: dict[str, CourtBooking] = field(default_factory=dict)
    withheld: set[str] = field(default_factory=set)
    now_ms: int = NOW_MS
    detours: int = 0
    rejections: list[tuple[str, str]] = field(default_factory=list)
    repeats: dict[str, int] = field(default_factory=dict)
    """The newest version of those whose last answer is missing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ledger.close()

    def want(self, *bookings: CourtBooking) -> None:
        self.desired.update((each.id, each) for each in bookings)

    def plan(self, stuck: Mapping[str, str] | None = None, *, deleting: bool = True) -> Plan:
        known = dict(self.ledger.known)
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
        self.detours += write.is_temporary
        reason = self.judge.answer(write)
        if reason is not None:
            assert reason in ("court_not_found", "court_booking_overlap"), f"{reason} for {write}"
            self.rejections.append((write.id, reason))
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
        """Plan and execute, and again while something was rejected or a cycle came to its end.

        That is what a pass does. Returns the last plan.
        """
        self.clear_doubts()
        made, rejected = self.plan(), set[str]()
        for _ in range(5):
            had_open = self.has_cycles()
            endings = self.run(made)
            now_rejected = {made.writes[i].id for i, ending in endings.items() if ending is Ending.REJECTED}
            rejected |= now_rejected
            has_open = self.has_cycles()
            waited = bool(now_rejected) and len(endings) < len(made.writes)
            if not (has_open or waited or had_open):
                break
            made = self.plan(dict.fromkeys(rejected, FOREIGN), deleting=False)
        return made

    def clear_doubts(self) -> None:
        """Read back those in doubt that are not written in this pass."""
        for id_, entry in list(self.ledger.known.items()):
            if entry.unsettled and id_ in self.withheld:
                self.ledger.record([], [self.read(id_)])

    def has_cycles(self) -> bool:
        return any(entry.cycle for entry in self.ledger.known.values())

    # --- what must be true ---

    def at(self, id_: str) -> Slot | None:
        return self.judge.there[id_][0] if id_ in self.judge.there else None

    def temporarily_deleted(self) -> set[str]:
        """Return what is out of Wingfield for a moment, as far as the ledger knows."""
        known = self.ledger.known
        return {id_ for id_, entry in known.items() if entry.is_temporarily_deleted and not entry.is_bridged}

    def is_right(self, held: Iterable[Held]) -> None:
        """All stand where the source wants, but for those held for a reason; none is temporarily deleted."""
        excused = {each.id for each in held}
        for id_, wanted in self.desired.items():
            if id_ not in excused:
                assert self.judge.there.get(id_) == (wanted.slot, wanted.fingerprint), id_
        assert not self.temporarily_deleted() & self.desired.keys() - excused
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
        """None is held for nothing: its place is taken, or it is of a cycle, or a stranger had its place."""
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
        return chance.sample([slot(hour, court) for court in range(3) for hour in range(12)], count)
    found: list[Slot] = []
    for _ in range(200):
        place = slot(chance.randrange(48) / 4, chance.randrange(3), chance.choice([0.5, 1, 1, 1.5, 2, 3]))
        if len(found) < count and not any(place.overlaps(other) for other in found):
            found.append(place)
    return found


def count_cycles(before: Mapping[str, Slot], after: Mapping[str, Slot]) -> int:
    """Return how many cycles of two or more a permutation of equal slots has."""
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


def edit(world: World, *, overlapping: bool) -> None:
    """Let the source change its mind: moves, swaps, cancels, news, and bookings that cannot be read."""
    chance, count = world.chance, world.chance.randint(1, 24)
    everyone = sorted({*world.desired, *world.ledger.known, *map(str, range(count))}, key=int)
    if chance.random() < 0.5 and world.desired:
        places = [each.slot for each in world.desired.values()]
        everyone = sorted(world.desired, key=int)
    else:
        places = places_of(chance, count, mixed=chance.random() < 0.6)
    if overlapping:
        places += [slot(chance.randrange(24) / 2, chance.randrange(3), 1) for _ in range(4)]
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


def reject_some(world: World) -> None:
    contents = [(each.id, each.fingerprint) for each in world.desired.values()]
    rejected = min(len(contents), world.chance.choice([0, 0, 1, 3]))
    world.judge.rejects = set(world.chance.sample(contents, rejected))
    world.judge.strangers = []
    for _ in range(world.chance.choice([0, 0, 1, 2])):
        place = slot(world.chance.randrange(24) / 2, world.chance.randrange(3), 1)
        if not any(place.overlaps(taken) for taken, _ in world.judge.there.values()):
            world.judge.strangers.append(place)


def clear_up(world: World) -> None:
    """After one undisturbed pass all is right, and there is nothing left to write."""
    world.judge.rejects, world.judge.strangers = set(), []
    world.now_ms += 2 * REJECTION_LASTS_MS
    made = world.run_pass()
    world.is_right(made.held)
    world.has_real_blockers(made)
    again = world.plan()
    assert again.writes == ()
    assert {each.id for each in again.held} == {each.id for each in made.held}
