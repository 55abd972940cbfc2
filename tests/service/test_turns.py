"""Of many clubs a few begin at a time, and nobody waits for another's slow service."""

from __future__ import annotations

import asyncio
import time

import pytest

from bridge.service import turns
from bridge.service.turns import AT_ONCE, Turns


async def taken(given: Turns, count: int) -> list[asyncio.Event]:
    events = [asyncio.Event() for _ in range(count)]
    for event in events:
        await given.take(event)
    return events


async def test_a_turn_is_given_when_another_is_over() -> None:
    given = Turns()
    first, *_ = await taken(given, AT_ONCE)
    next_one = asyncio.create_task(given.take(asyncio.Event()))
    await asyncio.sleep(0)
    assert not next_one.done()
    first.set()
    await next_one


async def test_who_gives_up_waiting_takes_nobodys_turn() -> None:
    given = Turns()
    first, *_ = await taken(given, AT_ONCE)
    gone, next_one = (asyncio.create_task(given.take(asyncio.Event())) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    first.set()
    await next_one


async def test_nobody_waits_for_one_that_only_waits_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "IDLE_STEPS", 1)
    given = Turns()
    await taken(given, AT_ONCE)
    async with asyncio.timeout(5):
        await given.take(asyncio.Event())


async def test_while_the_process_is_busy_no_turn_is_taken_for_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "IDLE_STEPS", 1)
    monkeypatch.setattr(turns, "_STEP_SECONDS", 0.01)
    given = Turns()
    await taken(given, AT_ONCE)
    next_one = asyncio.create_task(given.take(asyncio.Event()))
    for _ in range(5):
        time.sleep(0.05)  # noqa: ASYNC251 (it is busy)
        await asyncio.sleep(0)
        assert not next_one.done()
    next_one.cancel()
