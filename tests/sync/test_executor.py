"""Carrying a plan out: nothing before its intent, nobody before those it waits for, no doubt forgotten."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.errors import AccessDenied, BridgeError, CredentialsRefused, Rejected, StateError, Unavailable
from bridge.ledger.store import Ledger
from bridge.model import ABSENT, Ending, Identity, Known, Outcome, Plan, Slot, Stored, Verb, Write, fingerprint
from bridge.sync import executor as module
from bridge.sync.executor import BATCH, Execution, Executor, content_of, found, is_there, same_content

DAY = datetime(2026, 11, 21, tzinfo=UTC)
PLAYER = ("player@example.com",)
NOW_MS = 1_000_000


def slot(hour: float, court: str = "c1") -> Slot:
    start = DAY + timedelta(hours=hour)
    return Slot(court, start, start + timedelta(hours=1))


def put(id_: object, *after: int, hour: float = 9, version_ms: int = 1000, ring: int | None = None) -> Write:
    place = slot(hour)
    content = fingerprint(place, PLAYER)
    return Write(Verb.UPDATE, str(id_), place, PLAYER, content, version_ms, "new", after, cycle=ring, sighted_ms=500)


def take(id_: object, *after: int, version_ms: int = 1000) -> Write:
    return Write(Verb.DELETE, str(id_), slot(9), (), ABSENT, version_ms, "gone", after)


def ring_of(out: object, other: object, *, first: int = 0) -> list[Write]:
    """Return the writes of a swap, the first of which is the plan's ``first``."""
    places = ((str(out), slot(9)), (str(other), slot(10)))
    cut = replace(take(out, version_ms=2000), is_temporary=True, cycle=1, places=places)
    back = put(out, first, first + 1, hour=10, version_ms=2001, cycle=1)
    return [cut, put(other, first, hour=9, version_ms=2000, cycle=1), back]


@dataclass(frozen=True)
class There:
    """A booking as Wingfield has it."""

    slot: Slot
    version_ms: int
    participants: tuple[str, ...] | None = PLAYER


Answer = BaseException | None


@dataclass
class Script:
    """A target that does as it is told; ``gate`` keeps requests in flight until it is opened."""

    answers: dict[str, deque[Answer]] = field(default_factory=dict)
    there: dict[str, There | BaseException | None] = field(default_factory=dict)
    log: list[tuple[str, str, int]] = field(default_factory=list)
    finishing: list[bool] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None
    in_flight: int = 0
    most_in_flight: int = 0
    is_down: bool = False
    before: Callable[[str, str, int], object] = lambda *_: None
    on_request: Callable[[], object] = lambda: None

    def says(self, id_: object, *answers: Answer) -> None:
        self.answers[f"key-{id_}"] = deque(answers)

    async def upsert(
        self,
        external_id: str,
        *,
        court_id: str,
        start: datetime,
        end: datetime,
        version_ms: int,
        participants: Sequence[str],
        finishing: bool,
    ) -> None:
        assert participants
        assert end > start
        await self._answer("PUT", external_id, version_ms, finishing)

    async def delete(self, external_id: str, version_ms: int, *, finishing: bool) -> None:
        await self._answer("DELETE", external_id, version_ms, finishing)

    async def _answer(self, method: str, key: str, version_ms: int, finishing: bool) -> None:
        self.before(method, key, version_ms)
        self.log.append((method, key.removeprefix("key-"), version_ms))
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
        queue = self.answers.get(key)
        answer = queue.popleft() if queue else None
        if answer is not None:
            raise answer

    async def read(self, external_id: str, *, finishing: bool) -> There | None:
        self.reads.append(external_id)
        answer = self.there.get(external_id.removeprefix("key-"))
        if isinstance(answer, BaseException):
            raise answer
        return answer

    @property
    def sent(self) -> list[str]:
        return [id_ for _, id_, _ in self.log]


