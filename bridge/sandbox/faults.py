"""Everything that can go wrong between a request and its answer, injected on purpose.

A :class:`Fault` waits in ``world.faults`` for requests it matches, lets the first ``after`` of them by,
strikes the next ``times`` and is spent. Faults count separately. A new kind is a function and its line in
:data:`KINDS`; what it needs to know is a field of :class:`Fault`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypedDict, Unpack

from bridge.sandbox.watched import Json

if TYPE_CHECKING:
    from bridge.sandbox.wire import Exchange

Matcher = Callable[[str, str], bool]


def anything(_method: str, _path: str) -> bool:
    """Match every request."""
    return True


class Signal:
    """An event for threads and event loops alike: set by any, awaited by any."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def set(self) -> None:
        """Wake whoever waits, in whatever thread or loop."""
        with self._lock:
            self._event.set()
            waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            with contextlib.suppress(RuntimeError):  # that loop is closed: nobody waits there any more
                loop.call_soon_threadsafe(event.set)

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout_seconds: float) -> bool:
        """Block this thread until set; return False when the time-out came first."""
        return self._event.wait(timeout_seconds)

    async def reached(self) -> None:
        """Wait in this event loop until set."""
        event = asyncio.Event()
        with self._lock:
            if self._event.is_set():
                return
            self._waiting.append((asyncio.get_running_loop(), event))
        await event.wait()


@dataclass(slots=True, eq=False)
class Fault:
    """One thing that goes wrong.

    ``times`` is None for ever. ``match`` sees method and path (no query); ``part`` narrows that to the requests
    of one account (its address) or about one court (its id). ``hits`` counts the strikes and
    ``struck`` is set by the first. The other fields belong to one kind each, as in :data:`KINDS`.
    """

    kind: str
    times: int | None = 1
    match: Matcher = anything
    part: str = ""
    after: int = 0
    status: int = 500
    retry_after: str | float | None = None
    applied: bool = False
    location: str = ""
    keep: int | None = None
    size_bytes: int = 64 * 1024 * 1024
    interval_seconds: float = 0.05
    act: Callable[[], object] | None = None
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    change: Callable[[Json], Json] = lambda value: value
    encodings: Sequence[str] = ("gzip",)
    hits: int = 0
    struck: Signal = field(default_factory=Signal, repr=False)
    released: Signal = field(default_factory=Signal, repr=False)
    _seen: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no kind of fault; there are: {', '.join(sorted(KINDS))}")

    @property
    def spent(self) -> bool:
        return self.times is not None and self.hits >= self.times

    def release(self) -> None:
        """Let requests that ``hang`` or ``trickle`` go on to their answer."""
        self.released.set()

    def meets(self, method: str, path: str, offset: str, part: Callable[[], str | None]) -> bool:
        """Count a request, and return whether this fault may strike it."""
        if self.kind == "shift" and offset in {"", "0"}:
            return False  # nothing shifts under a listing that has not begun
        if self.spent or not self.match(method, path):
            return False
        if self.part and self.part.casefold() != (part() or "").casefold():
            return False
        self._seen += 1
        return self._seen > self.after


class Details(TypedDict, total=False):
    """The fields of a :class:`Fault` that may be chosen."""

    times: int | None
    match: Matcher
    part: str
    after: int
    status: int
    retry_after: str | float | None
    applied: bool
    location: str
    keep: int | None
    size_bytes: int
    interval_seconds: float
    act: Callable[[], object] | None
    body: bytes
    headers: Mapping[str, str]
    change: Callable[[Json], Json]
    encodings: Sequence[str]


