"""Launch27's own events: a socket on which it says which booking has changed.

A frame is only a hint to look: some get lost, come twice, or name a booking that does not exist. A channel's address
is its only credential: it is in no log, no error and no ``repr``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import urlsplit

import structlog
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bridge.errors import ServiceError
from bridge.http.connections import USER_AGENT, is_loopback, proxy_address, tls
from bridge.http.failures import not_connected
from bridge.launch27.client import Launch27, Session
from bridge.launch27.values import whole_number

PING_SECONDS = 20.0
"""How often a socket is asked for a sign of life, and how long that may take."""
LONGEST_WAIT_SECONDS: Final = 60.0
"""Between two tries; a connection that stood for longer was a good one."""
SETTLED_SECONDS: Final = 5.0
"""After several failures, a connection is told when it has stood for so long."""
ASKED_AGAIN_SECONDS: Final = 3600.0
GATHERED_SECONDS: Final = 0.1
MOST_HINTS: Final = 50
"""When more bookings than these change within ``GATHERED_SECONDS``, they are not named."""

_SILENT: Final = logging.Logger("websockets")  # noqa: LOG001 -- nobody else's: the library logs addresses
_SILENT.disabled = True

log = structlog.get_logger()


class Push:
    """Listens wherever the accounts are told of events, from now on until ``stop``.

    ``hint`` is called with the id of a booking that may have changed, or with None where many have. Nobody logs in
    for it: that is left to the passes, which know when a password was refused.
    """

    def __init__(self, source: Launch27, sessions: Iterable[Session], hint: Callable[[str | None], object]) -> None:
        self._source = source
        self._hint = hint
        self._addresses = dict.fromkeys(sessions, "")
        self._sockets: dict[str, asyncio.Task[None]] = {}
        self._open: set[str] = set()
        self._hints: set[str] = set()
        self._told: set[str] = set()
        self._task = asyncio.create_task(self._run())

    @property
    def is_connected(self) -> bool:
        """Whether there is an address to listen at, and each of them is listened at."""
        return bool(self._sockets) and self._open >= self._sockets.keys()

    def stop(self) -> None:
        """Begin to end it, which takes a second at most."""
        self._task.cancel()

    async def aclose(self) -> None:
        self.stop()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        failures = 0
        async with asyncio.TaskGroup() as self._group:
            while True:
                deaf = [session for session, address in self._addresses.items() if address not in self._open]
                failures = 0 if await self._ask(deaf) else failures + 1
                await asyncio.sleep(_wait_seconds(failures) if failures else ASKED_AGAIN_SECONDS)

    async def _ask(self, sessions: Iterable[Session], failures: int = 0) -> bool:
        """Ask where to listen, and do so; return whether all was answered. Until another is named, an address counts.

        Source: Launch27, ``GET /settings`` (asked with a token also ``pubsub_url``).
        """
        is_whole = True
        for session in sessions:
            try:
                address = (await self._source.settings(session)).pubsub_url if session.token else None
            except ServiceError:
                address = None
            if address is None:
                is_whole = False
            elif is_usable(address):
                self._addresses[session] = address
            elif address:
                self._tell("push_unusable", "Launch27's events have no wss:// address: they are not listened to")
        wanted = set(self._addresses.values()) - {""}
        for address in self._sockets.keys() - wanted:
            self._sockets.pop(address).cancel()
        for address in wanted - self._sockets.keys():
            self._sockets[address] = self._group.create_task(self._listen(address, failures))
        return is_whole

    async def _listen(self, address: str, failures: int) -> None:
        """Listen at one address, and again after each loss; one that was refused is asked for again before."""
        loop = asyncio.get_running_loop()
        while True:
            began, is_refused = loop.time(), False
            try:
                async with _connection(address) as socket:
                    self._open.add(address)
                    loop.call_later(SETTLED_SECONDS * (failures > 1), self._tell_connected)
                    while True:
                        self._take(await socket.recv(decode=False))
            except Exception as error:  # noqa: BLE001 (whatever a stranger sends ends this one try)
                is_refused = isinstance(error, InvalidStatus) and error.response.status_code in {401, 403, 404}
                self._tell("push_lost", _in_words(error))
            finally:
                self._open.discard(address)
            failures = 1 if loop.time() - began > LONGEST_WAIT_SECONDS else failures + 1
            await asyncio.sleep(_wait_seconds(failures))
            if is_refused:
                await self._ask([session for session, named in self._addresses.items() if named == address], failures)

    def _tell_connected(self) -> None:
        if self.is_connected and "push_connected" not in self._told:
            self._told = self._told - {"push_lost"} | {"push_connected"}
            log.info("push_connected")

    def _tell(self, event: str, error: str) -> None:
        """Say once what is wrong, and again only after it was well."""
        if event not in self._told:
            self._told = self._told - {"push_connected"} | {event}
            log.warning(event, error=error)

    def _take(self, frame: bytes) -> None:
        """Take a frame; of a flood, only so many are read."""
        if len(self._hints) > MOST_HINTS or (id_ := booking_id(frame)) is None:
            return
        if not self._hints:
            asyncio.get_running_loop().call_later(GATHERED_SECONDS, self._pass_on)
        self._hints.add(id_)

    def _pass_on(self) -> None:
        hints, self._hints = self._hints, set()
        for id_ in hints if len(hints) <= MOST_HINTS else (None,):
            self._hint(id_)


def booking_id(frame: bytes) -> str | None:
    """Return the id of the booking that a frame is about, if any. Source: Launch27, pubsub (*seen*)."""
    try:
        event = json.loads(frame)
    except (ValueError, RecursionError):
        return None
    number = whole_number(event.get("booking_id")) if isinstance(event, dict) else None
    return None if number is None else str(number)


def is_usable(address: str) -> bool:
    """Whether an address can be listened at and keeps its secret: ``wss``, or ``ws`` on loopback."""
    try:
        parts = urlsplit(address)
        is_plain = address.isascii() and address.isprintable() and not {" ", "@", "#"} & set(address)
        is_whole = parts.hostname and parts.port != 0 and len(address) <= 2000
    except ValueError:
        return False
    keeps_secret = parts.scheme == "wss" or (parts.scheme == "ws" and is_loopback(parts.hostname or ""))
    return bool(is_plain and is_whole and keeps_secret)


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception:
        """Follow no redirect: nobody looked at where it leads."""
        return exc


def _connection(address: str) -> _Connect:
    parts = urlsplit(address)
    return _Connect(
        address,
        ssl=tls() if parts.scheme == "wss" else None,
        proxy=proxy_address("https", parts.hostname or ""),
        open_timeout=10.0,
        ping_interval=PING_SECONDS,
        ping_timeout=PING_SECONDS,
        close_timeout=1.0,
        max_size=64 * 1024,
        compression=None,
        user_agent_header=USER_AGENT,
        logger=_SILENT,
    )


def _wait_seconds(failures: int) -> float:
    return min(LONGEST_WAIT_SECONDS, 2.0 ** min(failures - 1, 30)) * random.uniform(0.5, 1.0)


def _in_words(error: Exception) -> str:
    """Return what went wrong, without anything that came from outside."""
    if isinstance(error, InvalidStatus):
        return f"refused with status {error.response.status_code}"
    if isinstance(error, OSError):
        return not_connected(error).words
    return f"the connection broke off ({type(error).__name__})"
