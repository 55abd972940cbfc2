"""A kill at any step of a withdrawal leaves nothing that the same call, or a pass, does not finish."""

from __future__ import annotations

import pytest

from bridge.model import to_ms
from bridge.planning.deletes import withdrawable
from bridge.sync.withdraw import withdraw
from tests.support.club import Club, Crash


async def withdraw_all(club: Club, *, step: int | None = None) -> bool:
    """Withdraw everything, in a process that dies at its ``step``-th step; return whether it did."""
    bridge = club._bridge(club.config, club._connect(club.config), club.ledger)
    ids = [each.id for each in withdrawable(club.ledger.known, None, to_ms(club.now))]
    club.fuse.left = step
    try:
        await withdraw(bridge, ids)
    except Crash:
        await club.close()
        return True
    finally:
        club.fuse.left = None
    return False


@pytest.mark.parametrize("is_wanted", [True, False])
async def test_a_kill_at_any_step_leaves_nothing_wrong(club: Club, is_wanted: bool) -> None:
    numbers = await club.some(3)
    step = 0
    while await withdraw_all(club, step=step):
        step += 1
        club.tick(minutes=1)
        if is_wanted:
            assert (await club.run()).record.outcome == "in_sync"
            assert len(club.wingfield.bookings) == 3
    assert step > 3
    assert not club.wingfield.bookings
    assert not any(each.is_bridged or each.unsettled for each in club.ledger.known.values())
    club.tick(minutes=1)
    await club.expect(created=len(numbers))
    assert len(club.wingfield.bookings) == 3


@pytest.mark.parametrize("is_applied", [True, False])
async def test_a_booking_that_is_perhaps_there_is_withdrawn_too(club: Club, is_applied: bool) -> None:
    club.wingfield.faults.add("lose" if is_applied else "refuse", times=None)
    club.book()
    await club.try_later()
    club.clear_faults()
    club.tick(minutes=1)
    assert not await withdraw_all(club)
    assert not club.wingfield.bookings
    assert not any(each.is_bridged for each in club.ledger.known.values())
