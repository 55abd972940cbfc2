"""The delete guard: deletes beyond both limits are withheld, everything else is sent."""

from __future__ import annotations

import pytest

from bridge.errors import ExitStatus
from bridge.sync.narrator import withheld_advice
from tests.support.builders import EMAIL, SECOND
from tests.support.club import Club, is_delete, keys

NONE = {"max_delete_count": 0, "max_delete_fraction": 0.0}


@pytest.mark.parametrize(
    ("count", "fraction", "gone", "withheld"),
    [
        *((2, 0.2, 3, True), (3, 0.2, 3, False), (2, 0.3, 3, False), (2, 0.29, 3, True)),
        *((0, 0.0, 1, True), (9, 0.0, 9, False), (0, 1.0, 9, False)),
    ],
)
async def test_deletes_are_withheld_only_beyond_both_limits(
    club: Club, count: int, fraction: float, gone: int, *, withheld: bool
) -> None:
    """Ten are bridged."""
    club.limit(max_delete_count=count, max_delete_fraction=fraction)
    for number in (await club.some(10))[:gone]:
        club.launch27.cancel(number)
    await club.expect(unchanged=10 - gone, withheld=gone * withheld, deleted=gone * (not withheld))
    assert len(club.deletes) == (0 if withheld else gone)


async def test_with_deletes_withheld_everything_else_is_sent(club: Club) -> None:
    club.limit(max_delete_count=1, max_delete_fraction=0.2)
    numbers = await club.some(6)
    club.vanish(*numbers[:3])
    club.move(numbers[3], 1, 24)
    club.move(numbers[4], 2, 60)
    new = club.book(3, 70)
    result = await club.expect(
        created=1, updated=1, unchanged=1, withheld=3, held={numbers[3]: "court_booking_overlap"}
    )
    assert str(numbers[0]) in result.held[0].detail, "a withheld delete keeps its place"
    assert result.record.outcome == "attention"
    assert set(result.record.withheld) == keys(numbers[:3])
    assert set(club.wingfield.bookings) == keys([*numbers, new])


async def test_withdrawn_bookings_are_under_the_guard(club: Club) -> None:
    club.limit(max_delete_count=1, max_delete_fraction=0.2)
    numbers = await club.some(6)
    club.rules = club.rules[1:]
    result = await club.expect(ignored=2, unchanged=4, withheld=2)
    assert (set(result.record.withheld), club.deletes) == (keys(numbers[::3]), [])


async def test_accounts_that_left_the_configuration_are_withdrawn_under_the_guard(club: Club) -> None:
    club.accounts = 2
    club.limit(max_delete_count=1, max_delete_fraction=0.2)
    keep, leaving = club.books(3, owner=EMAIL), club.books(3, 60, owner=SECOND)
    await club.run()
    club.accounts = 1
    await club.expect(unchanged=3, withheld=3)
    await club.expect(unchanged=3, deleted=3, allow=True)
    assert set(club.wingfield.bookings) == keys(keep)
    assert all(club.launch27.bookings[number]["active"] for number in leaving)


async def test_a_withheld_booking_is_looked_up_once_and_not_withheld_when_it_lives_again(club: Club) -> None:
    club.limit(**NONE)
    number, _ = await club.some(2)
    club.launch27.vanish(number)
    for _ in range(5):
        assert (await club.run()).record.withheld == (str(number),)
        club.tick(minutes=1)
    assert club.look_ups(number) == 1
    club.launch27.restore(number)
    await club.expect(unchanged=2)


async def test_the_log_line_says_how_many_of_how_many_why_and_the_way_through(club: Club) -> None:
    club.limit(max_delete_count=2, max_delete_fraction=0.1)
    club.vanish(*(await club.some(10))[:3])
    said = withheld_advice(await club.run())
    assert all(part in said for part in ("3 of 10", "max_delete_count = 2", "max_delete_fraction = 0.1"))
    assert said.endswith("let them through: courtbridge approve")


# --- an empty listing ---


@pytest.mark.parametrize(("bridged", "withheld"), [(2, False), (3, True), (4, True)])
async def test_an_entirely_empty_listing_is_not_believed_where_three_are_bridged(
    club: Club, bridged: int, *, withheld: bool
) -> None:
    """Unless a person says so."""
    club.limit(max_delete_count=1000, max_delete_fraction=1.0)
    club.vanish(*await club.some(bridged))
    await club.expect(withheld=bridged * withheld, deleted=bridged * (not withheld))
    assert len(club.deletes) == (0 if withheld else bridged)
    await club.expect(deleted=bridged * withheld, allow=True)


async def test_an_empty_listing_counts_for_each_account_by_itself(club: Club) -> None:
    club.accounts = 2
    first = club.books(5, owner=EMAIL)
    club.book(3, 60, owner=SECOND)
    await club.run()
    club.vanish(*first)
    await club.expect(withheld=5, unchanged=1)
    assert "account 1 is entirely empty" in str(club.narrator.results[-1].objection)


async def test_an_empty_listing_whose_bookings_live_deletes_nothing(club: Club) -> None:
    for number in await club.some(5):
        club.launch27.hide(number)
    await club.expect(unchanged=5)


# --- a person's word ---


async def test_the_permission_is_for_one_pass(club: Club) -> None:
    club.limit(**NONE)
    first, second, _ = await club.some(3)
    club.launch27.vanish(first)
    await club.expect(deleted=1, unchanged=2, allow=True)
    club.launch27.vanish(second)
    await club.expect(withheld=1, unchanged=1)


@pytest.mark.parametrize("kind", ["refuse", "lose", "status"])
async def test_deletes_that_were_allowed_and_interrupted_go_on(club: Club, kind: str) -> None:
    club.limit(max_delete_count=1, max_delete_fraction=0.1)
    club.concurrency = 1
    numbers = await club.some(10)
    club.vanish(*numbers[:6])
    await club.expect(withheld=6, unchanged=4)
    club.wingfield.faults.add(kind, status=500, after=2, times=None, match=is_delete)
    result = await club.run(allow=True)
    assert result.status is ExitStatus.TRY_LATER
    assert result.record.deleted == 2
    club.clear_faults()
    await club.close()
    await club.expect(deleted=4, unchanged=4)


@pytest.mark.parametrize("step", range(0, 24, 2))
async def test_deletes_that_were_allowed_and_killed_go_on_or_were_never_begun(club: Club, step: int) -> None:
    club.limit(max_delete_count=1, max_delete_fraction=0.1)
    numbers = await club.some(10)
    club.vanish(*numbers[:6])
    await club.run_and_die(step)
    begun = bool(club.deletes)
    result = await club.run()
    assert bool(result.record.withheld) is not (begun or not club.wingfield.bookings.keys() & keys(numbers[:6]))


async def test_an_allowed_delete_whose_booking_lives_again_is_not_sent_then_or_later(club: Club) -> None:
    club.limit(**NONE)
    numbers = await club.some(4)
    club.vanish(*numbers[:2])
    club.wingfield.faults.add("refuse", times=None)
    await club.run(allow=True)
    club.clear_faults()
    club.launch27.restore(numbers[0])
    assert (await club.run()).record.withheld == ()
    assert set(club.wingfield.bookings) == keys([numbers[0], *numbers[2:]])
    club.launch27.vanish(numbers[0])
    assert (await club.run()).record.withheld == (str(numbers[0]),)
