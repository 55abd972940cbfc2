"""Which bookings can reach their target, so that none breaks a cycle for nothing. Pure.

A booking that cannot move keeps its place and may block others in turn. Of two that want the same slot, one
of a cycle under way goes before one that stands in Wingfield, that before a new one, then the lower id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from bridge.model import CourtBooking, Slot
from bridge.planning import order
from bridge.planning.situation import FOREIGN, Situation


@dataclass
class Settlement:
    """Which of ``targets`` can be reached: ``blocked`` has the others, each with the id in its way."""

    situation: Situation
    standing: order.Occupancy
    targets: dict[str, Slot]
    blocked: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        """Fill ``blocked``."""
        for id_, blocker in list(self.blocked.items()):
            self._block(id_, blocker)
        for id_ in self.targets:
            if id_ not in self.blocked and (immovable := self._immovable_in_the_way(id_)) is not None:
                self._block(id_, immovable)
        self._decide_between(self._rivals())

    @cached_property
    def _wanted(self) -> order.Occupancy:
        return order.Occupancy(self.targets.items())

    def _immovable_in_the_way(self, id_: str) -> str | None:
        for other in self.standing.overlapping(self.targets[id_]):
            moves = other in self.targets and other not in self.blocked
            if other != id_ and not moves and other not in self.situation.deletions:
                return other
        return None

    def _blocked_by(self, id_: str) -> dict[str, str]:
        """Return every booking that is blocked, directly or not, when ``id_`` stays, with its blocker."""
        found: dict[str, str] = {}
        queue = [id_]
        while queue:
            stays = queue.pop()
            known = self.situation.known.get(stays)
            for place in known.places if known else ():
                for other in self._wanted.overlapping(place):
                    if other not in (stays, id_) and other not in self.blocked and other not in found:
                        found[other] = stays
                        queue.append(other)
        return found

    def _block(self, id_: str, blocker: str) -> None:
        self.blocked |= {id_: blocker, **self._blocked_by(id_)}

    def _rivals(self) -> list[str]:
        """Return the movers whose target another mover wants as well, the first to be served first."""
        targets, overlapping = self.targets.items(), self._wanted.overlapping
        rivals = (id_ for id_, target in targets if any(other != id_ for other in overlapping(target)))
        return sorted(rivals, key=self._rank)

    def _rank(self, id_: str) -> tuple[int, int, str]:
        known = self.situation.known.get(id_)
        return (0 if known and known.cycle else 1 if known and known.places else 2), len(id_), id_

    def _decide_between(self, rivals: list[str]) -> None:
        before, winners = set(self.blocked), set[str]()
        for id_ in rivals:
            if id_ in self.blocked:
                continue
            in_the_way = [other for other in self._wanted.overlapping(self.targets[id_]) if other in winners]
            for rival in in_the_way:
                if id_ not in self.blocked and rival not in self.blocked:
                    loser, winner = (rival, id_) if rival in self._blocked_by(id_) else (id_, rival)
                    self._block(loser, winner)
            winners.add(id_)
        self._give_another_chance(self.blocked.keys() - before)

    def _give_another_chance(self, lost: set[str]) -> None:
        """Let those move after all whose way was cleared by another's loss, until nothing changes."""
        waiting = sorted(lost, key=self._rank)
        changed = True
        while changed:
            changed = False
            for id_ in (each for each in waiting if each in self.blocked):
                wanted = (other for other in self._wanted.overlapping(self.targets[id_]) if other not in self.blocked)
                if self._immovable_in_the_way(id_) is None and all(other == id_ for other in wanted):
                    del self.blocked[id_]
                    changed = True


def settle(situation: Situation, standing: order.Occupancy, movers: Mapping[str, CourtBooking]) -> dict[str, str]:
    """Return the movers that are blocked, each with what is in its way.

    A cycle is broken only if none of it was rejected lately: a booking that is not ours may be in the way.
    """
    stuck = {
        id_: situation.stuck[id_]
        for id_, goal in movers.items()
        if id_ in situation.stuck and goal is situation.desired[id_]
    }
    targets = {id_: mover.slot for id_, mover in movers.items()}
    while True:
        settlement = Settlement(situation, standing, targets, dict(stuck))
        settlement.run()
        moving = {id_: movers[id_] for id_ in movers if id_ not in settlement.blocked}
        rejected = {
            id_
            for cycle in order.cycles(waits(situation, standing, moving))
            for id_ in cycle
            if id_ in moving and situation.was_rejected(moving[id_])
        }
        if not rejected:
            return settlement.blocked
        stuck.update(dict.fromkeys(rejected, FOREIGN))


def waits(situation: Situation, standing: order.Occupancy, moving: Mapping[str, CourtBooking]) -> dict[str, list[str]]:
    """Return, for each booking that is written, those that must have left its target before."""
    graph: dict[str, list[str]] = {id_: [] for id_ in situation.deletions}
    for id_, booking in moving.items():
        found = dict.fromkeys(standing.overlapping(booking.slot))
        graph[id_] = [other for other in found if other != id_]
    return graph
