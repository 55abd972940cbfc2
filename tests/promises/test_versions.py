"""What a pass promises: versions, and conflicts about them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import ExitStatus
from bridge.ledger.store import Ledger
from bridge.model import to_ms
from tests.support.club import COURT_IDS, NOON, Club, counts, reasons

ONE, TWO, THREE = COURT_IDS
DAY = timedelta(days=1)


@pytest.fixture
async def club(tmp_path: Path) -> AsyncIterator[Club]:
    async with Club(tmp_path) as club:
        yield club


@pytest.fixture
async def dated(tmp_path: Path) -> AsyncIterator[Club]:
    """A club whose source carries modification times."""
    async with Club(tmp_path, modification_times=True) as club:
        yield club


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def is_put(number: int) -> Callable[[str, str], bool]:
    return lambda method, path: method == "PUT" and path.endswith(f"/{number}")


# --- where a version comes from ---


async def test_a_version_is_the_sources_modification_time(dated: Club) -> None:
    number = dated.book(1, 24)
    dated.tick(hours=2)
    await dated.run()
    assert dated.version(number) == "2026-11-20T12:00:00Z"
    dated.tick(hours=1)
    dated.move(number, 2, 24)
    dated.tick(hours=1)
    await dated.run()
    assert dated.version(number) == "2026-11-20T15:00:00Z"


async def test_another_field_may_carry_the_modification_time(club: Club) -> None:
    club.remap(updated_at_field="touched")
    number = club.book(1, 24, touched="2026-11-01T10:00:00Z", updated_at="2026-11-02T10:00:00Z")
    await club.run()
    assert club.version(number) == "2026-11-01T10:00:00Z"


async def test_a_modification_time_without_an_offset_is_wall_time(club: Club) -> None:
    number = club.book(1, 24, updated_at="2026-11-20T10:00:00")
    await club.run()
    assert club.version(number) == "2026-11-20T09:00:00Z"


@pytest.mark.parametrize("odd", [None, "", "yesterday", 7, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
async def test_without_a_usable_modification_time_it_is_the_first_sight(club: Club, odd: object) -> None:
    number = club.book(1, 24, updated_at=odd)
    await club.run()
    assert club.version(number) == "2026-11-20T12:00:00Z"


async def test_first_sight_is_remembered_while_wingfield_is_away(club: Club) -> None:
    await club.run()
    number = club.book(1, 24)
    club.wingfield.faults.add("status", times=None, status=503)
    assert (await club.run()).status is ExitStatus.TRY_LATER
    club.wingfield.faults.clear()
    await club.close()
    club.tick(hours=5)
    await club.run()
    assert club.version(number) == "2026-11-20T12:00:00Z"


async def test_first_sight_is_remembered_while_wingfield_cannot_be_read_for_the_first_time(
    club: Club,
) -> None:
    number = club.book(1, 24)
    club.wingfield.faults.add("status", times=None, status=503)
    assert (await club.run()).status is ExitStatus.TRY_LATER
    club.wingfield.faults.clear()
    club.tick(hours=5)
    await club.run()
    assert club.version(number) == "2026-11-20T12:00:00Z"


async def test_first_sight_is_remembered_while_the_booking_is_held(club: Club) -> None:
    club.wingfield.add_stranger(ONE, NOON + DAY, NOON + DAY + timedelta(hours=1))
    number = club.book(1, 24)
    assert reasons(await club.run()) == {str(number): "court_booking_overlap"}
    club.wingfield.remove_stranger("stranger 1")
    club.tick(hours=5)
    assert counts(await club.run()) == {"created": 1}
    assert club.version(number) == "2026-11-20T12:00:00Z"


async def test_first_sight_is_remembered_for_a_booking_that_another_of_ours_blocks(club: Club) -> None:
    first, second = club.book(1, 24), club.book(1, 24)
    assert reasons(await club.run()) == {str(second): "court_booking_overlap"}
    club.tick(hours=5)
    club.launch27.cancel(first)
    assert counts(await club.run()) == {"created": 1, "deleted": 1}
    assert club.version(second) == "2026-11-20T12:00:00Z"


# --- stored before it is sent ---


@pytest.mark.parametrize("kind", ["create", "update", "delete", "take_out"])
async def test_a_version_is_on_the_disk_before_it_is_sent(club: Club, kind: str) -> None:
    first, second = club.book(1, 24), club.book(2, 24)
    if kind != "create":
        await club.run()
        club.tick(minutes=5)
    if kind in ("update", "take_out"):
        club.move(first, 2 if kind == "take_out" else 3, 24)
        club.move(second, 1, 24)
    elif kind == "delete":
        club.launch27.cancel(first)
    before = len(club.writes)
    hanging = club.wingfield.faults.add("hang", match=lambda method, _: method in {"PUT", "DELETE"})
    running = asyncio.create_task(club.run())
    await hanging.struck.reached()
    with Ledger.snapshot(club.state, club.config.identity) as seen:
        stored = {(id_, one.version_ms) for id_, entry in seen.known.items() for one in entry.unsettled}
    hanging.release()
    await running
    sent = [(entry[2], to_ms(instant(entry[5]["externalUpdatedAt"]))) for entry in club.writes[before:]]
    assert stored
    assert stored <= set(sent)


# --- how a version grows ---


def gaps(club: Club, number: int) -> list[timedelta]:
    versions = [instant(text) for text in club.sent_versions(number)]
    return [later - earlier for earlier, later in pairwise(versions)]


@pytest.mark.parametrize("source_moves", [timedelta(0), -DAY], ids=["stands", "goes back"])
async def test_a_version_grows_by_a_millisecond_when_the_source_time_does_not(
    dated: Club, source_moves: timedelta
) -> None:
    number = dated.book(1, 24)
    await dated.run()
    modified = dated.now + source_moves
    for court in (2, 3, 1):
        dated.move(number, court, 24)
        dated.launch27.edit(number, updated_at=modified)
        await dated.run()
    assert gaps(dated, number) == [timedelta(milliseconds=1)] * 3
    assert dated.refusals == []


async def test_a_version_never_goes_back_with_the_clock(club: Club) -> None:
    number = club.book(1, 24)
    await club.run()
    for court in (2, 3):
        club.tick(hours=-5)
        club.move(number, court, 24)
        assert counts(await club.run()) == {"updated": 1}
    assert gaps(club, number) == [timedelta(milliseconds=1)] * 2


async def test_a_booking_that_leaves_and_returns_has_higher_versions_each_time(club: Club) -> None:
    number = club.book(1, 24)
    await club.run()
    for _ in range(2):
        club.launch27.cancel(number)
        assert counts(await club.run()) == {"deleted": 1}
        club.launch27.restore(number)
        assert counts(await club.run()) == {"created": 1}
    assert len(gaps(club, number)) == 4
    assert min(gaps(club, number)) >= timedelta(milliseconds=1)
    assert club.refusals == []


async def test_content_that_goes_back_to_what_it_was_gets_a_new_version(club: Club) -> None:
    number = club.book(1, 24)
    await club.run()
    club.move(number, 2, 24)
    await club.run()
    club.move(number, 1, 24)
    assert counts(await club.run()) == {"updated": 1}
    assert min(gaps(club, number)) >= timedelta(milliseconds=1)
    assert club.slot_of(number) == (ONE, "2026-11-21T12:00:00Z")


@pytest.mark.parametrize("fault", ["lose", "refuse", "hang"])
async def test_what_may_have_been_sent_counts_too(club: Club, fault: str) -> None:
    number = club.book(1, 24)
    await club.run()
    club.move(number, 2, 24)
    club.wingfield.faults.add(fault, times=None, match=is_put(number))
    assert (await club.run()).status is ExitStatus.TRY_LATER
    club.wingfield.faults.clear()
    club.move(number, 1, 24)
    assert (await club.run()).status is ExitStatus.OK
    first, lost, last = dict.fromkeys(map(instant, club.sent_versions(number)))
    assert first < lost < last
    assert club.slot_of(number) == (ONE, "2026-11-21T12:00:00Z")
    assert club.refusals == []
    assert counts(await club.run()) == {"unchanged": 1}


async def test_content_that_was_refused_counts_as_sent(club: Club) -> None:
    number = club.book(1, 24)
    club.wingfield.faults.add("status", status=400, match=is_put(number))
    await club.run()
    club.move(number, 2, 24)
    assert counts(await club.run()) == {"created": 1}
    assert gaps(club, number) == [timedelta(milliseconds=1)]


# --- the same content ---


async def test_the_same_content_is_never_sent_under_a_new_version(dated: Club) -> None:
    number = dated.book(1, 24)
    await dated.run()
    dated.tick(hours=1)
    dated.launch27.edit(number, customer_notes="please sweep the lines")
    assert counts(await dated.run()) == {"unchanged": 1}
    assert len(dated.writes) == 1


@pytest.mark.parametrize("fault", ["lose", "refuse", "half", "wrong_shape", "hang"])
async def test_a_write_whose_answer_was_lost_is_sent_again_under_the_same_version(
    club: Club, fault: str
) -> None:
    number = club.book(1, 24)
    club.wingfield.faults.add(fault, times=None, match=is_put(number))
    assert (await club.run()).status is ExitStatus.TRY_LATER
    club.wingfield.faults.clear()
    club.tick(hours=1)
    assert (await club.run()).status is ExitStatus.OK
    assert set(club.sent_versions(number)) == {"2026-11-20T12:00:00Z"}


async def test_content_refused_once_is_sent_again_under_the_same_version(club: Club) -> None:
    number = club.book(1, 24)
    club.wingfield.faults.add("status", status=400, match=is_put(number))
    await club.run()
    club.tick(hours=2)
    assert counts(await club.run()) == {"created": 1}
    assert set(club.sent_versions(number)) == {"2026-11-20T12:00:00Z"}


async def test_a_pass_over_an_unchanged_source_writes_nothing(club: Club) -> None:
    for n in range(12):
        club.book(1 + n % 3, 24 + n)
    await club.run()
    club.tick(hours=1)
    await club.close()
    for _ in range(2):
        assert counts(await club.run()) == {"unchanged": 12}
    assert len(club.writes) == 12


# --- the version of a delete ---


async def test_the_version_of_a_delete_is_the_moment_it_was_found_gone(club: Club) -> None:
    number = club.book(1, 24)
    await club.run()
    club.tick(hours=3)
    club.launch27.cancel(number)
    club.tick(minutes=1)
    await club.run()
    assert club.sent_versions(number)[-1] == "2026-11-20T15:01:00Z"


async def test_the_moment_it_was_found_gone_is_remembered_while_the_delete_is_withheld(club: Club) -> None:
    club.limit(max_delete_count=0, max_delete_fraction=0.0)
    number = club.book(1, 24)
    club.book(2, 24)
    await club.run()
    club.launch27.vanish(number)
    club.tick(hours=1)
    assert counts(await club.run()) == {"unchanged": 1, "withheld": 1}
    club.tick(hours=3)
    assert counts(await club.run()) == {"unchanged": 1, "withheld": 1}
    assert counts(await club.run(allow=True)) == {"unchanged": 1, "deleted": 1}
    assert club.sent_versions(number)[-1] == "2026-11-20T13:00:00Z"


async def test_the_version_of_a_delete_is_above_all_that_was_sent(dated: Club) -> None:
    number = dated.book(1, 24, updated_at=NOON + DAY)
    await dated.run()
    dated.launch27.vanish(number)
    assert counts(await dated.run()) == {"deleted": 1}
    assert dated.sent_versions(number)[-1] == "2026-11-21T12:00:00.001Z"


async def test_a_delete_whose_answer_was_lost_is_sent_again_under_the_same_version(club: Club) -> None:
    number = club.book(1, 24)
    await club.run()
    club.tick(hours=1)
    club.launch27.cancel(number)
    club.wingfield.faults.add("lose", times=None)
    assert (await club.run()).status is ExitStatus.TRY_LATER
    club.wingfield.faults.clear()
    club.tick(hours=1)
    result = await club.run()
    assert (counts(result), result.status) == ({"deleted": 1}, ExitStatus.OK)
    assert set(club.sent_versions(number)[1:]) == {"2026-11-20T13:00:00Z"}


async def test_a_booking_that_returns_before_its_lost_delete_is_settled_goes_above_it(club: Club) -> None:
    number = club.book(1, 24)
    await club.run()
    club.launch27.cancel(number)
    club.wingfield.faults.add("lose", times=None)
    await club.run()
    club.wingfield.faults.clear()
    club.launch27.restore(number)
    assert (await club.run()).status is ExitStatus.OK
    assert club.slot_of(number) == (ONE, "2026-11-21T12:00:00Z")
    assert min(set(gaps(club, number)) - {timedelta(0)}) >= timedelta(milliseconds=1)
    assert club.refusals == []


# --- conflicts ---


def overwrite(club: Club, number: int, *, court: str = THREE, at: datetime, **more: Any) -> None:
    """Let somebody else write our booking behind our back."""
    start = NOON + DAY
    club.wingfield.store(
        str(number), court_id=court, start=start, end=start + timedelta(hours=1), updated_at=at, **more
    )


def reads_back(club: Club) -> int:
    return sum(entry[0] == "GET" and "by-external-id" in entry[1] for entry in club.wingfield.log)


async def test_after_a_stale_write_the_source_wins_one_millisecond_above(club: Club) -> None:
    number = club.book(1, 24)
    await club.run()
    overwrite(club, number, at=NOON + timedelta(hours=7))
    club.move(number, 2, 24)
    result = await club.run()
    assert (counts(result), result.status) == ({"updated": 1}, ExitStatus.OK)
    assert club.refusals == ["stale_write"]
    assert reads_back(club) == 1
    assert club.version(number) == "2026-11-20T19:00:00.001Z"
    assert club.slot_of(number) == (TWO, "2026-11-21T12:00:00Z")
    assert counts(await club.run()) == {"unchanged": 1}


async def test_after_a_version_conflict_the_source_wins_one_millisecond_above(club: Club) -> None:
    number = club.book(1, 24)
    await club.run()
    club.tick(hours=1)
    overwrite(club, number, at=club.now)
    club.move(number, 2, 24)
    result = await club.run()
    assert (counts(result), result.status) == ({"updated": 1}, ExitStatus.OK)
    assert club.refusals == ["version_conflict"]
    assert club.version(number) == "2026-11-20T13:00:00.001Z"


async def test_where_wingfield_already_has_the_content_its_version_is_adopted(club: Club) -> None:
    number = club.book(1, 24)
    await club.run()
    overwrite(club, number, court=TWO, at=NOON + timedelta(hours=7))
    club.move(number, 2, 24)
    result = await club.run()
    assert result.status is ExitStatus.OK
    assert club.refusals == ["stale_write"]
    assert len(club.writes) == 2
    assert counts(await club.run()) == {"unchanged": 1}
    club.move(number, 1, 24)
    assert counts(await club.run()) == {"updated": 1}
    assert club.version(number) == "2026-11-20T19:00:00.001Z"
    assert club.refusals == ["stale_write"]


async def test_a_booking_adopted_after_a_conflict_is_counted_once(club: Club) -> None:
    number = club.book(1, 24)
    await club.run()
    overwrite(club, number, court=TWO, at=NOON + timedelta(hours=7))
    club.move(number, 2, 24)
    assert counts(await club.run()) == {"unchanged": 1}


async def test_participants_in_another_order_are_the_same_content(club: Club) -> None:
    people = ["player@example.com", "ben@example.com"]
    number = club.book(1, 24, custom_fields=[{"code": "players", "value": people[1]}])
    overwrite(club, number, court=ONE, at=NOON + timedelta(hours=7), emails=people[::-1])
    assert counts(await club.run()) == {"unchanged": 1}
    assert club.writes == []


@pytest.mark.parametrize("gone_at", [NOON - DAY, NOON, NOON + timedelta(minutes=1)])
async def test_with_nothing_there_to_read_it_goes_above_all_that_is_known_and_above_now(
    dated: Club, gone_at: datetime
) -> None:
    """Somebody deleted it; the tombstone's version cannot be read."""
    number = dated.book(1, 24, updated_at="2026-11-01T08:00:00Z")
    await dated.run()
    overwrite(dated, number, at=gone_at)
    dated.wingfield.remove(str(number), tombstone=True)
    dated.tick(minutes=5)
    dated.launch27.edit(
        number, services=[{"id": 2, "hourly": {"minutes": 60}}], updated_at="2026-11-01T09:00:00Z"
    )
    result = await dated.run()
    assert (counts(result), result.status) == ({"updated": 1}, ExitStatus.OK)
    assert dated.version(number) == "2026-11-20T12:05:00.001Z"


