"""Sends requests over httpx: which connections there are, and how much of an answer is read."""

from __future__ import annotations

import asyncio
import functools
import logging
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, cast
from urllib.parse import urlencode

import httpx

from bridge import __version__
from bridge.config.secrets import Secret
from bridge.errors import ConfigError, Problem
from bridge.http.body import Body, too_long
from bridge.http.ratelimit import Kind

Params = Mapping[str, str | int] | None

USER_AGENT: Final = f"courtbridge/{__version__}"
_HEADERS: Final = {"accept": "application/json", "accept-encoding": "gzip, deflate", "user-agent": USER_AGENT}

BODY_LIMIT_BYTES: Final = 32 * 1024 * 1024
_LONG_BYTES: Final = 1024 * 1024

_IDLE_SECONDS: Final = 45.0
"""From one near pass to the next and less than a minute, after which most servers close what is idle."""

# Where nothing is to be verified: this one trusts nobody, and costs nothing to make.
_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

# httpx logs addresses at INFO, httpcore whole headers at DEBUG.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Call:
    """One request. ``route`` and ``booking`` are what the logs know it by; a GET is a read, all else a write.

    ``part`` is the court or the account it is about, where it is about one. A ``finishing`` call is let through
    while the bridge stops; one that is not ``patient`` is tried once.
    """

    method: str
    path: str
    route: str
    booking: str | None = None
    params: Params = None
    json: object = field(default=None, repr=False)
    bearer: Secret | None = None
    finishing: bool = False
    part: str | None = None
    patient: bool = True

    @property
    def kind(self) -> Kind:
        """Which of the service's rate limits counts it."""
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


class _NoCookies(httpx.Cookies):
    def extract_cookies(self, response: httpx.Response) -> None:
        pass


class _Client(httpx.AsyncClient):
    """A client that keeps no cookies: two accounts share it, and must not share a session.

    Those of httpx are looked for in each answer before any policy is asked: 5 % of a request's CPU.
    """

    cookies = _NoCookies()  # type: ignore[override]  # nobody sets them


class Connections:
    """Clients of one connection each: a pool looks at every connection for every request, often twice.

    ``transport`` is used by all of them, in place of the network.
    """

    def __init__(self, base_url: str, timeout: httpx.Timeout, transport: httpx.AsyncBaseTransport | None) -> None:
        self.url = httpx.URL(base_url)
        self._base = base_url.rstrip("/")
        self._timeout = timeout
        self._transport = transport
        self._clients: set[httpx.AsyncClient] = set()
        self._idle = [self._new()]  # the others are made when they are needed, which in a quiet club is seldom
        self._long = asyncio.Lock()

    async def exchange(self, call: Call) -> Response:
        """Return the whole answer to one request, over an idle connection, or else a new one.

        Raises what httpx raises, and Failed when the body is too long.
        """
        # Not the client's own build_request: what it merges anew each time is 15 % of a request's CPU.
        bearer = {"authorization": f"Bearer {call.bearer.reveal()}"} if call.bearer else {}
        query = f"?{urlencode(call.params)}" if call.params else ""
        url, headers = self._base + call.path + query, _HEADERS | bearer
        request = httpx.Request(call.method, url, json=call.json, headers=headers)
        client = self._idle.pop() if self._idle else self._new()
        try:
            answer = await client.send(request, stream=True)
            try:
                head = dict(answer.headers.items())
                return Response(answer.status_code, head, await self._body(answer, head))
            finally:
                await answer.aclose()
        except asyncio.CancelledError:
            # httpcore, cancelled at the wrong moment, takes its connection for busy ever after.
            client, cancelled = self._new(), client
            self._clients.remove(cancelled)
            await cancelled.aclose()
            raise
        finally:
            self._idle.append(client)

    async def _body(self, answer: httpx.Response, headers: Mapping[str, str]) -> bytes:
        """Return the unpacked body, and read no further once it is beyond the limit.

        Long bodies are read one after the other, so that all of them together stay within bounds.
        """
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > BODY_LIMIT_BYTES:
            raise too_long(BODY_LIMIT_BYTES)
        body = Body(headers.get("content-encoding", ""), BODY_LIMIT_BYTES)
        is_long = False
        try:
            # Not httpx's aiter_bytes: it unpacks whatever a chunk holds at once, as often as the headers say.
            async for chunk in cast("httpx.AsyncByteStream", answer.stream):
                for _ in body.take(chunk):
                    if not is_long and body.size > _LONG_BYTES:
                        is_long = await self._long.acquire()
            return body.whole()
        finally:
            if is_long:
                self._long.release()

    async def rest(self) -> None:
        """Close what is idle but for two connections: a quiet pass needs no more, and many clubs have many."""
        spare, self._idle = self._idle[:-2], self._idle[-2:]
        self._clients.difference_update(spare)
        for client in spare:
            await client.aclose()

    async def aclose(self) -> None:
        for client in self._clients:
            await client.aclose()

    def _new(self) -> httpx.AsyncClient:
        try:
            client = _Client(
                timeout=self._timeout,
                limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_IDLE_SECONDS),
                event_hooks={"response": [_without_location]},
                trust_env=False,  # proxies are looked for here, and nothing else in it is wanted
                verify=tls() if self.url.scheme == "https" else _NO_TLS,
                proxy=None if self._transport else _proxy(self.url),
                transport=self._transport,
            )
        except (ImportError, ValueError, httpx.InvalidURL):
            client = None
        if client is None:  # raised out here, without that exception behind it
            problem = "the proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names cannot be used; give http://host:port"
            raise ConfigError([Problem("environment", problem)])
        self._clients.add(client)
        return client


async def _without_location(response: httpx.Response) -> None:
    # httpx would read where a redirect leads, also when it is not to follow, and fail where that is nonsense.
    response.headers.pop("location", None)


@functools.cache
def tls() -> ssl.SSLContext:
    """Return the one TLS context of the process: making it costs 80 ms."""
    return httpx.create_ssl_context()


def _proxy(url: httpx.URL) -> httpx.Proxy | None:
    address = proxy_address(url.scheme, url.host)
    if not address:
        return None
    proxy = httpx.Proxy(address)
    if not proxy.url.host or not 0 < (proxy.url.port or 1) < 65536:
        raise ValueError("not an address")
    return proxy


def proxy_address(scheme: str, host: str) -> str | None:
    """Return the proxy that ``HTTPS_PROXY`` and its kin name for this host, as curl would."""
    if is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies_environment()
    return proxies.get(scheme) or proxies.get("all")


def is_loopback(host: str) -> bool:
    """Whether a host, by name or by address, is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