class Journal:
    """The real ledger, in memory, which remembers how often and in which order it was written."""

    def __init__(self) -> None:
        self.ledger = Ledger.snapshot(Path("/nonexistent/state.db"), Identity("h", "s", ""))
        self.calls: list[tuple[int, int]] = []
        self.intents: set[tuple[str, int]] = set()
        self.outcomes: list[Outcome | Stored] = []
        self.fails_at: int | None = None

    def record(self, intents: Sequence[Write], outcomes: Sequence[Outcome | Stored]) -> None:
        if self.fails_at is not None and len(self.calls) >= self.fails_at:
            raise StateError("/state.db: the disk is full; make room and run again")
        self.ledger.record(intents, outcomes)
        self.calls.append((len(intents), len(outcomes)))
        self.intents.update((write.id, write.version_ms) for write in intents)
        self.outcomes.extend(outcomes)

    def known(self) -> dict[str, Known]:
        return self.ledger.known


class Bench:
    """An executor between a script and a journal."""

    def __init__(self) -> None:
        self.target = Script()
        self.journal = Journal()
        self.wrote_: list[str] = []
        self.stop = asyncio.Event()
        self.concurrency = 4
        self.observer: Callable[[Write], object] = lambda _: None

    def wrote(self, write: Write) -> None:
        self.wrote_.append(write.id)
        self.observer(write)

    async def run(self, *writes: Write, known: Mapping[str, Known] | None = None) -> Execution:
        self.target.before = self._has_its_intent
        executor = Executor(
            self.target, self.journal, self, "key-{}".format, self.concurrency, "cfg", lambda: NOW_MS, self.stop
        )
        async with asyncio.timeout(20):
            return await executor.run(Plan(tuple(writes)), self.journal.known if known is None else known)

    def _has_its_intent(self, _: str, key: str, version_ms: int) -> None:
        assert (key.removeprefix("key-"), version_ms) in self.journal.intents, "sent before it was stored"

    def in_doubt(self, id_: object) -> list[int]:
        return [written.version_ms for written in self.journal.known[str(id_)].unsettled]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    with bench.journal.ledger:
        yield bench


def no(reason: str = "court_not_found") -> Rejected:
    return Rejected("Wingfield", "no", reason=reason)


def lost() -> Unavailable:
    return Unavailable("Wingfield", "no answer")


def never_left() -> Unavailable:
    return Unavailable("Wingfield", "connection refused", maybe_applied=False)


# --- the usual way ---


async def test_an_empty_plan_does_nothing(bench: Bench) -> None:
    assert await bench.run() == Execution()
    assert bench.journal.calls == []


async def test_every_write_is_sent_once_after_its_intent_and_its_outcome_is_stored(bench: Bench) -> None:
    execution = await bench.run(*(put(n, hour=n) for n in range(200)))
    assert sorted(bench.target.sent, key=int) == [str(n) for n in range(200)]
    assert set(execution.endings.values()) == {Ending.ACKNOWLEDGED}
    assert len(bench.wrote_) == 200
    assert all(known.stands_as(fingerprint(slot(int(id_)), PLAYER)) for id_, known in bench.journal.known.items())


async def test_a_thousand_writes_are_a_handful_of_transactions(bench: Bench) -> None:
    await bench.run(*(put(n) for n in range(1000)))
    assert sum(intents for intents, _ in bench.journal.calls) == 1000
    assert len(bench.journal.calls) <= 2 * 1000 / BATCH


async def test_no_transaction_stores_more_than_a_batch(bench: Bench) -> None:
    await bench.run(*(put(n) for n in range(300)))
    assert max(intents for intents, _ in bench.journal.calls) <= BATCH


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


async def test_a_delete_is_sent_as_one(bench: Bench) -> None:
    await bench.run(take("7", version_ms=5))
    assert bench.target.log == [("DELETE", "7", 5)]


async def test_a_write_is_sent_after_all_it_waits_for_have_succeeded(bench: Bench) -> None:
    writes = [put(0), put(1), put(2, 0, 1), put(3, 2), put(4)]
    answered: set[str] = set()

    def before(_: str, key: str, __: int) -> None:
        needs = {"key-2": {"0", "1"}, "key-3": {"2"}}.get(key, set())
        assert needs <= answered

    bench.target.on_request = lambda: before("", f"key-{bench.target.sent[-1]}", 0)
    bench.observer = lambda write: answered.add(write.id)
    execution = await bench.run(*writes)
    assert len(execution.endings) == 5


async def test_a_long_chain_is_carried_out_to_its_end(bench: Bench) -> None:
    await bench.run(put(0), *(put(n, n - 1) for n in range(1, 150)))
    assert bench.target.sent == [str(n) for n in range(150)]