async def test_a_tombstone_of_the_future_holds_the_booking_until_its_time_has_come(club: Club) -> None:
    number = club.book(1, 24)
    await club.run()
    overwrite(club, number, at=NOON + timedelta(hours=2))
    club.wingfield.remove(str(number), tombstone=True)
    club.move(number, 2, 24)
    for _ in range(2):
        result = await club.run()
        assert reasons(result) == {str(number): "stale_write"}
        assert result.status is ExitStatus.ATTENTION
    club.tick(hours=3)
    result = await club.run()
    assert result.status is ExitStatus.OK
    assert club.slot_of(number) == (TWO, "2026-11-21T12:00:00Z")


async def test_a_delete_that_is_stale_goes_above_what_is_there(club: Club) -> None:
    number = club.book(1, 24)
    await club.run()
    overwrite(club, number, at=NOON + timedelta(hours=7))
    club.launch27.cancel(number)
    result = await club.run()
    assert (counts(result), result.status) == ({"deleted": 1}, ExitStatus.OK)
    assert club.refusals == ["stale_write"]
    assert club.wingfield.bookings == {}
    assert club.sent_versions(number)[-1] == "2026-11-20T19:00:00.001Z"


async def test_a_delete_that_is_stale_where_nothing_is_any_more_is_done(club: Club) -> None:
    number = club.book(1, 24)
    await club.run()
    overwrite(club, number, at=NOON + timedelta(hours=7))
    club.wingfield.remove(str(number), tombstone=True)
    club.launch27.cancel(number)
    result = await club.run()
    assert result.status is ExitStatus.OK
    assert (await club.run()).record.deleted == 0


async def test_a_conflict_that_cannot_be_read_back_waits_for_the_next_pass(club: Club) -> None:
    number = club.book(1, 24)
    await club.run()
    overwrite(club, number, at=NOON + timedelta(hours=7))
    club.move(number, 2, 24)
    club.wingfield.faults.add("status", times=None, status=500, match=lambda method, _: method == "GET")
    assert (await club.run()).status is ExitStatus.TRY_LATER
    club.wingfield.faults.clear()
    assert (await club.run()).status is ExitStatus.OK
    assert club.slot_of(number) == (TWO, "2026-11-21T12:00:00Z")


async def test_a_conflict_about_a_booking_with_a_named_user_is_won_by_the_source(club: Club) -> None:
    number = club.book(1, 24)
    await club.run()
    overwrite(club, number, court=TWO, at=NOON + timedelta(hours=7))
    club.wingfield.bookings[str(number)]["participants"] = [
        {"userId": "2c4a230c-5085-4924-a3e1-25fb4fc5965b"}
    ]
    club.move(number, 2, 24)
    assert (await club.run()).status is ExitStatus.OK
    assert club.refusals == ["stale_write"]
