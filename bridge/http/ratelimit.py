"""A token bucket that follows the service's own headers, so that it never has to answer 429.

The service counts by client address: all clubs of the process share one budget for each of its domains.

Source: Launch27, rate limit (a bucket per client address, reads and writes apart; ``x-rate-limit-read-limit``
is its size, ``x-rate-limit-read-ttl`` the milliseconds a token takes to come back; the same with ``write``).
"""

from __future__ import annotations

import asyncio
import enum
import itertools
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

Kind = Literal["read", "write"]

_MARGIN_SECONDS = 0.001
NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_LARGEST_BUCKET = 1_000_000
_LONGEST_TTL_SECONDS = 60.0
_PATIENT_SECONDS = 10.0
"""Who has waited for so long is as urgent as anybody: near passes alone may want more than there is."""


class Urgency(enum.IntEnum):
    """Who goes first where several wait: a person, a near pass, a full one."""

    PERSON = 0
    NEAR = 1
    FULL = 2


@dataclass(eq=False, slots=True)
class _Waiter:
    """A request that waits for its token. It is called when it has one, or else to give out tokens from now on."""

    limiter: RateLimiter
    since: float
    call: asyncio.Future[None]


class _Bucket:
    """The service's bucket, seen at its worst: a token counts as taken until the answer has come.

    A request is counted by the service somewhere between its sending and its answer. Counting it at the
    answer, and those in flight on top, is never more generous than the service, however answers dawdle.
    Without ``per_second`` there is no limit until a header names one.
    """

    def __init__(self, per_second: float | None, burst: int) -> None:
        self.size = burst
        self.ttl_seconds = 1 / per_second if per_second else 0.0
        self.in_flight = 0
        self.full_at = 0.0
        self.waiters: list[_Waiter] = []
        self.answered = asyncio.Event()
        self.known = not self.ttl_seconds
        """Whether an answer has come, so that requests in flight are counted as the service counts them."""
        self.is_told = False
        """Whether the service itself has said its numbers."""
        self.giver: _Waiter | None = None
        """The one of those who wait that gives out the tokens, or is called to."""

    def wait_seconds(self, now: float) -> float:
        """Return how long until one more request may be sent; at most 0 when it may."""
        if not self.ttl_seconds:
            return 0.0
        return max(self.full_at - now, 0.0) + (self.in_flight + 1 - self.size) * self.ttl_seconds

    @property
    def crowded(self) -> bool:
        """Whether only an answer can make room; before the first one the service's bucket is a guess."""
        return bool(self.ttl_seconds) and self.in_flight >= (self.size if self.known else 1)

    def learn(self, size: float, ttl_seconds: float, now: float) -> None:
        """Follow the service's own numbers, where they are not odd; tokens owed so far stay owed."""
        if 0 < ttl_seconds <= _LONGEST_TTL_SECONDS and ttl_seconds != self.ttl_seconds:
            owed = max(self.full_at - now, 0.0) / self.ttl_seconds if self.ttl_seconds else 0.0
            self.full_at = now + owed * ttl_seconds
            self.ttl_seconds = ttl_seconds
        self.is_told = self.is_told or 0 < ttl_seconds <= _LONGEST_TTL_SECONDS
        if 1 <= size <= _LARGEST_BUCKET:
            self.size = int(size)

    def pass_on(self) -> None:
        """Let another one that waits give out the tokens, if there is any."""
        self.giver = next((each for each in self.waiters if each is not self.giver and not each.call.done()), None)
        if self.giver is not None:
            self.giver.call.set_result(None)


def _number(text: str) -> float:
    """Return the number a header holds; 0 for anything odd."""
    return float(text) if NUMBER.fullmatch(text.strip()) else 0.0


class Budget:
    """What one service grants one client address, and the limiters that share it.

    ``clock`` is a monotonic clock in seconds, ``sleep`` waits for seconds; neither is called while there are
    tokens.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self.clock = clock
        self.sleep = sleep
        self.held_until = 0.0
        self.sleeping = 0
        self.order = itertools.count(1)
        self.buckets: dict[Kind, _Bucket] = {"read": _Bucket(None, 1), "write": _Bucket(None, 1)}
        self.buckets["read"].known = False
        self.sharers: set[RateLimiter] = set()

    def join(self, limiter: RateLimiter) -> None:
        """Let a limiter share this; until the service says better, the smallest that any is configured to counts."""
        self.sharers.add(limiter)
        self._agree()

    def leave(self, limiter: RateLimiter) -> None:
        """Count a limiter's configuration no longer."""
        self.sharers.discard(limiter)
        self._agree()

    def _agree(self) -> None:
        reads = self.buckets["read"]
        if self.sharers and not reads.is_told:
            limits = [(each.reads_per_second, each.read_burst) for each in self.sharers if each.reads_per_second]
            reads.ttl_seconds = 1 / min(rate for rate, _ in limits) if limits else 0.0
            reads.size = min((burst for _, burst in limits), default=1)

    def wait_seconds(self, bucket: _Bucket) -> float:
        """Return how long until one more request may be sent; at most 0 when it may."""
        now = self.clock()
        return max(bucket.wait_seconds(now), self.held_until - now)

    async def token(self, bucket: _Bucket) -> None:
        """Wait until one more request may be sent."""
        while bucket.crowded or (wait := self.wait_seconds(bucket)) > 0:
            if bucket.crowded:
                bucket.answered = asyncio.Event()
                await bucket.answered.wait()
            else:
                self.sleeping += 1
                try:
                    await self.sleep(wait + _MARGIN_SECONDS)
                finally:
                    self.sleeping -= 1

    def next_waiter(self, bucket: _Bucket) -> _Waiter:
        """Return whose turn it is: the most urgent one's; of these, of the club that was served longest ago."""
        patient = self.clock() - _PATIENT_SECONDS
        return min(
            bucket.waiters,
            key=lambda each: (Urgency.PERSON if each.since < patient else each.limiter.urgency, each.limiter.served),
        )


