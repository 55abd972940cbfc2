"""What is wanted, what is known, and now → the plan. Pure.

The story of a plan, in the order of this file:

    1. sort     who is in step, who waits out a refusal, who has to move (``_sort``)
    2. settle   whose place is taken by one that cannot move: held, so that it cuts no ring (``_Settlement``)
    3. mend     rings that were cut and can no longer be finished go back to where they stood (``_mend``)
    4. arrange  the writes, each after those that free its slot; rings cut, and put back (``_arrange``)

Bookings whose last write is unanswered stand at every place they may stand at (``Known.places``).
The deletes are decided elsewhere (``deletes.py``); versions are ``versions.py``'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b

from bridge.model import (
    ABSENT,
    CourtBooking,
    Deletion,
    Held,
    Known,
    Plan,
    Reason,
    RingPlace,
    Slot,
    Verb,
    Write,
    fingerprint,
    isoformat,
)
from bridge.planning import order
from bridge.planning.versions import booking_version, deletion_version, first_sight_ms, next_version

REFUSAL_LASTS_MS = 3_600_000
"""What was refused for its content is not sent again for an hour."""

STRANGER = ""
"""Stands for the id of a booking that is not ours."""

_TRIED_EVERY_PASS = frozenset({Reason.OVERLAP, "stale_write", "version_conflict"})
"""Refusals that say nothing of the content: what stood in the way may be gone by the next pass."""


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a plan depends on.

    ``desired`` is what the source wants, ``known`` the ledger, ``deletions`` the deletes that may be
    sent. A known booking in neither stays as it is. ``config`` is the fingerprint of the configuration.
    ``stuck`` are bookings that cannot have what they want now, each with what is in its way.
    """

    desired: Mapping[str, CourtBooking]
    known: Mapping[str, Known]
    deletions: Mapping[str, Deletion]
    config: str
    now_ms: int
    stuck: Mapping[str, str] = field(default_factory=dict)


def make_plan(situation: Situation) -> Plan:
    """Return the writes of one pass, in an order that Wingfield never has to refuse."""
    sorted_ = _sort(situation)
    is_mending = any(entry.is_taken_out for entry in situation.known.values())
    if not sorted_.movers and not situation.deletions and not is_mending:
        return Plan((), tuple(sorted_.refused.values()))
    entries = situation.known.values()
    standing = order.Occupancy((entry.id, slot) for entry in entries for slot in entry.places)
    goals, settlement, held = _mend(situation, standing, sorted_)
    moving = {id_: goals[id_] for id_ in goals if id_ not in settlement.blocked}
    graph = _waits(moving, situation, standing)
    writes = _Arrangement(situation, moving, graph).run()
    return Plan(tuple(writes), tuple(held))


# --- 1. sort ---


@dataclass(frozen=True, slots=True)
class _Sorted:
    movers: dict[str, CourtBooking]
    refused: dict[str, Held]


def _sort(situation: Situation) -> _Sorted:
    """Tell apart who is in step, who was refused lately, and who has to be written."""
    movers: dict[str, CourtBooking] = {}
    refused: dict[str, Held] = {}
    for id_, booking in situation.desired.items():
        known = situation.known.get(id_)
        if known is None:
            movers[id_] = booking
        elif known.stands_as(booking.fingerprint):
            continue
        elif refusal := _lasting_refusal(known, booking, situation):
            refused[id_] = refusal
        else:
            movers[id_] = booking
    return _Sorted(movers, refused)


def _lasting_refusal(known: Known, booking: CourtBooking, situation: Situation) -> Held | None:
    """Return why this very content need not be sent again yet; an overlap may be over at any time."""
    if known.refusal is None or known.refusal.reason in _TRIED_EVERY_PASS or known.unsettled:
        return None
    if not _still_refused(known, booking, situation):
        return None
    return Held(booking.id, known.refusal.reason, refusal_detail(known.refusal.reason, booking.slot))


