"""2. One broken court starved all others for ever and looked fine.

*Down* is several different requests in a row without a good answer, for more than one court or account, and none
in between; a 4xx outside the documented shape is a rejection.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from bridge.errors import ExitStatus
from tests.support.builders import ONE
from tests.support.club import Club, is_delete, is_listing, is_write, keys, of

pytestmark = pytest.mark.hurt(2)


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_one_courts_errors_do_not_keep_the_others_from_their_bookings(club: Club, status: int) -> None:
    starving = [club.book(1, 24 + n) for n in range(20)]
    healthy = [club.book(2, 24 + n) for n in range(20)]
    club.wingfield.faults.add("status", times=None, status=status, retry_after="0.001", part=ONE)
    result = await club.try_later()
    assert set(club.wingfield.bookings) == keys(healthy)
    assert result.record.created == 20
    assert not club.clients.wingfield.is_down
    club.clear_faults()
    await club.expect(created=20, unchanged=20)
    assert set(club.wingfield.bookings) == keys([*starving, *healthy])


async def test_wingfield_that_is_down_for_every_court_is_asked_few_times(club: Club) -> None:
    numbers = [club.book(court, 24 + n) for n in range(20) for court in (1, 2, 3)]
    club.wingfield.faults.add("status", times=None, status=503, match=is_write)
    await club.try_later()
    assert club.clients.wingfield.is_down
    assert len(club.writes) < len(numbers)


async def test_a_booking_that_fails_does_not_make_the_service_down(club: Club) -> None:
    numbers = [club.book(1, 24 + n) for n in range(10)]
    club.wingfield.faults.add("status", times=None, status=500, match=of("PUT", numbers[0]))
    await club.try_later()
    assert set(club.wingfield.bookings) == keys(numbers[1:])
    assert not club.clients.wingfield.is_down


ODD_4XX: list[dict[str, Any]] = [
    {"status": 400, "body": b"Bad Request"},
    {"status": 403, "body": b"<html>Blocked</html>", "headers": {"content-type": "text/html"}},
    {"status": 404, "body": b"no Route matched with those values"},
    {"status": 413, "body": b""},
    {"status": 422, "body": b'{"message": "no"}', "headers": {"content-type": "application/json"}},
]


@pytest.mark.parametrize("answer", ODD_4XX, ids=lambda answer: str(answer["status"]))
async def test_a_4xx_outside_the_documented_shape_holds_one_booking(club: Club, answer: dict[str, Any]) -> None:
    odd, *others = [club.book(1, 24 + n) for n in range(5)]
    club.wingfield.faults.add("answer", times=None, match=of("PUT", odd), **answer)
    await club.expect(created=4, held={odd: "refused"})
    assert set(club.wingfield.bookings) == keys(others)
    assert club.puts(odd) == 1


@pytest.mark.parametrize("status", [401, 408, 429])
async def test_a_4xx_that_says_nothing_of_the_booking_holds_nothing(club: Club, status: int) -> None:
    odd = club.book()
    club.wingfield.faults.add("status", times=None, status=status, retry_after="0.001", match=of("PUT", odd))
    result = await club.run()
    assert result.status in {ExitStatus.TRY_LATER, ExitStatus.CREDENTIALS}
    assert not result.held


async def test_a_404_of_a_gateway_is_not_taken_for_a_delete(club: Club) -> None:
    gone, _ = await club.some(2)
    club.launch27.cancel(gone)
    club.wingfield.faults.add("answer", status=404, body=b"no Route matched", match=is_delete)
    await club.run()
    assert str(gone) in club.wingfield.bookings


async def test_a_delete_on_a_court_that_is_gone_is_done(club: Club) -> None:
    gone, _ = await club.some(2)
    club.launch27.cancel(gone)
    body = b'{"error": {"type": "court_not_found", "message": ""}}'
    club.wingfield.faults.add("answer", status=404, body=body, match=is_delete)
    await club.expect(deleted=1, unchanged=1)


@pytest.mark.club(accounts=2)
async def test_one_accounts_failing_listing_leaves_the_others_alone(club: Club) -> None:
    hours = count(24)
    first, second = ([club.book(1, next(hours), owner=email) for _ in range(25)] for email in club.emails)
    club.launch27.faults.add("status", times=None, status=500, match=is_listing, part=club.emails[1])
    result = await club.try_later()
    assert set(club.wingfield.bookings) == keys(first)
    assert result.record.created == 25
    assert not club.clients.launch27.http.is_down
    club.clear_faults()
    await club.expect(created=25, unchanged=25)
    assert set(club.wingfield.bookings) == keys([*first, *second])
