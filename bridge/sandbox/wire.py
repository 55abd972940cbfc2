"""What both simulated services share: the way from a request to a handler, the log, the shapes of JSON."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import socket
import struct
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.sandbox.faults import Fault, Faults, Signal, strike
from bridge.sandbox.watched import Json

Clock = Callable[[], float]
Handler = Callable[[Request, bytes], Response]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)", re.ASCII)


def encode(value: Json) -> bytes:
    """Return compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def decode(body: bytes) -> Json:
    """Return the JSON in ``body``; raise ValueError when it is none."""
    return json.loads(body)


def instant_ms(text: object) -> int:
    """Return the milliseconds since 1970 of an ISO date-time that has a zone; raise ValueError otherwise."""
    if not isinstance(text, str) or not _INSTANT.fullmatch(text):
        raise ValueError("no date-time with a time zone")
    return (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND


def instant_text(milliseconds: int) -> str:
    """Return e.g. ``2019-08-24T14:15:22Z``; milliseconds only where there are any."""
    instant = (_EPOCH + timedelta(milliseconds=milliseconds)).replace(tzinfo=None)
    return instant.isoformat(timespec="milliseconds" if instant.microsecond else "seconds") + "Z"


def json_response(value: Json, status: int = 200) -> Response:
    """Return an answer in JSON."""
    return Response(encode(value), status, media_type="application/json")


class Failure(Exception):
    """Thrown by a handler: the request ends with this response."""

    def __init__(self, response: Response) -> None:
        self.response = response
        super().__init__(f"status {response.status_code}")


class Entry(NamedTuple):
    """One request as the service saw it.

    ``id`` is the booking the path names, if any. ``status`` is what the service made of it, even where the
    answer was lost; 0 when it was neither applied nor answered. ``error_type`` is the error's own type, or
    ``fault:KIND`` where an injected fault kept the request from being applied. ``body`` is the JSON sent,
    or the query where nothing was; a log-in's body is left out.
    """

    method: str
    path: str
    id: str | None
    status: int
    error_type: str | None
    body: Json

    def __repr__(self) -> str:
        return f"<{self.method} {self.path} {self.status} {self.error_type or ''}>"


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole answer, not sent yet."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def with_header(self, name: str, value: str) -> Reply:
        return replace(self, headers=(*self.headers, (name.encode(), value.encode())))

    def with_headers(self, headers: Mapping[str, str]) -> Reply:
        """Return the same answer with these headers in place of its own by these names."""
        added = {name.lower().encode(): value.encode("latin-1") for name, value in headers.items()}
        kept = tuple(pair for pair in self.headers if pair[0] not in added)
        return replace(self, headers=(*kept, *added.items()))

    def without_length(self) -> Reply:
        return replace(self, headers=tuple(pair for pair in self.headers if pair[0] != b"content-length"))

    def with_json(self, value: Json) -> Reply:
        """Return the same answer around another JSON value."""
        body = encode(value)
        return replace(self.without_length(), body=body).with_header("content-length", str(len(body)))


class Service(ABC):
    """A simulated service: a world that can be edited, its faults, its log, and the ASGI app in front of it.

    Edits and requests take ``lock``, so the world may be edited from another thread than the server's.
    ``delay_seconds`` pass from every request to its answer. ``requests`` counts what came in.
    ``date_skew_seconds`` is how far its ``Date`` is ahead of the true time; with ``age_seconds`` a cache says
    that its answers are that old.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.faults = Faults()
        self.log: list[Entry] = []
        self.delay_seconds = 0.0
        self.date_skew_seconds = 0.0
        self.age_seconds: int | None = None
        self.requests = 0
        self.lock = threading.RLock()
        self.address: str | None = None

    base_path = ""

    @property
    def url(self) -> str:
        """The base URL while the sandbox is listening; RuntimeError when it is not."""
        if self.address is None:
            raise RuntimeError(f"{type(self).__name__} is not listening; start it with `Sandbox`")
        return self.address + self.base_path

    @property
    def now_ms(self) -> int:
        """The world's clock, in milliseconds since 1970."""
        return round(self.clock() * 1000)

    @functools.cached_property
    def app(self) -> ASGIApp:
        """The ASGI application: faults and log around the routes."""
        router = Router([*self.routes(), self.route("/{path:path}", self.unknown)], redirect_slashes=False)
        return Shell(self, router)

    def route(self, path: str, handler: Handler, method: str | None = None) -> Route:
        """Return a route to a synchronous handler; without a method it takes any."""
        methods = None if method is None else [method]
        return Route(path, _Endpoint(self, handler), methods=methods)

    @abstractmethod
    def routes(self) -> Sequence[Route]:
        """Return the documented endpoints."""

    @abstractmethod
    def failure(self, status: int) -> Response:
        """Return an error answer of the service's own shape for an injected status."""

    @abstractmethod
    def subject(self, path: str) -> str | None:
        """Return the booking's id that a path names."""

    @abstractmethod
    def part(self, request: Request, body: bytes) -> str | None:
        """Return what of the club a request is about: the address of its account, or the id of its court."""

    @abstractmethod
    def shift(self, request: Request) -> None:
        """Take the first booking of the listing that is being read out of it."""

    @abstractmethod
    def admit(self, request: Request) -> None:
        """Raise :class:`Failure` when a request is turned away before anything is looked at."""

    def finish(self, response: Response) -> None:  # noqa: B027 - most services add nothing
        """Add the headers that every answer carries."""

    async def socket(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Serve a WebSocket; a service without one refuses it."""
        await send({"type": "websocket.close"})

    def unknown(self, _request: Request, _body: bytes) -> Response:
        """Answer a path or method that the service does not have."""
        raise Failure(self.failure(404))


class _Endpoint:
    """A synchronous handler as an ASGI application, one request at a time."""

    def __init__(self, service: Service, handler: Handler) -> None:
        self._service = service
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        with self._service.lock:
            response = self._respond(request, body)
            self._service.finish(response)
        await response(scope, receive, send)

    def _respond(self, request: Request, body: bytes) -> Response:
        try:
            self._service.admit(request)
            return self._handler(request, body)
        except Failure as failure:
            return failure.response


class Shell:
    """The ASGI application in front of a service's routes: reads, injects faults, logs, delays, answers."""

    def __init__(self, service: Service, inner: ASGIApp) -> None:
        self._service = service
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._service.socket(scope, receive, send)
            return
        body = await _whole_body(receive)
        if body is None:
            return
        self._service.requests += 1
        exchange = Exchange(self._service, self._inner, scope, receive, send, body)
        fault = self._take(exchange)
        if fault is None:
            await exchange.answer(await exchange.apply())
        else:
            await strike(fault, exchange)

    def _take(self, exchange: Exchange) -> Fault | None:
        if not self._service.faults.pending:
            return None
        request = exchange.request
        offset = request.query_params.get("offset", "")
        return self._service.faults.take(request.method, request.url.path, offset, exchange.part)


async def _whole_body(receive: Receive) -> bytes | None:
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


class Exchange:
    """One request on its way to an answer, with everything a fault may do to it."""

    def __init__(
        self, service: Service, inner: ASGIApp, scope: Scope, receive: Receive, send: Send, body: bytes
    ) -> None:
        self.request = Request(scope)
        self._service = service
        self._inner = inner
        self._receive = receive
        self._send = send
        self._body = body
        self._began = time.monotonic()

    @property
    def _transport(self) -> asyncio.Transport:
        transport: asyncio.Transport = self.request.scope["state"]["transport"]
        return transport

    @property
    def gone(self) -> bool:
        """Whether the connection is closed or closing."""
        return self._transport.is_closing()

    async def apply(self) -> Reply:
        """Let the service do what is asked, log it, and return the answer without sending it."""
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        async def replay() -> Message:
            return {"type": "http.request", "body": self._body, "more_body": False}

        await self._inner(self.request.scope, replay, collect)
        body = b"".join(message.get("body", b"") for message in messages[1:])
        reply = Reply(messages[0]["status"], tuple(messages[0]["headers"]), body)
        self._note(reply.status, _error_type(reply))
        return reply

    def note_unapplied(self, status: int, kind: str) -> None:
        """Log a request that a fault keeps from the service."""
        self._note(status, f"fault:{kind}")

    def _note(self, status: int, error_type: str | None) -> None:
        path = self.request.url.path
        body = None if path.endswith("/login") else self._sent()
        entry = Entry(self.request.method, path, self._service.subject(path), status, error_type, body)
        self._service.log.append(entry)

    def _sent(self) -> Json:
        if not self._body:
            return dict(self.request.query_params) or None
        try:
            return decode(self._body)
        except ValueError:
            return self._body

    def failure(self, status: int) -> Reply:
        """Return an answer with the service's own error body."""
        response = self._service.failure(status)
        return Reply(status, tuple(response.raw_headers), bytes(response.body))

    def reply(self, status: int, body: bytes, media_type: str) -> Reply:
        response = Response(body, status, media_type=media_type)
        return Reply(status, tuple(response.raw_headers), body)

    def part(self) -> str | None:
        """Return whose account, or which court, this is about."""
        with self._service.lock:
            return self._service.part(self.request, self._body)

    def shift(self) -> None:
        with self._service.lock:
            self._service.shift(self.request)

    async def answer(self, reply: Reply) -> None:
        """Send a whole answer when the service's delay, counted from the request, is over."""
        if self._service.delay_seconds:
            await asyncio.sleep(self._began + self._service.delay_seconds - time.monotonic())
        await self.start(reply)
        await self.send(reply.body, last=True)

    async def start(self, reply: Reply) -> None:
        headers = [*self._date(reply), *reply.headers]
        await self._send({"type": "http.response.start", "status": reply.status, "headers": headers})

    def _date(self, reply: Reply) -> list[tuple[bytes, bytes]]:
        """Return ``Date`` and ``Age`` as the service's clock and a cache would have them."""
        if any(name == b"date" for name, _ in reply.headers):
            return []
        age = self._service.age_seconds
        date = formatdate(time.time() + self._service.date_skew_seconds - (age or 0), usegmt=True)
        return [(b"date", date.encode())] + ([] if age is None else [(b"age", str(age).encode())])

    async def send(self, chunk: bytes, *, last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": not last})

    async def drop(self, *, reset: bool, flush: bool = False) -> None:
        """End the connection: with a TCP reset, at once, or after what was written has left."""
        transport = self._transport
        if reset:
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if flush:
            transport.close()
        else:
            transport.abort()
        await self._client_left()

    async def wait_for(self, signal: Signal) -> bool:
        """Wait for the signal (then True) or for the client to go (then False)."""
        reached = asyncio.ensure_future(signal.reached())
        leaving = asyncio.ensure_future(self._client_left())
        try:
            await asyncio.wait({reached, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return not leaving.done()
        finally:
            reached.cancel()
            leaving.cancel()
            await asyncio.gather(reached, leaving, return_exceptions=True)

    async def _client_left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _error_type(reply: Reply) -> str | None:
    if reply.status < 400:
        return None
    error = decode(reply.body).get("error")
    return error["type"] if isinstance(error, dict) else None
