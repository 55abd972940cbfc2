"""Listens for browsers and scrapers, in the daemon's own event loop.

uvicorn's server takes the signals over, answers a port that is taken with ``SystemExit``, and waits for open
connections at the end. So only its HTTP protocol is used, on a socket bound here, with bounds of its own: so many
connections, of which the oldest makes room; so many seconds from one answer to the next; so many bytes of headers.
"""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

MOST_CONNECTIONS = 64
PATIENCE_SECONDS = 30.0
KEEP_ALIVE_SECONDS = 20
MOST_HEADER_BYTES = 16_384


class _State(ServerState):
    """The open connections, the oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.in_order: dict[_Protocol, None] = {}


class _Protocol(H11Protocol):
    """uvicorn's own, which ends what takes too long or is too much."""

    server_state: _State
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        in_order = self.server_state.in_order
        in_order[self] = None
        if len(in_order) > MOST_CONNECTIONS:
            oldest = next(iter(in_order))
            del in_order[oldest]
            oldest.transport.abort()
        self._wait_anew()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.server_state.in_order.pop(self, None)
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
            http=_Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            h11_max_incomplete_event_size=MOST_HEADER_BYTES,
        )
        self._state = _State()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> str:
        """Listen, and return e.g. ``http://127.0.0.1:8027``; port 0 is a free one. Raises OSError for a taken one."""
        is_v6 = ":" in host
        # The protocol named: without it asyncio leaves Nagle's algorithm on, and answers come 40 ms late.
        listening = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, port))
            self._config.load()
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: _Protocol(self._config, self._state, {}), sock=listening, backlog=MOST_CONNECTIONS
            )
        except BaseException:
            listening.close()
            raise
        return f"http://{f'[{host}]' if is_v6 else host}:{listening.getsockname()[1]}"

    async def stop(self) -> None:
        """Close the port and every connection at once, and end what was being answered."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()
        tasks = list(self._state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the transports tell their protocols in the loop's next round
