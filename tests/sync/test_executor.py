"""Carrying a plan out: nothing before its intent, nor before what it waits for, and no doubt forgotten."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import AccessDenied, BridgeError, CredentialsRefused, Rejected, StateError, Unavailable
from bridge.ledger.entry import Ending, Outcome
from bridge.ledger.store import Ledger
from bridge.model import Known, Stored, Verb, Write
from bridge.planning.planner import Plan
from bridge.planning.reading import Reading
from bridge.records import Identity
from bridge.sync import executor as module
from bridge.sync.executor import BATCH, Executor, is_there
from bridge.sync.narrator import LogNarrator
from bridge.sync.result import Pass, Tally
from bridge.wingfield.client import Wingfield
from tests.support import builders
from tests.support.builders import PLAYER, slot

NOW_MS = 1_000_000
Answer = BaseException | None


def put(id_: object, *after: int, hour: float = 9, version_ms: int = 1000, cycle: int | None = None) -> Write:
    return builders.put(id_, slot(hour), version_ms, after=after, cycle=cycle)


def delete(id_: object, *after: int, version_ms: int = 1000, **fields: Any) -> Write:
    return builders.delete(id_, slot(9), version_ms, after=after, **fields)


def swap(out: object, other: object, *, first: int = 0) -> list[Write]:
    """Return the writes of a cycle of two, the first of which is the plan's ``first``."""
    places = ((str(out), slot(9)), (str(other), slot(10)))
    return [
        delete(out, version_ms=2000, is_temporary=True, cycle=1, places=places),
        put(other, first, hour=9, version_ms=2000, cycle=1),
        put(out, first, first + 1, hour=10, version_ms=2001, cycle=1),
    ]


def there(hour: float = 9, version_ms: int = 1000) -> Stored:
    """Return booking 7 as Wingfield has it."""
    return Stored("7", version_ms, put(7, hour=hour).fingerprint, slot(hour), PLAYER)


class Script(Wingfield):
    """A Wingfield that does as it is told; ``gate`` keeps requests in flight until it is opened."""

    def __init__(self) -> None:
        self.answers: dict[str, deque[Answer]] = {}
        self.there: dict[str, Stored | BaseException] = {}
        self.log: list[tuple[str, str, int]] = []
        self.finishing: list[bool] = []
        self.reads: list[str] = []
        self.gate: asyncio.Event | None = None
        self.in_flight = self.most_in_flight = 0
        self.down = False
        self.before: Callable[[Write], object] = lambda _: None
        self.on_request: Callable[[], object] = lambda: None

    @property
    def is_down(self) -> bool:
        return self.down

    def says(self, id_: object, *answers: Answer) -> None:
        self.answers[str(id_)] = deque(answers)

    async def write(self, write: Write, *, finishing: bool = False, patient: bool = True) -> None:
        self.before(write)
        self.log.append(("DELETE" if write.verb is Verb.DELETE else "PUT", write.id, write.version_ms))
        self.finishing.append(finishing)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.on_request()
        try:
            await asyncio.sleep(0)
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.in_flight -= 1
        queue = self.answers.get(write.id)
        answer = queue.popleft() if queue else None
        if answer is not None:
            raise answer

    async def read(self, id_: str, *, court: str | None = None, finishing: bool = False) -> Stored | None:
        self.reads.append(id_)
        answer = self.there.get(id_)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    @property
    def sent(self) -> list[str]:
        return [id_ for _, id_, _ in self.log]


class Journal(Ledger):
    """A ledger in memory, which remembers how often and in which order it was written."""

    def __init__(self, connection: sqlite3.Connection, source: str) -> None:
        super().__init__(connection, source)
        self.calls: list[tuple[int, int]] = []
        self.intents: set[tuple[str, int]] = set()
        self.fails_at: int | None = None
        self.after: Callable[[], object] = lambda: None

    def record(self, intents: Sequence[Write], outcomes: Sequence[Outcome | Stored], at_ms: int = 0) -> None:
        if self.fails_at is not None and len(self.calls) >= self.fails_at:
            raise StateError("/state.db: the disk is full; make room and run again")
        super().record(intents, outcomes, at_ms)
        self.calls.append((len(intents), len(outcomes)))
        self.intents.update((write.id, write.version_ms) for write in intents)
        self.after()


