"""The token bucket: never ahead of the service's own, never asleep at the wheel."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.http.ratelimit import Budget, Kind, RateLimiter, Urgency, shared_budget


class FakeTime:
    """A clock that moves only when everybody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.naps: list[float] = []
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._order = itertools.count()

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        event = asyncio.Event()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._order), event))
        await event.wait()

    async def run(self, *work: Awaitable[object]) -> None:
        tasks = [asyncio.ensure_future(each) for each in work]
        while True:
            for _ in range(12):
                await asyncio.sleep(0)
            if all(task.done() for task in tasks):
                break
            self.now, _, event = heapq.heappop(self._sleepers)
            event.set()
        await asyncio.gather(*tasks)


def limiter(
    time: FakeTime, reads_per_second: float | None = 2.0, read_burst: int = 3, *, known: bool = True
) -> RateLimiter:
    made = RateLimiter(reads_per_second, read_burst, budget=Budget(time.clock, time.sleep))
    if known:
        answer_one(made, time)
    return made


def answer_one(made: RateLimiter, time: FakeTime, headers: dict[str, str] | None = None) -> None:
    assert made.try_acquire("read")
    made.answered("read", headers or {})
    time.now += 3600


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def made(time: FakeTime) -> RateLimiter:
    return limiter(time)


async def take(made: RateLimiter, kind: Kind = "read") -> None:
    if not made.try_acquire(kind):
        await made.acquire(kind)


async def ask(made: RateLimiter) -> None:
    await take(made)
    made.answered("read")


def free(made: RateLimiter, kind: Kind = "read") -> int:
    """How many requests may be sent at this moment; they are."""
    return next(number for number in itertools.count() if not made.try_acquire(kind))


@dataclass
class Server:
    """The service's bucket. ``ticks``: tokens come back at multiples of the ttl rather than evenly."""

    time: FakeTime
    size: int
    ttl_ms: int
    ticks: bool
    level: float = field(init=False)
    since: float = field(init=False)
    refused: int = 0

    def __post_init__(self) -> None:
        self.level = self.size
        self.since = self.time.now

    def take(self) -> dict[str, str]:
        ttl = self.ttl_ms / 1000
        back = (self.time.now - self.since) / ttl
        if self.ticks:
            back = int(back)
        self.level = min(self.size, self.level + back)
        self.since += back * ttl
        if self.level < 1:
            self.refused += 1
        self.level -= 1
        return {"x-rate-limit-read-limit": str(self.size), "x-rate-limit-read-ttl": str(self.ttl_ms)}


@settings(deadline=None, max_examples=60)
@given(
    size=st.integers(1, 12),
    ttl_ms=st.integers(1, 3000),
    ticks=st.booleans(),
    guess=st.tuples(st.floats(0.1, 1000.0), st.integers(1, 50)),
    requests=st.lists(
        st.tuples(st.floats(0, 8), st.floats(0, 3), st.floats(0, 3), st.booleans()), min_size=1, max_size=30
    ),
)
def test_the_server_never_has_to_answer_429(
    size: int, ttl_ms: int, ticks: bool, guess: tuple[float, int], requests: list[tuple[float, float, float, bool]]
) -> None:
    time = FakeTime()
    server = Server(time, size, ttl_ms, ticks)
    made = limiter(time, *guess, known=False)
    heard = False

    async def request(delay: float, there: float, back: float, lost: bool) -> None:
        nonlocal heard
        await time.sleep(delay)
        await take(made)
        await time.sleep(there)
        headers = server.take()
        await time.sleep(back)
        # Until an answer came the service's bucket is a guess, and after a lost one still is.
        made.answered("read", None if lost and heard else headers)
        heard = True

    asyncio.run(time.run(*(request(*each) for each in requests)))
    assert server.refused == 0
    assert len(time.naps) <= 5 * len(requests)


async def test_a_burst_goes_at_once_and_the_rest_at_the_rate(time: FakeTime, made: RateLimiter) -> None:
    began, sent = time.now, []

    async def request() -> None:
        await ask(made)
        sent.append(round(time.now - began, 1))

    await time.run(*(request() for _ in range(6)))
    assert sent == [0.0, 0.0, 0.0, 0.5, 1.0, 1.5]


