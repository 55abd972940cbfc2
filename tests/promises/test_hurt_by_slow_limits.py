"""16. ``reads_per_second`` so low that the watchdog fired: a wait for the rate limit is a sign of life."""

from __future__ import annotations

import asyncio

import pytest

from bridge.http.client import Http
from bridge.http.ratelimit import Budget, RateLimiter
from tests.support.club import Club

pytestmark = pytest.mark.hurt(16)


async def test_a_club_that_waits_for_the_rate_limit_is_heard(club: Club) -> None:
    club.book()
    await club.run()
    launch27 = club.clients.launch27
    is_waiting = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        is_waiting.set()
        await asyncio.Event().wait()

    limiter = RateLimiter(0.01, 1, budget=Budget(sleep=sleep))
    await launch27.http.aclose()
    launch27.http = Http("Launch27", club.launch27.url, limiter=limiter)
    await launch27.settings()
    silent_since = launch27.http.heard_at
    waiting = asyncio.create_task(launch27.settings())
    await is_waiting.wait()
    assert club.clients.heard_at > silent_since
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not limiter.is_waited_for
    await launch27.http.aclose()