async def test_one_slow_write_does_not_keep_others_waiting(bench: Bench) -> None:
    """While the first hangs, the ninety-nine others are done."""
    bench.concurrency = 2
    gate = asyncio.Event()
    original = bench.target._answer

    async def answer(method: str, key: str, version_ms: int, finishing: bool) -> None:
        if key == "key-0":
            await gate.wait()
        await original(method, key, version_ms, finishing)
        if len(bench.target.log) == 99:
            gate.set()

    bench.target._answer = answer  # type: ignore[method-assign]
    execution = await bench.run(*(put(n) for n in range(100)))
    assert bench.target.sent[-1] == "0"
    assert len(execution.endings) == 100


# --- failures ---


@pytest.mark.parametrize("answer", [no(), lost(), never_left()], ids=["refused", "lost", "never left"])
async def test_a_write_whose_predecessor_failed_is_not_sent(bench: Bench, answer: BridgeError) -> None:
    bench.target.says(0, answer)
    execution = await bench.run(put(0), put(1, 0), put(2, 1), put(3))
    assert sorted(bench.target.sent) == ["0", "3"]
    assert execution.endings.keys() == {"0", "3"}
    assert {id_ for id_, _ in bench.journal.intents} == {"0", "3"}


async def test_a_refusal_says_its_reason_and_stores_it(bench: Bench) -> None:
    bench.target.says(7, no("user_access_denied"))
    execution = await bench.run(put(7))
    assert (execution.endings, execution.reasons) == ({"7": Ending.REJECTED}, {"7": "user_access_denied"})
    refusal = bench.journal.known["7"].rejection
    assert refusal is not None
    assert (refusal.reason, refusal.config, refusal.at_ms) == ("user_access_denied", "cfg", NOW_MS)
    assert bench.in_doubt(7) == []
    assert bench.wrote_ == []


async def test_a_lost_answer_leaves_the_write_in_doubt(bench: Bench) -> None:
    bench.target.says(7, lost())
    execution = await bench.run(put(7))
    assert execution.endings == {"7": Ending.UNANSWERED}
    assert isinstance(execution.unanswered, Unavailable)
    assert execution.error is None
    assert bench.in_doubt(7) == [1000]


async def test_a_write_that_never_left_leaves_no_doubt(bench: Bench) -> None:
    bench.target.says(7, never_left())
    execution = await bench.run(put(7))
    assert execution.endings == {"7": Ending.NOT_SENT}
    assert bench.in_doubt(7) == []


async def test_refused_credentials_end_everything(bench: Bench) -> None:
    bench.concurrency = 2
    bench.target.says(3, CredentialsRefused("Wingfield", "the token was refused"))
    execution = await bench.run(*(put(n) for n in range(200)))
    assert isinstance(execution.error, CredentialsRefused)
    assert len(bench.target.sent) <= 6
    unsent = [id_ for id_, ending in execution.endings.items() if ending is Ending.NOT_SENT]
    assert set(unsent).isdisjoint(set(bench.target.sent) - {"3"})
    assert not any(known.unsettled for known in bench.journal.known.values())


async def test_a_service_that_is_down_is_asked_nothing_more(bench: Bench) -> None:
    bench.concurrency = 1
    bench.target.says(0, lost())

    def go_down() -> None:
        bench.target.is_down = True

    bench.target.on_request = go_down
    execution = await bench.run(*(put(n) for n in range(3 * BATCH)))
    assert {id_ for id_, _ in bench.journal.intents} == {str(n) for n in range(BATCH)}
    assert len(execution.endings) <= BATCH


# --- what was in doubt before ---


async def doubtful(bench: Bench, *writes: Write) -> None:
    """Let these be sent and their answers be lost, in earlier passes."""
    for write in writes:
        bench.target.says(write.id, lost())
        await bench.run(write)
    bench.target.log.clear()
    bench.journal.outcomes.clear()


async def test_a_lost_write_whose_repeat_is_not_sent_stays_in_doubt(bench: Bench) -> None:
    await doubtful(bench, put(7))
    bench.target.says(7, never_left())
    await bench.run(put(7))
    assert bench.in_doubt(7) == [1000]


