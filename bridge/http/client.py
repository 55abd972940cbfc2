"""One transport for both services: time-outs, retries, rate limits, translated errors.

No redirects, no cookies, no hidden credentials. Whatever goes wrong leaves as
:class:`~bridge.errors.Unavailable`, in the bridge's own words and without httpx's exception behind it,
which would carry addresses and headers into a traceback.
"""

from __future__ import annotations

import asyncio
import functools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

import httpx

from bridge.errors import Unavailable
from bridge.http.connections import Call, Connections, Params, Response
from bridge.http.failures import (
    ERRORS,
    NOT_THE_APIS,
    TIMEOUT,
    Closed,
    Failed,
    clock_offset_seconds,
    not_now,
    translated,
)
from bridge.http.ratelimit import RateLimiter

if TYPE_CHECKING:
    from stamina import Attempt
    from stamina.instrumentation import RetryDetails

__all__ = ["Backoff", "Call", "Http", "Params", "Response", "Timeouts"]

T = TypeVar("T")

_GAVE_UP_IN_A_ROW: Final = 3
_LEAST_SECONDS: Final = 0.5
"""Less time is not worth another try."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds of patience; ``total`` is for one whole try, so that an answer that trickles ends too."""

    connect: float = 5.0
    read: float = 15.0
    write: float = 15.0
    total: float = 30.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """How a request is tried again. All in seconds, but for ``tries``, which counts the first one.

    ``in_all`` is the time spent on one request; waiting that the service asked for does not count.
    """

    tries: int = 4
    in_all: float = 25.0
    first: float = 0.2
    longest: float = 5.0
    jitter: float = 0.2
    longest_retry_after: float = 30.0


@dataclass(slots=True)
class _Sending:
    """One request under way: how often it was tried, and how many seconds the tries that failed took."""

    call: Call
    tries: int = 0
    seconds: float = 0.0


