"""One transport for both services: time-outs, retries, rate limits, translated errors.

The only module that knows httpx, and only its transport: no redirects, no cookies (two accounts share a
connection, and must not share a session), no hidden credentials. Whatever goes wrong leaves as
:class:`~bridge.errors.Unavailable`, in the bridge's own words and without httpx's exception behind it,
which would carry addresses and headers into a traceback.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import re
import socket
import ssl
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, TypeVar

import httpx

from bridge import __version__
from bridge.config.secrets import Secret
from bridge.errors import ConfigError, Problem, Unavailable
from bridge.http.ratelimit import Kind, RateLimiter

if TYPE_CHECKING:
    from types import ModuleType

    from stamina.instrumentation import RetryDetails

T = TypeVar("T")

BODY_LIMIT_BYTES: Final = 32 * 1024 * 1024
_GAVE_UP_IN_A_ROW: Final = 3
_LEAST_SECONDS_FOR_A_TRY: Final = 0.5
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")

# httpcore imports sniffio, where there is one, five times a request. Where there is none, Python would search
# the whole path for it each time: a fifth of a request's CPU.
if find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # Python's own way to say so

# httpx logs addresses at INFO, httpcore whole headers at DEBUG.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


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


@dataclass(frozen=True, slots=True)
class Call:
    """One request. ``route`` and ``booking`` are what the logs know it by; a GET is a read, all else a write.

    A ``finishing`` call is let through while the bridge stops.
    """

    method: str
    path: str
    route: str
    booking: str | None = None
    params: Mapping[str, str | int] | None = None
    json: object = field(default=None, repr=False)
    bearer: Secret | None = None
    finishing: bool = False

    @property
    def kind(self) -> Kind:
        return "read" if self.method == "GET" else "write"


@dataclass(frozen=True, slots=True)
class Response:
    """One answer: header names in lower case, the body unpacked."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def is_html(self) -> bool:
        """Whether this comes from a proxy, a firewall or a wrong address rather than from a JSON API."""
        return "html" in self.headers.get("content-type", "") or self.body.lstrip()[:1] == b"<"