async def test_a_lost_write_whose_repeat_comes_after_a_stop_stays_in_doubt(bench: Bench) -> None:
    await doubtful(bench, put(7))
    record = bench.journal.record

    def record_and_stop(intents: Sequence[Write], outcomes: Sequence[Outcome | Stored]) -> None:
        record(intents, outcomes)
        bench.stop.set()

    bench.journal.record = record_and_stop  # type: ignore[method-assign]
    await bench.run(put(7))
    assert bench.target.sent == []
    assert bench.in_doubt(7) == [1000]


async def test_a_lost_write_whose_repeat_meets_refused_credentials_stays_in_doubt(bench: Bench) -> None:
    await doubtful(bench, put(7))
    bench.target.says(7, CredentialsRefused("Wingfield", "no"))
    await bench.run(put(7))
    assert bench.in_doubt(7) == [1000]


async def test_a_lost_write_whose_repeat_is_refused_is_read_back(bench: Bench) -> None:
    await doubtful(bench, put(7))
    bench.target.says(7, no("court_not_found"))
    bench.target.there["7"] = There(slot(9), 1000)
    await bench.run(put(7))
    known = bench.journal.known["7"]
    assert bench.target.reads == ["key-7"]
    assert known.stands_as(put(7).fingerprint)


async def test_a_refused_move_of_one_in_doubt_is_read_back_and_refused(bench: Bench) -> None:
    await doubtful(bench, put(7, hour=9))
    bench.target.says(7, no("court_not_found"))
    bench.target.there["7"] = There(slot(9), 1000)
    execution = await bench.run(put(7, hour=10, version_ms=2000))
    known = bench.journal.known["7"]
    assert execution.endings == {"7": Ending.REJECTED}
    assert (known.places, known.unsettled) == ((slot(9),), ())
    assert known.rejection is not None


async def test_a_refused_one_in_doubt_that_cannot_be_read_back_stays_in_doubt(bench: Bench) -> None:
    await doubtful(bench, put(7))
    bench.target.says(7, no("court_not_found"))
    bench.target.there["7"] = lost()
    execution = await bench.run(put(7))
    assert execution.endings == {"7": Ending.UNANSWERED}
    assert bench.in_doubt(7) == [1000]


async def test_one_found_as_wanted_under_an_older_version_is_in_doubt_no_more(bench: Bench) -> None:
    """Its move was lost, the source took it back, that was refused: it never left its place."""
    await bench.run(put(7, hour=9, version_ms=1000))
    await doubtful(bench, put(7, hour=10, version_ms=2000))
    bench.target.says(7, no("organization_access_denied"))
    bench.target.there["7"] = There(slot(9), 1000)
    await bench.run(put(7, hour=9, version_ms=3000))
    known = bench.journal.known["7"]
    assert known.unsettled == ()
    assert known.stands_as(put(7, hour=9).fingerprint)


# --- conflicts ---

CONFLICTS = ["stale_write", "version_conflict"]


@pytest.mark.parametrize("reason", CONFLICTS)
async def test_after_a_conflict_what_is_there_already_is_adopted(bench: Bench, reason: str) -> None:
    bench.target.says(7, no(reason))
    bench.target.there["7"] = There(slot(9), 5000)
    execution = await bench.run(put(7))
    assert (execution.endings, execution.adopted) == ({"7": Ending.ACKNOWLEDGED}, {"7"})
    known = bench.journal.known["7"]
    assert (known.acked_version_ms, known.stands_as(put(7).fingerprint)) == (5000, True)
    assert len(bench.target.log) == 1


@pytest.mark.parametrize("reason", CONFLICTS)
async def test_after_a_conflict_other_content_is_written_over_one_millisecond_above(bench: Bench, reason: str) -> None:
    bench.target.says(7, no(reason))
    bench.target.there["7"] = There(slot(20), 5000)
    execution = await bench.run(put(7))
    assert bench.target.log == [("PUT", "7", 1000), ("PUT", "7", 5001)]
    assert execution.endings == {"7": Ending.ACKNOWLEDGED}
    assert execution.adopted == set()
    assert bench.journal.known["7"].acked_version_ms == 5001


async def test_after_a_conflict_with_an_older_version_there_the_next_is_above_our_own(bench: Bench) -> None:
    bench.target.says(7, no("version_conflict"))
    bench.target.there["7"] = There(slot(20), 10)
    await bench.run(put(7))
    assert bench.target.log[-1] == ("PUT", "7", 1001)