def _still_refused(known: Known, booking: CourtBooking, situation: Situation) -> bool:
    refusal = known.refusal
    return (
        refusal is not None
        and refusal.fingerprint == booking.fingerprint
        and refusal.config == situation.config
        and 0 <= situation.now_ms - refusal.at_ms < REFUSAL_LASTS_MS
    )


def refusal_detail(reason: str, slot: Slot) -> str:
    """Return the bridge's own sentence about a refusal by Wingfield."""
    if reason == Reason.OVERLAP:
        return f"court {slot.court_id} is taken from {isoformat(slot.start)} by a booking that is not ours"
    advice = _ADVICE.get(reason, "change the booking or the configuration; tried again in an hour")
    return f"Wingfield refused it for court {slot.court_id} at {isoformat(slot.start)}: {advice}"


_ADVICE = {
    "court_not_found": 'there is no such court; compare [[courts]] with "courtbridge courts"',
    "user_access_denied": "a participant has not accepted this external service",
    "organization_access_denied": "the club has not granted this external service access; ask it to",
    "stale_write": "it has a newer version there; tried again in every pass",
    "version_conflict": "it has the same version with other content there; tried again in every pass",
}


# --- 2. settle ---


@dataclass
class _Settlement:
    """Which movers can reach their target: ``blocked`` says for the others who is in the way.

    A booking that cannot move keeps its place and may block others in turn. Of two that want the same
    slot, one that already stands in Wingfield goes before a new one, then the lower id.
    """

    situation: Situation
    standing: order.Occupancy
    targets: dict[str, Slot]
    blocked: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        for id_, reason in list(self.blocked.items()):
            self._block(id_, reason)
        for id_ in self.targets:
            if id_ not in self.blocked and (blocker := self._immovable_in_the_way(id_)) is not None:
                self._block(id_, blocker)
        if rivals := self._rivals:
            self._decide_between(rivals)

    @cached_property
    def wanted(self) -> order.Occupancy:
        return order.Occupancy(self.targets.items())

    def _is_leaving(self, id_: str) -> bool:
        moves = id_ in self.targets and id_ not in self.blocked
        return moves or id_ in self.situation.deletions

    def _immovable_in_the_way(self, id_: str) -> str | None:
        for other in self.standing.overlapping(self.targets[id_]):
            if other != id_ and not self._is_leaving(other):
                return other
        return None

    def _places(self, id_: str) -> tuple[Slot, ...]:
        known = self.situation.known.get(id_)
        return () if known is None else known.places

    def _staying_blocks(self, id_: str) -> dict[str, str]:
        """Return everybody who is blocked, directly or not, when ``id_`` stays, with its blocker."""
        found: dict[str, str] = {}
        queue = [id_]
        while queue:
            stays = queue.pop()
            for place in self._places(stays):
                for other in self.wanted.overlapping(place):
                    if other not in (stays, id_) and other not in self.blocked and other not in found:
                        found[other] = stays
                        queue.append(other)
        return found

    def _block(self, id_: str, blocker: str) -> None:
        consequences = self._staying_blocks(id_)
        self.blocked[id_] = blocker
        self.blocked.update(consequences)

    @cached_property
    def _rivals(self) -> list[str]:
        """Return the movers whose target another mover wants as well, the first to be served first."""
        rivals = {
            id_
            for id_, target in self.targets.items()
            if any(other != id_ for other in self.wanted.overlapping(target))
        }
        return sorted(rivals, key=self._rank)

    def _rank(self, id_: str) -> tuple[int, int, str]:
        """Who is served first: a ring under way, then those that stand in Wingfield, then the lower id."""
        known = self.situation.known.get(id_)
        if known is None:
            return 2, len(id_), id_
        return (0 if known.ring else 1 if known.places else 2), len(id_), id_

    def _decide_between(self, rivals: list[str]) -> None:
        lost: list[str] = []
        winners: set[str] = set()
        for id_ in rivals:
            if id_ in self.blocked:
                continue
            for rival in self._winners_in_the_way(id_, winners):
                if id_ not in self.blocked and rival not in self.blocked:
                    loser, winner = (id_, rival)
                    if rival in self._staying_blocks(id_):
                        loser, winner = (rival, id_)
                    before = set(self.blocked)
                    self._block(loser, winner)
                    lost += [other for other in self.blocked if other not in before]
            winners.add(id_)
        self._give_another_chance(lost)

    def _winners_in_the_way(self, id_: str, winners: set[str]) -> list[str]:
        overlapping = self.wanted.overlapping(self.targets[id_])
        return [other for other in overlapping if other != id_ and other in winners]

    def _give_another_chance(self, lost: list[str]) -> None:
        """Let those move after all whose way was cleared by another's loss, until nothing changes."""
        waiting = sorted(set(lost), key=self._rank)
        changed = True
        while changed:
            changed = False
            for id_ in waiting:
                if id_ in self.blocked and self._is_free(id_):
                    del self.blocked[id_]
                    changed = True

    def _is_free(self, id_: str) -> bool:
        target = self.targets[id_]
        wanted = (other for other in self.wanted.overlapping(target) if other not in self.blocked)
        return self._immovable_in_the_way(id_) is None and all(other == id_ for other in wanted)