class Http:
    """The connections to one service; kept for as long as the bridge runs.

    Every request is safe to repeat: reads change nothing, and writes carry their version. At most
    ``concurrency`` of them are in flight. ``limiter`` decides when they leave. Tests give a ``transport``.

    It closes when the service is found down, and when the bridge stops (but for calls that are
    ``finishing``): then those who wait are woken and give up, and what is on the wire goes on.

    A service is down when three different requests in a row got no good answer (any 4xx is one) and none did
    in between. Of several ``parts`` (courts, accounts) one alone cannot be the reason.
    """

    def __init__(
        self,
        service: str,
        base_url: str,
        *,
        concurrency: int = 8,
        limiter: RateLimiter | None = None,
        parts: int = 1,
        timeouts: Timeouts = Timeouts(),
        backoff: Backoff = Backoff(),
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.service = service
        self.answers: Counter[tuple[str, str]] = Counter()
        """By service and status, "none" where no answer came; whoever keeps count for longer gives another."""
        self.on_answer: Callable[[Call, Response], object] | None = None
        """Called with each answer, whatever it is."""
        self._timeout = httpx.Timeout(connect=timeouts.connect, read=timeouts.read, write=timeouts.write, pool=None)
        self._total_seconds = timeouts.total
        self._backoff = backoff
        self._connections = Connections(base_url, self._timeout, transport)
        self._slots = asyncio.Semaphore(concurrency)
        self.limiter = limiter or RateLimiter()
        self.parts = parts
        self._gave_up: set[tuple[str | None, ...]] = set()
        self._gave_up_for: set[str] = set()
        self.has_answered = False
        """Whether any request got a good answer (2xx, or 4xx but 408 and 429) since ``reset``."""
        self._last_good: tuple[Mapping[str, str], datetime] | None = None
        self._heard_at = time.monotonic()
        self._down: Failed | None = None
        self._is_stopping = False
        self._waiting: dict[asyncio.Timeout, Call] = {}

    def __repr__(self) -> str:
        return f"Http({self.service!r}, {self._connections.url!r})"

    @property
    def is_down(self) -> bool:
        """Whether the service was found unreachable, and is not asked again before ``reset``."""
        return self._down is not None

    @property
    def clock_offset_seconds(self) -> float | None:
        """How far the service's clock is ahead of this machine's, by its last good answer; None if it did not say."""
        return None if self._last_good is None else clock_offset_seconds(*self._last_good)

    @property
    def heard_at(self) -> float:
        """The last sign of life, in seconds of the monotonic clock: a try that ended, or a wait for the rate limit."""
        return time.monotonic() if self.limiter.is_waited_for else self._heard_at

    def stop(self) -> None:
        """Start no further request or retry, but for those that are ``finishing``."""
        self._is_stopping = True
        self._wake()

    def reset(self) -> None:
        """Ask a service again that was taken for down: a new pass begins."""
        self._down, self.has_answered = None, False
        self._forget_failures()

    async def rest(self) -> None:
        """Keep no more connections than a quiet pass needs."""
        await self._connections.rest()

    async def aclose(self) -> None:
        """Close the connections, and leave what is granted to others."""
        self.limiter.leave()
        await self._connections.aclose()

    async def request(self, call: Call, check: Callable[[Response], T]) -> T:
        """Return what ``check`` makes of the answer (2xx, or 4xx but 429), trying again where that may help.

        ``check`` raises ValueError when the answer is not what the API promises, which is then treated
        like a 5xx; its :class:`~bridge.errors.ServiceError` goes to the caller as it is.

        Raises :class:`~bridge.errors.Unavailable` when there is no usable answer to be had.
        """
        sending = _Sending(call)
        try:
            return await self._try(sending, check)
        except Failed as error:
            failure = error
        if failure.retry and call.patient:
            try:
                return await self._try_again(sending, check, failure)
            except Failed as error:
                failure = error
        # Raised out here, where no exception is its context. The frames of what failed hold whole bodies.
        failure.__traceback__ = None
        raise self._given_up(failure, sending)

    async def _try_again(self, sending: _Sending, check: Callable[[Response], T], first: Failed) -> T:
        attempts = self._attempts(sending)
        while True:
            async with self._patience(sending.call):
                attempt = await anext(attempts)
            with attempt:
                if attempt.num == 1:
                    raise first
                return await self._try(sending, check)

    def _attempts(self, sending: _Sending) -> AsyncIterator[Attempt]:
        """Return stamina's attempts; the first stands for a try that failed already."""
        # Imported with the first retry: a quiet run need not wait 40 ms for it.
        import stamina
        from stamina.instrumentation import set_on_retry_hooks

        # Stamina's own hooks would log a second line for each retry.
        set_on_retry_hooks([_tell])
        backoff = self._backoff
        return aiter(
            stamina.retry_context(
                functools.partial(self._may_go_on, sending),
                attempts=backoff.tries,
                timeout=None,
                wait_initial=backoff.first,
                wait_max=backoff.longest,
                wait_jitter=backoff.jitter,
            )
        )

    def _may_go_on(self, sending: _Sending, error: Exception) -> bool | float:
        """Return whether to try again after ``error``, or the seconds the service asked to wait for."""
        left, least = self._backoff.in_all - sending.seconds, min(_LEAST_SECONDS, self._backoff.in_all)
        if not isinstance(error, Failed) or not error.retry or left < least:
            return False
        if error.retry_after:
            return error.retry_after + random.uniform(0, self._backoff.jitter)
        return True

    async def _try(self, sending: _Sending, check: Callable[[Response], T]) -> T:
        """Send once, when there is room and the limiter agrees, and judge the answer."""
        call = sending.call
        async with self._slots:
            self._check_open(call)
            if not self.limiter.try_acquire(call.kind):
                async with self._patience(call):
                    await self.limiter.acquire(call.kind)
            began = time.monotonic()
            try:
                return self._judge(await self._send(sending), check)
            except Failed as failure:
                if failure.retry:
                    self._check_open(call)
                sending.seconds += time.monotonic() - began
                failure.on_retry = functools.partial(self._retrying, sending, failure)
                raise

    async def _send(self, sending: _Sending) -> Response:
        response = None
        left = self._backoff.in_all - sending.seconds
        seconds = min(self._total_seconds, left) if sending.tries else self._total_seconds
        sending.tries += 1
        try:
            async with asyncio.timeout(seconds):
                response = await self._connections.exchange(sending.call)
        except TimeoutError:
            raise Failed(f"no whole answer within {seconds:g} s", TIMEOUT) from None
        except ERRORS as error:
            raise translated(error, self._timeout) from None
        finally:
            self._heard_at = time.monotonic()
            self.answers[self.service, str(response.status) if response else "none"] += 1
            self.limiter.answered(sending.call.kind, response.headers if response else None)
        if self.on_answer:
            self.on_answer(sending.call, response)
        return response

    def _judge(self, response: Response, check: Callable[[Response], T]) -> T:
        status = response.status
        if status in {408, 429} or status >= 500:
            raise not_now(status, response.headers, self._backoff.longest_retry_after)
        if not 200 <= status < 300 and status < 400:
            words = f"answers with a redirect (status {status}); is base_url right?"
            raise Failed(words, "redirect", retry=False)
        try:
            result = check(response)
        except ValueError:
            words = f"the answer (status {status}) is not what the API promises"
            raise Failed(words, NOT_THE_APIS) from None
        except Exception:
            self._answered(response)
            raise
        self._answered(response)
        return result

    def _answered(self, response: Response) -> None:
        self.has_answered = True
        self._last_good = response.headers, datetime.now(UTC)
        self._forget_failures()

    def _retrying(self, sending: _Sending, failure: Failed, wait_seconds: float) -> None:
        import structlog

        call = sending.call
        if failure.throttled:
            self.limiter.hold(wait_seconds)
        structlog.get_logger().warning(
            "request_retried",
            service=self.service,
            method=call.method,
            route=call.route,
            id=call.booking,
            tries=sending.tries,
            error=failure.words,
            wait_seconds=round(wait_seconds, 3),
        )

    def _given_up(self, failure: Failed, sending: _Sending) -> Unavailable:
        """Return what to raise; take the service for down where the next request would fare no better."""
        call, tries = sending.call, sending.tries
        if isinstance(failure, Closed):
            return Unavailable(self.service, failure.words, kind=failure.kind, maybe_applied=tries > 0)
        if failure.throttled and not call.patient:
            self.limiter.hold(failure.retry_after or self._backoff.first)
        self._gave_up.add((call.method, call.route, call.booking, call.part))
        if call.part is not None:
            self._gave_up_for.add(call.part)
        is_one_part_alone = self.parts > 1 and len(self._gave_up_for) == 1
        looks_down = len(self._gave_up) >= _GAVE_UP_IN_A_ROW and not is_one_part_alone
        if self._down is None and (failure.hopeless or looks_down):
            self._down = failure
            self._wake()
        after = f" ({tries} tries)" if tries > 1 else ""
        return Unavailable(self.service, failure.words + after, kind=failure.kind)

    def _forget_failures(self) -> None:
        self._gave_up.clear()
        self._gave_up_for.clear()

    # --- open or closed ---

    def _check_open(self, call: Call) -> None:
        if self._down or (self._is_stopping and not call.finishing):
            raise self._closed()

    def _closed(self) -> Closed:
        if self._down is None:
            return Closed("not asked: the bridge is stopping", "stopping")
        return Closed(f"not asked again in this pass, after: {self._down.words}", self._down.kind)

    @asynccontextmanager
    async def _patience(self, call: Call) -> AsyncIterator[None]:
        """Wait inside for as long as need be; raises Closed when the client closes meanwhile."""
        patience = asyncio.timeout(None)
        self._waiting[patience] = call
        try:
            async with patience:
                yield
        except TimeoutError:
            raise self._closed() from None
        finally:
            self._waiting.pop(patience, None)

    def _wake(self) -> None:
        for patience in [each for each, call in self._waiting.items() if self._down or not call.finishing]:
            del self._waiting[patience]
            patience.reschedule(0)


def _tell(details: RetryDetails) -> None:
    if isinstance(details.caused_by, Failed):
        details.caused_by.on_retry(details.wait_for)