class Faults:
    """The faults of one service, oldest first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, kind: str, **details: Unpack[Details]) -> Fault:
        """Put a :class:`Fault` in and return it; ``details`` are its fields."""
        fault = Fault(kind, **details)
        self._faults = [*self._faults, fault]
        return fault

    def clear(self) -> None:
        """Take every fault away, and let go what hangs."""
        faults, self._faults = self._faults, []
        for fault in faults:
            fault.release()

    @property
    def pending(self) -> list[Fault]:
        """The faults that may still strike."""
        return [fault for fault in self._faults if not fault.spent]

    def take(self, method: str, path: str, offset: str, part: Callable[[], str | None] = lambda: None) -> Fault | None:
        """Return the fault that strikes this request, if any; the others only count it.

        ``part`` returns whose account or which court the request is about.
        """
        able = [fault for fault in self._faults if fault.meets(method, path, offset, part)]
        if not able:
            return None
        able[0].hits += 1
        return able[0]


async def _refuse(_fault: Fault, exchange: Exchange) -> None:
    exchange.note_unapplied(0, "refuse")
    await exchange.drop(reset=True)


async def _lose(_fault: Fault, exchange: Exchange) -> None:
    await exchange.apply()
    await exchange.drop(reset=False)


async def _status(fault: Fault, exchange: Exchange) -> None:
    if fault.applied:
        await exchange.apply()
    else:
        exchange.note_unapplied(fault.status, "status")
    reply = exchange.failure(fault.status)
    if fault.retry_after is not None:
        reply = reply.with_header("retry-after", str(fault.retry_after))
    await exchange.answer(reply)


async def _garbage(_fault: Fault, exchange: Exchange) -> None:
    exchange.note_unapplied(200, "garbage")
    page = b"<!doctype html><html><body><h1>We'll be back soon</h1></body></html>"
    await exchange.answer(exchange.reply(200, page, "text/html; charset=utf-8"))


async def _half(_fault: Fault, exchange: Exchange) -> None:
    reply = await exchange.apply()
    await exchange.start(reply)
    await exchange.send(reply.body[: len(reply.body) // 2])
    await exchange.drop(reset=False, flush=True)


async def _wrong_shape(_fault: Fault, exchange: Exchange) -> None:
    reply = await exchange.apply()
    value = json.loads(reply.body)
    turned = {"items": value} if isinstance(value, list) else [value]
    await exchange.answer(reply.with_json(turned))


async def _redirect(fault: Fault, exchange: Exchange) -> None:
    exchange.note_unapplied(302, "redirect")
    reply = exchange.reply(302, b"", "text/plain").with_header("location", fault.location)
    await exchange.answer(reply)


async def _hang(fault: Fault, exchange: Exchange) -> None:
    exchange.note_unapplied(0, "hang")
    if await exchange.wait_for(fault.released):
        await exchange.answer(await exchange.apply())


async def _truncate_listing(fault: Fault, exchange: Exchange) -> None:
    reply = await exchange.apply()
    value = json.loads(reply.body)
    items = value["items"] if isinstance(value, dict) and "items" in value else value
    if isinstance(items, list):
        keep = len(items) // 2 if fault.keep is None else fault.keep
        del items[keep:]
        reply = reply.with_json(value)
    await exchange.answer(reply)


async def _shift(fault: Fault, exchange: Exchange) -> None:
    if fault.act is not None:
        fault.act()
    else:
        exchange.shift()
    await exchange.answer(await exchange.apply())


async def _huge(fault: Fault, exchange: Exchange) -> None:
    reply = await exchange.apply()
    await exchange.start(reply.without_length())
    chunk = b" " * 65_536
    for _ in range(fault.size_bytes // len(chunk) + 1):
        if exchange.gone:
            return
        await exchange.send(chunk)
    await exchange.send(reply.body, last=True)


async def _trickle(fault: Fault, exchange: Exchange) -> None:
    reply = await exchange.apply()
    await exchange.start(reply.without_length())
    while not exchange.gone:
        await exchange.send(b" ")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(fault.released.reached(), fault.interval_seconds)
            await exchange.send(reply.body, last=True)
            return


async def _answer(fault: Fault, exchange: Exchange) -> None:
    if fault.applied:
        await exchange.apply()
    else:
        exchange.note_unapplied(fault.status, "answer")
    media_type = fault.headers.get("content-type", "text/plain")
    reply = exchange.reply(fault.status, fault.body, media_type)
    await exchange.answer(reply.with_headers(fault.headers))


async def _headers(fault: Fault, exchange: Exchange) -> None:
    reply = await exchange.apply()
    await exchange.answer(reply.with_headers(fault.headers))


async def _change(fault: Fault, exchange: Exchange) -> None:
    reply = await exchange.apply()
    await exchange.answer(reply.with_json(fault.change(json.loads(reply.body))))


async def _bomb(fault: Fault, exchange: Exchange) -> None:
    reply = await exchange.apply()
    reply = reply.without_length().with_headers({"content-encoding": ", ".join(fault.encodings)})
    await exchange.start(reply)
    for chunk in packed(fault.size_bytes, fault.encodings):
        if exchange.gone:
            return
        await exchange.send(chunk)
    await exchange.send(b"", last=True)


def packed(size_bytes: int, encodings: Sequence[str]) -> Iterator[bytes]:
    """Yield ``size_bytes`` of blanks, packed by each of ``encodings`` (``gzip`` or ``deflate``) in turn."""
    blank = b" " * 1_048_576
    chunks: Iterator[bytes] = (blank for _ in range(size_bytes // len(blank)))
    for encoding in encodings:
        chunks = _packed_once(chunks, 31 if encoding == "gzip" else 15)
    return chunks


def _packed_once(chunks: Iterator[bytes], window: int) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=window)
    for chunk in chunks:
        if some := packer.compress(chunk):
            yield some
    yield packer.flush()


def later(**delta: float) -> Callable[[Json], Json]:
    """Return, for ``change``, what has every ``service_date`` of an answer that much later."""

    def moved(value: Json) -> Json:
        if isinstance(value, list):
            return [moved(each) for each in value]
        moment = datetime.fromisoformat(value["service_date"]) + timedelta(**delta)
        return {**value, "service_date": moment.isoformat().replace("+00:00", "Z")}

    return moved


KINDS: dict[str, Callable[[Fault, Exchange], Awaitable[None]]] = {
    "refuse": _refuse,
    "lose": _lose,
    "status": _status,
    "garbage": _garbage,
    "half": _half,
    "wrong_shape": _wrong_shape,
    "redirect": _redirect,
    "hang": _hang,
    "truncate_listing": _truncate_listing,
    "shift": _shift,
    "huge": _huge,
    "trickle": _trickle,
    "answer": _answer,
    "headers": _headers,
    "change": _change,
    "bomb": _bomb,
}
"""What each kind does:

