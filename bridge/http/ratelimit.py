"""A token bucket that follows the service's own headers, so that it never has to answer 429.

Source: Launch27, rate limit (a bucket per client address, reads and writes apart; ``x-rate-limit-read-limit``
is its size, ``x-rate-limit-read-ttl`` the milliseconds a token takes to come back; the same with ``write``).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

Kind = Literal["read", "write"]

_MARGIN_SECONDS = 0.001
NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_LARGEST_BUCKET = 1_000_000
_LONGEST_TTL_SECONDS = 60.0


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
        self.turn = asyncio.Lock()
        self.waiting = 0
        self.answered = asyncio.Event()
        self.known = not self.ttl_seconds

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
        if 1 <= size <= _LARGEST_BUCKET:
            self.size = int(size)


def _number(text: str) -> float:
    """Return the number a header holds; 0 for anything odd."""
    return float(text) if NUMBER.fullmatch(text.strip()) else 0.0


class RateLimiter:
    """Decides when the next request may leave, first come, first served.

    ``clock`` is a monotonic clock in seconds, ``sleep`` waits for seconds; neither is called while there are
    tokens. Each request that was let through is ended with :meth:`answered`.
    """

    def __init__(
        self,
        reads_per_second: float | None = None,
        read_burst: int = 1,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._held_until = 0.0
        self._sleeping = 0
        self._buckets: dict[Kind, _Bucket] = {"read": _Bucket(reads_per_second, read_burst), "write": _Bucket(None, 1)}

    @property
    def is_waited_for(self) -> bool:
        """Whether a request waits for a token to come back: slow, but no silence."""
        return self._sleeping > 0

    def try_acquire(self, kind: Kind) -> bool:
        """Take a token if there is one and nobody waits for it."""
        bucket = self._buckets[kind]
        if bucket.waiting or bucket.crowded or self._wait_seconds(bucket) > 0:
            return False
        bucket.in_flight += 1
        return True

    async def acquire(self, kind: Kind) -> None:
        """Take a token, waiting for it in turn."""
        bucket = self._buckets[kind]
        bucket.waiting += 1
        try:
            async with bucket.turn:
                while bucket.crowded or (wait := self._wait_seconds(bucket)) > 0:
                    if bucket.crowded:
                        bucket.answered.clear()
                        await bucket.answered.wait()
                    else:
                        self._sleeping += 1
                        try:
                            await self._sleep(wait + _MARGIN_SECONDS)
                        finally:
                            self._sleeping -= 1
                bucket.in_flight += 1
        finally:
            bucket.waiting -= 1

    def answered(self, kind: Kind, headers: Mapping[str, str] | None = None) -> None:
        """End a request that was let through; ``headers`` (lower case) are its answer's, if there was one."""
        now = self._clock()
        bucket = self._buckets[kind]
        bucket.in_flight -= 1
        bucket.full_at = max(bucket.full_at, now) + bucket.ttl_seconds
        bucket.answered.set()
        if headers is None:
            return
        bucket.known = True
        for each, bucket in self._buckets.items():
            size = _number(headers.get(f"x-rate-limit-{each}-limit", ""))
            ttl_ms = _number(headers.get(f"x-rate-limit-{each}-ttl", ""))
            bucket.learn(size, ttl_ms / 1000, now)

    def hold(self, seconds: float) -> None:
        """Let nobody through for ``seconds``, and take the buckets for empty (the service said 429)."""
        now = self._clock()
        self._held_until = max(self._held_until, now + seconds)
        for bucket in self._buckets.values():
            bucket.full_at = max(bucket.full_at, now + bucket.size * bucket.ttl_seconds)

    def _wait_seconds(self, bucket: _Bucket) -> float:
        now = self._clock()
        return max(bucket.wait_seconds(now), self._held_until - now)
