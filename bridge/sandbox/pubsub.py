"""Launch27's socket of events, simulated, and what can go wrong with it.

Source: Launch27, ``pubsub_url`` (*seen*): JSON messages, and frames that are no JSON. Where nothing is known the
simulation chooses: an unknown channel is 404, every channel is told everything.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

_FLOODS_PER_SECOND: Final = 100
_MOST_BUFFERED_BYTES: Final = 1024 * 1024


class PubSub:
    """The channels of one tenant, and everybody who listens.

    ``channels`` are those of single accounts, by address; all others share ``channel``. ``url`` takes the place
    of what the settings name (``""``: they name nothing). ``status`` refuses new sockets; a ``silent`` service takes
    them, and then neither says nor answers anything. ``tells`` whether edits of bookings are told. Everything may be
    done from any thread.
    """

    path = "/v1/subscribe"

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.channel = secrets.token_hex(8)
        self.channels: dict[str, str] = {}
        self.url: str | None = None
        self.status: int | None = None
        self.silent = False
        self.tells = True
        self.tries: list[int] = []
        """What came of every attempt to connect: 101, or the status that refused it."""
        self.flood_per_second = 0
        self._listening: dict[asyncio.Transport, asyncio.AbstractEventLoop] = {}
        self._lies = itertools.count(10**9)

    @property
    def listeners(self) -> int:
        """How many sockets are open."""
        return len(self._listening)

    def named(self, email: str, address: str | None) -> str:
        """Return what the settings name for an account, of a service that listens at ``address``."""
        if self.url is not None:
            return self.url
        host = "wss://pubsub.invalid" if address is None else address.replace("http", "ws", 1)
        return f"{host}{self.path}?channel={self.channels.get(email, self.channel)}"

    def tell(self, event: str, number: int) -> None:
        """Tell everybody of something that happened to a booking, also of one that does not exist."""
        if self.tells and self._listening:
            self.say(json.dumps(self._event(event, number)))

    def _event(self, event: str, number: int) -> Mapping[str, object]:
        return {
            "event": event,
            "booking_id": number,
            "customer_id": 501,
            "subdomain": self.tenant,
            "team_ids": [],
            "next_recurring": None,
            "originator_id": 501,
        }

    def say(self, text: str | bytes) -> None:
        """Send a frame with anything in it to everybody; bytes make a binary one."""
        frame = _frame(text)
        for transport, loop in list(self._listening.items()):
            loop.call_soon_threadsafe(transport.write, frame)

    def drop(self) -> None:
        """Let every socket die, without a word."""
        for transport, loop in list(self._listening.items()):
            loop.call_soon_threadsafe(transport.abort)

    def flood(self, per_second: int) -> None:
        """Tell so many events a second, each about another booking that does not exist; 0: no more."""
        self.flood_per_second = per_second
        for transport, loop in list(self._listening.items()):
            loop.call_soon_threadsafe(self._flood, transport, loop)

    def _flood(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        if not self.flood_per_second or transport.is_closing():
            return
        if transport.get_write_buffer_size() < _MOST_BUFFERED_BYTES:
            lies = itertools.islice(self._lies, self.flood_per_second // _FLOODS_PER_SECOND)
            transport.write(b"".join(_frame(json.dumps(self._event("booking_updated", lie))) for lie in lies))
        loop.call_later(1 / _FLOODS_PER_SECOND, self._flood, transport, loop)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket, as an ASGI application."""
        await receive()
        status = self._status(scope)
        self.tries.append(status)
        if status != 101:
            await send({"type": "websocket.http.response.start", "status": status, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b""})
            return
        await send({"type": "websocket.accept"})
        transport, loop = scope["state"]["transport"], asyncio.get_running_loop()
        if self.silent:
            transport.pause_reading()
        else:
            await send({"type": "websocket.send", "text": "welcome"})
        self._listening[transport] = loop
        self._flood(transport, loop)
        try:
            while (await receive())["type"] != "websocket.disconnect":
                pass
        finally:
            del self._listening[transport]

    def _status(self, scope: Scope) -> int:
        known = {self.channel, *self.channels.values()}
        is_known = scope["path"] == self.path and QueryParams(scope["query_string"]).get("channel") in known
        return self.status or (101 if is_known else 404)


def _frame(content: str | bytes) -> bytes:
    """Return one whole, unmasked frame. Source: RFC 6455, 5.2."""
    payload = content.encode() if isinstance(content, str) else content
    first = bytes([0x81 if isinstance(content, str) else 0x82])
    if len(payload) < 126:
        return first + bytes([len(payload)]) + payload
    if len(payload) < 65_536:
        return first + b"\x7e" + len(payload).to_bytes(2, "big") + payload
    return first + b"\x7f" + len(payload).to_bytes(8, "big") + payload