async def test_who_came_first_goes_first(time: FakeTime) -> None:
    made = limiter(time, 2.0, 1)
    order: list[int] = []

    async def request(number: int) -> None:
        await ask(made)
        order.append(number)

    await time.run(*(request(number) for number in range(8)))
    assert order == list(range(8))


async def test_nobody_overtakes_those_who_wait(time: FakeTime) -> None:
    made = limiter(time, 2.0, 1)
    assert made.try_acquire("read")
    made.answered("read")
    waiting = asyncio.ensure_future(made.acquire("read"))
    await asyncio.sleep(0)
    time.now += 60
    assert not made.try_acquire("read")
    await time.run(waiting)


async def test_whoever_gives_up_waiting_does_not_block_the_others(time: FakeTime) -> None:
    made = limiter(time, 2.0, 1)
    assert made.try_acquire("read")
    made.answered("read")
    impatient, patient = (asyncio.ensure_future(made.acquire("read")) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    await time.run(patient)
    assert impatient.cancelled()


async def test_until_the_first_answer_only_one_request_is_out(time: FakeTime) -> None:
    made = limiter(time, 2.0, 30, known=False)
    assert free(made) == 1
    waiting = asyncio.ensure_future(made.acquire("read"))
    await asyncio.sleep(0)
    assert not waiting.done()
    made.answered("read", {})
    await waiting
    assert free(made) == 28


async def test_an_attempt_without_an_answer_tells_nothing(time: FakeTime) -> None:
    made = limiter(time, 2.0, 30, known=False)
    assert made.try_acquire("read")
    made.answered("read", None)
    assert free(made) == 1


async def test_the_services_own_bucket_counts(time: FakeTime, made: RateLimiter) -> None:
    answer_one(made, time, {"x-rate-limit-read-limit": "7", "x-rate-limit-read-ttl": "250"})
    assert free(made) == 7
    for _ in range(7):
        made.answered("read")
    time.now += 0.51
    assert free(made) == 2


async def test_what_is_owed_stays_owed_when_the_rate_changes(time: FakeTime, made: RateLimiter) -> None:
    assert free(made) == 3
    for _ in range(3):
        made.answered("read", {"x-rate-limit-read-ttl": "1000"})
    time.now += 0.9
    assert free(made) == 0
    time.now += 0.2
    assert free(made) == 1


@pytest.mark.parametrize("odd", ["", "0", "-1", "NaN", "inf", "1e3", "many", "9" * 12, "0x10", "²"])
async def test_odd_headers_are_ignored(time: FakeTime, made: RateLimiter, odd: str) -> None:
    answer_one(made, time, {"x-rate-limit-read-limit": odd, "x-rate-limit-read-ttl": odd})
    assert free(made) == 3


async def test_reads_and_writes_have_buckets_of_their_own(time: FakeTime, made: RateLimiter) -> None:
    answer_one(made, time, {"x-rate-limit-write-limit": "2", "x-rate-limit-write-ttl": "1000"})
    assert free(made, "write") == 2
    assert free(made) == 3


async def test_a_hold_holds_everybody(time: FakeTime) -> None:
    made = limiter(time, None)
    made.hold(7)
    began = time.now
    await time.run(take(made), take(made, "write"))
    assert time.now - began == pytest.approx(7, abs=0.01)


async def test_a_longer_hold_counts_for_those_who_already_wait(time: FakeTime) -> None:
    made = limiter(time, None)
    made.hold(1)
    waiting = asyncio.ensure_future(made.acquire("read"))
    await asyncio.sleep(0)
    made.hold(5)
    made.hold(2)
    began = time.now
    await time.run(waiting)
    assert time.now - began == pytest.approx(5, abs=0.01)


async def test_after_a_429_the_bucket_is_taken_for_empty(time: FakeTime, made: RateLimiter) -> None:
    made.hold(1.05)
    time.now += 1.1
    assert free(made) == 2


# --- several clubs, one budget ---


def clubs(time: FakeTime, *limits: tuple[float, int]) -> list[RateLimiter]:
    budget = Budget(time.clock, time.sleep)
    made = [RateLimiter(rate, burst, budget=budget) for rate, burst in limits]
    answer_one(made[0], time)
    return made


async def test_the_smallest_limits_count_until_the_service_says_its_own(time: FakeTime) -> None:
    one, other = clubs(time, (4.0, 9), (2.0, 3))
    assert free(one) == 3
    other.leave()
    assert free(one) == 6, "nine in all"
    other = RateLimiter(2.0, 3, budget=one._budget)
    for _ in range(9):
        one.answered("read", {"x-rate-limit-read-limit": "6", "x-rate-limit-read-ttl": "100"})
    time.now += 60
    third = RateLimiter(1.0, 1, budget=one._budget)
    assert free(other) == 6
    assert not third.try_acquire("read")


async def test_a_club_with_many_requests_does_not_starve_one_with_few(time: FakeTime) -> None:
    big, small = clubs(time, (2.0, 3), (2.0, 3))
    ended: dict[str, float] = {}

    async def read(name: str, made: RateLimiter, count: int) -> None:
        await asyncio.gather(*(ask(made) for _ in range(count)))
        ended[name] = time.now

    began = time.now
    await time.run(read("big", big, 300), read("small", small, 5))
    assert ended["small"] - began < 6
    assert ended["big"] - began == pytest.approx((305 - 3) / 2, abs=1)


async def test_near_passes_go_before_full_ones_and_a_person_before_both(time: FakeTime) -> None:
    made = clubs(time, *[(2.0, 1)] * 3)
    for limiter_, urgency in zip(made, (Urgency.FULL, Urgency.NEAR, Urgency.PERSON), strict=True):
        limiter_.urgency = urgency
    order: list[str] = []

    async def read(limiter_: RateLimiter) -> None:
        await ask(limiter_)
        order.append(limiter_.urgency.name)

    await time.run(*(read(limiter_) for limiter_ in made for _ in range(3)))
    assert order[0] == "FULL", "which came first, and found the token there"
    assert order[1:] == ["PERSON"] * 3 + ["NEAR"] * 3 + ["FULL"] * 2


async def test_near_passes_that_want_all_there_is_do_not_starve_a_full_one(time: FakeTime) -> None:
    near, full = clubs(time, (1.0, 1), (1.0, 1))
    near.urgency, full.urgency = Urgency.NEAR, Urgency.FULL
    began, ended = time.now, 0.0

    async def read() -> None:
        nonlocal ended
        await ask(full)
        ended = time.now

    await time.run(*(ask(near) for _ in range(100)), read())
    assert 10 <= ended - began < 13


async def test_a_429_slows_all_clubs(time: FakeTime) -> None:
    one, other = clubs(time, (2.0, 3), (2.0, 3))
    one.hold(5)
    assert not other.try_acquire("read")
    time.now += 5.01
    assert other.try_acquire("read")


@settings(deadline=None, max_examples=100)
@given(
    requests=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(Urgency), st.floats(0, 6), st.none() | st.floats(0, 4)),
        min_size=1,
        max_size=25,
    )
)
def test_whoever_gives_up_takes_no_token_along_and_leaves_nobody_waiting(
    requests: list[tuple[int, Urgency, float, float | None]],
) -> None:
    """Each waits for at most its patience, and gives up at any moment, also in the one in which it is called."""
    time = FakeTime()

    async def run() -> None:
        made = clubs(time, *[(2.0, 2)] * 3)
        served = 0

        async def request(club: int, urgency: Urgency, delay: float, patience: float | None) -> None:
            nonlocal served
            await time.sleep(delay)
            made[club].urgency = urgency
            asking = asyncio.ensure_future(ask(made[club]))
            if patience is not None:
                await time.sleep(patience)
                asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            served += not asking.cancelled()

        await time.run(*(request(*each) for each in requests))
        assert served >= sum(patience is None for *_, patience in requests)
        bucket = made[0]._budget.buckets["read"]
        assert (bucket.in_flight, bucket.waiters, bucket.giver) == (0, [], None)

    asyncio.run(run())


def test_a_budget_can_be_waited_for_in_one_event_loop_after_another(time: FakeTime) -> None:
    (made,) = clubs(time, (2.0, 1))
    for _ in range(2):
        asyncio.run(time.run(*(ask(made) for _ in range(4))))


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("acme.launch27.com", "zeta.launch27.com", True),
        ("acme.launch27.com", "acme-sandbox.l27.co", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "10.0.0.1", False),
        ("launch27.com", "wingfield.com", False),
        ("localhost", "127.0.0.1", False),
    ],
)
def test_hosts_of_one_parent_domain_share_a_budget(one: str, other: str, is_same: bool) -> None:
    assert (shared_budget(one) is shared_budget(other)) is is_same
