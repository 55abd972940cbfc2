"""Stopping: no new request, but a cycle that was begun is finished; and nothing is sent twice."""

from __future__ import annotations

import asyncio

import pytest

from bridge.errors import ExitStatus
from bridge.sandbox import Fault
from bridge.sync.result import PassResult
from tests.promises.test_moves_that_cross import CYCLES, SWAP, TRIANGLE, go_round, stand
from tests.support.club import WRITES, Club, Place, is_delete, is_listing, keys, of


async def stopped_at(club: Club, hanging: Fault) -> PassResult:
    """Run a pass, tell it to stop while a request hangs, let that go on, and return the result."""
    running = asyncio.create_task(club.run())
    await hanging.struck.reached()
    assert club.services is not None
    club.stop.set()
    club.services.stop()
    hanging.release()
    return await running


@CYCLES
@pytest.mark.parametrize("after", range(3))
async def test_a_stop_finishes_the_cycle_first(club: Club, old: list[Place], after: int) -> None:
    numbers = await club.bridged(*old)
    new = go_round(club, numbers, old)
    others = [club.book(1, 40 + n) for n in range(6)]
    club.concurrency = 1
    cycle = keys(numbers)
    hanging = club.wingfield.faults.add(
        "hang", after=after, match=lambda method, path: method in WRITES and path.rpartition("/")[2] in cycle
    )
    assert (await stopped_at(club, hanging)).status is ExitStatus.TRY_LATER
    assert stand(club, numbers, new)
    assert club.rejections == []
    await club.close()
    club.stop.clear()
    assert (await club.run()).status is ExitStatus.OK
    assert set(club.wingfield.bookings) == keys([*numbers, *others])
    sent = [(entry.id, entry.body["externalUpdatedAt"]) for entry in club.writes if entry.status]
    assert len(sent) == len(set(sent)), "nothing is sent twice"


@pytest.mark.parametrize("which", range(3))
async def test_a_stop_during_a_cycle_that_is_rejected_recreates_what_was_deleted(club: Club, which: int) -> None:
    numbers = await club.bridged(*TRIANGLE)
    go_round(club, numbers, TRIANGLE)
    hanging = club.wingfield.faults.add("hang", match=is_delete)
    club.wingfield.faults.add("status", status=400, match=of("PUT", numbers[which]))
    await stopped_at(club, hanging)
    assert stand(club, numbers, TRIANGLE)


async def test_a_stop_before_a_cycle_is_broken_leaves_it_whole(club: Club) -> None:
    numbers = await club.bridged(*SWAP)
    go_round(club, numbers, SWAP)
    hanging = club.launch27.faults.add("hang", match=is_listing)
    assert (await stopped_at(club, hanging)).status is ExitStatus.TRY_LATER
    assert club.writes == []
