"""What can go wrong with one request, in the bridge's own words: httpx's hold addresses and headers."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from bridge.http.ratelimit import NUMBER

CONNECT: Final = "connect"
TIMEOUT: Final = "timeout"
NOT_THE_APIS: Final = "not the API's"

ERRORS: Final = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, UnicodeError)
"""What httpx raises when a request fails."""


@dataclass(eq=False)
class Failed(Exception):
    """One try that failed; it never leaves the package. ``kind`` stays the same while the trouble does.

    ``retry``: whether another try may help. ``hopeless``: whether no other request of this pass would fare better.
    ``throttled``: whether it was one request too many. ``retry_after`` is in seconds, as the service asks.
    ``on_retry`` is told how many seconds are waited before the next try.
    """

    words: str
    kind: str
    retry: bool = True
    hopeless: bool = False
    throttled: bool = False
    retry_after: float | None = None
    on_retry: Callable[[float], None] = lambda _wait_seconds: None


@dataclass(eq=False)
class Closed(Failed):
    """A request that may not leave: the service is down, or the bridge stops."""

    retry: bool = False


def not_now(status: int, headers: Mapping[str, str], longest_seconds: float) -> Failed:
    """Return the failure for a 429 or a 5xx; it is final where it asks to wait for too long."""
    words, kind, wait = f"answered {status}", f"status {status}", retry_after(headers, datetime.now(UTC))
    if wait is not None and wait > longest_seconds:
        return Failed(f"{words} and asks to wait for {wait:.0f} s", kind, retry=False, hopeless=True)
    return Failed(words, kind, throttled=status == 429, retry_after=wait)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that ``Retry-After`` asks for (a number or an HTTP date), at least 0; None without.

    A date is taken against the answer's own ``Date``, so that clocks may differ.
    """
    text = headers.get("retry-after", "").strip()
    if NUMBER.fullmatch(text):
        return float(text)
    then = _http_date(text)
    if then is None:
        return None
    return max(0.0, (then - (_http_date(headers.get("date", "")) or now)).total_seconds())


def clock_offset_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return how far the service's clock (``Date``, and ``Age`` where a cache answers) is ahead of ``now``.

    In seconds, to the second; None where a header is missing or cannot be read.
    """
    date, age = _http_date(headers.get("date", "")), headers.get("age", "0").strip()
    if date is None or not NUMBER.fullmatch(age):
        return None
    return (date - now).total_seconds() + float(age)


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, LookupError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def translated(error: Exception, timeout: httpx.Timeout) -> Failed:
    """Return the failure for one of ``ERRORS``."""
    match error:
        case httpx.ConnectError():
            return not_connected(error)
        case httpx.ConnectTimeout():
            return Failed(f"could not connect within {timeout.connect:g} s", CONNECT)
        case httpx.ProxyError():
            return Failed("the proxy refused to connect", "proxy", hopeless=True)
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol() | httpx.InvalidURL() | UnicodeError():
            words = "the request could not be put into HTTP; is the token right?"
            return Failed(words, "request", retry=False)
        case httpx.ReadTimeout():
            words, kind = f"timed out reading: nothing came for {timeout.read:g} s", TIMEOUT
        case httpx.WriteTimeout():
            words, kind = f"timed out writing: nothing was taken for {timeout.write:g} s", TIMEOUT
        case _:
            words, kind = "the connection broke off", "connection"
    return Failed(words, kind)


def not_connected(error: Exception) -> Failed:
    """Return the failure for what kept a connection from being made, in words without its address."""
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                # OpenSSL's own words: they name the host at most.
                words = f"its certificate is not valid: {cause.verify_message}"
                return Failed(words, "certificate", retry=False, hopeless=True)
            case ssl.SSLError():
                return Failed("could not agree on TLS", "tls")
            case socket.gaierror():
                return Failed("could not connect: its name is not known", CONNECT)
            case ConnectionRefusedError():
                return Failed("could not connect: connection refused", CONNECT)
    return Failed("could not connect", CONNECT)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all that lies behind it."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from _causes(each)
        error = error.__cause__ or error.__context__