def _settle(
    situation: Situation, standing: order.Occupancy, movers: Mapping[str, CourtBooking]
) -> _Settlement:
    """Find out who can move; a ring is cut only if none of it was refused by a stranger's booking lately."""
    stuck = {
        id_: situation.stuck[id_]
        for id_, goal in movers.items()
        if id_ in situation.stuck and goal is situation.desired[id_]
    }
    targets = {id_: mover.slot for id_, mover in movers.items()}
    while True:
        settlement = _Settlement(situation, standing, targets, dict(stuck))
        settlement.run()
        moving = {id_: movers[id_] for id_ in movers if id_ not in settlement.blocked}
        refused = {
            id_
            for ring in order.rings(_waits(moving, situation, standing))
            for id_ in ring
            if (known := situation.known.get(id_)) and _still_refused(known, movers[id_], situation)
        }
        if not refused:
            return settlement
        stuck.update(dict.fromkeys(refused, STRANGER))


# --- 3. mend ---


def _mend(
    situation: Situation, standing: order.Occupancy, sorted_: _Sorted
) -> tuple[dict[str, CourtBooking], _Settlement, list[Held]]:
    """Settle; where a booking that was taken out cannot be put where it belongs, its ring moves back.

    Returns the goals (what to write for whom), who of them is blocked, and everybody held.
    """
    goals, settlement = sorted_.movers, _settle(situation, standing, sorted_.movers)
    as_wanted = goals, settlement
    stranded = settlement.blocked.keys() | sorted_.refused.keys()
    rings = [places for places in _open_rings(situation.known) if _taken_out(places) & stranded]
    while rings:
        back = (pair for places in rings for pair in _old_places(situation, places))
        goals = {**sorted_.movers, **dict(back)}
        settlement = _settle(situation, standing, goals)
        can_go_back = [places for places in rings if not _taken_out(places) & settlement.blocked.keys()]
        if can_go_back == rings:
            break
        rings = can_go_back
        goals, settlement = as_wanted
    return goals, settlement, _held(situation, sorted_, goals, settlement)


def _taken_out(places: Mapping[str, RingPlace]) -> set[str]:
    return {id_ for id_, place in places.items() if place.taken_out}


def _held(
    situation: Situation, sorted_: _Sorted, goals: Mapping[str, CourtBooking], settlement: _Settlement
) -> list[Held]:
    """Return everybody who does not get what the source wants, with what is in the way in the end."""
    displaced = (id_ for id_, goal in goals.items() if goal.slot != situation.desired[id_].slot)
    blocked = {**dict.fromkeys(displaced, STRANGER), **settlement.blocked}
    finally_at = _final_places(situation, goals, settlement)
    held = dict(sorted_.refused)
    for id_, blocker in blocked.items():
        if id_ not in held:
            in_the_way = (o for o in finally_at.overlapping(situation.desired[id_].slot) if o != id_)
            held[id_] = _overlap(situation, id_, next(in_the_way, blocker))
    return list(held.values())


