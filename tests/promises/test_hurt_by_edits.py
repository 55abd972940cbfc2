"""How a valid but wrong edit of the configuration deleted bookings within five seconds, and does not any more."""

from __future__ import annotations

import pytest

from bridge.config.schema import CourtRule
from tests.promises.test_hurt_by_deletes import approve
from tests.support.builders import EMAIL, SECOND, THREE
from tests.support.club import Club, at


async def test_one_service_in_two_rules_deleted_its_bookings(club: Club) -> None:
    numbers = await club.some(4)
    club.rules = (*club.rules, CourtRule(court_id=THREE, service_ids=frozenset({1})))
    held = {numbers[0]: "ambiguous_court", numbers[3]: "ambiguous_court"}
    await club.expect(held=held, unchanged=2)
    assert club.slot_of(numbers[0]) == at((1, 24))


async def test_a_lost_block_deleted_the_bookings_of_a_small_club(club: Club) -> None:
    """Below the guard; each delete is approved, and the block may come back."""
    first, *_ = await club.some(3)
    rules, club.rules = club.rules, club.rules[1:]
    for _ in range(2):
        result = await club.expect(withheld=1, ignored=1, unchanged=2)
        await club.close()
        club.tick(days=1)
    assert "edit" in (result.objection or "")
    club.rules = rules
    await club.expect(unchanged=3)
    club.rules = rules[1:]
    await club.expect(withheld=1, ignored=1, unchanged=2)
    approve(club, first)
    await club.expect(deleted=1, ignored=1, unchanged=2)


async def test_an_account_that_left_took_its_bookings_with_it(club: Club) -> None:
    club.accounts = 2
    club.book(1, owner=EMAIL)
    number = club.book(2, owner=SECOND)
    await club.expect(created=2)
    club.accounts = 1
    for _ in range(2):
        await club.expect(withheld=1, unchanged=1)
    approve(club, number)
    await club.expect(deleted=1, unchanged=1)


async def test_after_an_edit_what_the_source_withdraws_is_deleted_as_ever(club: Club) -> None:
    first, second, third = await club.some(3)
    club.remap(fallback_email="desk@example.com")
    await club.expect(unchanged=3)
    club.launch27.edit(first, services=[9])
    club.launch27.cancel(second)
    await club.expect(deleted=2, ignored=1, unchanged=1)
    assert club.slot_of(third)


async def test_with_an_edit_other_deletes_are_sent_and_its_own_are_withheld(club: Club) -> None:
    first, second, _ = await club.some(3)
    club.rules = club.rules[1:]
    club.launch27.cancel(second)
    result = await club.expect(withheld=1, deleted=1, ignored=1, unchanged=1)
    assert result.record.withheld == (str(first),)


@pytest.mark.parametrize("count", [3, 30])
async def test_moves_that_an_edit_causes_are_written_at_once(club: Club, count: int) -> None:
    numbers = await club.some(count)
    one, two, three = club.rules
    club.rules = (
        one.model_copy(update={"service_ids": two.service_ids}),
        two.model_copy(update={"service_ids": one.service_ids}),
        three,
    )
    await club.expect(updated=count * 2 // 3, unchanged=count // 3)
    assert club.slot_of(numbers[0]) == at((2, 24))
