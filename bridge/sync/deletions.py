"""Finds out what is to be deleted: looks up by id what is listed no more, and hears the guard.

The rules themselves are in ``planning/deletes.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from bridge.config.schema import SyncConfig
from bridge.ledger.store import Ledger
from bridge.model import ABSENT, CourtBooking, Known, to_ms
from bridge.planning import deletes
from bridge.planning.situation import Deletion
from bridge.sync.reader import LookUps, Reader
from bridge.sync.result import Pass

LEFT = "its account has left the configuration"
GONE = "cancelled or gone in Launch27"
EDITED = "an edit of the configuration causes them"
UNDECIDED = "an earlier pass withheld them, and this one could not find out more"


async def decide_deletes(
    this: Pass, reader: Reader, ledger: Ledger, limits: SyncConfig, progress: Callable[[int], None], *, is_allowed: bool
) -> None:
    """Note in the pass which deletes may be sent, and which are withheld, and why.

    ``is_allowed`` is a person's word for all of them. ``progress`` is told how many look-ups were answered.
    """
    if this.reading.first_ms:
        window_ms = max(limits.delete_window // timedelta(milliseconds=1), 1)  # at least the deletes of this very pass
        guard = deletes.Guard(limits.max_delete_count, limits.max_delete_fraction, window_ms, is_allowed)
        await _Deletions(this, reader, ledger, guard, progress).decide()


def keep_withheld(this: Pass) -> None:
    """Keep what the pass before withheld, and of which this one, being incomplete, has learnt nothing."""
    kept = {id_ for id_ in this.withheld_before if id_ in this.known and _is_undecided(this, this.known[id_])}
    if kept:
        this.withheld = tuple(sorted(kept.union(this.withheld)))
        this.objection = this.objection or UNDECIDED
        this.bridged = this.bridged or len(deletes.bridged(this.known.values(), this.reading))


def _is_undecided(this: Pass, known: Known) -> bool:
    is_seen = known.id in this.reading.owners or known.id in this.deletions
    is_there = known.is_bridged and not deletes.is_history(known, this.reading)
    return is_there and not is_seen and not deletes.decided_before(known, this.now_ms)


@dataclass(slots=True)
class _Deletions:
    """Decides the deletes of one pass; bookings found active on the way are added to its reading."""

    this: Pass
    reader: Reader
    ledger: Ledger
    guard: deletes.Guard
    progress: Callable[[int], None]
    gone: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)

    async def decide(self) -> None:
        this = self.this
        if not this.extent.only_hinted:
            this.approved += self.ledger.take_approvals(this.now_ms)
        reported = (each for each in this.known.values() if each.rejection and each.drift and each.is_bridged)
        left_over = {each.id for each in reported if each.rejection and each.rejection.fingerprint == ABSENT}
        this.left_over = left_over - this.reading.desired.keys()
        vanished = self._vanished()
        this.bridged = len(deletes.bridged(self._in_scope(), this.reading))
        await self._look_up_hinted(self._hinted(vanished))
        if vanished or self.gone or self._withdrawn():
            await self.reader.facts.look_at_status()
        self.guard = replace(self.guard, frozen=this.reading.status if this.reading.status in deletes.FROZEN else "")
        lately = {id_ for id_ in vanished if deletes.was_found_gone_lately(this.known[id_], this.now_ms)}
        is_suspicious = self._objection(self._withdrawn().keys() | vanished.keys() | self.gone, 0) is not None
        if is_suspicious:
            self.gone |= lately
        await self._look_up({id_: vanished[id_] for id_ in vanished.keys() - self.gone})
        this.objection = self._objection(self._withdrawn().keys() | self.gone, len(self.silent))
        if is_suspicious and this.objection is None:
            self.gone -= lately
            await self._look_up({id_: vanished[id_] for id_ in lately})
        self._sort_out()

    def _vanished(self) -> dict[str, tuple[str, ...]]:
        """Return the bookings to look up, each with the accounts to ask; note those that are forgotten."""
        this = self.this
        found, waited = {}, deletes.waited_for(this.reading, this.watermarks, this.now_ms)
        for id_ in this.scope:
            if id_ in this.reading.owners or id_ in this.left_over:
                continue
            known = this.known[id_]
            becomes = deletes.fate(known, this.reading, waited, this.now_ms)
            if becomes is deletes.Fate.FORGET:
                this.forgotten.add(id_)
            elif becomes is deletes.Fate.LOOK_UP:
                found[id_] = deletes.accounts_to_ask(known, this.reading)
        return found

    async def _look_up(self, vanished: Mapping[str, tuple[str, ...]]) -> None:
        """Ask, and remember the answers."""
        if not vanished:
            return
        this = self.this
        waited = deletes.waited_for(this.reading, this.watermarks, this.now_ms)
        needed = this.reading.complete | waited
        answers = await self.reader.look_up(vanished, needed, self.progress, patiently=self.guard.is_allowed)
        gone = set(answers.cancelled)
        if not waited:  # else a listing that is to come may have what every account denies
            believed = {id_ for id_ in answers.doubtful if deletes.is_believed(this.known[id_], this.now_ms)}
            gone |= answers.denied | believed
        self.gone |= gone
        self.silent |= vanished.keys() - gone - answers.active.keys()
        this.not_asked += len(vanished.keys() - answers.answered - answers.unanswered)
        self.ledger.save([self._after(this.known[id_], answers, gone) for id_ in answers.answered])
        for mapped, account in answers.active.values():
            this.reading.add(mapped, account)
        for error in (*answers.errors, *this.reading.errors):
            this.note(error)

    def _hinted(self, vanished: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Return the bookings to look up only because of a hint, each with the accounts to ask."""
        reading = self.this.reading
        unlisted = self.this.extent.hinted - reading.owners.keys() - {*vanished}
        found = {id_: self.this.known.get(id_) for id_ in unlisted}
        return {
            id_: deletes.accounts_to_ask(known, reading)
            for id_, known in found.items()
            if known is None or not deletes.is_history(known, reading)
        }

    async def _look_up_hinted(self, hinted: Mapping[str, tuple[str, ...]]) -> None:
        """Ask, and believe only an account that has the booking; of one that is not known, only what is bridged."""
        if not hinted:
            return
        this, known = self.this, self.this.known
        answers = await self.reader.look_up(hinted, (), self.progress, patiently=False)
        this.not_asked += 0 if answers.errors else len(hinted.keys() - answers.answered)
        gone = {id_ for id_ in answers.cancelled & known.keys() if known[id_].is_bridged}
        self.gone |= gone
        active = answers.active.keys() & known.keys()
        self.ledger.save([self._after(known[id_], answers, gone) for id_ in gone | active])
        for mapped, account in answers.active.values():
            start_ms = to_ms(mapped.slot.start) if isinstance(mapped, CourtBooking) else -1
            if mapped.id in known or this.reading.first_ms <= start_ms < this.reading.end_ms:
                this.reading.add(mapped, account)
        for error in (*answers.errors, *this.reading.errors):
            this.note(error)

    def _after(self, known: Known, answers: LookUps, gone: set[str]) -> Known:
        """Return the entry after its look-up; the first time that it was gone, or doubted, counts."""
        now_ms = self.this.now_ms
        if known.id in answers.doubtful and known.id not in gone:
            return known._replace(doubted_ms=known.doubted_ms or now_ms)
        gone_ms = (known.gone_ms or now_ms) if known.id in gone else None
        return known._replace(looked_up_ms=now_ms, gone_ms=gone_ms, doubted_ms=None)

    def _withdrawn(self) -> dict[str, str]:
        """Return the bridged bookings that are no court booking any more, with the reason in words."""
        this = self.this
        return {
            id_: this.reading.held[id_].detail
            for id_ in this.reading.no_court - this.left_over
            if id_ in this.known and (this.known[id_].is_bridged or this.known[id_].is_temporarily_deleted)
        }

    def _objection(self, ids: Iterable[str], silent: int) -> str | None:
        this = self.this
        wanted = [this.known[id_] for id_ in ids]
        return self.guard.objection(wanted, silent, self._in_scope(), this.reading, this.now_ms)

    def _in_scope(self) -> list[Known]:
        """Return what the guard compares the deletes with: what is known in the days read, and what is deleted."""
        return [self.this.known[id_] for id_ in self.this.scope | self.gone]

    def _sort_out(self) -> None:
        this, known = self.this, self.this.known
        wanted = {id_: Deletion(id_, why, this.now_ms) for id_, why in self._withdrawn().items()}
        for id_ in self.gone:
            has_left = known[id_].account and known[id_].account not in this.reading.accounts
            wanted[id_] = Deletion(id_, LEFT if has_left else GONE, known[id_].gone_ms or this.now_ms)
        listed = this.reading.owners.keys() & wanted
        caused = {id_ for id_ in listed if deletes.is_caused_by_an_edit(known[id_], this.config)}
        caused |= {id_ for id_, deletion in wanted.items() if deletion.why == LEFT}
        edited = set[str]() if self.guard.is_allowed else caused
        stopped = wanted.keys() if this.objection is not None else edited
        if not self.guard.frozen or self.guard.is_allowed:
            stopped = {id_ for id_ in stopped if not deletes.decided_before(known[id_], this.now_ms)}
        this.withheld = tuple(sorted(stopped))
        if this.withheld and this.objection is None:
            this.objection = EDITED
        this.deletions = {id_: wanted[id_] for id_ in wanted if id_ not in this.withheld}
        this.let_through = [self._let_through(known[id_]) for id_ in this.deletions]

    def _let_through(self, known: Known) -> Known:
        """Return the entry of a booking whose delete may go on for 24 hours, also after an interruption."""
        is_approved = int(self.guard.is_allowed or bool(known.is_approved))
        allowed_ms = known.allowed_ms if deletes.decided_before(known, self.this.now_ms) else 0
        return known._replace(allowed_ms=allowed_ms or self.this.now_ms, is_approved=is_approved)
