"""Carries a plan out: as much side by side as the order allows, and nothing before its intent is stored.

Writes become ready when all they wait for has succeeded. Ready writes are taken in batches; the intents of a
batch, together with the outcomes so far, are one transaction; then the batch is sent, ``concurrency`` at a
time. A kill between any two lines leaves at worst a write that is sent again, under the same version. What got no
answer in the pass before goes last, with one try, so that it takes nobody else's time.

What happens to a write:

    answered 200                    acknowledged
    stale_write, version_conflict   read back; adopted if the content is there, else sent above it
    user_access_denied              sent again above it, with addresses only
    answered another 4xx            rejected; those that wait for it are not sent (and read back, where an
                                    earlier write of the same booking was never answered)
    no usable answer                unanswered: it stays an intent, and those that wait for it are not sent
    credentials refused             nothing more is sent at all
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from bridge.errors import CredentialsRefused, Rejected, ServiceError, Unavailable
from bridge.http.loop import STOP_SECONDS
from bridge.ledger.entry import Ending, Outcome, sighted
from bridge.ledger.store import Ledger
from bridge.model import ABSENT, Known, Stored, Verb, Write, fingerprint
from bridge.planning.planner import Plan
from bridge.planning.refusals import USER_DENIED
from bridge.sync.agenda import Agenda
from bridge.sync.narrator import LogNarrator
from bridge.sync.result import Pass
from bridge.wingfield.client import Wingfield

BATCH = 64
"""How many intents one transaction stores: enough to make its cost small, few enough to keep it short."""

_OUTRUN = frozenset({"stale_write", "version_conflict"})
_ATTEMPTS_ABOVE = 3
_DRAIN_SECONDS = STOP_SECONDS - 0.5
"""How long requests in flight are waited for after a stop; the rest is for what has to be stored then."""


@dataclass(slots=True)
class Executor:
    """Sends the writes of one plan after another, and notes in the pass what came of them.

    ``config`` is the configuration's fingerprint; ``now_ms`` is the clock, in milliseconds since 1970. When
    ``stop`` is set, only what recreates temporarily deleted bookings is still sent. ``is_over`` when nothing
    more may be sent in this pass; ``was_rejected`` when a write of the last plan was.
    """

    wingfield: Wingfield
    ledger: Ledger
    narrator: LogNarrator
    this: Pass
    concurrency: int
    config: str
    now_ms: Callable[[], int]
    stop: asyncio.Event
    is_over: bool = False
    was_rejected: bool = False

    async def run(self, plan: Plan) -> None:
        """Carry ``plan`` out. Raises StateError if the ledger fails."""
        self.was_rejected = False
        self.this.tally.begin(plan.writes)
        with ThreadPoolExecutor(1, thread_name_prefix="ledger") as ledger_thread:
            await _Run(self, plan.writes, dict(self.this.known), ledger_thread).run()


class _Run:
    """One plan under way."""

    def __init__(
        self, executor: Executor, writes: Sequence[Write], known: Mapping[str, Known], ledger_thread: ThreadPoolExecutor
    ) -> None:
        self._executor = executor
        self._known = known
        self._ledger_thread = ledger_thread
        self._agenda = Agenda(writes, late=lambda write: self._before(write).failures > 0)
        self._queue: asyncio.Queue[int] = asyncio.Queue()
        self._unfinished = 0
        self._outcomes: list[Outcome | Stored] = []
        self._changed = asyncio.Event()
        self._attempts: dict[int, int] = {}
        self._deleted = {id_ for id_, entry in known.items() if entry.is_temporarily_deleted}
        self._failure: BaseException | None = None

    async def run(self) -> None:
        """Send what may be sent."""
        workers = [asyncio.create_task(self._work()) for _ in range(self._executor.concurrency)]
        stopper = asyncio.create_task(self._notice_stop())
        try:
            await self._feed()
        finally:
            for task in (*workers, stopper):
                task.cancel()
            await asyncio.gather(*workers, stopper, return_exceptions=True)
            await self._record([])

    async def _notice_stop(self) -> None:
        await self._executor.stop.wait()
        self._changed.set()

    # --- feeding: intents, then requests ---

    async def _feed(self) -> None:
        """Store the intents of what is ready and hand it out, until nothing is left to wait for."""
        deadline: float | None = None
        while True:
            if self._failure is not None:
                raise self._failure
            if self._executor.is_over or self._executor.wingfield.is_down:
                self._agenda.only(())
            if self._executor.stop.is_set():
                deadline = deadline or asyncio.get_running_loop().time() + _DRAIN_SECONDS
                self._agenda.only(self._recreating())
            if not self._agenda and not self._unfinished:
                self._agenda.come_to_the_late()
            await self._hand_out_a_batch()
            if not (self._unfinished or self._agenda) or not await self._wait(deadline):
                return

    async def _wait(self, deadline: float | None) -> bool:
        self._changed.clear()
        if self._agenda and self._queue.qsize() < self._executor.concurrency:
            return True
        try:
            async with asyncio.timeout_at(deadline):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def _hand_out_a_batch(self) -> None:
        batch = self._agenda.take(BATCH) if self._queue.qsize() < self._executor.concurrency else []
        if not batch:
            return
        self._unfinished += len(batch)
        intents = [self._agenda.writes[index] for index in batch]
        await self._record(intents)
        self._deleted.update(write.id for write in intents if write.is_temporary)
        for index in batch:
            self._queue.put_nowait(index)

    async def _record(self, intents: Sequence[Write]) -> None:
        outcomes, self._outcomes = self._outcomes, []
        if intents or outcomes:
            loop = asyncio.get_running_loop()
            record, now_ms = self._executor.ledger.record, self._executor.now_ms()
            await asyncio.shield(loop.run_in_executor(self._ledger_thread, record, intents, outcomes, now_ms))

    def _recreating(self) -> set[int]:
        return self._agenda.recreating(self._deleted)

    # --- sending ---

    async def _work(self) -> None:
        while True:
            index = await self._queue.get()
            try:
                ending = await self._send(index)
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001 (raised again where somebody waits for it)
                self._failure = error
                ending = None
            self._unfinished -= 1
            if ending is Ending.ACKNOWLEDGED:
                self._agenda.done(index)
            self._changed.set()

    def _before(self, write: Write) -> Known:
        """Return what was known of its booking before this plan."""
        return self._known.get(write.id) or sighted(write.id, None, ABSENT, 0)

    async def _send(self, index: int) -> Ending | None:
        write = self._agenda.writes[index]
        if self._executor.is_over or (self._executor.stop.is_set() and index not in self._recreating()):
            return self._end(write, Ending.NOT_SENT)
        try:
            is_patient, finishing = not self._before(write).failures, self._is_finishing(index)
            await self._executor.wingfield.write(write, finishing=finishing, patient=is_patient)
        except Rejected as rejected:
            return await self._after_rejection(index, rejected)
        except CredentialsRefused as error:
            self._executor.is_over = True
            self._executor.this.note(error)
            return self._end(write, Ending.NOT_SENT)
        except Unavailable as error:
            self._executor.this.note(error, write.id)
            return self._end(write, Ending.UNANSWERED if error.maybe_applied else Ending.NOT_SENT)
        return self._end(write, Ending.ACKNOWLEDGED)

    async def _after_rejection(self, index: int, rejected: Rejected) -> Ending | None:
        write = self._agenda.writes[index]
        if rejected.reason == USER_DENIED and self._name_by_address(index):
            return None
        if rejected.reason in _OUTRUN or self._before(write).unsettled:
            return await self._read_back(index, rejected)
        return self._end(write, Ending.REJECTED, rejected.reason)

    def _name_by_address(self, index: int) -> bool:
        """Have a booking sent again, 1 ms above, with addresses in place of users; return whether it named any."""
        write, this = self._agenda.writes[index], self._executor.this
        booking = this.reading.desired.get(write.id)
        if booking is None or not booking.addresses or write.slot is None:
            return False
        players, version_ms = booking.addresses, self._highest(write) + 1
        this.denied.add(frozenset(write.participants).difference(players))
        content = fingerprint(booking.slot, players)
        this.reading.desired[write.id] = replace(booking, participants=players, fingerprint=content, addresses=())
        if not self._repeats(write):  # else it may stand there all the same
            self._outcomes.append(Outcome(write, Ending.NOT_SENT))
        content = fingerprint(write.slot, players)
        again = replace(write, participants=players, fingerprint=content, version_ms=version_ms)
        self._agenda.again(index, again)
        return True

    def _is_finishing(self, index: int) -> bool:
        """Whether a write is let through while the bridge stops: it is part of a cycle under way."""
        return self._agenda.writes[index].cycle is not None or (bool(self._deleted) and index in self._recreating())

    def _repeats(self, write: Write) -> bool:
        """Whether this very write was sent before, and never answered: it may have been applied then."""
        return any(sent.version_ms == write.version_ms for sent in self._before(write).unsettled)

    def _end(self, write: Write, ending: Ending, reason: str = "", *, is_adopted: bool = False) -> Ending:
        executor, tally = self._executor, self._executor.this.tally
        if ending is Ending.NOT_SENT and self._repeats(write):
            ending = Ending.UNANSWERED
        self._outcomes.append(Outcome(write, ending, reason, executor.config, executor.now_ms()))
        if ending is Ending.ACKNOWLEDGED:
            tally.acknowledged(write, is_adopted=is_adopted)
            executor.narrator.wrote(write)
            if not write.is_temporary:
                self._deleted.discard(write.id)
        elif ending is not Ending.NOT_SENT:
            tally.not_sent.discard(write.id)
            executor.narrator.failed(write, "rejected" if ending is Ending.REJECTED else "failed")
            if ending is Ending.REJECTED:
                executor.was_rejected = True
                tally.rejected[write.id] = reason
            else:
                tally.unanswered.add(write.id)
        return ending

    # --- conflicts ---

    async def _read_back(self, index: int, rejected: Rejected) -> Ending | None:
        """After a conflict, or a rejection of what may be there already, adopt what is there if it is ours.

        Otherwise, after a conflict, write above it. Source: Wingfield, Upsert court booking
        ("stale_write", "version_conflict").
        """
        write = self._agenda.writes[index]
        court, finishing = write.slot.court_id if write.slot else None, self._is_finishing(index)
        try:
            stored = await self._executor.wingfield.read(write.id, court=court, finishing=finishing)
        except ServiceError as error:
            self._executor.is_over |= isinstance(error, CredentialsRefused)
            self._executor.this.note(error)
            return self._end(write, Ending.UNANSWERED if self._before(write).unsettled else Ending.NOT_SENT)
        if is_there(write, stored):
            there = write if stored is None else replace(write, version_ms=stored.version_ms)
            self._outcomes.append(there.stored)
            return self._end(there, Ending.ACKNOWLEDGED, is_adopted=True)
        self._attempts[index] = self._attempts.get(index, 0) + 1
        if rejected.reason in _OUTRUN and self._attempts[index] <= _ATTEMPTS_ABOVE:
            self._try_above(index, stored)
            return None
        self._outcomes.append(stored or nothing(write.id, self._highest(write)))
        return self._end(write, Ending.REJECTED, rejected.reason)

    def _try_above(self, index: int, stored: Stored | None) -> None:
        """Write again 1 ms above what is there; with nothing there, above all known, and above now."""
        write = self._agenda.writes[index]
        highest = self._highest(write)
        there = stored.version_ms if stored is not None else max(highest, self._executor.now_ms())
        self._outcomes.append(stored or nothing(write.id, highest))
        self._agenda.again(index, replace(write, version_ms=max(there, highest) + 1))

    def _highest(self, write: Write) -> int:
        return max(write.version_ms, self._before(write).highest_ms)


def nothing(id_: str, version_ms: int) -> Stored:
    """Return, for the ledger, that a booking which may have had ``version_ms`` is not there."""
    return Stored(id_, version_ms, ABSENT, None)


def is_there(write: Write, stored: Stored | None) -> bool:
    """Whether Wingfield already has what ``write`` wants; the order of participants does not matter."""
    if write.verb is Verb.DELETE or write.slot is None:
        return stored is None
    return stored is not None and stored.has(write.slot, write.participants)
