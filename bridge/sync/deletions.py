"""Finds out what is to be deleted: asks by id for what is listed no more, and hears the guard.

The rules themselves are in ``deletes.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.errors import ServiceError
from bridge.launch27.reader import Answers, Reader, Reading
from bridge.ledger.store import Ledger
from bridge.model import Deletion, Known
from bridge.planning.deletes import (
    Fate,
    Guard,
    Listed,
    decided_before,
    fate,
    was_found_gone_lately,
    whom_to_ask,
)


@dataclass(slots=True)
class Decision:
    """Which deletes are to be sent, which are withheld (``objection`` says why), and who is history.

    ``bridged`` counts the bookings Wingfield has from us; ``unasked`` those there was no time to ask for.
    """

    deletions: dict[str, Deletion] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()
    objection: str | None = None
    bridged: int = 0
    forgotten: set[str] = field(default_factory=set)
    unasked: int = 0
    errors: list[ServiceError] = field(default_factory=list)


@dataclass(slots=True)
class Vanishing:
    """Decides the deletes of one pass. Bookings found active on the way are added to ``reading``."""

    reader: Reader[Any]
    ledger: Ledger
    reading: Reading
    known: Mapping[str, Known]
    listed: Listed
    guard: Guard
    now_ms: int
    asking: Callable[[int], None]
    decision: Decision = field(default_factory=Decision)
    gone: set[str] = field(default_factory=set)

    async def decide(self) -> Decision:
        """Ask whoever must be asked for, and return what is to be done."""
        questions = self._questions()
        forgotten = self.decision.forgotten
        self.decision.bridged = sum(
            entry.is_bridged for id_, entry in self.known.items() if id_ not in forgotten
        )
        lately = {id_ for id_ in questions if self._need_not_ask_again(self.known[id_])}
        suspicious = self._objection(self._withdrawn().keys() | questions.keys()) is not None
        unasked = set(questions)
        if suspicious:
            self.gone |= lately
            unasked -= lately
        unasked -= await self._ask({id_: questions[id_] for id_ in unasked})
        self.decision.unasked = len(unasked)
        self.decision.objection = self._objection(self._withdrawn().keys() | self.gone | unasked)
        if suspicious and self.decision.objection is None:
            self.gone -= lately
            await self._ask({id_: questions[id_] for id_ in lately})
        self._sort_out()
        return self.decision

    def _need_not_ask_again(self, known: Known) -> bool:
        return was_found_gone_lately(known, self.now_ms) and not decided_before(known)

    def _questions(self) -> dict[str, tuple[str, ...]]:
        """Return whom to ask for which booking; note those that are history."""
        questions = {}
        for id_, entry in self.known.items():
            if id_ in self.reading.owners:
                continue
            becomes = fate(entry, self.listed, self.now_ms)
            if becomes is Fate.FORGET:
                self.decision.forgotten.add(id_)
            elif becomes is Fate.ASK:
                questions[id_] = whom_to_ask(entry, self.listed)
        return questions

    async def _ask(self, questions: Mapping[str, tuple[str, ...]]) -> set[str]:
        """Ask, remember the answers, and return who was asked for (though perhaps not answered for)."""
        if not questions:
            return set()
        answers: Answers = await self.reader.ask(questions, self.asking, patiently=self.guard.allowed)
        self.ledger.asked(answers.gone, answers.active, self.now_ms)
        self.gone |= answers.gone
        for id_, (mapped, account) in answers.active.items():
            self.reading.add(id_, mapped, account)
        self.decision.errors.extend(answers.errors)
        return {*answers.gone, *answers.active, *answers.unanswered}

    def _withdrawn(self) -> dict[str, str]:
        """Return the bridged bookings that are no court booking any more, with the reason in words."""
        known = self.known
        return {
            id_: why
            for id_, why in self.reading.withdrawn().items()
            if id_ in known and (known[id_].is_bridged or known[id_].is_taken_out)
        }

    def _objection(self, ids: Iterable[str]) -> str | None:
        new = sum(not decided_before(self.known[id_]) for id_ in ids)
        return self.guard.objection(new, self.decision.bridged, listing_is_empty=self.listed.is_empty)

    def _sort_out(self) -> None:
        decision, known = self.decision, self.known
        wanted = {id_: Deletion(id_, why, self.now_ms) for id_, why in self._withdrawn().items()}
        for id_ in self.gone:
            left = known[id_].account and known[id_].account not in self.listed.configured
            why = "its account has left the configuration" if left else "cancelled or gone in Launch27"
            wanted[id_] = Deletion(id_, why, known[id_].gone_ms or self.now_ms)
        if decision.objection is None:
            decision.deletions = wanted
            return
        decision.withheld = tuple(sorted(id_ for id_ in wanted if not decided_before(known[id_])))
        decision.deletions = {id_: wanted[id_] for id_ in wanted if id_ not in decision.withheld}