class Bench(LogNarrator):
    """An executor between a script and a journal, and its narrator."""

    def __init__(self, journal: Ledger) -> None:
        assert isinstance(journal, Journal)
        super().__init__()
        self.target, self.journal = Script(), journal
        self.told: list[str] = []
        self.stop = asyncio.Event()
        self.concurrency = 4
        self.observer: Callable[[Write], object] = lambda _: None
        self.errors: list[BridgeError] = []
        self.is_over = False

    def wrote(self, write: Write) -> None:
        self.told.append(write.id)
        self.observer(write)

    async def run(self, *writes: Write) -> Tally:
        """Carry the writes out as the plan of a pass of their own; return what they came to."""
        self.target.before = self._has_its_intent
        this = Pass(NOW_MS, 0.0, "c", self.journal.known, [], (), {}, Reading(()))
        executor = Executor(self.target, self.journal, self, this, self.concurrency, "cfg", lambda: NOW_MS, self.stop)
        async with asyncio.timeout(20):
            await executor.run(Plan(writes))
        self.errors, self.is_over = [*this.troubles()], executor.is_over
        assert executor.was_rejected is bool(this.tally.rejected)
        return this.tally

    async def lose(self, *writes: Write) -> None:
        """Let these be sent and their answers be lost, in earlier passes."""
        for write in writes:
            self.target.says(write.id, lost())
            await self.run(write)
        self.target.log.clear()

    def _has_its_intent(self, write: Write) -> None:
        assert (write.id, write.version_ms) in self.journal.intents, "sent before it was stored"

    def known(self, id_: object) -> Known:
        return self.journal.known[str(id_)]

    def in_doubt(self, id_: object) -> list[int]:
        return [write.version_ms for write in self.known(id_).unsettled]


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Journal.snapshot(Path("/nonexistent/state.db"), Identity("h", "w", "s", "")) as journal:
        yield Bench(journal)


def no(reason: str = "court_not_found") -> Rejected:
    return Rejected("Wingfield", "no", reason=reason)


def lost() -> Unavailable:
    return Unavailable("Wingfield", "no answer")


def never_left() -> Unavailable:
    return Unavailable("Wingfield", "connection refused", maybe_applied=False)


def refused() -> CredentialsRefused:
    return CredentialsRefused("Wingfield", "the token was refused")


def ids(count: int) -> set[str]:
    return set(map(str, range(count)))


# --- the usual way ---


async def test_an_empty_plan_does_nothing(bench: Bench) -> None:
    assert await bench.run() == Tally()
    assert bench.journal.calls == []


async def test_every_write_is_sent_once_after_its_intent_and_its_outcome_is_stored(bench: Bench) -> None:
    writes = [put(n, hour=n) for n in range(200)]
    tally = await bench.run(*writes)
    assert sorted(bench.target.sent, key=int) == [str(n) for n in range(200)]
    assert tally == Tally(planned=ids(200), updated=ids(200))
    assert len(bench.told) == 200
    assert all(bench.known(write.id).stands_as(write.fingerprint) for write in writes)


async def test_a_thousand_writes_are_a_handful_of_transactions_none_larger_than_a_batch(bench: Bench) -> None:
    await bench.run(*(put(n) for n in range(1000)))
    counts = [intents for intents, _ in bench.journal.calls]
    assert sum(counts) == 1000
    assert len(counts) <= 2 * 1000 / BATCH
    assert max(counts) <= BATCH


@pytest.mark.parametrize("concurrency", [1, 3, 8, 100])
async def test_never_more_are_in_flight_than_allowed_and_no_fewer(bench: Bench, concurrency: int) -> None:
    bench.concurrency = concurrency
    gate = bench.target.gate = asyncio.Event()

    def open_when_full() -> None:
        if bench.target.in_flight == concurrency:
            gate.set()

    bench.target.on_request = open_when_full
    await bench.run(*(put(n) for n in range(150)))
    assert bench.target.most_in_flight == concurrency