async def test_with_nothing_there_to_read_the_next_is_above_all_known_and_above_now(bench: Bench) -> None:
    bench.target.says(7, no("stale_write"))
    await bench.run(put(7))
    assert bench.target.log[-1] == ("PUT", "7", NOW_MS + 1)


async def test_with_nothing_there_and_a_clock_behind_the_next_is_above_all_known(bench: Bench) -> None:
    bench.target.says(7, no("stale_write"))
    await bench.run(put(7, version_ms=NOW_MS + 500))
    assert bench.target.log[-1] == ("PUT", "7", NOW_MS + 501)


async def test_a_stale_delete_of_what_is_gone_already_is_done(bench: Bench) -> None:
    bench.target.says(7, no("stale_write"))
    execution = await bench.run(take(7))
    assert execution.endings == {"7": Ending.ACKNOWLEDGED}
    assert len(bench.target.log) == 1


async def test_a_stale_delete_of_what_is_there_is_repeated_above_it(bench: Bench) -> None:
    bench.target.says(7, no("stale_write"))
    bench.target.there["7"] = There(slot(9), 5000)
    await bench.run(take(7))
    assert bench.target.log == [("DELETE", "7", 1000), ("DELETE", "7", 5001)]


async def test_after_three_more_tries_a_conflict_is_a_refusal(bench: Bench) -> None:
    bench.target.says(7, *(no("stale_write") for _ in range(9)))
    bench.target.there["7"] = There(slot(20), 5000)
    execution = await bench.run(put(7), put(8, 0))
    assert len(bench.target.log) == 4
    assert execution.reasons == {"7": "stale_write"}
    known = bench.journal.known["7"]
    assert (known.places, known.unsettled) == ((slot(20),), ())


async def test_those_that_wait_for_a_conflict_go_on_when_it_is_solved(bench: Bench) -> None:
    bench.target.says(7, no("stale_write"))
    bench.target.there["7"] = There(slot(20), 5000)
    await bench.run(put(7), put(8, 0))
    assert bench.target.sent == ["7", "7", "8"]


@pytest.mark.parametrize("answer", [lost(), CredentialsRefused("Wingfield", "no"), AccessDenied("Wingfield", "no")])
async def test_a_conflict_that_cannot_be_read_back_is_left_for_the_next_pass(bench: Bench, answer: BridgeError) -> None:
    bench.target.says(7, no("stale_write"))
    bench.target.there["7"] = answer
    execution = await bench.run(put(7))
    assert len(bench.target.log) == 1
    assert execution.endings["7"] is not Ending.ACKNOWLEDGED
    assert bench.in_doubt(7) == []


# --- stopping ---


async def test_a_stop_sends_nothing_new_and_waits_for_what_is_in_flight(bench: Bench) -> None:
    bench.concurrency = 3
    bench.target.gate = asyncio.Event()

    def third_is_out() -> None:
        if bench.target.in_flight == 3:
            bench.stop.set()
            asyncio.get_running_loop().call_soon(open_gate)

    def open_gate() -> None:
        assert bench.target.gate is not None
        bench.target.gate.set()

    bench.target.on_request = third_is_out
    execution = await bench.run(*(put(n) for n in range(200)))
    assert bench.target.sent == ["0", "1", "2"]
    acked = {id_ for id_, ending in execution.endings.items() if ending is Ending.ACKNOWLEDGED}
    assert acked == {"0", "1", "2"}
    known = bench.journal.known
    assert all(known[id_].acked_version_ms == 1000 for id_ in acked)
    assert not any(entry.unsettled for entry in known.values())


async def test_stopped_before_it_begins_it_sends_nothing(bench: Bench) -> None:
    bench.stop.set()
    await bench.run(put(0), *ring_of(1, 2, first=1))
    assert bench.target.sent == []


async def test_a_stop_finishes_the_ring_that_was_cut_and_nothing_else(bench: Bench) -> None:
    bench.concurrency = 1
    bench.target.on_request = bench.stop.set
    await bench.run(*ring_of(1, 2), *(put(n) for n in range(10, 20)))
    assert bench.target.log == [("DELETE", "1", 2000), ("PUT", "2", 2000), ("PUT", "1", 2001)]
    assert bench.target.finishing == [True, True, True]
    assert not any(known.is_temporarily_deleted for known in bench.journal.known.values())


