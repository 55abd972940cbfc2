"""Which of many clubs begin first: a few at a time, so that their listings and plans are not in memory all together."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic, process_time

AT_ONCE = 16
IDLE_SECONDS = 1.0
"""How long the process may idle during a turn: then it waits for a slow service, and nobody else waits for that."""


class Turns:
    """Turns to begin, given out as they are asked for."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)
        self._taken: set[asyncio.Task[None]] = set()

    async def take(self, over: asyncio.Event) -> None:
        """Wait for a turn; it ends with ``over``, or when it only waits."""
        await self._free.acquire()
        turn = asyncio.create_task(self._end(over))
        self._taken.add(turn)
        turn.add_done_callback(self._taken.discard)

    async def _end(self, over: asyncio.Event) -> None:
        began = _idle_seconds()
        while not over.is_set() and (left := began + IDLE_SECONDS - _idle_seconds()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), left)
        self._free.release()


def _idle_seconds() -> float:
    """Return how long the process has had nothing to do, counted from a moment that never changes."""
    return monotonic() - process_time()
