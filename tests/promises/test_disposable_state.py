"""The state is disposable: with the database gone, what Wingfield has is adopted and put right."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime

import pytest

from bridge.errors import ExitStatus, StateError
from bridge.model import to_ms
from tests.support.builders import DAY, NOON, ONE, THREE, TWO
from tests.support.club import Club, counts

BEFORE = NOON - DAY


async def test_with_the_database_gone_what_is_right_is_adopted_without_a_write(club: Club) -> None:
    await club.some(130)
    await club.lose_state()
    for _ in range(2):
        await club.expect(unchanged=130)
    assert len(club.writes) == 130


async def test_nothing_was_unchanged_while_wingfields_list_could_not_be_read(club: Club) -> None:
    club.book()
    club.launch27.add_booking(services=[9])
    club.wingfield.faults.add("wrong_shape", times=None)
    result = await club.try_later()
    assert counts(result) == {"pending": 1, "ignored": 1}


async def test_with_the_database_gone_what_is_wrong_is_mended(club: Club) -> None:
    right, moved, gone = (club.book(1, 24 + n) for n in range(3))
    await club.run()
    await club.lose_state()
    club.tick(minutes=5)
    club.move(moved, 2, 24)
    club.launch27.cancel(gone)
    new = club.book(3, 24)
    await club.expect(created=1, updated=1, deleted=1, unchanged=1)
    assert set(club.wingfield.bookings) == {str(right), str(moved), str(new)}
    assert club.rejections == []


async def test_an_adopted_version_is_never_gone_below(club: Club) -> None:
    number = club.book()
    club.overwrite(number, TWO, at=NOON + DAY)
    await club.expect(updated=1)
    assert club.version(number) == "2026-11-21T12:00:00.001Z"
    assert club.rejections == []


async def test_orphans_are_looked_up_before_they_are_deleted_and_free_their_place_first(club: Club) -> None:
    alive, dead = await club.some(2)
    await club.lose_state()
    club.launch27.hide(alive)
    club.launch27.cancel(dead)
    club.book(2, 24)
    await club.expect(created=1, deleted=1, unchanged=1)
    assert (club.look_ups(alive), club.look_ups(dead)) == (1, 1)
    assert club.rejections == []


async def test_orphans_are_under_the_guard(club: Club) -> None:
    club.limit(max_delete_count=2, max_delete_fraction=0.2)
    club.book()
    for n in range(4):
        club.overwrite(5000 + n, TWO, 24 + n, at=BEFORE)
    await club.expect(created=1, withheld=4)
    assert len(club.wingfield.bookings) == 5
    await club.expect(unchanged=1, deleted=4, allow=True)


async def test_history_found_in_wingfield_is_left_alone(club: Club) -> None:
    club.overwrite("5000", ONE, -100, at=BEFORE)
    await club.expect()
    assert club.writes == []


@pytest.mark.parametrize(
    ("prefix", "foreign"),
    [
        ("", ["club-7", "a7", "7a", "7-7", " 7", "٧", "²", "south-1001"]),
        ("north-", ["7", "1001", "south-7", "north-", "north-x", "north-7x", "NORTH-7", "north-north-7"]),
    ],
)
async def test_foreign_keys_are_left_alone(club: Club, prefix: str, foreign: list[str]) -> None:
    club.remap(id_prefix=prefix)
    for n, key in enumerate(foreign):
        club.overwrite(key, THREE, 24 + n, at=BEFORE)
    number = await club.one()
    await club.lose_state()
    await club.expect(unchanged=1)
    assert set(club.wingfield.bookings) == {*foreign, f"{prefix}{number}"}
    assert len(club.writes) == 1


async def test_a_key_of_digits_that_no_launch27_id_is_written_with_is_an_orphan(club: Club) -> None:
    """Ours are the keys made of digits; booking 7's own key is "7"."""
    club.book(id=7)
    club.overwrite("007", TWO, at=BEFORE)
    assert (await club.run()).status is ExitStatus.OK
    assert set(club.wingfield.bookings) == {"7"}


async def test_while_wingfields_list_cannot_be_read_nothing_is_written(club: Club) -> None:
    club.book()
    club.overwrite("5000", TWO, at=BEFORE)
    for fault, times in (("status", 6), ("truncate_listing", 1)):
        club.wingfield.faults.add(fault, times=times, after=int(fault != "status"), keep=0)
        await club.try_later()
        assert (club.writes, club.ledger.is_adopted) == ([], False)
    await club.expect(created=1, deleted=1)


async def test_an_interrupted_adoption_is_done_again(club: Club) -> None:
    club.book(1, 24)
    await club.run()
    for step in range(4):
        await club.lose_state()
        await club.run_and_die(step)
        await club.expect(unchanged=1)
    assert len(club.writes) == 1


# --- a state that cannot be used ---


@pytest.mark.parametrize(
    ("words", "begin"), [("move it away", 0), ("damaged", 4096)], ids=["no database", "damaged in the middle"]
)
async def test_a_damaged_state_ends_it_with_the_way_out(club: Club, words: str, begin: int) -> None:
    await club.some(60)
    await club.close()
    content = bytearray(club.state.read_bytes())
    content[begin:] = b"\xa5" * (len(content) - begin)
    club.state.write_bytes(content)
    with pytest.raises(StateError, match=words) as caught:
        await club.run()
    assert caught.value.exit_status is ExitStatus.STATE
    await club.lose_state()
    await club.expect(unchanged=60)


async def test_a_newer_state_ends_it_with_the_way_out(club: Club) -> None:
    await club.run()
    await club.close()
    with closing(sqlite3.connect(club.state)) as connection:
        connection.execute("PRAGMA user_version = 99")
    for dry_run in (False, True):
        with pytest.raises(StateError, match="upgrade Courtbridge, or move it away"):
            await club.run(dry_run=dry_run)


@pytest.mark.parametrize("pages", [0, 1, 5])
async def test_when_the_disk_is_full_no_request_leaves_without_its_stored_intent(club: Club, pages: int) -> None:
    numbers = await club.some(30)
    club.books(150, 60)
    for number in numbers:
        club.launch27.edit(number, email="somebody@example.com")
    connection = club.ledger._connection
    (size,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {size + pages}")
    before = len(club.writes)
    with pytest.raises(StateError, match="disk is full") as caught:
        await club.run()
    assert caught.value.exit_status is ExitStatus.STATE
    known = club.ledger.known
    for entry in club.writes[before:]:
        version = datetime.fromisoformat(entry.body["externalUpdatedAt"])
        assert known[str(entry.id)].intended_version_ms == to_ms(version)
    assert (await club.run()).status is ExitStatus.OK
    assert len(club.wingfield.bookings) == 180
    assert club.rejections == []
    await club.expect(unchanged=180)
