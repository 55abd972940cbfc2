"""The pass as a whole: what no single stage decides."""

from __future__ import annotations

import gc

import pytest

from bridge.errors import ExitStatus
from bridge.model import CourtBooking
from tests.support.club import Club, counts, of, reasons


async def cycle(club: Club) -> list[int]:
    """Bridge three bookings, and let each want the place of the next."""
    numbers = [club.book(court, 24) for court in (1, 2, 3)]
    await club.run()
    club.tick(minutes=1)
    for number, court in zip(numbers, (2, 3, 1), strict=True):
        club.move(number, court, 24)
    return numbers


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("who", range(3))
async def test_nobody_stays_out_for_one_that_gets_no_answer(club: Club, who: int, applied: bool) -> None:
    numbers = await cycle(club)
    club.wingfield.faults.add("status", times=None, match=of("PUT", numbers[who]), applied=applied)
    first = await club.run()
    assert first.status is ExitStatus.TRY_LATER
    out = {str(number) for number in numbers} - club.wingfield.bookings.keys()
    assert out <= {str(numbers[who])}, "only one that cannot be put anywhere may be out"
    club.wingfield.faults.clear()
    club.tick(minutes=1)
    assert (await club.run()).status is ExitStatus.OK
    assert [club.slot_of(number) for number in numbers] == [
        (court, "2026-11-21T12:00:00Z") for court in (list(club.wingfield.courts)[i] for i in (1, 2, 0))
    ]


async def test_a_ring_is_left_for_the_next_pass_when_nobody_can_say_where_one_stands(club: Club) -> None:
    numbers = await cycle(club)
    for method in ("PUT", "GET"):
        club.wingfield.faults.add("status", times=None, match=of(method, numbers[1]))
    assert (await club.run()).status is ExitStatus.TRY_LATER
    club.wingfield.faults.clear()
    club.tick(minutes=1)
    assert (await club.run()).status is ExitStatus.OK
    assert len(club.wingfield.bookings) == 3


async def test_a_place_where_one_never_stood_is_free_though_that_one_is_held(club: Club) -> None:
    lost = club.book(1, 24)
    club.wingfield.faults.add("refuse", times=None, match=of("PUT", lost))
    assert (await club.run()).status is ExitStatus.TRY_LATER
    club.wingfield.faults.clear()
    club.launch27.edit(lost, service_date="soon")
    other = club.book(1, 24)
    club.tick(minutes=1)
    result = await club.run()
    assert reasons(result) == {str(lost): "invalid_booking"}
    assert club.slot_of(other) is not None


async def test_a_doubt_that_cannot_be_cleared_keeps_its_place_for_another_pass(club: Club) -> None:
    lost = club.book(1, 24)
    club.wingfield.faults.add("refuse", times=None, match=of("PUT", lost))
    await club.run()
    club.wingfield.faults.clear()
    club.launch27.edit(lost, service_date="soon")
    other = club.book(1, 24)
    club.wingfield.faults.add("status", times=None, match=of("GET", lost))
    result = await club.run()
    assert result.status is ExitStatus.TRY_LATER
    assert club.slot_of(other) is None


async def test_a_wanted_booking_that_may_stand_where_it_never_stood_keeps_nobody_away(club: Club) -> None:
    lost, stays = club.book(1, 24), club.book(2, 24)
    club.wingfield.faults.add("refuse", times=None, match=of("PUT", lost))
    await club.run()
    club.wingfield.faults.clear()
    club.move(lost, 2, 24)
    other = club.book(1, 24)
    club.tick(minutes=1)
    result = await club.run()
    assert reasons(result) == {str(lost): "court_booking_overlap"}
    assert club.slot_of(other) is not None
    assert club.slot_of(stays) is not None


async def test_what_is_held_lasts_through_a_pass_that_sees_nothing(club: Club) -> None:
    held = club.book(1, 24, email=None)
    since = (await club.run()).held[0].since_ms
    club.tick(minutes=5)
    club.launch27.faults.add("status", times=None, match=lambda _, path: path.endswith("/bookings"))
    assert (await club.run()).held == ()
    club.launch27.faults.clear()
    club.tick(minutes=5)
    again = (await club.run()).held
    assert [(each.id, each.since_ms) for each in again] == [(str(held), since)]
    assert len(club.narrator.began) == 1
    assert club.narrator.ended == []


async def test_a_refused_delete_needs_a_person(club: Club) -> None:
    gone = club.book(1, 24)
    await club.run()
    club.launch27.cancel(gone)
    club.wingfield.denied_courts.update(club.wingfield.courts)
    club.wingfield.faults.add("status", times=None, status=403, match=of("DELETE", gone))
    result = await club.run()
    assert result.status is not ExitStatus.OK
    counts(result)  # seen is their sum


def court_bookings() -> list[CourtBooking]:
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, CourtBooking)]


async def test_between_passes_nothing_is_kept_of_what_a_full_one_read(club: Club) -> None:
    before = {id(each) for each in court_bookings()}
    await club.some(3)
    assert {id(each) for each in court_bookings()} <= before