def _final_places(
    situation: Situation, goals: Mapping[str, CourtBooking], settlement: _Settlement
) -> order.Occupancy:
    """Return where everybody stands when all that can move has moved."""
    moving = {id_: goal.slot for id_, goal in goals.items() if id_ not in settlement.blocked}
    staying = (
        (entry.id, slot)
        for entry in situation.known.values()
        if entry.id not in moving and entry.id not in situation.deletions
        for slot in entry.places
    )
    return order.Occupancy([*moving.items(), *staying])


def _open_rings(known: Mapping[str, Known]) -> list[dict[str, RingPlace]]:
    rings: dict[int, dict[str, RingPlace]] = {}
    for entry in known.values():
        if entry.ring is not None:
            rings.setdefault(entry.ring.ring, {})[entry.id] = entry.ring
    return list(rings.values())


def _old_places(situation: Situation, places: Mapping[str, RingPlace]) -> Iterator[tuple[str, CourtBooking]]:
    """Yield, for each of a ring that is not at its old place for sure, the booking as it was there."""
    for id_, place in places.items():
        booking = situation.desired.get(id_)
        known = situation.known[id_]
        if booking is not None and (known.unsettled or known.slot != place.slot):
            content = fingerprint(place.slot, booking.participants)
            yield id_, replace(booking, slot=place.slot, fingerprint=content)


def _overlap(situation: Situation, id_: str, blocker: str) -> Held:
    slot = situation.desired[id_].slot
    if blocker == STRANGER:
        return Held(id_, Reason.OVERLAP, refusal_detail(Reason.OVERLAP, slot))
    where = f"court {slot.court_id} is taken from {isoformat(slot.start)}"
    return Held(id_, Reason.OVERLAP, f"{where} by booking {blocker}, which cannot move")


# --- 4. arrange ---


def _waits(
    moving: Mapping[str, CourtBooking], situation: Situation, standing: order.Occupancy
) -> dict[str, list[str]]:
    """Return for each booking that is written those that must have left its target before."""
    graph: dict[str, list[str]] = {id_: [] for id_ in situation.deletions}
    for id_, booking in moving.items():
        found = dict.fromkeys(standing.overlapping(booking.slot))
        graph[id_] = [other for other in found if other != id_]
    return graph


