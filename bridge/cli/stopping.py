"""What signals do to a command: the first lets it end well, the second ends the process at once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from bridge import log as logs
from bridge.errors import ExitStatus
from bridge.http.loop import LAST_ANSWER_SECONDS, STOP_SECONDS
from bridge.http.loop import run as run_loop
from bridge.sync.clients import Clients

T = TypeVar("T")


def until_stopped(work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` returns; the first SIGTERM or SIGINT cancels it.

    Raises KeyboardInterrupt where it had nothing to return after that.
    """
    try:
        return run_loop(_listening(work))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _listening(work: Coroutine[Any, Any, T]) -> T:
    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
    both = (signal.SIGTERM, signal.SIGINT)

    def first(number: signal.Signals) -> None:
        for each in both:
            loop.remove_signal_handler(each)
            signal.signal(each, end_at_once)
        logs.get_logger().info("stopping", signal=number.name, within_seconds=STOP_SECONDS)
        task.cancel()

    for each in both:
        loop.add_signal_handler(each, first, each)
    return await task


def end_at_once(number: int, _frame: object) -> None:
    """Signal handler: end the process here and now. The next pass finds out what was sent."""
    line = {"event": "ended_at_once", "signal": signal.Signals(number).name, "level": "warning"}
    os.write(2, (json.dumps(line) + "\n").encode())
    os._exit(ExitStatus.TRY_LATER)


async def ended_well(work: Coroutine[Any, Any, T], stop: asyncio.Event, services: Clients) -> T | None:
    """Return what a pass returns; once cancelled, it begins nothing new; None where it had to be cut off."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        services.stop()
    with suppress(asyncio.CancelledError, TimeoutError):
        return await asyncio.wait_for(task, LAST_ANSWER_SECONDS)
    return None