async def test_a_delete_is_sent_and_counted_as_one(bench: Bench) -> None:
    assert (await bench.run(delete(7, version_ms=5))).deleted == {"7"}
    assert bench.target.log == [("DELETE", "7", 5)]


async def test_a_write_is_sent_after_all_it_waits_for_have_succeeded(bench: Bench) -> None:
    writes = [put(0), put(1), put(2, 0, 1), put(3, 2), put(4)]
    answered: set[str] = set()

    def check() -> None:
        assert {"2": {"0", "1"}, "3": {"2"}}.get(bench.target.sent[-1], set()) <= answered

    bench.target.on_request = check
    bench.observer = lambda write: answered.add(write.id)
    assert (await bench.run(*writes)).updated == ids(5)


async def test_a_long_chain_is_carried_out_to_its_end(bench: Bench) -> None:
    await bench.run(put(0), *(put(n, n - 1) for n in range(1, 150)))
    assert bench.target.sent == [str(n) for n in range(150)]


async def test_one_slow_write_does_not_keep_others_waiting(bench: Bench) -> None:
    """While the first hangs, the ninety-nine others are done."""
    bench.concurrency = 2
    gate = asyncio.Event()
    write_at_once = bench.target.write

    async def write(write: Write, *, finishing: bool = False, patient: bool = True) -> None:
        if write.id == "0":
            await gate.wait()
        await write_at_once(write, finishing=finishing)
        if len(bench.target.log) == 99:
            gate.set()

    bench.target.write = write  # type: ignore[method-assign]
    assert (await bench.run(*(put(n) for n in range(100)))).updated == ids(100)
    assert bench.target.sent[-1] == "0"


# --- failures ---


@pytest.mark.parametrize("answer", [no(), lost(), never_left()], ids=["rejected", "lost", "never left"])
async def test_a_write_whose_predecessor_failed_is_not_sent(bench: Bench, answer: BridgeError) -> None:
    bench.target.says(0, answer)
    tally = await bench.run(put(0), put(1, 0), put(2, 1), put(3))
    assert sorted(bench.target.sent) == ["0", "3"]
    assert (tally.updated, tally.not_sent - {"0"}) == ({"3"}, {"1", "2"})
    assert {id_ for id_, _ in bench.journal.intents} == {"0", "3"}


async def test_a_rejection_says_its_reason_and_stores_it(bench: Bench) -> None:
    bench.target.says(7, no("user_access_denied"))
    tally = await bench.run(put(7))
    assert tally == Tally(planned={"7"}, rejected={"7": "user_access_denied"})
    rejection = bench.known(7).rejection
    assert rejection is not None
    assert (rejection.reason, rejection.config, rejection.at_ms) == ("user_access_denied", "cfg", NOW_MS)
    assert (bench.in_doubt(7), bench.told, bench.errors) == ([], [], [])


@pytest.mark.parametrize(
    ("answer", "unanswered", "not_sent", "in_doubt"),
    [(lost(), {"7"}, set(), [1000]), (never_left(), set(), {"7"}, [])],
    ids=["lost", "never left"],
)
async def test_only_a_lost_answer_leaves_the_write_in_doubt(
    bench: Bench, answer: BridgeError, unanswered: set[str], not_sent: set[str], in_doubt: list[int]
) -> None:
    bench.target.says(7, answer)
    tally = await bench.run(put(7))
    assert (tally.unanswered, tally.not_sent) == (unanswered, not_sent)
    assert bench.errors == [answer]
    assert bench.in_doubt(7) == in_doubt


async def test_refused_credentials_end_everything(bench: Bench) -> None:
    bench.concurrency = 2
    bench.target.says(3, refused())
    tally = await bench.run(*(put(n) for n in range(200)))
    assert [type(error) for error in bench.errors] == [CredentialsRefused]
    assert bench.is_over
    assert len(bench.target.sent) <= 6
    assert tally.not_sent == ids(200) - set(bench.target.sent) | {"3"}
    assert not any(known.unsettled for known in bench.journal.known.values())


