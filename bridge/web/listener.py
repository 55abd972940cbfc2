"""Listens for browsers and scrapers, in the daemon's own event loop.

uvicorn's server takes the signals over, answers a port that is taken with ``SystemExit``, and waits for open
connections at the end. So only its HTTP protocol is used here, with bounds of its own.
"""

from __future__ import annotations

import asyncio
import os

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from bridge.config.values import listen_address

MOST_CONNECTIONS = 64
"""One more, and another one makes room."""
PATIENCE_SECONDS = 30.0
"""From a connection, or its last answer, to the end of the next answer."""
MOST_HEADER_BYTES = 16_384


class _Protocol(H11Protocol):
    """uvicorn's own, which ends what takes too long or is too much."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            other = next(each for each in self.connections if each is not self)
            self.connections.discard(other)
            other.transport.abort()
        self._wait_anew()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self._wait_anew()

    def _wait_anew(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(PATIENCE_SECONDS, self.transport.abort)


class Listener:
    """One application on one address, from ``start`` to ``stop``."""

    def __init__(self, app: ASGIApp) -> None:
        self._config = uvicorn.Config(
            app,
            ws="none",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=int(PATIENCE_SECONDS),
            h11_max_incomplete_event_size=MOST_HEADER_BYTES,
        )
        self._config.load()
        self._state = ServerState()
        self.server: asyncio.Server | None = None

    async def start(self, listen: str) -> str:
        """Listen on an IP address and a port (0: a free one); return what keeps it from that, "" for nothing."""
        host, port = listen_address(listen)
        loop = asyncio.get_running_loop()
        try:
            self.server = await loop.create_server(
                lambda: _Protocol(self._config, self._state, {}), host, port, backlog=MOST_CONNECTIONS
            )
        except OSError as error:
            return f"the page cannot listen on {listen}: {os.strerror(error.errno or 0)}"
        return ""

    async def stop(self) -> None:
        """Close the port and every connection at once, and end what was being answered."""
        if self.server is not None:
            self.server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()
        tasks = list(self._state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the transports tell their protocols in the loop's next round
