"""Held: one booking's trouble never stops another's, and each has its reason."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.config.schema import CourtRule
from bridge.errors import ExitStatus
from tests.support.builders import EMAIL, ONE, SECOND, TWO
from tests.support.club import Club, of, reasons

NOWHERE = "00000000-0000-4000-8000-00000000000f"
DENIED = "organization_access_denied"
REASONS: dict[str, dict[str, Any]] = {
    "invalid_booking": {"service_date": "soon"},
    "no_duration": {"services": [{"id": 1}]},
    "no_participant": {"email": None},
    "ambiguous_court": {"services": [{"id": 1}, {"id": 2}]},
}


@pytest.mark.parametrize("reason", REASONS)
async def test_one_bookings_trouble_never_stops_anothers(club: Club, reason: str) -> None:
    club.remap(default_minutes=None)
    _, number, _ = club.books(3)
    club.launch27.bookings[number].update(REASONS[reason])
    result = await club.expect(created=2, held={number: reason})
    assert result.held[0].detail


@pytest.mark.parametrize("reason", ["court_not_found", DENIED, "invalid_schema"])
async def test_wingfields_own_error_types_are_reasons(club: Club, reason: str) -> None:
    number, other = club.books(2)
    if reason == "court_not_found":
        club.rules = (CourtRule(court_id=NOWHERE, service_ids=frozenset({1})), *club.rules[1:])
    elif reason == DENIED:
        club.wingfield.denied_courts.add(ONE)
    else:
        club.wingfield.faults.add("status", status=400, match=of("PUT", number))
    await club.expect(created=1, held={number: reason})
    assert club.slot_of(other) is not None


async def test_what_was_rejected_for_its_content_is_not_sent_again_for_an_hour(club: Club) -> None:
    club.wingfield.denied_courts.add(ONE)
    number = club.book()
    for minutes, puts in ((1, 1), (30, 1), (28, 1), (1, 1), (0, 2)):
        await club.expect(held={number: DENIED})
        assert club.puts(number) == puts
        await club.close()
        club.tick(minutes=minutes)
    club.wingfield.denied_courts.clear()
    club.tick(minutes=60)
    await club.expect(created=1)


@pytest.mark.parametrize("change", ["the booking", "the configuration"])
async def test_a_rejected_booking_is_sent_again_when_something_changes(club: Club, change: str) -> None:
    club.wingfield.denied_courts.add(ONE)
    number = club.book()
    await club.expect(held={number: DENIED})
    if change == "the booking":
        club.move(number, 2, 24)
    else:
        club.wingfield.denied_courts.clear()
        await club.expect(held=1)
        club.remap(fallback_email="desk@example.com")
    await club.expect(created=1)
    assert club.puts(number) == 2


async def test_a_rejected_update_stays_as_it_was_and_is_held(club: Club) -> None:
    number = await club.one()
    club.wingfield.denied_courts.add(TWO)
    club.move(number, 2, 24)
    for _ in range(2):
        await club.expect(held={number: DENIED})
    assert club.slot_of(number) == (ONE, "2026-11-21T12:00:00Z")
    assert club.puts(number) == 2
    club.move(number, 1, 24)
    await club.expect(unchanged=1)


async def test_a_rejection_does_not_outlast_a_clock_that_went_back(club: Club) -> None:
    club.wingfield.denied_courts.add(ONE)
    number = club.book()
    await club.expect(held={number: DENIED})
    club.wingfield.denied_courts.clear()
    club.tick(hours=-30)
    await club.run()
    assert club.slot_of(number) is not None


async def test_an_overlap_with_a_stranger_is_tried_again_in_every_pass(club: Club) -> None:
    """It is held since it began, also across restarts."""
    stranger = club.stranger(ONE)
    number, _ = club.books(2)
    for n in range(1, 4):
        result = await club.run()
        assert reasons(result) == {str(number): "court_booking_overlap"}
        assert result.held[0].since_ms == club.narrator.results[0].record.started_ms
        assert club.puts(number) == n
        await club.close()
        club.tick(seconds=10)
    club.wingfield.remove_stranger(stranger)
    await club.expect(created=1, unchanged=1)


@pytest.mark.parametrize("cancelled", [False, True], ids=["mended", "cancelled"])
async def test_held_is_told_once_when_it_begins_and_once_when_it_ends(club: Club, *, cancelled: bool) -> None:
    number = club.book(email=None)
    for _ in range(3):
        await club.expect(held=1)
    assert [(held.id, held.reason) for held in club.narrator.began] == [(str(number), "no_participant")]
    assert club.narrator.ended == []
    if cancelled:
        club.launch27.cancel(number)
    else:
        club.launch27.edit(number, email="player@example.com")
    await club.expect(created=int(not cancelled))
    assert [held.id for held in club.narrator.ended] == [str(number)]


async def test_a_detail_is_the_bridges_own_sentence(club: Club) -> None:
    club.wingfield.denied_courts.add(ONE)
    club.stranger(TWO)
    club.books(2)
    club.book(3, 24, email="max@@mustermann")
    result = await club.expect(held=3)
    details = " ".join(held.detail for held in result.held)
    for foreign in ("mustermann", "player@", "Court booking overlap", "Organization access denied"):
        assert foreign not in details


async def test_of_several_troubles_the_first_status_counts(club: Club) -> None:
    """77 before 75 before 1."""
    club.accounts = 2
    held = club.book(1, 24, owner=SECOND, email=None)
    await club.expect(held=1)
    club.launch27.faults.add("status", times=None, match=lambda _, path: "/customer/bookings/" in path)
    gone = club.book(2, 24, owner=SECOND)
    await club.run()
    club.launch27.cancel(gone)
    result = await club.try_later()
    assert reasons(result) == {str(held): "no_participant"}
    club.launch27.add_account(EMAIL, "another one")
    club.launch27.expire_tokens()
    assert (await club.run()).status is ExitStatus.CREDENTIALS
