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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import httpx

from bridge.errors import Unavailable
from bridge.http.connections import Call, Connections, Response
from bridge.http.failures import ERRORS, NOT_THE_APIS, REDIRECT, TIMEOUT, Failed, not_now, translated
from bridge.http.gate import Closed, Gate
from bridge.http.ratelimit import RateLimiter

__all__ = ["Backoff", "Call", "Http", "Response", "Timeouts"]

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
    """

    def __init__(
        self,
        service: str,
        base_url: str,
        *,
        concurrency: int = 8,
        limiter: RateLimiter | None = None,
        timeouts: Timeouts = Timeouts(),
        backoff: Backoff = Backoff(),
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.service = service
        self._timeout = httpx.Timeout(connect=timeouts.connect, read=timeouts.read, write=timeouts.write, pool=None)
        self._total_seconds = timeouts.total
        self._backoff = backoff
        self._connections = Connections(base_url, concurrency, self._timeout, transport)
        self._slots = asyncio.Semaphore(concurrency)
        self._limiter = limiter or RateLimiter()
        self._gate = Gate(service)
        self._gave_up = 0

    def __repr__(self) -> str:
        return f"Http({self.service!r}, {self._connections.url!r})"

    @property
    def is_down(self) -> bool:
        """Whether the service was found unreachable, and is not asked again before ``reset``."""
        return self._gate.is_down

    def stop(self) -> None:
        """Start no further request or retry, but for those that are ``finishing``."""
        self._gate.stop()

    def reset(self) -> None:
        """Ask a service again that was taken for down: a new pass begins."""
        self._gate.reset()
        self._gave_up = 0

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connections.aclose()

    async def request(self, call: Call, check: Callable[[Response], T]) -> T:
        """Return what ``check`` makes of the answer (2xx, or 4xx but 429), trying again where that may help.

        ``check`` raises ValueError when the answer is not what the API promises, which is then treated
        like a 5xx; its :class:`~bridge.errors.ServiceError` goes to the caller as it is.

        Raises :class:`~bridge.errors.Unavailable` when there is no usable answer to be had.
        """
        sending = _Sending(call)
        failure: Failed | None = None
        try:
            return await self._persist(sending, check)
        except Closed:
            pass
        except Failed as error:
            failure = error
        if failure is None or (failure.retry and not self._gate.is_open(finishing=call.finishing)):
            raise self._gate.closed(maybe_applied=sending.tries > 0)
        raise self._given_up(failure, sending.tries)

    async def _persist(self, sending: _Sending, check: Callable[[Response], T]) -> T:
        """Try until it works, or no further try may help."""
        try:
            return await self._try(sending, check)
        except Failed as error:
            if not error.retry:
                raise
            first = error
        from bridge.http.retries import attempts

        async with self._gate.waiting(finishing=sending.call.finishing) as wait:
            async for attempt in attempts(self._backoff, functools.partial(self._may_go_on, sending)):
                with attempt, self._gate.not_waiting(wait):
                    if attempt.num == 1:
                        raise first
                    return await self._try(sending, check)
        raise AssertionError("unreachable: the last attempt raises")  # pragma: no cover

    def _may_go_on(self, sending: _Sending, error: Exception) -> bool | float:
        """Return whether to try again after ``error``, or the seconds the service asked to wait for."""
        left, least = self._backoff.in_all - sending.seconds, min(_LEAST_SECONDS, self._backoff.in_all)
        if not isinstance(error, Failed) or not error.retry or left < least:
            return False
        if not self._gate.is_open(finishing=sending.call.finishing):
            return False
        if error.retry_after:
            return error.retry_after + random.uniform(0, self._backoff.jitter)
        return True

    async def _try(self, sending: _Sending, check: Callable[[Response], T]) -> T:
        """Send once, when there is room and the limiter agrees, and judge the answer."""
        call = sending.call
        async with self._slots:
            self._gate.check(finishing=call.finishing)
            if not self._limiter.try_acquire(call.kind):
                async with self._gate.waiting(finishing=call.finishing):
                    await self._limiter.acquire(call.kind)
            began = time.monotonic()
            try:
                return self._judge(await self._send(sending), check)
            except Failed as failure:
                sending.seconds += time.monotonic() - began
                failure.on_retry = functools.partial(self._retrying, sending, failure)
                raise

    async def _send(self, sending: _Sending) -> Response:
        """Return the whole answer to one request, or raise ``Failed``, with nothing of httpx's in it."""
        response = None
        left = self._backoff.in_all - sending.seconds
        seconds = min(self._total_seconds, left) if sending.tries else self._total_seconds
        sending.tries += 1
        try:
            async with asyncio.timeout(seconds):
                response = await self._connections.exchange(sending.call)
        except TimeoutError:
            failure = Failed(f"no whole answer within {seconds:g} s", TIMEOUT)
        except Failed as error:
            failure = error
        except ERRORS as error:
            failure = translated(error, self._timeout)
        finally:
            self._limiter.answered(sending.call.kind, response.headers if response else None)
        if response is None:
            raise failure
        return response

    def _judge(self, response: Response, check: Callable[[Response], T]) -> T:
        status = response.status
        if status == 429 or status >= 500:
            raise not_now(status, response.headers, self._backoff.longest_retry_after)
        if not 200 <= status < 300 and status < 400:
            words = f"answers with a redirect (status {status}); is base_url right?"
            raise Failed(words, REDIRECT, retry=False)
        garbage = None
        try:
            return check(response)
        except ValueError:
            garbage = Failed(f"the answer (status {status}) is not what the API promises", NOT_THE_APIS)
        finally:
            if garbage is None:
                self._gave_up = 0
        raise garbage

    def _retrying(self, sending: _Sending, failure: Failed, wait_seconds: float) -> None:
        import structlog

        call = sending.call
        if failure.throttled:
            self._limiter.hold(wait_seconds)
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

    def _given_up(self, failure: Failed, tries: int) -> Unavailable:
        """Return what to raise; take the service for down where the next request would fare no better."""
        self._gave_up += 1
        if failure.unreachable or self._gave_up >= _GAVE_UP_IN_A_ROW:
            self._gate.down(failure)
        after = f" ({tries} tries)" if tries > 1 else ""
        return Unavailable(self.service, failure.words + after, kind=failure.kind)
