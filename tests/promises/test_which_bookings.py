"""Which bookings: every active one of the window, from every account and every page, each counted once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.builders import EMAIL, ONE, SECOND
from tests.support.club import Club, is_listing, keys, service


async def test_every_active_booking_of_every_account_arrives(club: Club) -> None:
    club.accounts = 2
    booked = [*club.books(12, owner=EMAIL), *club.books(12, 40, owner=SECOND)]
    await club.expect(created=24)
    assert set(club.wingfield.bookings) == keys(booked)


async def test_every_page_of_a_server_with_smaller_pages_arrives(club: Club) -> None:
    club.launch27.max_page = 7
    club.page_size = 100
    booked = await club.some(30)
    assert set(club.wingfield.bookings) == keys(booked)
    await club.expect(unchanged=30)


@pytest.mark.parametrize("count", [0, 1, 10, 20, 21])
async def test_a_listing_ends_with_an_empty_page(club: Club, count: int) -> None:
    await club.some(count)
    assert str(count) in {entry.body["offset"] for entry in club.asked("customer", "bookings")}


@pytest.mark.parametrize(("keep", "after"), [(3, 1), (1, 0)], ids=["in the middle", "the first"])
async def test_a_short_page_does_not_end_a_listing(club: Club, keep: int, after: int) -> None:
    club.books(30)
    club.launch27.faults.add("truncate_listing", keep=keep, after=after, match=is_listing)
    await club.expect(created=30)


@pytest.mark.parametrize(
    ("wall_time", "is_in"),
    [
        ("2026-11-18T23:30:00", False),
        ("2026-11-19T00:00:00", True),
        ("2026-11-30T23:30:00", True),
        ("2026-12-01T00:00:00", False),
    ],
)
async def test_the_window_is_whole_days_of_the_accounts_zone(club: Club, wall_time: str, is_in: bool) -> None:
    club.launch27.add_booking(service_date=wall_time, services=[service(1, 60)])
    await club.expect(created=int(is_in))


async def test_the_window_moves_with_the_day(club: Club) -> None:
    number = club.book(1, 11 * 24)
    await club.expect()
    club.tick(days=1)
    await club.expect(created=1)
    assert club.slot_of(number) == (ONE, "2026-12-01T12:00:00Z")


async def test_a_forecasted_booking_is_none_until_it_is_made_real(club: Club) -> None:
    club.staff()
    number = club.book(forecasted=True)
    await club.expect()
    club.launch27.make_real(number)
    await club.expect(created=1)


@pytest.mark.parametrize("mark", [{"forecasted": True}, {"booking_status": "forecasted"}])
async def test_a_forecasted_booking_is_none_in_any_listing(club: Club, mark: dict[str, Any]) -> None:
    club.book(1, 24, **mark)
    await club.expect()


@pytest.mark.parametrize("mark", [{"active": False}, {"booking_status": "cancelled"}])
async def test_a_cancelled_booking_is_none_though_it_is_listed(club: Club, mark: dict[str, Any]) -> None:
    """Neither before it was bridged nor afterwards."""
    club.staff()
    never, bridged = club.books(2)
    club.launch27.bookings[never].update(mark)
    await club.expect(created=1)
    club.launch27.bookings[bridged].update(mark)
    await club.expect(deleted=1)


async def test_a_completed_booking_stays(club: Club) -> None:
    number = club.book(1, -2)
    await club.run()
    club.launch27.complete(number)
    await club.expect(unchanged=1)
    assert club.slot_of(number) is not None


async def test_staff_see_every_customers_bookings(club: Club) -> None:
    club.staff()
    for hour, owner in enumerate(("anna@example.com", "ben@example.com", None)):
        club.book(1, 24 + hour, owner=owner, email=owner or "carla@example.com")
    await club.expect(created=3)
    assert club.emails_of(1001) == ["anna@example.com"]


async def test_a_booking_that_two_accounts_list_is_one_booking(club: Club) -> None:
    club.accounts = 2
    number = club.book(1, 24)
    club.launch27._behind[number].owner = None
    club.launch27._touched(number)
    await club.expect(created=1)
    await club.expect(unchanged=1)


async def test_seen_is_each_booking_once(club: Club) -> None:
    created, moved, _, gone = (club.book(1, 24 + n) for n in range(4))
    club.launch27.hide(created)
    await club.run()
    club.launch27.hide(created, hidden=False)
    club.move(moved, 2, 25)
    club.launch27.cancel(gone)
    club.book(9, 30)
    club.book(1, 31, email=None)
    result = await club.expect(created=1, updated=1, deleted=1, unchanged=1, ignored=1, held=1)
    assert result.record.seen == 5
