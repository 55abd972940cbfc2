"""5. A clock three days ahead left court bookings nobody owned: each service's clock can be compared with ours."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.club import Club

pytestmark = pytest.mark.hurt(5)


@pytest.mark.parametrize("skew", [-259_200.0, 0.0, 259_200.0])
@pytest.mark.parametrize("age", [None, 4000])
async def test_both_services_say_how_far_their_clocks_are_from_ours(club: Club, skew: float, age: int | None) -> None:
    club.book()
    both: list[tuple[Any, str]] = [(club.launch27, "launch27"), (club.wingfield, "wingfield")]
    for world, _ in both:
        world.date_skew_seconds, world.age_seconds = skew, age
    await club.run()
    for _, name in both:
        offset = getattr(club.clients, name).http.clock_offset_seconds
        assert offset is not None
        assert abs(offset - skew) < 10


@pytest.mark.parametrize("headers", [{"date": "soon"}, {"age": "old"}, {"date": "Fri, 31 Dec 99999999 23:59:59 GMT"}])
async def test_a_clock_that_cannot_be_read_is_unknown(club: Club, headers: dict[str, str]) -> None:
    club.book()
    club.wingfield.faults.add("headers", times=None, headers=headers)
    await club.expect(created=1)
    assert club.clients.wingfield.http.clock_offset_seconds is None
    assert club.clients.launch27.http.clock_offset_seconds is not None