class _Failed(Exception):
    """One try that failed, in our words; it never leaves this module."""

    def __init__(
        self,
        words: str,
        *,
        retry: bool = True,
        unreachable: bool = False,
        throttled: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(words)
        self.words = words
        self.retry = retry
        self.unreachable = unreachable
        self.throttled = throttled
        self.retry_after = retry_after
        self.seconds = 0.0
        self.on_retry: Callable[[int, float], None] | None = None


class _Patience:
    """Stamina's back-off hook for one request: whether to try again, and when the service says so."""

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._spent = 0.0

    @property
    def left(self) -> float:
        return self._backoff.in_all - self._spent

    def __call__(self, error: Exception) -> bool | float:
        if not isinstance(error, _Failed) or not error.retry:
            return False
        self._spent += error.seconds
        if self.left < min(_LEAST_SECONDS_FOR_A_TRY, self._backoff.in_all):
            return False
        if error.retry_after:
            return error.retry_after + random.uniform(0, self._backoff.jitter)
        return True


@functools.cache
def _stamina() -> ModuleType:
    """Import stamina with the first retry: it costs 40 ms that a quiet run need not pay."""
    import stamina
    from stamina.instrumentation import set_on_retry_hooks

    def tell(details: RetryDetails) -> None:
        failure = details.caused_by
        if isinstance(failure, _Failed) and failure.on_retry is not None:
            failure.on_retry(details.retry_num, details.wait_for)

    # Stamina's own hooks would log a second line for each retry.
    set_on_retry_hooks([tell])
    return stamina


@functools.cache
def _tls() -> ssl.SSLContext:
    """Return the one TLS context of the process: making it costs 80 ms."""
    return httpx.create_ssl_context()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _proxy(url: httpx.URL) -> httpx.Proxy | None:
    """Return the proxy that ``HTTPS_PROXY`` and its kin name for this host, as curl would."""
    if _is_loopback(url.host) or urllib.request.proxy_bypass(url.host):
        return None
    proxies = urllib.request.getproxies_environment()
    address = proxies.get(url.scheme) or proxies.get("all")
    return httpx.Proxy(address) if address else None


def _transport(url: httpx.URL) -> httpx.AsyncBaseTransport:
    # Without https nothing is verified: this context trusts nobody, and costs nothing to make.
    tls = _tls() if url.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
    try:
        return httpx.AsyncHTTPTransport(verify=tls, limits=limits, trust_env=False, proxy=_proxy(url))
    except (ImportError, ValueError):
        pass
    problem = (
        "the proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names cannot be used; give http://host:port"
    )
    raise ConfigError([Problem("environment", problem)])


class Http:
    """The connections to one service; kept for as long as the bridge runs.

    Every request is safe to repeat: reads change nothing, and writes carry their version. At most
    ``concurrency`` of them are in flight. ``limiter`` decides when they leave.
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
        self._url = httpx.URL(base_url)
        self._base = base_url.rstrip("/")
        self._timeouts = timeouts
        self._backoff = backoff
        self._is_injected = transport is not None
        # One connection each: httpx's pool looks at every connection for every request, often twice.
        self._transports = [transport or _transport(self._url) for _ in range(concurrency)]
        self._idle = list(self._transports)
        self._extensions = {
            "timeout": {
                "connect": timeouts.connect,
                "read": timeouts.read,
                "write": timeouts.write,
                "pool": None,
            }
        }
        self._headers = {
            "accept": "application/json",
            "accept-encoding": "gzip, deflate",
            "connection": "keep-alive",
            "user-agent": f"courtbridge/{__version__}",
        }
        self._limiter = limiter or RateLimiter()
        self._slots = asyncio.Semaphore(concurrency)
        self._waits: dict[asyncio.Timeout, Call] = {}
        self._stopping = False
        self._down: str | None = None
        self._gave_up = 0
        self._in_flight = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    def __repr__(self) -> str:
        return f"Http({self.service!r}, {self._url!r})"

    @property
    def in_flight(self) -> int:
        """How many requests are on the wire at this moment."""
        return self._in_flight

    @property
    def is_down(self) -> bool:
        """Whether the service was found unreachable, and is not asked again before ``reset``."""
        return self._down is not None

    async def idle(self) -> None:
        """Wait until nothing is on the wire."""
        await self._quiet.wait()

    def stop(self) -> None:
        """Start no further request or retry, but for those that are ``finishing``."""
        self._stopping = True
        self._wake(lambda call: not call.finishing)

    def reset(self) -> None:
        """Ask a service again that was taken for down: a new pass begins."""
        self._down = None
        self._gave_up = 0

    async def aclose(self) -> None:
        """Close the connections."""
        for transport in self._transports:
            await transport.aclose()

    async def request(self, call: Call, check: Callable[[Response], T]) -> T:
        """Return what ``check`` makes of the answer (2xx, or 4xx but 429), trying again where that may help.

        ``check`` raises ValueError when the answer is not what the API promises, which is then treated
        like a 5xx; its :class:`~bridge.errors.ServiceError` goes to the caller as it is.

        Raises :class:`~bridge.errors.Unavailable` when there is no usable answer to be had.
        """
        try:
            return await self._try(call, check, self._timeouts.total)
        except _Failed as error:
            failure = error
        if not failure.retry:
            raise self._given_up(failure, tries=1)
        return await self._again(call, check, failure)

    async def _again(self, call: Call, check: Callable[[Response], T], failure: _Failed) -> T:
        """Go on after a first try that failed."""
        patience = _Patience(self._backoff)
        attempts = aiter(
            _stamina().retry_context(
                patience,
                attempts=self._backoff.tries,
                timeout=None,
                wait_initial=self._backoff.first,
                wait_max=self._backoff.longest,
                wait_jitter=self._backoff.jitter,
            )
        )
        tries = 1
        try:
            while True:
                attempt = await self._wait(attempts.__anext__, call)
                tries = attempt.num
                # Only failed tries are shown to stamina, which would swallow a cancellation for a while.
                try:
                    if tries > 1:
                        return await self._try(call, check, min(self._timeouts.total, patience.left))
                except _Failed as error:
                    failure = error
                with attempt:
                    raise failure
        except _Failed as error:
            failure = error
        except Unavailable as error:
            error.maybe_applied = True  # an earlier try may have been
            raise
        raise self._given_up(failure, tries)

    async def _try(self, call: Call, check: Callable[[Response], T], seconds: float) -> T:
        """Send once, when there is room and the limiter agrees, and judge the answer."""
        self._check_open(call)
        async with self._slots:
            self._check_open(call)
            if not self._limiter.try_acquire(call.kind):
                await self._wait(functools.partial(self._limiter.acquire, call.kind), call)
            began = time.monotonic()
            try:
                return self._judge(await self._send(call, seconds), check)
            except _Failed as failure:
                failure.seconds = time.monotonic() - began
                failure.on_retry = functools.partial(self._retrying, call, failure)
                raise

    async def _send(self, call: Call, seconds: float) -> Response:
        """Return the whole answer to one request, or raise ``_Failed``, with nothing of httpx's in it."""
        response = None
        with self._on_the_wire():
            try:
                async with asyncio.timeout(seconds):
                    response = await self._exchange(call)
            except TimeoutError:
                failure = _Failed(f"no whole answer within {seconds:g} s")
            except _Failed as error:
                failure = error
            except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, UnicodeError) as error:
                failure = _translated(error, self._timeouts)
            finally:
                self._limiter.answered(call.kind, response.headers if response else None)
        if response is None:
            raise failure
        return response

    async def _exchange(self, call: Call) -> Response:
        headers = self._headers
        if call.bearer is not None:
            headers = headers | {"authorization": f"Bearer {call.bearer.reveal()}"}
        request = httpx.Request(
            call.method,
            self._base + call.path,
            params=call.params,
            json=call.json,
            headers=headers,
            extensions=self._extensions,
        )
        transport = self._idle.pop()
        try:
            answer = await transport.handle_async_request(request)
            try:
                return await _response(answer)
            finally:
                await answer.aclose()
        except asyncio.CancelledError:
            transport, cancelled = self._replacement(transport), transport
            await cancelled.aclose()
            raise
        finally:
            self._idle.append(transport)

    def _replacement(self, transport: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        """Return a new transport in place of one whose request was cancelled.

        httpcore, cancelled at the wrong moment, takes its connection for busy ever after.
        """
        if self._is_injected:
            return transport
        fresh = _transport(self._url)
        self._transports[self._transports.index(transport)] = fresh
        return fresh

    def _judge(self, response: Response, check: Callable[[Response], T]) -> T:
        status = response.status
        if status == 429 or status >= 500:
            raise self._not_now(response)
        if not 200 <= status < 300 and status < 400:
            raise _Failed(f"answers with a redirect (status {status}); is base_url right?", retry=False)
        garbage = None
        try:
            return check(response)
        except ValueError:
            garbage = _Failed(f"the answer (status {status}) is not what the API promises")
        finally:
            if garbage is None:
                self._gave_up = 0
        raise garbage

    def _not_now(self, response: Response) -> _Failed:
        """Return the failure for a 429 or a 5xx."""
        wait = retry_after(response.headers, datetime.now(UTC))
        words = f"answered {response.status}"
        if wait is not None and wait > self._backoff.longest_retry_after:
            words += f" and asks to wait for {wait:.0f} s"
            return _Failed(words, retry=False, unreachable=True)
        return _Failed(words, throttled=response.status == 429, retry_after=wait)

    def _retrying(self, call: Call, failure: _Failed, tries: int, wait_seconds: float) -> None:
        import structlog

        if failure.throttled:
            self._limiter.hold(wait_seconds)
        structlog.get_logger().warning(
            "request_retried",
            service=self.service,
            method=call.method,
            route=call.route,
            id=call.booking,
            tries=tries,
            error=failure.words,
            wait_seconds=round(wait_seconds, 3),
        )

    def _given_up(self, failure: _Failed, tries: int) -> Unavailable:
        """Return what to raise; take the service for down where the next request would fare no better."""
        self._gave_up += 1
        if self._down is None and (failure.unreachable or self._gave_up >= _GAVE_UP_IN_A_ROW):
            self._down = failure.words
            self._wake(lambda _call: True)
        after = f" ({tries} tries)" if tries > 1 else ""
        return Unavailable(self.service, failure.words + after)

    def _check_open(self, call: Call) -> None:
        if self._down is not None:
            words = f"not asked again in this pass, after: {self._down}"
            raise Unavailable(self.service, words, maybe_applied=False)
        if self._stopping and not call.finishing:
            raise Unavailable(self.service, "not asked: the bridge is stopping", maybe_applied=False)

    async def _wait(self, waiting: Callable[[], Awaitable[T]], call: Call) -> T:
        """Return what ``waiting`` returns, unless a stop or the end of the service cuts it short."""
        self._check_open(call)
        try:
            async with self._interruptible(call):
                return await waiting()
        except TimeoutError:
            pass
        self._check_open(call)
        raise AssertionError("unreachable: only a stop or an end interrupts")  # pragma: no cover

    @asynccontextmanager
    async def _interruptible(self, call: Call) -> AsyncIterator[None]:
        async with asyncio.timeout(None) as patience:
            self._waits[patience] = call
            try:
                yield
            finally:
                self._waits.pop(patience, None)

    def _wake(self, which: Callable[[Call], bool]) -> None:
        for patience in [patience for patience, call in self._waits.items() if which(call)]:
            del self._waits[patience]
            patience.reschedule(0)

    @contextmanager
    def _on_the_wire(self) -> Iterator[None]:
        self._in_flight += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._quiet.set()


async def _response(answer: httpx.Response) -> Response:
    """Return the whole answer."""
    head = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers.raw}
    return Response(answer.status_code, head, await _bounded_body(answer, head))


