"""Conflicts: after a stale write or a version conflict the bridge reads back, and the source wins."""

from __future__ import annotations

from datetime import datetime

import pytest

from bridge.errors import ExitStatus
from bridge.planning.drift import Look
from tests.support.builders import DAY, HOUR, NOON, ONE, THREE, TWO
from tests.support.club import Club, is_get

UNSEEN = pytest.mark.usefixtures("unseen")
LATER = NOON + 7 * HOUR
MINUTE = HOUR / 60


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody else does, he does between the pass's look at Wingfield and its writes."""
    monkeypatch.setattr(Look, "compare", lambda *_: [])


@UNSEEN
@pytest.mark.parametrize(
    ("hours", "conflict", "version"),
    [(7, "stale_write", "2026-11-20T19:00:00.001Z"), (1, "version_conflict", "2026-11-20T13:00:00.001Z")],
)
async def test_after_a_conflict_the_source_wins_one_millisecond_above(
    club: Club, hours: int, conflict: str, version: str
) -> None:
    number = await club.one()
    club.tick(hours=1)
    club.overwrite(number, THREE, at=NOON + hours * HOUR)
    club.move(number, 2, 24)
    await club.expect(updated=1)
    assert club.rejections == [conflict]
    assert sum("by-external-id" in entry.path and entry.method == "GET" for entry in club.wingfield.log) == 1
    assert club.version(number) == version
    assert club.slot_of(number) == (TWO, "2026-11-21T12:00:00Z")
    await club.expect(unchanged=1)


@UNSEEN
async def test_where_wingfield_already_has_the_content_its_version_is_adopted(club: Club) -> None:
    number = await club.one()
    club.overwrite(number, TWO, at=LATER)
    club.move(number, 2, 24)
    for _ in range(2):
        await club.expect(unchanged=1)
        assert club.rejections == ["stale_write"]
        assert len(club.writes) == 2
    club.move(number, 1, 24)
    await club.expect(updated=1)
    assert club.version(number) == "2026-11-20T19:00:00.001Z"


async def test_participants_in_another_order_are_the_same_content(club: Club) -> None:
    people = ["player@example.com", "ben@example.com"]
    number = club.book(custom_fields=[{"code": "players", "value": people[1]}])
    club.overwrite(number, ONE, at=LATER, emails=people[::-1])
    await club.expect(unchanged=1)
    assert club.writes == []


@pytest.mark.club(modification_times=True)
@pytest.mark.parametrize("gone_at", [NOON - DAY, NOON, NOON + MINUTE])
async def test_with_nothing_there_to_read_it_goes_above_all_that_is_known_and_above_now(
    club: Club, gone_at: datetime
) -> None:
    """Somebody deleted it; the tombstone's version cannot be read."""
    number = club.book(updated_at="2026-11-01T08:00:00Z")
    await club.run()
    club.overwrite(number, THREE, at=gone_at)
    club.wingfield.remove(str(number), tombstone=True)
    club.tick(minutes=5)
    club.move(number, 2, 24)
    club.launch27.edit(number, updated_at="2026-11-01T09:00:00Z")
    await club.expect(updated=1)
    assert club.version(number) == "2026-11-20T12:05:00.001Z"


async def test_a_tombstone_of_the_future_holds_the_booking_until_its_time_has_come(club: Club) -> None:
    number = await club.one()
    club.overwrite(number, THREE, at=NOON + 2 * HOUR)
    club.wingfield.remove(str(number), tombstone=True)
    club.move(number, 2, 24)
    for _ in range(2):
        await club.expect(held={number: "stale_write"})
    club.tick(hours=3)
    assert (await club.run()).status is ExitStatus.OK
    assert club.slot_of(number) == (TWO, "2026-11-21T12:00:00Z")


@UNSEEN
async def test_a_delete_that_is_stale_goes_above_what_is_there(club: Club) -> None:
    number = await club.one()
    club.overwrite(number, THREE, at=LATER)
    club.launch27.cancel(number)
    await club.expect(deleted=1)
    assert club.rejections == ["stale_write"]
    assert club.wingfield.bookings == {}
    assert club.sent_versions(number)[-1] == "2026-11-20T19:00:00.001Z"


async def test_a_delete_that_is_stale_where_nothing_is_any_more_is_done(club: Club) -> None:
    number = await club.one()
    club.overwrite(number, THREE, at=LATER)
    club.wingfield.remove(str(number), tombstone=True)
    club.launch27.cancel(number)
    assert (await club.run()).status is ExitStatus.OK
    await club.expect()


async def test_a_conflict_that_cannot_be_read_back_waits_for_the_next_pass(club: Club) -> None:
    number = await club.one()
    club.overwrite(number, THREE, at=LATER)
    club.move(number, 2, 24)
    club.wingfield.faults.add("status", times=None, status=500, match=is_get)
    await club.try_later()
    club.clear_faults()
    assert (await club.run()).status is ExitStatus.OK
    assert club.slot_of(number) == (TWO, "2026-11-21T12:00:00Z")


@UNSEEN
async def test_a_conflict_about_a_booking_with_a_named_user_is_won_by_the_source(club: Club) -> None:
    number = await club.one()
    club.overwrite(number, TWO, at=LATER)
    club.stored(number)["participants"] = [{"userId": "2c4a230c-5085-4924-a3e1-25fb4fc5965b"}]
    club.move(number, 2, 24)
    assert (await club.run()).status is ExitStatus.OK
    assert club.rejections == ["stale_write"]