async def test_a_service_that_is_down_is_asked_nothing_more(bench: Bench) -> None:
    bench.concurrency = 1
    bench.target.says(0, lost())

    def go_down() -> None:
        bench.target.down = True

    bench.target.on_request = go_down
    await bench.run(*(put(n) for n in range(3 * BATCH)))
    assert {id_ for id_, _ in bench.journal.intents} == ids(BATCH)


# --- what was in doubt before ---


@pytest.mark.parametrize("answer", [never_left(), refused(), lost()], ids=["not sent", "refused", "lost"])
async def test_a_lost_write_whose_repeat_is_not_answered_stays_in_doubt(bench: Bench, answer: BridgeError) -> None:
    await bench.lose(put(7))
    bench.target.says(7, answer)
    assert (await bench.run(put(7))).unanswered == {"7"}
    assert bench.in_doubt(7) == [1000]


async def test_a_lost_write_whose_repeat_comes_after_a_stop_stays_in_doubt(bench: Bench) -> None:
    await bench.lose(put(7))
    bench.journal.after = bench.stop.set
    await bench.run(put(7))
    assert bench.target.sent == []
    assert bench.in_doubt(7) == [1000]


async def test_a_lost_write_whose_repeat_is_rejected_is_read_back(bench: Bench) -> None:
    await bench.lose(put(7))
    bench.target.says(7, no())
    bench.target.there["7"] = there()
    await bench.run(put(7))
    assert bench.target.reads == ["7"]
    assert bench.known(7).stands_as(put(7).fingerprint)


async def test_a_rejected_move_of_one_in_doubt_is_read_back_and_rejected(bench: Bench) -> None:
    await bench.lose(put(7))
    bench.target.says(7, no())
    bench.target.there["7"] = there()
    tally = await bench.run(put(7, hour=10, version_ms=2000))
    assert tally.rejected == {"7": "court_not_found"}
    assert (bench.known(7).places, bench.in_doubt(7)) == ((slot(9),), [])
    assert bench.known(7).rejection is not None


async def test_a_rejected_one_in_doubt_that_cannot_be_read_back_stays_in_doubt(bench: Bench) -> None:
    await bench.lose(put(7))
    bench.target.says(7, no())
    bench.target.there["7"] = lost()
    assert (await bench.run(put(7))).unanswered == {"7"}
    assert bench.in_doubt(7) == [1000]


async def test_one_found_as_wanted_under_an_older_version_is_in_doubt_no_more(bench: Bench) -> None:
    """Its move was lost, the source took it back, that was rejected: it never left its place."""
    await bench.run(put(7))
    await bench.lose(put(7, hour=10, version_ms=2000))
    bench.target.says(7, no("organization_access_denied"))
    bench.target.there["7"] = there()
    await bench.run(put(7, version_ms=3000))
    assert bench.in_doubt(7) == []
    assert bench.known(7).stands_as(put(7).fingerprint)


# --- conflicts ---

CONFLICTS = ["stale_write", "version_conflict"]


@pytest.mark.parametrize("reason", CONFLICTS)
async def test_after_a_conflict_what_is_there_already_is_adopted(bench: Bench, reason: str) -> None:
    bench.target.says(7, no(reason))
    bench.target.there["7"] = there(version_ms=5000)
    assert await bench.run(put(7)) == Tally(planned={"7"}), "neither written nor pending"
    assert bench.known(7).acked_version_ms == 5000
    assert bench.known(7).stands_as(put(7).fingerprint)
    assert len(bench.target.log) == 1