async def _bounded_body(answer: httpx.Response, headers: Mapping[str, str]) -> bytes:
    """Return the unpacked body, and read no further once it is beyond the limit."""
    too_long = f"the answer is longer than {BODY_LIMIT_BYTES // 1024**2} MiB"
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > BODY_LIMIT_BYTES:
        raise _Failed(too_long)
    chunks, size = [], 0
    async for chunk in answer.aiter_bytes():
        size += len(chunk)
        if size > BODY_LIMIT_BYTES:
            raise _Failed(too_long)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that ``Retry-After`` asks for (a number or an HTTP date), at least 0; None without.

    A date is taken against the answer's own ``Date``, so that clocks may differ.
    """
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    then = _http_date(text)
    if then is None:
        return None
    return max(0.0, (then - (_http_date(headers.get("date", "")) or now)).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all that lies behind it."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from _causes(each)
        error = error.__cause__ or error.__context__


def _translated(error: Exception, timeouts: Timeouts) -> _Failed:
    """Return the failure for an exception of httpx's; nothing of its text is kept."""
    match error:
        case httpx.ConnectTimeout():
            failure = _Failed(f"could not connect within {timeouts.connect:g} s", unreachable=True)
        case httpx.ConnectError():
            failure = _not_connected(error)
        case httpx.ReadTimeout():
            failure = _Failed(f"timed out reading: nothing came for {timeouts.read:g} s")
        case httpx.WriteTimeout():
            failure = _Failed(f"timed out writing: nothing was taken for {timeouts.write:g} s")
        case httpx.ProxyError():
            failure = _Failed("the proxy refused to connect", unreachable=True)
        case httpx.DecodingError():
            failure = _Failed("the answer could not be unpacked")
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol() | httpx.InvalidURL() | UnicodeError():
            failure = _Failed("the request could not be put into HTTP; is the token right?", retry=False)
        case _:
            failure = _Failed("the connection broke off")
    return failure


def _not_connected(error: httpx.ConnectError) -> _Failed:
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                # OpenSSL's own words: they name the host at most.
                words = f"its certificate is not valid: {cause.verify_message}"
                return _Failed(words, retry=False, unreachable=True)
            case ssl.SSLError():
                return _Failed("could not agree on TLS", unreachable=True)
            case socket.gaierror():
                return _Failed("could not connect: its name is not known", unreachable=True)
            case ConnectionRefusedError():
                return _Failed("could not connect: connection refused", unreachable=True)
    return _Failed("could not connect", unreachable=True)