``refuse``            the connection is reset; the request is not applied
``lose``              the request is applied, and the connection ends without an answer
``status``            ``status`` with the service's own error body, ``retry_after`` if given; not applied
                      unless ``applied``
``garbage``           200 with a page of HTML; not applied
``half``              applied; the body stops half way
``wrong_shape``       applied; an object where a list belongs, a list where an object belongs
``redirect``          302 to ``location``; not applied
``hang``              no answer until ``release()`` (then applied) or until the client goes (never applied)
``truncate_listing``  a page keeps only its first ``keep`` items (default: half of them)
``shift``             strikes pages after a listing's first: ``act()`` runs before it, by default the first
                      booking of the listing is cancelled
``huge``              applied; ``size_bytes`` of white space before the body
``trickle``           applied; a blank every ``interval_seconds`` until ``release()``
``answer``            ``status`` with ``body`` and ``headers`` as they are; not applied unless ``applied``
``headers``           applied; ``headers`` are added to the answer, or take the place of its own
``change``            applied; the JSON of the answer is what ``change()`` makes of it
``bomb``              applied; ``size_bytes`` of blanks, packed with ``encodings`` one over the other
"""


async def strike(fault: Fault, exchange: Exchange) -> None:
    """Do to this exchange what the fault is there for."""
    fault.struck.set()
    await KINDS[fault.kind](fault, exchange)
