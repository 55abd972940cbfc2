"""The event loop of the bridge: asyncio's, but for name look-ups, which must not hold up the end of the process."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar, cast

STOP_SECONDS = 5.0
"""From SIGTERM to the end of the process, whatever hangs."""
LAST_ANSWER_SECONDS = STOP_SECONDS - 0.3
"""How long a pass may go on after a signal; the rest is for the end of the process."""
LOOKUPS = 32
"""Names that are looked up at once. Each takes a thread, and where no name server answers, every club of many asks."""

T = TypeVar("T")


async def in_daemon_thread(function: Callable[[], T]) -> T:
    """Return what ``function`` returns, called in a thread that nobody has to wait for.

    asyncio uses its default executor, whose threads are joined when the loop ends and once more when the
    interpreter does: one that hangs would keep a process alive that was told to stop.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if found.done():
            return
        if error is None:
            found.set_result(cast("T", result))
        else:
            found.set_exception(error)

    def call() -> None:
        result, error = None, None
        try:
            result = function()
        except Exception as caught:  # noqa: BLE001 (raised again where it is waited for)
            error = caught
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=call, name=getattr(function, "__name__", "call"), daemon=True).start()
    return await found


class _Loop(asyncio.SelectorEventLoop):
    """Looks names up in daemon threads: few at once, and each name once at a time, however many ask for it."""

    def __init__(self) -> None:
        super().__init__()
        self._room = asyncio.Semaphore(LOOKUPS)
        self._lookups: dict[object, asyncio.Task[Any]] = {}

    async def getaddrinfo(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 (as asyncio's own)
        key = arguments, *options.items()
        if key not in self._lookups:
            self._lookups[key] = self.create_task(self._look_up(partial(socket.getaddrinfo, *arguments, **options)))
            self._lookups[key].add_done_callback(lambda _: self._lookups.pop(key))
        found = await asyncio.shield(self._lookups[key])
        if isinstance(found, Exception):
            raise found
        return found

    async def _look_up(self, call: Callable[[], Any]) -> Any:  # noqa: ANN401
        """Return what was found, or the error: whoever asked may have given up, and it is nobody's then."""
        async with self._room:
            try:
                return await in_daemon_thread(call)
            except Exception as error:  # noqa: BLE001 (raised again for all who wait for it)
                return error


def run(main: Coroutine[Any, Any, T]) -> T:
    """Return what ``main`` returns, as :func:`asyncio.run` does, without waiting for names at the end."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)
