"""One pass, from the listings of Launch27 to the courts of Wingfield: the whole story on one page.

read      every account's listing, mapped as it comes                   reading.py, mapping.py
adopt     with a new ledger only: what Wingfield already has            here
question  whatever is bridged and no longer listed, by its id           vanishing.py, deletes.py
guard     too many deletes are withheld                                 deletes.py
plan      what to write, in which order                                 planner.py, order.py
execute   intent, request, outcome                                      executor.py
settle    a ring of moves that could not finish goes back               planner.py again
record    watermarks, what is held, the counts: one transaction         state.py
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic
from typing import Generic, Protocol, TypeVar

from bridge.config.schema import Config, mapping_fingerprint
from bridge.errors import CredentialsRefused, ExitStatus, ServiceError, worst
from bridge.launch27.reader import Login, Reader, Reading, Source
from bridge.ledger.store import Closing, Ledger
from bridge.model import (
    Deletion,
    Ending,
    Found,
    Held,
    HeldSince,
    Known,
    Outcome,
    PassRecord,
    Plan,
    Reason,
    Stored,
    Verb,
    Watermark,
    Write,
    to_ms,
)
from bridge.planning.deletes import Guard, Listed
from bridge.planning.planner import STRANGER, Situation, make_plan, refusal_detail
from bridge.sync.deletions import Decision, Vanishing
from bridge.sync.executor import Execution, Executor, Target, found, is_there

ROUNDS = 4
"""How often a pass may plan anew after something was refused; the second time nearly always ends it."""

L = TypeVar("L", bound=Login)


class Courts(Target, Protocol):
    """What a pass needs of Wingfield."""

    def list_bookings(self) -> AsyncIterator[Sequence[Stored]]: ...


class Narrator(Protocol):
    """Who is told what happens in a pass, as it happens."""

    def pass_started(self) -> None: ...
    def asking(self, answered: int) -> None: ...
    def planned(self, writes: int) -> None: ...
    def wrote(self, write: Write) -> None: ...
    def participants_skipped(self, id_: str, count: int) -> None: ...
    def held_changed(self, began: Sequence[Held], ended: Sequence[HeldSince]) -> None: ...
    def pass_finished(self, result: PassResult) -> None: ...


@dataclass(frozen=True, slots=True)
class PassResult:
    """How a pass went.

    ``errors`` are what kept it from being complete, ``planned`` what it wanted to write at first,
    ``objection`` why deletes were withheld, ``bridged`` how many bookings Wingfield had from us before.
    """

    record: PassRecord
    status: ExitStatus
    held: tuple[HeldSince, ...]
    planned: tuple[Write, ...]
    errors: tuple[ServiceError, ...]
    objection: str | None = None
    bridged: int = 0


class Synchronizer(Generic[L]):
    """Runs passes between one source and one target, one at a time."""

    def __init__(
        self,
        config: Config,
        source: Source[L],
        logins: Sequence[L],
        target: Courts,
        ledger: Ledger,
        narrator: Narrator,
        *,
        clock: Callable[[], datetime],
        stop: asyncio.Event,
    ) -> None:
        self.config = config
        self.target = target
        self.ledger = ledger
        self.narrator = narrator
        self.clock = clock
        self.stop = stop
        self.reader = Reader(source, logins, config, stop)
        self.fingerprint = mapping_fingerprint(config)

    def now_ms(self) -> int:
        """Return the time, in milliseconds since 1970."""
        return to_ms(self.clock())

    async def run_pass(self, *, allow_mass_delete: bool = False, dry_run: bool = False) -> PassResult:
        """Run one pass and return how it went.

        With ``dry_run`` nothing is written to Wingfield (give a ledger that is a snapshot). Raises
        StateError when the ledger cannot be used; a service's trouble is in the result.
        """
        self.narrator.pass_started()
        this = _Pass(self, self.clock(), monotonic())
        await this.read()
        if await this.adopt():
            await this.decide_deletes(allowed=allow_mass_delete)
            await this.plan()
            if dry_run:
                this.pretend()
            else:
                await this.carry_out()
        result = this.record()
        self.narrator.pass_finished(result)
        return result


@dataclass(slots=True)
class _Tally:
    """What the executions of a pass came to, by booking."""

    created: set[str] = field(default_factory=set)
    updated: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
    unsent: set[str] = field(default_factory=set)
    """Not sent, because something it waited for failed, or nothing was sent any more."""
    sent: set[str] = field(default_factory=set)

    @property
    def pending(self) -> set[str]:
        """Those of whom this pass cannot say where they stand."""
        return self.unanswered | self.unsent

    def add(self, writes: Iterable[Write], execution: Execution) -> None:
        """Add one execution of ``writes``; what an earlier one did not send is planned anew, or given up."""
        self.unsent = set()
        for write in writes:
            self.sent.add(write.id)
            ending = execution.endings.get(write.id)
            if ending is Ending.UNANSWERED:
                self.unanswered.add(write.id)
            elif ending in (None, Ending.NOT_SENT):
                self.unsent.add(write.id)
            elif ending is Ending.ACKNOWLEDGED:
                self.unanswered.discard(write.id)
                if not write.takes_out and write.id not in execution.adopted:
                    self.count(write)
        self.refused.update(execution.reasons)

    def count(self, write: Write) -> None:
        """Count ``write`` as done."""
        if write.verb is Verb.DELETE:
            self.deleted.add(write.id)
        elif write.verb is Verb.CREATE:
            self.created.add(write.id)
        elif write.id not in self.created:
            self.updated.add(write.id)


class _Pass:
    """One pass under way."""

    def __init__(self, bridge: Synchronizer[L], started: datetime, began: float) -> None:
        self._bridge = bridge
        self._started = started
        self._began = began
        self._now_ms = to_ms(started)
        self._known = bridge.ledger.known()
        self._watermarks = {mark.account: mark for mark in bridge.ledger.watermarks()}
        self._held_before = bridge.ledger.held()
        self._reading = Reading()
        self._decision = Decision()
        self._plan = self._first_plan = Plan()
        self._tally = _Tally()
        self._errors: list[ServiceError] = []

    async def read(self) -> None:
        """Read every account's listing, mapped as it comes."""
        self._reading = await self._bridge.reader.read(self._started, self._watermarks, self._known)
        self._errors.extend(self._reading.errors)
        for id_, count in self._reading.skipped_participants.items():
            self._bridge.narrator.participants_skipped(id_, count)

    async def adopt(self) -> bool:
        """With a new ledger, take over what Wingfield has; return whether the pass can go on.

        What equals the source's booking is adopted as it is, whatever the order of its participants.
        """
        ledger, target = self._bridge.ledger, self._bridge.target
        if ledger.is_adopted:
            return True
        ours: dict[str, Found] = {}
        try:
            async for page in target.list_bookings():
                ours.update((stored.id, self._adopted(stored)) for stored in page if stored.id)
        except ServiceError as error:
            self._errors.append(error)
            return False
        ledger.adopt(ours.values())
        self._known = ledger.known()
        return True

    def _adopted(self, stored: Stored) -> Found:
        wanted = self._reading.desired.get(stored.id)
        as_found = found(stored.id, stored, stored.version_ms)
        if wanted is not None and stored.has(wanted.slot, wanted.participants):
            return replace(as_found, fingerprint=wanted.fingerprint)
        return as_found

    async def decide_deletes(self, *, allowed: bool) -> None:
        """Ask by id for what is listed no more, and let the guard judge the deletes."""
        reading, sync = self._reading, self._bridge.config.sync
        if not reading.accounts:
            return
        vanishing = Vanishing(
            self._bridge.reader,
            self._bridge.ledger,
            reading,
            self._known,
            Listed(
                reading.complete,
                tuple(account.key for account in self._bridge.config.launch27.accounts),
                reading.first_ms,
                reading.end_ms,
                is_empty=not reading.seen,
            ),
            Guard(sync.max_delete_count, sync.max_delete_fraction, allowed),
            self._now_ms,
            self._bridge.narrator.asking,
        )
        self._decision = await vanishing.decide()
        self._errors.extend(self._decision.errors)

    async def plan(self) -> None:
        """Work out what to write, in which order."""
        situation = self._situation(self._decision.deletions, {})
        self._plan = make_plan(situation)
        if await self._clear_doubts():
            self._plan = make_plan(replace(situation, known=self._known))
        self._first_plan = self._plan
        self._bridge.narrator.planned(len(self._plan.writes))

    async def _clear_doubts(self) -> bool:
        """Read back those whose last answer is missing and that are not written now.

        Otherwise a booking that was perhaps never created would keep others from its place for as long as
        it is held back. Returns whether anything was learnt.
        """
        bridge, written = self._bridge, {write.id for write in self._plan.writes}
        doubtful = [entry for id_, entry in self._known.items() if entry.unsettled and id_ not in written]
        try:
            for entry in doubtful:
                stored = await bridge.target.read(entry.id, finishing=False)
                bridge.ledger.record([], [found(entry.id, stored, entry.highest_ms)])
        except ServiceError as error:
            self._errors.append(error)
        if doubtful:
            self._known = bridge.ledger.known()
        return bool(doubtful)

    def _situation(self, deletions: dict[str, Deletion], stuck: dict[str, str]) -> Situation:
        return Situation(
            self._reading.desired,
            self._known,
            deletions,
            self._bridge.fingerprint,
            self._now_ms,
            stuck,
        )

    def pretend(self) -> None:
        """Count what the plan would do as done."""
        for write in self._plan.writes:
            if not write.takes_out:
                self._tally.count(write)

    async def carry_out(self) -> None:
        """Execute the plan; while a refusal has changed what is possible, plan and execute again."""
        bridge = self._bridge
        if self._plan.writes and self._decision.deletions:
            bridge.ledger.allow(self._decision.deletions)
        executor = Executor(
            bridge.target,
            bridge.ledger,
            bridge.narrator,
            bridge.config.wingfield.concurrency,
            bridge.fingerprint,
            bridge.now_ms,
            bridge.stop,
        )
        for _ in range(ROUNDS):
            execution = await executor.run(self._plan, self._known)
            self._tally.add(self._plan.writes, execution)
            errors = (execution.error, execution.unanswered)
            self._errors.extend(error for error in errors if isinstance(error, ServiceError))
            if not await self._is_another_round_due(execution):
                return
            stuck = dict.fromkeys((*self._tally.refused, *self._tally.unanswered), STRANGER)
            self._tally.unsent = set()
            self._plan = make_plan(self._situation({}, stuck))
            if not self._plan.writes:
                return

    async def _is_another_round_due(self, execution: Execution) -> bool:
        """Whether someone is taken out still, waited for one that was refused, or may move after all."""
        writes = self._plan.writes
        waited = bool(execution.reasons) and any(write.id not in execution.endings for write in writes)
        was_open = any(write.takes_out for write in writes) or self._is_anyone_out()
        if not (waited or was_open) or execution.error or self._bridge.target.is_down:
            return False
        self._known = self._bridge.ledger.known()
        if self._is_anyone_out():
            return await self._find_out_where_they_stand()
        mended = was_open and bool(self._plan.held)
        return (waited or mended) and not self._bridge.stop.is_set()

    def _is_anyone_out(self) -> bool:
        return any(entry.is_taken_out for entry in self._known.values())

    async def _find_out_where_they_stand(self) -> bool:
        """Read back those of an open ring whose answer is missing, so that the ring can go back."""
        bridge = self._bridge
        writes = {write.id: write for write in self._plan.writes if not write.takes_out}
        for id_ in list(self._tally.unanswered):
            if self._known[id_].ring is None or id_ not in writes:
                continue
            try:
                stored = await bridge.target.read(id_, finishing=True)
            except ServiceError as error:
                self._errors.append(error)
                return False
            write = writes[id_]
            there = is_there(write, stored) and stored is not None and stored.version_ms == write.version_ms
            outcome = Outcome(write, Ending.ACKNOWLEDGED) if there else found(id_, stored, write.version_ms)
            bridge.ledger.record([], [outcome])
            if there:
                self._tally.unanswered.discard(id_)
                self._tally.count(write)
        self._known = bridge.ledger.known()
        return True

    def record(self) -> PassResult:
        """Store the end of the pass in one transaction, and return how it went."""
        bridge = self._bridge
        held = self._held()
        lasting = self._still_held(held)
        status = self._status(held)
        record = self._counts(held, status)
        bridge.ledger.finish(self._closing(record, [*held, *lasting]))
        before = {(entry.id, entry.reason) for entry in self._held_before}
        after = {(entry.id, entry.reason) for entry in (*held, *lasting)}
        bridge.narrator.held_changed(
            [entry for entry in held if (entry.id, entry.reason) not in before],
            [entry for entry in self._held_before if (entry.id, entry.reason) not in after],
        )
        left_out = {(entry.id, entry.reason) for entry in lasting}
        return PassResult(
            record,
            status,
            tuple(entry for entry in bridge.ledger.held() if (entry.id, entry.reason) not in left_out),
            self._first_plan.writes,
            tuple(self._errors),
            self._decision.objection,
            self._decision.bridged,
        )

    def _held(self) -> list[Held]:
        """Return everybody held back: by the mapping, by another booking, or by Wingfield."""
        reading, tally = self._reading, self._tally
        held = dict(reading.held)
        held.update((entry.id, entry) for entry in self._plan.held if entry.id not in tally.unanswered)
        for id_, reason in tally.refused.items():
            booking = reading.desired.get(id_)
            if booking is None:
                detail = f"Wingfield refused to delete it ({reason}); tried again in the next pass"
                held[id_] = Held(id_, reason, detail)
            elif id_ not in held or reason != Reason.OVERLAP:
                held[id_] = Held(id_, reason, refusal_detail(reason, booking.slot))
        return [*reading.unreadable, *held.values()]

    def _still_held(self, held: Sequence[Held]) -> list[Held]:
        """Return those held before of whom this pass, being incomplete, learnt nothing new."""
        reading, tally = self._reading, self._tally
        is_complete = len(reading.complete) == len(self._bridge.config.launch27.accounts)
        ids = {entry.id for entry in held}
        unseen = (
            entry
            for entry in self._held_before
            if entry.id not in ids
            and (entry.id in tally.pending or (entry.id not in reading.owners and not is_complete))
        )
        return [Held(entry.id, entry.reason, entry.detail) for entry in unseen]

    def _status(self, held: Sequence[Held]) -> ExitStatus:
        statuses = {error.exit_status for error in self._errors}
        if self._tally.pending or self._decision.unasked or self._bridge.stop.is_set():
            statuses.add(ExitStatus.TRY_LATER)
        if held or self._decision.withheld:
            statuses.add(ExitStatus.ATTENTION)
        return worst(statuses)

    def _counts(self, held: Sequence[Held], status: ExitStatus) -> PassRecord:
        """Return the counts: each booking once, as what this pass made of it."""
        reading, tally = self._reading, self._tally
        held_ids = {entry.id for entry in held}
        ignored = reading.no_court - held_ids
        created, updated = tally.created - held_ids - ignored, tally.updated - held_ids - ignored
        refused_deletes = {id_ for id_ in held_ids - reading.owners.keys() if id_}
        seen = reading.seen + len(refused_deletes)
        return PassRecord(
            started_ms=self._now_ms,
            duration_ms=round((monotonic() - self._began) * 1000),
            outcome=_OUTCOMES[status],
            seen=seen,
            created=len(created),
            updated=len(updated),
            deleted=len(tally.deleted),
            unchanged=seen - len(created) - len(updated) - len(ignored) - len(held),
            ignored=len(ignored),
            held=len(held),
            withheld=self._decision.withheld,
        )

    def _closing(self, record: PassRecord, held: Sequence[Held]) -> Closing:
        reading, known, sent = self._reading, self._known, self._tally.sent
        sightings = [
            (id_, booking.fingerprint)
            for id_, booking in reading.desired.items()
            if id_ not in sent and not (id_ in known and known[id_].seen_fingerprint == booking.fingerprint)
        ]
        in_ledger = known.keys() | sent | {id_ for id_, _ in sightings}
        return Closing(
            record,
            held,
            sightings=sightings,
            owners=[
                (id_, account)
                for id_, account in reading.owners.items()
                if id_ in in_ledger and (id_ not in known or known[id_].account != account)
            ],
            back=[id_ for id_, entry in known.items() if _is_back(entry, reading)],
            forgotten=self._decision.forgotten,
            watermarks=[self._watermark(account.key) for account in self._bridge.config.launch27.accounts],
        )

    def _watermark(self, key: str) -> Watermark:
        account = next(one for one in self._bridge.config.launch27.accounts if one.key == key)
        before = self._watermarks.get(key) or Watermark(key, account.number, None, None, None)
        read = next((one for one in self._reading.accounts if one.account.key == key), None)
        if read is None or not read.is_complete:
            return replace(before, number=account.number)
        newest = max(
            (ms for ms in (before.source_updated_ms, read.newest_ms) if ms is not None), default=None
        )
        return Watermark(key, account.number, self._now_ms, read.items, newest)


_OUTCOMES = {
    ExitStatus.OK: "in_step",
    ExitStatus.ATTENTION: "attention",
    ExitStatus.TRY_LATER: "incomplete",
    ExitStatus.CREDENTIALS: "refused",
}


def _is_back(known: Known, reading: Reading) -> bool:
    """Whether it was found gone, or its delete allowed, and it is wanted again."""
    return (known.gone_ms is not None or bool(known.allowed)) and known.id in reading.desired


def is_refused_login(result: PassResult) -> bool:
    """Whether the pass met refused credentials."""
    return any(isinstance(error, CredentialsRefused) for error in result.errors)
