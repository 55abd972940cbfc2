"""Both services on loopback: uvicorn in the running event loop, or in a thread with a loop of its own."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, contextmanager, suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from bridge.sandbox.faults import Signal
from bridge.sandbox.launch27 import Launch27
from bridge.sandbox.wingfield import Wingfield
from bridge.sandbox.wire import Service

_HOST = "127.0.0.1"
_KEEP_ALIVE_SECONDS = 600

T = TypeVar("T")


class _Protocol(H11Protocol):
    """uvicorn's own, with the transport within an application's reach: faults cut connections."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class Listener:
    """One ASGI application on one loopback port.

    uvicorn's ``serve()`` takes the signals over, answers a busy port with ``SystemExit`` and needs 100 ms
    and more to stop. So only its start-up and its protocol are used, on a socket bound here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="websockets-sansio",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,  # the services have clocks of their own
            workers=1,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
        self._server = uvicorn.Server(self._config)

    async def start(self, port: int = 0) -> str:
        """Listen on ``port`` (0: a free one) and return e.g. ``http://127.0.0.1:8080``.

        Raise OSError when the port cannot be had.
        """
        # The protocol named: without it asyncio leaves Nagle's algorithm on, and answers come 40 ms late.
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((_HOST, port))
            self._config.load()
            self._server.lifespan = self._config.lifespan_class(self._config)
            await self._server.startup(sockets=[listening])
        except BaseException:
            listening.close()
            raise
        return f"http://{_HOST}:{listening.getsockname()[1]}"

    async def stop(self) -> None:
        """Close the port and every connection at once, and end what was being answered."""
        for server in self._server.servers:
            server.close()
        state = self._server.server_state
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # the transports tell their protocols in the loop's next round
        tasks = list(state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self._server.servers:
            await server.wait_closed()


class Sandbox:
    """Launch27 and Wingfield on loopback, on free ports unless told otherwise.

    ``async with Sandbox() as sandbox`` runs them in the running loop, ``with Sandbox.in_thread() as
    sandbox`` in a thread of their own.
    """

    def __init__(
        self,
        launch27: Launch27 | None = None,
        wingfield: Wingfield | None = None,
        *,
        launch27_port: int = 0,
        wingfield_port: int = 0,
    ) -> None:
        self.launch27 = Launch27() if launch27 is None else launch27
        self.wingfield = Wingfield() if wingfield is None else wingfield
        self._ports: tuple[tuple[Service, int], ...] = (
            (self.launch27, launch27_port),
            (self.wingfield, wingfield_port),
        )
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as starting:
            for service, port in self._ports:
                listener = Listener(service.app)
                service.address = await listener.start(port)
                starting.push_async_callback(_stop, service, listener)
            self._running = starting.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._running.aclose()

    @staticmethod
    def in_thread(
        launch27: Launch27 | None = None,
        wingfield: Wingfield | None = None,
        *,
        launch27_port: int = 0,
        wingfield_port: int = 0,
    ) -> AbstractContextManager[Sandbox]:
        """Run a sandbox in a thread with its own loop; takes what the class takes.

        The worlds may be edited from the calling thread. Raise OSError when a port cannot be had.
        """
        return in_thread(Sandbox(launch27, wingfield, launch27_port=launch27_port, wingfield_port=wingfield_port))


async def _stop(service: Service, listener: Listener) -> None:
    service.address = None
    await listener.stop()


@contextmanager
def in_thread(running: AbstractAsyncContextManager[T, Any]) -> Iterator[T]:
    """Enter what runs in an event loop, in a thread with a loop of its own, and leave it there at the end."""
    entered: Future[T] = Future()
    stop = Signal()

    async def run() -> None:
        async with running as entry:
            entered.set_result(entry)
            await stop.reached()

    with ThreadPoolExecutor(1, thread_name_prefix="sandbox") as pool:
        try:  # from the first moment on: a signal may come at any
            ended: Future[Any] = pool.submit(lambda: asyncio.run(run()))
            both: tuple[Future[Any], ...] = (entered, ended)
            wait(both, return_when=FIRST_COMPLETED)
            if entered.done():
                yield entered.result()
        finally:
            stop.set()
        ended.result()


def free_port(wanted: int) -> int:
    """Return a port of loopback on which nobody listens: the wanted one where it is free."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((_HOST, port))
            return int(probe.getsockname()[1])
    raise OSError(errno.EADDRINUSE, "no port of loopback is free")