async def test_a_stop_puts_back_whom_an_earlier_pass_took_out(bench: Bench) -> None:
    cut = ring_of(1, 2)[0]
    bench.journal.record([cut, put(2)], [Outcome(put(2), Ending.ACKNOWLEDGED)])
    bench.journal.record([], [Outcome(cut, Ending.ACKNOWLEDGED)])
    bench.stop.set()
    await bench.run(put(5), put(1, hour=10, version_ms=3000))
    assert bench.target.sent == ["1"]
    assert bench.target.finishing == [True]


async def test_what_does_not_answer_within_the_deadline_is_left_in_doubt(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.02)
    bench.target.gate = asyncio.Event()
    bench.target.on_request = bench.stop.set
    began = time.monotonic()
    await bench.run(put(7), put(8, 0))
    assert time.monotonic() - began < 2
    assert bench.target.sent == ["7"]
    assert bench.in_doubt(7) == [1000]


async def test_a_second_stop_changes_nothing(bench: Bench) -> None:
    bench.stop.set()
    bench.stop.set()
    assert (await bench.run(put(7))).endings == {}


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


async def test_an_error_nobody_thought_of_ends_the_run_instead_of_hanging(bench: Bench) -> None:
    bench.target.says(3, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await bench.run(*(put(n) for n in range(100)), put(100, 3))


async def test_after_an_error_nobody_thought_of_the_write_is_in_doubt(bench: Bench) -> None:
    bench.target.says(7, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await bench.run(put(7))
    assert bench.in_doubt(7) == [1000]


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


# --- rings ---


async def test_a_ring_is_carried_out_in_its_order(bench: Bench) -> None:
    execution = await bench.run(*ring_of(1, 2))
    assert bench.target.sent == ["1", "2", "1"]
    assert execution.endings == {"1": Ending.ACKNOWLEDGED, "2": Ending.ACKNOWLEDGED}
    assert bench.wrote_ == ["1", "2", "1"]
    assert not any(known.cycle for known in bench.journal.known.values())


async def test_one_taken_out_whose_way_back_waits_has_no_ending(bench: Bench) -> None:
    """It is neither done nor refused: the pass has to look after it."""
    bench.target.says(2, no())
    execution = await bench.run(*ring_of(1, 2))
    assert execution.endings == {"2": Ending.REJECTED}
    assert bench.journal.known["1"].is_temporarily_deleted


async def test_a_take_out_that_was_refused_leaves_the_ring_whole(bench: Bench) -> None:
    bench.target.says(1, no("organization_access_denied"))
    execution = await bench.run(*ring_of(1, 2))
    assert execution.endings == {"1": Ending.REJECTED}
    assert not any(known.cycle for known in bench.journal.known.values())


# --- comparing ---


@pytest.mark.parametrize(
    ("stored", "same"),
    [
        (There(slot(9), 1, ("a@b.co", "c@d.co")), True),
        (There(slot(9), 1, ("c@d.co", "a@b.co")), True),
        (There(slot(9), 1, ("a@b.co",)), False),
        (There(slot(9), 1, ("a@b.co", "a@b.co")), False),
        (There(slot(10), 1, ("a@b.co", "c@d.co")), False),
        (There(slot(9, "c2"), 1, ("a@b.co", "c@d.co")), False),
        (There(slot(9), 1, None), False),
    ],
    ids=["equal", "another order", "one fewer", "one twice", "another time", "another court", "a named user"],
)
def test_content_is_the_same_whatever_the_order_of_its_participants(stored: There, same: bool) -> None:
    assert same_content(stored, slot(9), ("a@b.co", "c@d.co")) is same


def test_a_write_without_a_slot_is_never_there() -> None:
    assert not is_there(replace(put(7), slot=None), There(slot(9), 1))
    assert not is_there(put(7), None)
    assert is_there(take(7), None)
    assert not is_there(take(7), There(slot(9), 1))


def test_a_booking_with_a_named_user_equals_no_content() -> None:
    assert content_of(There(slot(9), 1, None)) != content_of(There(slot(9), 1, ()))
    assert content_of(There(slot(9), 1)) == fingerprint(slot(9), PLAYER)


def test_what_was_read_back_is_told_to_the_ledger() -> None:
    assert found("7", None, 5) == Stored("7", 5, ABSENT, None)
    assert found("7", There(slot(9), 9), 5) == Stored("7", 9, fingerprint(slot(9), PLAYER), slot(9))