@pytest.mark.parametrize("reason", CONFLICTS)
@pytest.mark.parametrize(
    ("write", "found", "above_ms"),
    [
        pytest.param(put(7), there(20, 5000), 5001, id="other content"),
        pytest.param(put(7), there(20, 10), 1001, id="an older version: above our own"),
        pytest.param(put(7), None, NOW_MS + 1, id="nothing there: above now"),
        pytest.param(put(7, version_ms=NOW_MS + 500), None, NOW_MS + 501, id="nothing there, a clock behind"),
        pytest.param(delete(7), there(9, 5000), 5001, id="a delete"),
    ],
)
async def test_after_a_conflict_it_is_written_one_millisecond_above_all_that_is_known(
    bench: Bench, reason: str, write: Write, found: Stored | None, above_ms: int
) -> None:
    bench.target.says(7, no(reason))
    bench.target.there.update({"7": found} if found else {})
    tally = await bench.run(write, put(8, 0))
    assert bench.target.sent == ["7", "7", "8"], "those that wait for it go on"
    assert [version_ms for _, _, version_ms in bench.target.log[:2]] == [write.version_ms, above_ms]
    assert bench.known(7).acked_version_ms == above_ms
    assert (tally.updated | tally.deleted, tally.pending) == ({"7", "8"}, set())


async def test_a_stale_delete_of_what_is_gone_already_is_done(bench: Bench) -> None:
    bench.target.says(7, no("stale_write"))
    assert (await bench.run(delete(7))).pending == set()
    assert len(bench.target.log) == 1


async def test_after_three_more_tries_a_conflict_is_a_rejection(bench: Bench) -> None:
    bench.target.says(7, *(no("stale_write") for _ in range(9)))
    bench.target.there["7"] = there(20, 5000)
    tally = await bench.run(put(7), put(8, 0))
    assert len(bench.target.log) == 4
    assert (tally.rejected, tally.not_sent) == ({"7": "stale_write"}, {"8"})
    assert (bench.known(7).places, bench.in_doubt(7)) == ((slot(20),), [])


@pytest.mark.parametrize("answer", [lost(), refused(), AccessDenied("Wingfield", "no")], ids=repr)
async def test_a_conflict_that_cannot_be_read_back_is_left_for_the_next_pass(bench: Bench, answer: BridgeError) -> None:
    bench.target.says(7, no("stale_write"))
    bench.target.there["7"] = answer
    assert (await bench.run(put(7))).not_sent == {"7"}
    assert bench.errors == [answer]
    assert len(bench.target.log) == 1
    assert bench.in_doubt(7) == []


# --- stopping ---


async def test_a_stop_sends_nothing_new_and_waits_for_what_is_in_flight(bench: Bench) -> None:
    bench.concurrency = 3
    gate = bench.target.gate = asyncio.Event()

    def third_is_out() -> None:
        if bench.target.in_flight == 3:
            bench.stop.set()
            asyncio.get_running_loop().call_soon(gate.set)

    bench.target.on_request = third_is_out
    tally = await bench.run(*(put(n) for n in range(200)))
    assert bench.target.sent == ["0", "1", "2"]
    assert tally.updated == ids(3)
    assert all(bench.known(id_).acked_version_ms == 1000 for id_ in tally.updated)
    assert not any(entry.unsettled for entry in bench.journal.known.values())


async def test_stopped_before_it_begins_it_sends_nothing(bench: Bench) -> None:
    for _ in range(2):
        bench.stop.set()
        tally = await bench.run(put(0), *swap(1, 2, first=1))
        assert (bench.target.sent, tally.not_sent) == ([], ids(3))


async def test_a_stop_finishes_the_cycle_that_was_cut_and_nothing_else(bench: Bench) -> None:
    bench.concurrency = 1
    bench.target.on_request = bench.stop.set
    await bench.run(*swap(1, 2), *(put(n) for n in range(10, 20)))
    assert bench.target.log == [("DELETE", "1", 2000), ("PUT", "2", 2000), ("PUT", "1", 2001)]
    assert bench.target.finishing == [True, True, True]
    assert not any(known.is_temporarily_deleted for known in bench.journal.known.values())