@dataclass(slots=True)
class _Arrangement:
    """Turns who-waits-for-whom into writes; ``freed_by`` says which writes free a booking's old places."""

    situation: Situation
    moving: Mapping[str, CourtBooking]
    graph: Mapping[str, list[str]]
    writes: list[Write] = field(default_factory=list)
    freed_by: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def run(self) -> list[Write]:
        for component in order.components(self.graph):
            if len(component) > 1:
                self._cut_ring(component)
            else:
                self._write(component[0])
        return self.writes

    def _add(self, write: Write) -> int:
        self.writes.append(write)
        return len(self.writes) - 1

    def _write(self, id_: str) -> None:
        write = self._put(id_) if id_ in self.moving else self._delete(self.situation.deletions[id_])
        self.freed_by[id_] = (self._add(replace(write, after=self._after(self.graph[id_]))),)

    def _after(self, waits: Iterable[str]) -> tuple[int, ...]:
        return tuple(sorted({index for other in waits for index in self.freed_by[other]}))

    def _cut_ring(self, ring: list[str]) -> None:
        """Take some out, move the others, put those back: all of it, or (as far as can be known) none.

        Nothing is taken out before all that the ring waits for outside has left, and nobody outside moves
        in before the ring is done, so that it can still go back the way it came.
        """
        number, inside = _ring_number(ring), set(ring)
        out = order.cuts(ring, self.graph, frozenset(filter(self._is_out, ring)))
        outside = self._after(other for id_ in ring for other in self.graph[id_] if other not in inside)
        places = tuple((id_, self.situation.known[id_].places[0]) for id_ in ring)
        for id_ in out:
            taken_out = replace(self._take_out(id_, len(ring), places), after=outside, ring=number)
            self.freed_by[id_] = (self._add(taken_out),)
        moved = [self._move(id_, number, inside) for id_ in self._inner_order(inside, set(out))]
        back = [self._put_back(id_, (*self.freed_by[id_], *moved), number) for id_ in out]
        for id_ in ring:
            self.freed_by[id_] = tuple(back)

    def _inner_order(self, inside: set[str], out: set[str]) -> list[str]:
        moving = inside - out
        left = {id_: [other for other in self.graph[id_] if other in moving] for id_ in sorted(moving)}
        return [id_ for component in order.components(left) for id_ in component]

    def _move(self, id_: str, number: int, inside: set[str]) -> int:
        after = self._after(other for other in self.graph[id_] if other in inside)
        index = self._add(replace(self._put(id_), after=after, ring=number))
        self.freed_by[id_] = (index,)
        return index

    def _put_back(self, id_: str, after: tuple[int, ...], number: int) -> int:
        put = self._put(id_)
        version_ms = max(put.version_ms, self.writes[after[0]].version_ms + 1)
        return self._add(replace(put, version_ms=version_ms, after=after, ring=number))

    def _is_out(self, id_: str) -> bool:
        known = self.situation.known[id_]
        return any(written.fingerprint == ABSENT for written in known.unsettled)

    def _put(self, id_: str) -> Write:
        booking, known = self.moving[id_], self.situation.known.get(id_)
        now_ms = self.situation.now_ms
        is_wanted = booking is self.situation.desired[id_]
        return Write(
            verb=Verb.UPDATE if known and (known.slot or known.ring) else Verb.CREATE,
            id=id_,
            slot=booking.slot,
            participants=booking.participants,
            fingerprint=booking.fingerprint,
            version_ms=booking_version(known, booking, now_ms),
            why=_why(known, booking) if is_wanted else "back to its old place: its ring could not finish",
            sighted_ms=first_sight_ms(known, booking.fingerprint, now_ms) if is_wanted else 0,
        )

    def _delete(self, deletion: Deletion) -> Write:
        known = self.situation.known[deletion.id]
        version_ms = deletion_version(known, deletion.found_ms)
        return Write(Verb.DELETE, deletion.id, known.last_slot, (), ABSENT, version_ms, deletion.why)

    def _take_out(self, id_: str, size: int, places: tuple[tuple[str, Slot], ...]) -> Write:
        known = self.situation.known[id_]
        version_ms = next_version(known, ABSENT, self.situation.now_ms)
        why = f"taken out, and put back at once, so that {size} bookings can change places"
        write = Write(Verb.DELETE, id_, known.last_slot, (), ABSENT, version_ms, why)
        return replace(write, takes_out=True, places=places)


def _why(known: Known | None, booking: CourtBooking) -> str:
    """Return in words what makes this booking worth a request."""
    if known is None:
        return "new"
    if known.is_taken_out and not known.acked_fingerprint:
        return "put back after it was taken out"
    if known.unsettled:
        return "Wingfield's last answer is missing"
    if not known.acked_fingerprint:
        return "back again" if known.acked_version_ms else "new"
    before, after = known.slot, booking.slot
    if before is None or before == after:
        return "participants changed"
    changed = [
        name
        for name, differs in (
            ("court", before.court_id != after.court_id),
            ("start", before.start != after.start),
            ("end", before.end != after.end),
        )
        if differs
    ]
    return f"{' and '.join(changed)} changed"


def _ring_number(ring: Iterable[str]) -> int:
    """Return a number for the ring of these bookings, by which the ledger keeps them together."""
    return int.from_bytes(blake2b("\n".join(sorted(ring)).encode(), digest_size=6).digest())
