"""What is wanted, what is known, and now → the plan. Pure.

The story of a plan:

    1. sort     what is in sync, what waits out a rejection, what has to move (here)
    2. settle   what has its place taken by one that cannot move: held, so that it breaks no cycle
                (settlement.py)
    3. restore  cycles that were broken and can no longer be finished go back to where they stood (here)
    4. arrange  the writes, each after those that free its slot; cycles cut (here, and order.py)

Bookings whose last write is unanswered stand at every place they may stand at (``Known.places``).
What may be deleted is decided elsewhere (``deletes.py``); versions are ``versions.py``'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from bridge.model import ABSENT, CourtBooking, CyclePlace, Held, Known, Verb, Write, fingerprint
from bridge.planning import order
from bridge.planning.settlement import settle, waits
from bridge.planning.situation import FOREIGN, Deletion, Situation, overlap
from bridge.planning.versions import booking_version, first_sight_ms, next_version

DRIFTED = "somebody else changed it in Wingfield"


@dataclass(frozen=True, slots=True)
class Plan:
    """What one pass would write, in which order, and what is ``blocked`` by which booking: "" for one not of ours."""

    writes: tuple[Write, ...] = ()
    held: tuple[Held, ...] = ()
    blocked: Mapping[str, str] = field(default_factory=dict)


def make_plan(situation: Situation) -> Plan:
    """Return the writes of one pass, in an order that Wingfield never has to reject."""
    movers, rejected = _sort(situation)
    entries = situation.known.values()
    if not movers and not situation.deletions and not any(entry.cycle for entry in entries):
        return Plan((), tuple(rejected.values()))
    standing = order.Occupancy((entry.id, slot) for entry in entries for slot in entry.places)
    goals, blocked = _restore(situation, standing, movers, rejected)
    moving = {id_: goal for id_, goal in goals.items() if id_ not in blocked}
    in_the_way = _in_the_way(situation, goals, blocked)
    overlaps = {id_: overlap(situation.desired[id_], blocker) for id_, blocker in in_the_way.items()}
    # What was rejected may be just what a cycle's booking goes back to, lest it stay deleted.
    held = {id_: each for id_, each in {**overlaps, **rejected}.items() if id_ not in moving or id_ in overlaps}
    writes = _Arrangement(situation, moving, waits(situation, standing, moving)).run()
    return Plan(tuple(writes), tuple(held.values()), in_the_way)


# --- 1. sort ---


def _sort(situation: Situation) -> tuple[dict[str, CourtBooking], dict[str, Held]]:
    """Return what has to be written, and what was rejected lately; what is in sync is in neither."""
    movers: dict[str, CourtBooking] = {}
    rejected: dict[str, Held] = {}
    for id_, booking in situation.desired.items():
        known = situation.known.get(id_)
        if known and known.stands_as(booking.fingerprint):
            continue
        if known and (rejection := situation.lasting_rejection(booking)):
            rejected[id_] = rejection
        else:
            movers[id_] = booking
    return movers, rejected


# --- 3. restore ---


def _restore(
    situation: Situation, standing: order.Occupancy, movers: dict[str, CourtBooking], rejected: Mapping[str, Held]
) -> tuple[dict[str, CourtBooking], dict[str, str]]:
    """Settle; where a temporarily deleted booking cannot be put where it belongs, its cycle moves back.

    Returns the goals (what to write for which booking), and which of them are blocked by what.
    """
    goals, blocked = movers, settle(situation, standing, movers)
    as_wanted = goals, blocked
    stranded = blocked.keys() | rejected.keys()
    cycles = [places for places in broken_cycles(situation.known) if _deleted(places) & stranded]
    while cycles:
        back = (pair for places in cycles for pair in _old_places(situation, places))
        goals = {**movers, **dict(back)}
        blocked = settle(situation, standing, goals)
        can_go_back = [places for places in cycles if not _deleted(places) & blocked.keys()]
        if can_go_back == cycles:
            break
        cycles = can_go_back
        goals, blocked = as_wanted
    return goals, blocked


def broken_cycles(known: Mapping[str, Known]) -> list[dict[str, CyclePlace]]:
    """Return the cycles of which a booking is, or was, temporarily deleted: by id, where each of it stood."""
    cycles: dict[int, dict[str, CyclePlace]] = {}
    for entry in known.values():
        if entry.cycle is not None:
            cycles.setdefault(entry.cycle.cycle, {})[entry.id] = entry.cycle
    return list(cycles.values())


def _deleted(places: Mapping[str, CyclePlace]) -> set[str]:
    return {id_ for id_, place in places.items() if place.is_deleted}


def _old_places(situation: Situation, places: Mapping[str, CyclePlace]) -> Iterator[tuple[str, CourtBooking]]:
    """Yield, for each of a cycle that is not at its old place for sure, the booking as it was there."""
    for id_, place in places.items():
        booking = situation.desired.get(id_)
        known = situation.known[id_]
        if booking is not None and (known.unsettled or known.slot != place.slot):
            content = fingerprint(place.slot, booking.participants)
            yield id_, replace(booking, slot=place.slot, fingerprint=content)


def _in_the_way(situation: Situation, goals: Mapping[str, CourtBooking], blocked: Mapping[str, str]) -> dict[str, str]:
    """Return every booking whose place is taken, with what is in its way in the end."""
    displaced = (id_ for id_, goal in goals.items() if goal.slot != situation.desired[id_].slot)
    in_the_way = {**dict.fromkeys(displaced, FOREIGN), **blocked}
    moving = {id_: goal.slot for id_, goal in goals.items() if id_ not in blocked}
    gone = moving.keys() | situation.deletions.keys()
    staying = ((each.id, slot) for each in situation.known.values() if each.id not in gone for slot in each.places)
    finally_at = order.Occupancy([*moving.items(), *staying])
    for id_, blocker in in_the_way.items():
        others = (other for other in finally_at.overlapping(situation.desired[id_].slot) if other != id_)
        in_the_way[id_] = next(others, blocker)
    return in_the_way


# --- 4. arrange ---


@dataclass(slots=True)
class _Arrangement:
    """Turns what waits for what into writes; ``freed_by`` says which writes free a booking's old places."""

    situation: Situation
    moving: Mapping[str, CourtBooking]
    graph: Mapping[str, list[str]]
    writes: list[Write] = field(default_factory=list)
    freed_by: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def run(self) -> list[Write]:
        for component in order.components(self.graph):
            if len(component) > 1:
                self._break_cycle(component)
            else:
                (id_,) = component
                write = self._put(id_) if id_ in self.moving else self._delete(self.situation.deletions[id_])
                self.freed_by[id_] = (self._add(write, after=self._after(self.graph[id_])),)
        return self.writes

    def _add(self, write: Write, **changes: object) -> int:
        self.writes.append(replace(write, **changes))  # type: ignore[arg-type]
        return len(self.writes) - 1

    def _after(self, waits_for: Iterable[str]) -> tuple[int, ...]:
        return tuple(sorted({index for other in waits_for for index in self.freed_by[other]}))

    def _break_cycle(self, cycle: list[str]) -> None:
        """Delete some, move the others, recreate those: all of it, or (as far as can be known) none.

        Nothing is deleted before all that the cycle waits for outside has left, and nothing from outside
        moves in before the cycle is done, so that it can still go back the way it came.
        """
        # By this number the ledger keeps the cycle together.
        number = int.from_bytes(blake2b("\n".join(sorted(cycle)).encode(), digest_size=6).digest())
        inside = set(cycle)
        lost = {id_: [each.fingerprint for each in self.situation.known[id_].unsettled] for id_ in cycle}
        cut = order.cuts(cycle, self.graph, frozenset(id_ for id_ in cycle if ABSENT in lost[id_]))
        outside = self._after(other for id_ in cycle for other in self.graph[id_] if other not in inside)
        places = tuple((id_, self.situation.known[id_].places[0]) for id_ in cycle)
        why = f"temporarily deleted, and recreated at once, so that {len(places)} bookings can change places"
        for id_ in cut:
            delete = self._delete(Deletion(id_, why, self.situation.now_ms))
            index = self._add(delete, is_temporary=True, places=places, after=outside, cycle=number)
            self.freed_by[id_] = (index,)
        moved = []
        left = inside.difference(cut)
        inner = {id_: [other for other in self.graph[id_] if other in left] for id_ in sorted(left)}
        for id_ in (id_ for component in order.components(inner) for id_ in component):
            after = self._after(other for other in self.graph[id_] if other in inside)
            moved.append(self._add(self._put(id_), after=after, cycle=number))
            self.freed_by[id_] = (moved[-1],)
        back = []
        for id_ in cut:
            put, after = self._put(id_), (*self.freed_by[id_], *moved)
            version_ms = max(put.version_ms, self.writes[after[0]].version_ms + 1)
            back.append(self._add(put, version_ms=version_ms, after=after, cycle=number))
        self.freed_by.update(dict.fromkeys(cycle, tuple(back)))

    def _put(self, id_: str) -> Write:
        booking, known = self.moving[id_], self.situation.known.get(id_)
        now_ms = self.situation.now_ms
        is_wanted = booking is self.situation.desired[id_]
        why = DRIFTED if id_ in self.situation.drifted else _why(known, booking)
        return Write(
            verb=Verb.UPDATE if known and (known.slot or known.cycle) else Verb.CREATE,
            id=id_,
            slot=booking.slot,
            participants=booking.participants,
            fingerprint=booking.fingerprint,
            version_ms=booking_version(known, booking, now_ms),
            why=why if is_wanted else "back to its old place: its cycle could not finish",
            sighted_ms=first_sight_ms(known, booking.fingerprint, now_ms) if is_wanted else 0,
        )

    def _delete(self, deletion: Deletion) -> Write:
        known = self.situation.known[deletion.id]
        version_ms = next_version(known, ABSENT, deletion.found_ms)
        return Write(Verb.DELETE, deletion.id, known.last_slot, (), ABSENT, version_ms, deletion.why)


def _why(known: Known | None, booking: CourtBooking) -> str:
    """Return in words what makes this booking worth a request."""
    if known is None:
        return "new"
    if known.is_temporarily_deleted and not known.acked_fingerprint:
        return "recreated after it was temporarily deleted"
    if known.unsettled:
        return "Wingfield's last answer is missing"
    if not known.acked_fingerprint:
        return "back again" if known.acked_version_ms else "new"
    before, after = known.slot, booking.slot
    if before is None or before == after:
        return "participants changed"
    names = ("court_id", "start", "end")
    changed = [name for name in names if getattr(before, name) != getattr(after, name)]
    return f"{' and '.join(changed).replace('court_id', 'court')} changed"
