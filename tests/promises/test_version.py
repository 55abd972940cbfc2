"""Version: the source's time or the first sight, stored before it is sent, growing with what is sent."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from bridge.errors import ExitStatus
from bridge.ledger.store import Ledger
from bridge.model import to_ms
from tests.support.builders import DAY, NOON, ONE
from tests.support.club import Club, is_write, of

MILLISECOND = timedelta(milliseconds=1)
dated = pytest.mark.club(modification_times=True)


def gaps(club: Club, number: int) -> list[timedelta]:
    """Return by how much the versions of a booking grew from write to write."""
    versions = map(datetime.fromisoformat, club.sent_versions(number))
    return [later - earlier for earlier, later in pairwise(versions)]


# --- where a version comes from ---


@dated
async def test_a_version_is_the_sources_modification_time(club: Club) -> None:
    number = club.book()
    for hour, court in ((12, 1), (15, 2)):
        club.move(number, court, 24)
        club.tick(hours=3)
        await club.run()
        assert club.version(number) == f"2026-11-20T{hour}:00:00Z"


FIRST_SIGHT = "2026-11-20T12:00:00Z"
ODD = [None, "", "yesterday", 7, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]


@pytest.mark.parametrize(
    ("field", "updated_at", "version"),
    [
        pytest.param("touched", "2026-11-02T10:00:00Z", "2026-11-01T10:00:00Z", id="another field may carry it"),
        pytest.param("updated_at", "2026-11-20T10:00:00", "2026-11-20T09:00:00Z", id="without an offset: wall time"),
        *(pytest.param("updated_at", odd, FIRST_SIGHT, id=f"{odd!r} is none: first sight") for odd in ODD),
    ],
)
async def test_a_version_is_made_of_a_usable_modification_time_else_first_sight(
    club: Club, field: str, updated_at: object, version: str
) -> None:
    club.remap(updated_at_field=field)
    number = club.book(touched="2026-11-01T10:00:00Z", updated_at=updated_at)
    await club.run()
    assert club.version(number) == version


@pytest.mark.parametrize("adopted", [True, False])
async def test_first_sight_is_remembered_while_wingfield_is_away(club: Club, adopted: bool) -> None:
    if adopted:
        await club.run()
    number = club.book(1, 24)
    club.wingfield.faults.add("status", times=None, status=503)
    await club.try_later()
    club.clear_faults()
    await club.close()
    club.tick(hours=5)
    await club.run()
    assert club.version(number) == "2026-11-20T12:00:00Z"


@pytest.mark.parametrize("ours", [False, True], ids=["a stranger", "another of ours"])
async def test_first_sight_is_remembered_while_somebody_blocks_it(club: Club, *, ours: bool) -> None:
    blocks = club.book() if ours else club.stranger(ONE)
    number = club.book()
    await club.expect(created=int(ours), held={number: "court_booking_overlap"})
    club.tick(hours=5)
    if isinstance(blocks, int):
        club.launch27.cancel(blocks)
    else:
        club.wingfield.remove_stranger(blocks)
    await club.expect(created=1, deleted=int(ours))
    assert club.version(number) == FIRST_SIGHT


# --- stored before it is sent ---


@pytest.mark.parametrize("kind", ["create", "update", "delete", "temporary delete"])
async def test_a_version_is_on_the_disk_before_it_is_sent(club: Club, kind: str) -> None:
    first, second = club.book(1, 24), club.book(2, 24)
    if kind != "create":
        await club.run()
        club.tick(minutes=5)
    if kind == "delete":
        club.launch27.cancel(first)
    elif kind != "create":
        club.move(first, 3 if kind == "update" else 2, 24)
        club.move(second, 1, 24)
    club.wingfield.log.clear()
    hanging = club.wingfield.faults.add("hang", match=is_write)
    running = asyncio.create_task(club.run())
    await hanging.struck.reached()
    with Ledger.snapshot(club.state, club.config.identity) as seen:
        stored = {(id_, one.version_ms) for id_, entry in seen.known.items() for one in entry.unsettled}
    hanging.release()
    await running
    sent = {(entry.id, to_ms(datetime.fromisoformat(entry.body["externalUpdatedAt"]))) for entry in club.writes}
    assert stored
    assert stored <= sent


# --- how a version grows ---


@dated
@pytest.mark.parametrize("source_moves", [timedelta(0), -DAY], ids=["stands", "goes back"])
async def test_a_version_grows_by_a_millisecond_when_the_source_time_does_not(
    club: Club, source_moves: timedelta
) -> None:
    number = await club.one()
    modified = club.now + source_moves
    for court in (2, 3, 1):
        club.move(number, court, 24)
        club.launch27.edit(number, updated_at=modified)
        await club.expect(updated=1)
    assert gaps(club, number) == [MILLISECOND] * 3
    assert club.rejections == []


async def test_a_version_never_goes_back_with_the_clock_nor_with_the_content(club: Club) -> None:
    number = await club.one()
    for court in (2, 1):
        club.tick(hours=-5)
        club.move(number, court, 24)
        await club.expect(updated=1)
    assert gaps(club, number) == [MILLISECOND] * 2
    assert club.slot_of(number) == (ONE, "2026-11-21T12:00:00Z")


async def test_a_booking_that_leaves_and_returns_has_higher_versions_each_time(club: Club) -> None:
    number = await club.one()
    for _ in range(2):
        club.launch27.cancel(number)
        await club.expect(deleted=1)
        club.launch27.restore(number)
        await club.expect(created=1)
    assert len(gaps(club, number)) == 4
    assert min(gaps(club, number)) >= MILLISECOND
    assert club.rejections == []


@pytest.mark.parametrize("fault", ["lose", "refuse", "hang"])
async def test_what_may_have_been_sent_counts_too(club: Club, fault: str) -> None:
    number = await club.one()
    club.move(number, 2, 24)
    club.wingfield.faults.add(fault, times=None, match=of("PUT", number))
    await club.try_later()
    club.clear_faults()
    club.move(number, 1, 24)
    assert (await club.run()).status is ExitStatus.OK
    first, lost, last = dict.fromkeys(map(datetime.fromisoformat, club.sent_versions(number)))
    assert first < lost < last
    assert club.slot_of(number) == (ONE, "2026-11-21T12:00:00Z")
    assert club.rejections == []
    await club.expect(unchanged=1)


@pytest.mark.parametrize("moves", [True, False])
async def test_content_that_was_rejected_counts_as_sent(club: Club, *, moves: bool) -> None:
    """Other content goes above, the same goes again under the same version."""
    number = club.book(1, 24)
    club.wingfield.faults.add("status", status=400, match=of("PUT", number))
    await club.run()
    if moves:
        club.move(number, 2, 24)
    else:
        club.tick(hours=2)
    await club.expect(created=1)
    assert gaps(club, number) == [MILLISECOND * moves]


# --- the same content ---


@dated
async def test_the_same_content_is_never_sent_under_a_new_version(club: Club) -> None:
    number = await club.one()
    club.tick(hours=1)
    club.launch27.edit(number, customer_notes="please sweep the lines")
    await club.expect(unchanged=1)
    assert len(club.writes) == 1


@pytest.mark.parametrize("fault", ["lose", "refuse", "half", "wrong_shape", "hang"])
async def test_a_write_whose_answer_was_lost_is_sent_again_under_the_same_version(club: Club, fault: str) -> None:
    number = club.book(1, 24)
    club.wingfield.faults.add(fault, times=None, match=of("PUT", number))
    await club.try_later()
    club.clear_faults()
    club.tick(hours=1)
    assert (await club.run()).status is ExitStatus.OK
    assert set(club.sent_versions(number)) == {"2026-11-20T12:00:00Z"}


async def test_a_pass_over_an_unchanged_source_writes_nothing(club: Club) -> None:
    await club.some(12)
    club.tick(hours=1)
    await club.close()
    for _ in range(2):
        await club.expect(unchanged=12)
    assert len(club.writes) == 12


# --- the version of a delete ---


async def test_the_moment_it_was_found_gone_is_remembered_while_the_delete_is_withheld(club: Club) -> None:
    club.limit(max_delete_count=0, max_delete_fraction=0.0)
    number, _ = await club.some(2)
    club.launch27.vanish(number)
    club.tick(hours=1)
    await club.expect(unchanged=1, withheld=1)
    club.tick(hours=3)
    await club.expect(unchanged=1, withheld=1)
    await club.expect(unchanged=1, deleted=1, allow=True)
    assert club.sent_versions(number)[-1] == "2026-11-20T13:00:00Z"


@dated
async def test_the_version_of_a_delete_is_above_all_that_was_sent(club: Club) -> None:
    number = club.book(1, 24, updated_at=NOON + DAY)
    await club.run()
    club.launch27.vanish(number)
    await club.expect(deleted=1)
    assert club.sent_versions(number)[-1] == "2026-11-21T12:00:00.001Z"


async def test_a_delete_whose_answer_was_lost_is_sent_again_under_the_same_version(club: Club) -> None:
    """It is the moment it was found gone."""
    number = await club.one()
    club.launch27.cancel(number)
    club.tick(hours=1)
    club.wingfield.faults.add("lose", times=None)
    await club.try_later()
    club.clear_faults()
    club.tick(hours=1)
    await club.expect(deleted=1)
    assert set(club.sent_versions(number)[1:]) == {"2026-11-20T13:00:00Z"}


async def test_a_booking_that_returns_before_its_lost_delete_is_settled_goes_above(club: Club) -> None:
    number = await club.one()
    club.launch27.cancel(number)
    club.wingfield.faults.add("lose", times=None)
    await club.run()
    club.clear_faults()
    club.launch27.restore(number)
    assert (await club.run()).status is ExitStatus.OK
    assert club.slot_of(number) == (ONE, "2026-11-21T12:00:00Z")
    assert min(set(gaps(club, number)) - {timedelta(0)}) >= MILLISECOND
    assert club.rejections == []
