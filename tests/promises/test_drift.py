"""Drift: what somebody else deleted, changed or left over in Wingfield is found, and put right or reported."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from bridge.errors import ExitStatus
from bridge.model import to_ms
from bridge.planning.drift import counts as kinds
from bridge.sync.result import PassResult, Since
from tests.support.builders import DAY, NOON, ONE, THREE, TWO
from tests.support.club import Club, counts, of


def found(result: PassResult) -> dict[str, int]:
    """What a pass found, the zeros left out."""
    assert result.drift is not None
    return {kind: count for kind, count in kinds(result.drift).items() if count}


def lists(club: Club) -> int:
    """How many pages of Wingfield's list were read."""
    return sum(entry.path.endswith("/court-bookings") for entry in club.wingfield.log)


async def find(club: Club, **kind: int) -> None:
    """Run the pass that finds just this and puts it right, and one that finds nothing."""
    club.tick(minutes=1)
    result = await club.run()
    assert (found(result), result.status) == (kind, ExitStatus.OK)
    club.tick(minutes=1)
    before = len(club.writes)
    assert found(await club.run()) == {}
    assert len(club.writes) == before


async def test_a_court_booking_deleted_by_hand_is_created_again(club: Club) -> None:
    numbers = await club.some(3)
    club.wingfield.remove(str(numbers[1]), tombstone=True)
    await find(club, missing=1)
    assert set(club.wingfield.bookings) == set(map(str, numbers))
    assert club.rejections == []
    assert club.narrator.drift == [("missing", str(numbers[1]), "deleted in Wingfield")]


@pytest.mark.parametrize(
    ("hand", "words"),
    [
        ((2, 24), f"court changed from {ONE} to {TWO} in Wingfield"),
        ((1, 25), "start changed from 2026-11-21T12:00:00Z to 2026-11-21T13:00:00Z, end changed"),
        ((1, 24, 90), "end changed from 2026-11-21T13:00:00Z to 2026-11-21T13:30:00Z in Wingfield"),
    ],
)
async def test_one_that_was_moved_by_hand_goes_back_a_millisecond_above(club: Club, hand: Any, words: str) -> None:
    number = await club.one()
    club.by_hand(number, hand)
    await find(club, changed=1)
    assert club.slot_of(number) == (ONE, "2026-11-21T12:00:00Z")
    assert club.version(number) == "2026-11-20T12:00:00.001Z"
    assert words in club.narrator.drift[0][2]


async def test_other_people_are_found_though_the_version_is_the_same_and_not_their_order(club: Club) -> None:
    people = ["player@example.com", "ben@example.com"]
    number = club.book(custom_fields=[{"code": "players", "value": people[1]}])
    await club.run()
    club.by_hand(number, (1, 24), emails=people[::-1])
    club.tick(minutes=1)
    assert found(await club.run()) == {}
    club.by_hand(number, (1, 24), emails=["eve@example.com"])
    await find(club, changed=1)
    assert club.emails_of(number) == people
    assert club.narrator.drift == [("changed", str(number), "people changed in Wingfield")]


async def test_what_somebody_else_wrote_just_as_the_source_wants_it_is_adopted(club: Club) -> None:
    number = await club.one()
    club.overwrite(number, TWO, at=NOON + DAY)
    club.move(number, 2, 24)
    club.tick(minutes=1)
    assert found(await club.run()) == {"changed": 1}
    assert club.puts(number) == 1


async def test_one_that_nobody_lists_is_looked_up_and_deleted_under_the_guard(club: Club) -> None:
    club.limit(max_delete_count=1)
    await club.some(2)
    for n in range(2):
        club.overwrite(5000 + n, THREE, 30 + n, at=NOON)
    club.overwrite(6000, THREE, -100, at=NOON)
    result = await club.run()
    assert (found(result), counts(result)) == ({"extra": 2}, {"unchanged": 2, "withheld": 2})
    await club.expect(unchanged=2, deleted=2, allow=True)
    assert "6000" in club.wingfield.bookings


async def test_a_restored_older_state_is_brought_up_to_date(club: Club) -> None:
    stays, moved, goes = await club.some(3)
    await club.close()
    shutil.copy(club.state, club.folder / "backup")
    club.tick(hours=1)
    club.move(moved, 2, 30)
    club.launch27.cancel(goes)
    new = club.book(3, 30)
    await club.run()
    await club.lose_state()
    shutil.copy(club.folder / "backup", club.state)
    club.launch27.cancel(new)
    await find(club, changed=1, extra=1)
    assert set(club.wingfield.bookings) == {str(stays), str(moved)}
    assert club.rejections == []


async def test_the_list_is_read_again_only_where_it_does_not_fit(club: Club) -> None:
    await club.some(150)
    club.tick(minutes=1)
    club.overwrite("theirs", THREE, 200, at=NOON)
    club.tick(minutes=1)
    await club.run()
    for pages in (1, 1):
        club.wingfield.log.clear()
        club.tick(minutes=1)
        await club.run()
        assert lists(club) == pages
    club.overwrite("theirs too", THREE, 201, at=NOON)
    club.tick(minutes=1)
    club.wingfield.log.clear()
    await club.run()
    assert lists(club) == 1, "what is new can be seen"
    club.tick(minutes=10)
    for key, pages in (("theirs", 1 + 2), ("theirs too", 1)):
        club.wingfield.remove(key)
        club.wingfield.log.clear()
        club.tick(minutes=1)
        await club.run()
        assert lists(club) == pages, "what is gone costs one full read in ten minutes"
    club.tick(minutes=10)
    club.wingfield.log.clear()
    await club.run()
    assert lists(club) == 1 + 2