async def test_a_stop_recreates_what_an_earlier_pass_temporarily_deleted(bench: Bench) -> None:
    cut = swap(1, 2)[0]
    bench.journal.record([cut, put(2)], [Outcome(put(2), Ending.ACKNOWLEDGED)])
    bench.journal.record([], [Outcome(cut, Ending.ACKNOWLEDGED)])
    bench.stop.set()
    await bench.run(put(5), put(1, hour=10, version_ms=3000))
    assert bench.target.sent == ["1"]
    assert bench.target.finishing == [True]


async def test_what_does_not_answer_within_the_deadline_is_left_in_doubt(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_DRAIN_SECONDS", 0.02)
    bench.target.gate = asyncio.Event()
    bench.target.on_request = bench.stop.set
    began = time.monotonic()
    await bench.run(put(7), put(8, 0))
    assert time.monotonic() - began < 2
    assert bench.target.sent == ["7"]
    assert bench.in_doubt(7) == [1000]


# --- the ledger fails, or something nobody thought of ---


@pytest.mark.parametrize("fails_at", [0, 1, 2, 5])
async def test_a_ledger_that_fails_ends_the_run_and_nothing_unrecorded_is_sent(bench: Bench, fails_at: int) -> None:
    bench.journal.fails_at = fails_at
    with pytest.raises(StateError, match="disk is full"):
        await bench.run(*(put(n) for n in range(20 * BATCH)))
    assert len(bench.journal.intents) <= fails_at * BATCH
    assert {(id_, version) for _, id_, version in bench.target.log} <= bench.journal.intents


async def test_a_ledger_that_fails_at_the_very_end_is_a_state_error_too(bench: Bench) -> None:
    bench.journal.fails_at = 1
    with pytest.raises(StateError):
        await bench.run(put(7))
    assert bench.in_doubt(7) == [1000]


@pytest.mark.parametrize("others", [[], [put(n) for n in range(50)]], ids=["alone", "among others"])
async def test_an_error_nobody_thought_of_ends_the_run_and_leaves_its_write_in_doubt(
    bench: Bench, others: list[Write]
) -> None:
    bench.target.says(99, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await bench.run(put(99), *others, put(100, 0))
    assert bench.in_doubt(99) == [1000]


async def test_an_observer_that_fails_ends_the_run(bench: Bench) -> None:
    def fail(_: Write) -> None:
        raise BrokenPipeError

    bench.observer = fail
    with pytest.raises(BrokenPipeError):
        await bench.run(put(7))


async def test_a_cancelled_run_leaves_no_task_behind(bench: Bench) -> None:
    bench.target.gate = asyncio.Event()
    out = asyncio.Event()
    bench.target.on_request = out.set
    run = asyncio.create_task(bench.run(put(7)))
    await out.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert bench.in_doubt(7) == [1000]


# --- cycles ---


async def test_a_cycle_is_carried_out_in_its_order(bench: Bench) -> None:
    tally = await bench.run(*swap(1, 2))
    assert bench.target.sent == bench.told == ["1", "2", "1"]
    assert (tally.updated, tally.pending) == ({"1", "2"}, set())
    assert not any(known.cycle for known in bench.journal.known.values())


async def test_one_temporarily_deleted_whose_way_back_waits_is_pending(bench: Bench) -> None:
    """It is neither done nor rejected: the pass has to look after it."""
    bench.target.says(2, no())
    tally = await bench.run(*swap(1, 2))
    assert (tally.rejected, tally.pending) == ({"2": "court_not_found"}, {"1"})
    assert bench.known(1).is_temporarily_deleted


async def test_a_temporary_delete_that_was_rejected_leaves_the_cycle_whole(bench: Bench) -> None:
    bench.target.says(1, no("organization_access_denied"))
    assert (await bench.run(*swap(1, 2))).rejected.keys() == {"1"}
    assert not any(known.cycle for known in bench.journal.known.values())


# --- comparing ---


def test_what_a_write_wants_is_there_or_not() -> None:
    assert is_there(put(7), there())
    assert not is_there(put(7), there(10))
    assert not is_there(put(7), None)
    assert is_there(delete(7), None)
    assert not is_there(delete(7), there())