_budgets: dict[str, Budget] = {}


def shared_budget(host: str) -> Budget:
    """Return the process's budget for a host's parent domain; for an address, and a name without one, its own."""
    try:
        domain = str(ip_address(host))
    except ValueError:
        parent = host.rstrip(".").partition(".")[2]
        domain = parent if "." in parent else host
    return _budgets.setdefault(domain, Budget())


class RateLimiter:
    """One club's access to a budget: decides when its next request may leave.

    Each club gets a token in turn, and its own requests are served as they came. Each request that was let through
    is ended with :meth:`answered`. Without a ``budget`` it has one of its own.
    """

    def __init__(
        self, reads_per_second: float | None = None, read_burst: int = 1, *, budget: Budget | None = None
    ) -> None:
        self.reads_per_second = reads_per_second
        self.read_burst = read_burst
        self.urgency = Urgency.PERSON
        self.served = 0
        """When it got its last token, by the budget's count."""
        self._waiting = 0
        self._budget = budget or Budget()
        self._budget.join(self)

    @property
    def is_waited_for(self) -> bool:
        """Whether a request waits for a token to come back: slow, but no silence."""
        return self._waiting > 0 and self._budget.sleeping > 0

    @property
    def read_seconds(self) -> float:
        """How long a read takes to come back where all use their part of the budget, in seconds; 0 without a limit."""
        return self._budget.buckets["read"].ttl_seconds * len(self._budget.sharers)

    def leave(self) -> None:
        """Share the budget no longer."""
        self._budget.leave(self)

    def try_acquire(self, kind: Kind) -> bool:
        """Take a token if there is one and nobody waits for it."""
        bucket = self._budget.buckets[kind]
        if bucket.waiters or bucket.crowded or self._budget.wait_seconds(bucket) > 0:
            return False
        self.take(bucket)
        return True

    async def acquire(self, kind: Kind) -> None:
        """Take a token, waiting for it in turn."""
        bucket = self._budget.buckets[kind]
        me = _Waiter(self, self._budget.clock(), asyncio.get_running_loop().create_future())
        bucket.waiters.append(me)
        self._waiting += 1
        try:
            if bucket.giver is not None:
                await me.call
            if me in bucket.waiters:
                await self._give_out(bucket, me)
        except asyncio.CancelledError:
            if me in bucket.waiters:
                bucket.waiters.remove(me)
                if bucket.giver is me:
                    bucket.pass_on()
            else:
                bucket.in_flight -= 1
                bucket.answered.set()
            raise
        finally:
            self._waiting -= 1

    async def _give_out(self, bucket: _Bucket, me: _Waiter) -> None:
        """Give tokens to those who wait, each in turn, until it is this one's."""
        bucket.giver = me
        try:
            while me in bucket.waiters:
                await self._budget.token(bucket)
                chosen = self._budget.next_waiter(bucket)
                bucket.waiters.remove(chosen)
                chosen.limiter.take(bucket)
                if not chosen.call.done():
                    chosen.call.set_result(None)
        finally:
            bucket.pass_on()

    def take(self, bucket: _Bucket) -> None:
        """Take note that a request of this club's may leave."""
        bucket.in_flight += 1
        self.served = next(self._budget.order)

    def answered(self, kind: Kind, headers: Mapping[str, str] | None = None) -> None:
        """End a request that was let through; ``headers`` (lower case) are its answer's, if there was one."""
        now = self._budget.clock()
        bucket = self._budget.buckets[kind]
        bucket.in_flight -= 1
        bucket.full_at = max(bucket.full_at, now) + bucket.ttl_seconds
        bucket.answered.set()
        if headers is None:
            return
        bucket.known = True
        for each, bucket in self._budget.buckets.items():
            size = _number(headers.get(f"x-rate-limit-{each}-limit", ""))
            ttl_ms = _number(headers.get(f"x-rate-limit-{each}-ttl", ""))
            bucket.learn(size, ttl_ms / 1000, now)

    def hold(self, seconds: float) -> None:
        """Let nobody through for ``seconds``, and take the buckets for empty (the service said 429)."""
        budget = self._budget
        now = budget.clock()
        budget.held_until = max(budget.held_until, now + seconds)
        for bucket in budget.buckets.values():
            bucket.full_at = max(bucket.full_at, now + bucket.size * bucket.ttl_seconds)