async def test_a_hand_at_the_very_moment_of_many_others_is_found_behind_them(club: Club) -> None:
    """Wingfield's times may be whole seconds, and it sorts by id what has the same."""
    number = (await club.some(30))[-1]
    club.by_hand(number, (3, 200))
    await find(club, changed=1)


async def test_what_a_write_of_ours_put_right_hides_no_later_hand(club: Club) -> None:
    """The list did not fit, and a move had already put it right: nobody else's bookings explain that."""
    moved, other, _ = await club.some(3)
    club.wingfield.remove(str(moved))
    club.move(moved, 2, 30)
    club.tick(minutes=1)
    await club.run()
    club.wingfield.remove(str(other))
    await find(club, missing=1)


async def test_all_is_read_every_verify_interval_and_once_for_a_new_process(club: Club) -> None:
    club.limits["verify_interval"] = DAY / 2
    first = (await club.some(150))[0]
    club.tick(minutes=1)
    club.move(first, 3, 200)
    await club.run()
    for minutes, pages in ((1, 1), (12 * 60 - 3, 1), (1, 1 + 2), (1, 1)):
        club.tick(minutes=minutes)
        club.wingfield.log.clear()
        await club.run()
        assert lists(club) == pages
    since = Since(list_ms=to_ms(club.now) + 1)
    club.tick(minutes=1)
    for pages in (1 + 2, 1):
        club.wingfield.log.clear()
        await club.run(since=since)
        assert lists(club) == pages


async def test_a_write_without_an_answer_is_no_drift(club: Club) -> None:
    one, other = await club.some(2)
    club.move(one, 1, 30)
    club.launch27.cancel(other)
    for method, number in (("PUT", one), ("DELETE", other)):
        club.wingfield.faults.add("status", times=None, match=of(method, number), applied=True)
    club.tick(minutes=1)
    assert found(await club.run()) == {}
    club.clear_faults()
    await find(club)


async def test_what_seems_to_be_missing_is_asked_for(club: Club) -> None:
    """A list may lack what is there, when it shifts while it is read."""
    number = await club.one()
    club.wingfield.remove(str(number))
    club.overwrite(5000, THREE, at=NOON)
    club.tick(minutes=1)
    await club.run()
    asked = [entry.id for entry in club.wingfield.log if entry.method == "GET" and entry.id]
    assert asked == [str(number)]


async def test_a_list_that_cannot_be_read_delays_nobody(club: Club) -> None:
    club.books(150)
    await club.run()
    club.wingfield.faults.add("status", times=None, match=lambda _, path: path.endswith("/court-bookings"))
    new = club.book(3, 200)
    club.tick(days=2)
    result = await club.try_later()
    assert (result.drift, result.record.created) == (None, 1)
    assert club.slot_of(new) is not None


# --- only reported ---


def delete(club: Club, number: int) -> None:
    club.wingfield.remove(str(number))


def move(club: Club, number: int) -> None:
    club.by_hand(number, (2, 24))


@pytest.mark.parametrize(
    ("hand", "detail"),
    [(delete, "deleted in Wingfield by somebody else"), (move, f"court changed from {ONE} to {TWO} in Wingfield by")],
)
@pytest.mark.parametrize("way", ["source", "approve", "repair"])
async def test_reported_drift_stays_until_the_source_changes_or_a_person_says_so(
    club: Club, hand: Callable[[Club, int], None], detail: str, way: str
) -> None:
    club.limits["drift"] = "report"
    number = await club.one()
    hand(club, number)
    before = len(club.writes)
    for _ in range(2):
        club.tick(hours=2)
        (held,) = (await club.expect(held={number: "drift"})).held
        assert held.detail.startswith(detail)
    assert len(club.writes) == before
    match way:
        case "source":
            club.move(number, 3, 24)
        case "approve":
            club.ledger.approve([str(number)], to_ms(club.now))
        case "repair":
            club.limits["drift"] = "repair"
    assert (await club.run()).status is ExitStatus.OK
    assert club.slot_of(number) == (THREE if way == "source" else ONE, "2026-11-21T12:00:00Z")


async def test_what_is_left_over_is_only_reported_and_deleted_when_a_person_says_so(club: Club) -> None:
    club.limits["drift"] = "report"
    await club.one()
    club.overwrite(5000, TWO, at=NOON)
    for _ in range(2):
        club.tick(minutes=1)
        await club.expect(unchanged=1, held={5000: "drift"})
    club.ledger.approve(["5000"], to_ms(club.now))
    await club.expect(unchanged=1, deleted=1)


async def test_reported_drift_that_was_put_right_by_hand_is_over(club: Club) -> None:
    club.limits["drift"] = "report"
    number = await club.one()
    club.by_hand(number, (2, 24))
    await club.expect(held={number: "drift"})
    club.tick(minutes=1)
    club.by_hand(number, (2, 26))
    await club.expect(held={number: "drift"})
    club.tick(minutes=1)
    club.by_hand(number, (1, 24))
    await club.expect(unchanged=1)
    assert Counter(kind for kind, _, _ in club.narrator.drift) == {"changed": 3}


async def test_a_dry_run_says_what_would_be_put_right(club: Club) -> None:
    one, other = await club.some(2)
    club.by_hand(one, (1, 30))
    club.wingfield.remove(str(other))
    club.tick(minutes=1)
    result = await club.run(dry_run=True)
    assert (found(result), len(result.planned)) == ({"missing": 1, "changed": 1}, 2)
    assert {write.why for write in result.planned} == {"somebody else changed it in Wingfield"}
    assert len(club.writes) == 2
    await find(club, missing=1, changed=1)
