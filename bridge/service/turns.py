"""Which of many clubs begin first: a few at a time, so that their listings and plans are not in memory all together."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic

AT_ONCE = 16
IDLE_STEPS = 20
"""After so many steps in which the process had time to spare, a turn is over: it waits for a slow service."""
_STEP_SECONDS = 0.05
_LATE_SECONDS = 0.02
"""What comes later than this had to wait for others of this process, or of this machine."""


class Turns:
    """Turns to begin, given out in the order in which they are asked for. Nobody waits for another's slow service."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)
        self._taken: set[asyncio.Task[None]] = set()

    async def take(self, over: asyncio.Event) -> None:
        """Wait for a turn, which ends with ``over``, or when there is time to spare."""
        await self._free.acquire()
        turn = asyncio.create_task(self._end(over))
        self._taken.add(turn)
        turn.add_done_callback(self._taken.discard)

    async def _end(self, over: asyncio.Event) -> None:
        idle_steps = 0
        while not over.is_set() and idle_steps < IDLE_STEPS:
            due = monotonic() + _STEP_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), _STEP_SECONDS)
            idle_steps += monotonic() - due < _LATE_SECONDS
        self._free.release()
