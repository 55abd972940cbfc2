"""The event loop of the bridge: asyncio's, but for name look-ups, which must not hold up the end of the process."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from bridge.model import STOP_SECONDS

LAST_ANSWER_SECONDS = STOP_SECONDS - 0.3
"""How long a pass may go on after a signal; the rest is for the end of the process."""

T = TypeVar("T")


class _Loop(asyncio.SelectorEventLoop):
    """Looks names up in daemon threads.

    asyncio uses its default executor, whose threads are joined when the loop ends and once more when the
    interpreter does: a resolver that hangs would keep a process alive that was told to stop.
    """

    async def getaddrinfo(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 (as asyncio's own)
        found: asyncio.Future[Any] = self.create_future()

        def settle(result: object, error: Exception | None) -> None:
            if found.done():
                return
            if error is None:
                found.set_result(result)
            else:
                found.set_exception(error)

        def look_up() -> None:
            result, error = None, None
            try:
                result = socket.getaddrinfo(*arguments, **options)
            except Exception as caught:  # noqa: BLE001 (raised again where it is waited for)
                error = caught
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self.call_soon_threadsafe(settle, result, error)

        threading.Thread(target=look_up, name="name look-up", daemon=True).start()
        return await found


def run(main: Coroutine[Any, Any, T]) -> T:
    """Return what ``main`` returns, as :func:`asyncio.run` does, without waiting for names at the end."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)
