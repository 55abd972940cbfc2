"""Finds out what is to be deleted: looks up by id what is listed no more, and hears the guard.

The rules themselves are in ``planning/deletes.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from bridge.ledger.store import Ledger
from bridge.model import Deletion, Known
from bridge.planning.deletes import Fate, Guard, accounts_to_ask, decided_before, fate, was_found_gone_lately
from bridge.sync.reader import Reader
from bridge.sync.result import Pass


@dataclass(slots=True)
class Deletions:
    """Decides the deletes of one pass; bookings found active on the way are added to its reading.

    ``progress`` is told how many look-ups were answered.
    """

    this: Pass
    reader: Reader
    ledger: Ledger
    guard: Guard
    progress: Callable[[int], None]
    gone: set[str] = field(default_factory=set)

    async def decide(self) -> None:
        """Look up what must be looked up, and note in the pass what is to be done."""
        this = self.this
        vanished = self._vanished()
        this.bridged = sum(known.is_bridged for id_, known in this.known.items() if id_ not in this.forgotten)
        lately = {id_ for id_ in vanished if self._need_not_ask_again(this.known[id_])}
        is_suspicious = self._objection(self._withdrawn().keys() | vanished.keys()) is not None
        waiting = set(vanished)
        if is_suspicious:
            self.gone |= lately
            waiting -= lately
        waiting -= await self._look_up({id_: vanished[id_] for id_ in waiting})
        this.not_asked = len(waiting)
        this.objection = self._objection(self._withdrawn().keys() | self.gone | waiting)
        if is_suspicious and this.objection is None:
            self.gone -= lately
            await self._look_up({id_: vanished[id_] for id_ in lately})
        self._sort_out()

    def _need_not_ask_again(self, known: Known) -> bool:
        return was_found_gone_lately(known, self.this.now_ms) and not decided_before(known)

    def _vanished(self) -> dict[str, tuple[str, ...]]:
        """Return the bookings to look up, each with the accounts to ask; note those that are history."""
        this = self.this
        found = {}
        for id_, known in this.known.items():
            if id_ in this.reading.owners:
                continue
            becomes = fate(known, this.reading, this.now_ms)
            if becomes is Fate.FORGET:
                this.forgotten.add(id_)
            elif becomes is Fate.LOOK_UP:
                found[id_] = accounts_to_ask(known, this.reading)
        return found

    async def _look_up(self, vanished: Mapping[str, tuple[str, ...]]) -> set[str]:
        """Ask, remember the answers, and return what was asked for (though perhaps not answered)."""
        if not vanished:
            return set()
        this = self.this
        answers = await self.reader.look_up(vanished, self.progress, patiently=self.guard.allowed)
        self.ledger.save(
            [
                known._replace(looked_up_ms=this.now_ms, gone_ms=self._gone_ms(known, answers.gone))
                for known in map(this.known.__getitem__, (*answers.gone, *answers.active))
            ]
        )
        self.gone |= answers.gone
        for mapped, account in answers.active.values():
            this.reading.add(mapped, account)
        for error in answers.errors:
            this.note(error)
        return {*answers.gone, *answers.active, *answers.unanswered}

    def _gone_ms(self, known: Known, gone: frozenset[str]) -> int | None:
        """Return when it was found gone; the first time counts."""
        if known.id not in gone:
            return None
        return self.this.now_ms if known.gone_ms is None else known.gone_ms

    def _withdrawn(self) -> dict[str, str]:
        """Return the bridged bookings that are no court booking any more, with the reason in words."""
        known = self.this.known
        return {
            id_: why
            for id_, why in self.this.reading.withdrawn().items()
            if id_ in known and (known[id_].is_bridged or known[id_].is_temporarily_deleted)
        }

    def _objection(self, ids: Iterable[str]) -> str | None:
        this = self.this
        new = sum(not decided_before(this.known[id_]) for id_ in ids)
        return self.guard.objection(new, this.bridged, listing_is_empty=not this.reading.seen)

    def _sort_out(self) -> None:
        this, known = self.this, self.this.known
        wanted = {id_: Deletion(id_, why, this.now_ms) for id_, why in self._withdrawn().items()}
        for id_ in self.gone:
            left = known[id_].account and known[id_].account not in this.reading.accounts
            why = "its account has left the configuration" if left else "cancelled or gone in Launch27"
            wanted[id_] = Deletion(id_, why, known[id_].gone_ms or this.now_ms)
        if this.objection is not None:
            this.withheld = tuple(sorted(id_ for id_ in wanted if not decided_before(known[id_])))
        this.deletions = {id_: wanted[id_] for id_ in wanted if id_ not in this.withheld}
