"""Carries a plan out: as much side by side as the order allows, and nothing before its intent is stored.

Writes become ready when all they wait for has succeeded. Ready writes are taken in batches; the intents of a
batch, together with the outcomes so far, are one transaction; then the batch is sent, ``concurrency`` at a
time. A kill between any two lines leaves at worst a write that is sent again, under the same version.

What happens to a write:

    answered 200                    acknowledged
    stale_write, version_conflict   read back; adopted if the content is there, else sent above it
    another definite no             refused; those that wait for it are not sent (and read back, where an
                                    earlier write of the same booking was never answered)
    no usable answer                unanswered: it stays an intent, and those that wait for it are not sent
    credentials refused             nothing more is sent at all
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Protocol

from bridge.errors import BridgeError, CredentialsRefused, Rejected, ServiceError, Unavailable
from bridge.model import ABSENT, Ending, Found, Known, Outcome, Plan, Stored, Verb, Write

BATCH = 64
"""How many intents one transaction stores: enough to make its cost small, few enough to keep it short."""

_OUTRUN = frozenset({"stale_write", "version_conflict"})
_ATTEMPTS_ABOVE = 3
DRAIN_SECONDS = 4.5
"""How long requests in flight are waited for after a stop: with what is stored then, 5 seconds in all."""


class Target(Protocol):
    """What the executor needs of Wingfield."""

    async def write(self, write: Write, *, finishing: bool) -> None: ...

    async def read(self, id_: str, *, finishing: bool) -> Stored | None: ...

    @property
    def is_down(self) -> bool: ...


class Journal(Protocol):
    """What the executor needs of the ledger."""

    def record(self, intents: Sequence[Write], outcomes: Sequence[Outcome | Found]) -> None: ...


class Observer(Protocol):
    """Who is told what happened to each booking."""

    def wrote(self, write: Write) -> None: ...


@dataclass(slots=True)
class Execution:
    """How the writes of a plan ended, by booking, and what ended the pass early, if anything did."""

    endings: dict[str, Ending] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    adopted: set[str] = field(default_factory=set)
    error: BridgeError | None = None
    unanswered: BridgeError | None = None
    """The last request without a usable answer."""


@dataclass(slots=True)
class Executor:
    """Sends the writes of one plan after another; see the module's own words.

    ``now_ms`` is the clock, in milliseconds since 1970.
    When ``stop`` is set, only what puts taken out bookings back is still sent, for at most ``DRAIN_SECONDS``.
    """

    target: Target
    journal: Journal
    observer: Observer
    concurrency: int
    config: str
    now_ms: Callable[[], int]
    stop: asyncio.Event

    async def run(self, plan: Plan, known: Mapping[str, Known]) -> Execution:
        """Carry ``plan`` out and return how it ended. Raises StateError if the ledger fails."""
        if not plan.writes:
            return Execution()
        with ThreadPoolExecutor(1, thread_name_prefix="ledger") as ledger_thread:
            return await _Run(self, plan.writes, known, ledger_thread).run()


class _Run:
    """One plan under way."""

    def __init__(
        self,
        executor: Executor,
        writes: Sequence[Write],
        known: Mapping[str, Known],
        ledger_thread: ThreadPoolExecutor,
    ) -> None:
        self._executor = executor
        self._writes = list(writes)
        self._ledger_thread = ledger_thread
        self._children: list[list[int]] = [[] for _ in writes]
        self._missing = [len(write.after) for write in writes]
        for index, write in enumerate(writes):
            for other in write.after:
                self._children[other].append(index)
        self._ready = deque(index for index, missing in enumerate(self._missing) if not missing)
        self._queue: asyncio.Queue[int] = asyncio.Queue()
        self._unfinished = 0
        self._outcomes: list[Outcome | Found] = []
        self._changed = asyncio.Event()
        self._attempts: dict[int, int] = {}
        self._out = {id_ for id_, entry in known.items() if entry.is_taken_out}
        self._known = known
        self._failure: BaseException | None = None
        self.execution = Execution()

    async def run(self) -> Execution:
        workers = [asyncio.create_task(self._work()) for _ in range(self._executor.concurrency)]
        stopper = asyncio.create_task(self._notice_stop())
        try:
            await self._feed()
        finally:
            for task in (*workers, stopper):
                task.cancel()
            await asyncio.gather(*workers, stopper, return_exceptions=True)
        await self._record([], self._take_outcomes())
        return self.execution

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
            if self.execution.error is not None or self._executor.target.is_down:
                self._ready.clear()
            if self._executor.stop.is_set():
                deadline = deadline or asyncio.get_running_loop().time() + DRAIN_SECONDS
                self._drop_all_but_put_backs()
            await self._hand_out_a_batch()
            if not self._unfinished and not self._ready:
                return
            if not await self._wait(deadline):
                return

    async def _wait(self, deadline: float | None) -> bool:
        self._changed.clear()
        if self._ready and self._queue.qsize() < self._executor.concurrency:
            return True
        try:
            async with asyncio.timeout_at(deadline):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def _hand_out_a_batch(self) -> None:
        if self._queue.qsize() >= self._executor.concurrency:
            return
        count = min(BATCH, len(self._ready))
        batch = [self._ready.popleft() for _ in range(count)]
        if not batch:
            return
        self._unfinished += len(batch)
        intents = [self._writes[index] for index in batch]
        await self._record(intents, self._take_outcomes())
        self._out.update(write.id for write in intents if write.takes_out)
        for index in batch:
            self._queue.put_nowait(index)

    def _take_outcomes(self) -> list[Outcome | Found]:
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    async def _record(self, intents: Sequence[Write], outcomes: Sequence[Outcome | Found]) -> None:
        if intents or outcomes:
            loop = asyncio.get_running_loop()
            record = self._executor.journal.record
            await asyncio.shield(loop.run_in_executor(self._ledger_thread, record, intents, outcomes))

    def _drop_all_but_put_backs(self) -> None:
        wanted = self._putting_back()
        self._ready = deque(index for index in self._ready if index in wanted)

    def _putting_back(self) -> set[int]:
        """Return the writes that bookings now taken out need in order to be put back."""
        puts = (index for index, write in enumerate(self._writes) if write.verb is not Verb.DELETE)
        pending = [index for index in puts if self._writes[index].id in self._out]
        wanted: set[int] = set()
        while pending:
            index = pending.pop()
            if index not in wanted:
                wanted.add(index)
                pending.extend(self._writes[index].after)
        return wanted

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
                self._release(index)
            self._changed.set()

    def _release(self, index: int) -> None:
        for child in self._children[index]:
            self._missing[child] -= 1
            if not self._missing[child]:
                self._ready.append(child)

    def _may_send(self, index: int) -> bool:
        if self.execution.error is not None:
            return False
        return not self._executor.stop.is_set() or index in self._putting_back()

    async def _send(self, index: int) -> Ending | None:
        write = self._writes[index]
        if not self._may_send(index):
            return self._end(write, Ending.NOT_SENT)
        try:
            await self._executor.target.write(write, finishing=self._is_finishing(index))
        except Rejected as refused:
            if refused.reason in _OUTRUN or self._is_in_doubt(write):
                return await self._read_back(index, refused)
            return self._end(write, Ending.REFUSED, refused.reason)
        except CredentialsRefused as error:
            self.execution.error = error
            return self._end(write, Ending.NOT_SENT)
        except Unavailable as error:
            self.execution.unanswered = error
            return self._end(write, Ending.UNANSWERED if error.maybe_applied else Ending.NOT_SENT)
        return self._end(write, Ending.ACKNOWLEDGED)

    def _is_finishing(self, index: int) -> bool:
        """Whether a write is let through while the bridge stops: it is part of a ring under way."""
        return self._writes[index].ring is not None or (bool(self._out) and index in self._putting_back())

    def _is_in_doubt(self, write: Write) -> bool:
        """Whether an earlier pass sent this booking something that was never answered."""
        known = self._known.get(write.id)
        return known is not None and bool(known.unsettled)

    def _repeats(self, write: Write) -> bool:
        """Whether this very write was sent before, and never answered: it may have been applied then."""
        known = self._known.get(write.id)
        return known is not None and any(sent.version_ms == write.version_ms for sent in known.unsettled)

    def _end(self, write: Write, ending: Ending, reason: str = "") -> Ending:
        executor = self._executor
        if ending is Ending.NOT_SENT and self._repeats(write):
            ending = Ending.UNANSWERED
        self._outcomes.append(Outcome(write, ending, reason, executor.config, executor.now_ms()))
        if not (write.takes_out and ending is Ending.ACKNOWLEDGED):
            self.execution.endings[write.id] = ending
        if ending is Ending.REFUSED:
            self.execution.reasons[write.id] = reason
        if ending is Ending.ACKNOWLEDGED:
            if not write.takes_out:
                self._out.discard(write.id)
            executor.observer.wrote(write)
        return ending

    # --- conflicts ---

    async def _read_back(self, index: int, refused: Rejected) -> Ending | None:
        """After a conflict, or a refusal of what may stand there already: adopt what is there if it is ours.

        Otherwise, after a conflict, write above it. Source: Wingfield, Upsert court booking
        ("stale_write", "version_conflict").
        """
        write = self._writes[index]
        try:
            stored = await self._executor.target.read(write.id, finishing=self._is_finishing(index))
        except ServiceError as error:
            self.execution.unanswered = error
            return self._end(write, Ending.UNANSWERED if self._is_in_doubt(write) else Ending.NOT_SENT)
        if is_there(write, stored):
            return self._adopt(write, stored)
        self._attempts[index] = self._attempts.get(index, 0) + 1
        if refused.reason in _OUTRUN and self._attempts[index] <= _ATTEMPTS_ABOVE:
            self._try_above(index, stored)
            return None
        self._outcomes.append(found(write.id, stored, self._highest(write)))
        return self._end(write, Ending.REFUSED, refused.reason)

    def _adopt(self, write: Write, stored: Stored | None) -> Ending:
        version_ms = write.version_ms if stored is None else stored.version_ms
        there = None if write.verb is Verb.DELETE else write.slot
        self._outcomes.append(Found(write.id, version_ms, write.fingerprint, there))
        self.execution.adopted.add(write.id)
        return self._end(replace(write, version_ms=version_ms), Ending.ACKNOWLEDGED)

    def _try_above(self, index: int, stored: Stored | None) -> None:
        """Write again 1 ms above what is there; with nothing there, above all known, and above now."""
        write = self._writes[index]
        highest = self._highest(write)
        there = stored.version_ms if stored is not None else max(highest, self._executor.now_ms())
        self._outcomes.append(found(write.id, stored, highest))
        self._writes[index] = replace(write, version_ms=max(there, highest) + 1)
        self._ready.appendleft(index)

    def _highest(self, write: Write) -> int:
        known = self._known.get(write.id)
        return max(write.version_ms, known.highest_ms if known else 0)


def found(id_: str, stored: Stored | None, version_ms: int) -> Found:
    """Return, for the ledger, what was read back; ``version_ms`` counts where nothing is there."""
    if stored is None:
        return Found(id_, version_ms, ABSENT, None)
    return Found(id_, stored.version_ms, stored.fingerprint, stored.slot)


def is_there(write: Write, stored: Stored | None) -> bool:
    """Whether Wingfield already has what ``write`` wants; the order of participants does not matter."""
    if write.verb is Verb.DELETE:
        return stored is None
    if stored is None or write.slot is None:
        return False
    return stored.has(write.slot, write.participants)
