"""The ledger: what is stored comes back, whole or not at all, whatever is done to the process or the file."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import AlreadyRunning, StateError
from bridge.ledger.store import PASSES_KEPT, SCHEMA, Closing, Ledger, hold
from bridge.model import (
    ABSENT,
    CyclePlace,
    Ending,
    Held,
    Identity,
    Known,
    Outcome,
    PassRecord,
    Rejection,
    Slot,
    Stored,
    Verb,
    Watermark,
    Write,
    fingerprint,
    from_ms,
    to_ms,
)

DAY = datetime(2026, 11, 21, tzinfo=UTC)
US = Identity("acme.launch27.com", "497f6eca-6276-4993-bfeb-53cbbbba6f08", "")
SCHEMA_1 = (Path(__file__).parent / "data" / "schema_1.sql").read_text()


def slot(hour: float, court: str = "c1") -> Slot:
    start = DAY + timedelta(hours=hour)
    return Slot(court, start, start + timedelta(hours=1))


def put(id_: str, place: Slot, version_ms: int, **fields: Any) -> Write:
    content = fingerprint(place, ["player@example.com"])
    write = Write(Verb.UPDATE, id_, place, ("player@example.com",), content, version_ms, "new", sighted_ms=500)
    return replace(write, **fields)


def take(id_: str, version_ms: int, **fields: Any) -> Write:
    return replace(Write(Verb.DELETE, id_, None, (), ABSENT, version_ms, "gone"), **fields)


def ended(write: Write, ending: Ending, reason: str = "", at_ms: int = 900) -> Outcome:
    return Outcome(write, ending, reason, "cfg", at_ms)


def acked(write: Write) -> Outcome:
    return ended(write, Ending.ACKNOWLEDGED)


def a_pass(started_ms: int = 1000, withheld: tuple[str, ...] = ()) -> PassRecord:
    return PassRecord(started_ms, 184, "in_sync", 9, 1, 2, 3, 4, 5, 6, withheld)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "courtbridge.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger.open(path, US) as opened:
        yield opened


def only(ledger: Ledger) -> Known:
    (known,) = ledger.known.values()
    return known


# --- intents and outcomes ---


def test_a_new_ledger_knows_nothing(ledger: Ledger) -> None:
    assert (ledger.known, ledger.held(), ledger.watermarks(), ledger.passes()) == ({}, [], [], [])
    assert not ledger.is_adopted


def test_an_intent_is_a_place_it_may_stand_at(ledger: Ledger) -> None:
    write = put("7", slot(9), 1000)
    ledger.record([write], [])
    known = only(ledger)
    assert known.unsettled == (Stored(1000, write.fingerprint, slot(9)),)
    assert (known.intended_version_ms, known.intended_fingerprint) == (1000, write.fingerprint)
    assert (known.seen_fingerprint, known.seen_ms) == (write.fingerprint, 500)
    assert (known.acked_version_ms, known.acked_fingerprint, known.places) == (None, ABSENT, (slot(9),))


def test_an_acknowledged_write_is_where_it_stands(ledger: Ledger) -> None:
    write = put("7", slot(9), 1000)
    ledger.record([write], [])
    ledger.record([], [acked(write)])
    known = only(ledger)
    assert known.stands_as(write.fingerprint)
    assert (known.slot, known.acked_version_ms) == (slot(9), 1000)


def test_an_unanswered_write_stays_in_doubt_beside_what_stood_before(ledger: Ledger) -> None:
    first, second = put("7", slot(9), 1000), put("7", slot(10), 2000)
    ledger.record([first], [])
    ledger.record([second], [acked(first)])
    ledger.record([], [ended(second, Ending.UNANSWERED)])
    assert only(ledger).places == (slot(9), slot(10))


def test_an_answer_settles_all_that_was_in_doubt_before(ledger: Ledger) -> None:
    writes = [put("7", slot(hour), 1000 + hour) for hour in (9, 10, 11)]
    for write in writes:
        ledger.record([write], [ended(write, Ending.UNANSWERED)])
    assert len(only(ledger).unsettled) == 3
    ledger.record([], [acked(writes[1])])
    assert only(ledger).unsettled == (writes[2].written,)
    ledger.record([], [acked(writes[2])])
    assert only(ledger).places == (slot(11),)


@pytest.mark.parametrize("ending", [Ending.REJECTED, Ending.NOT_SENT])
def test_a_write_that_was_not_applied_is_no_place_to_stand_at(ledger: Ledger, ending: Ending) -> None:
    write = put("7", slot(9), 1000)
    ledger.record([write], [])
    ledger.record([], [ended(write, ending, "court_not_found")])
    known = only(ledger)
    assert (known.unsettled, known.places, known.is_bridged) == ((), (), False)
    assert known.intended_version_ms == 1000, "its version may not be used for other content"


def test_a_delete_leaves_the_last_slot_behind(ledger: Ledger) -> None:
    ledger.record([put("7", slot(9), 1000)], [])
    ledger.record([take("7", 2000)], [acked(put("7", slot(9), 1000))])
    ledger.record([], [acked(take("7", 2000))])
    known = only(ledger)
    assert (known.slot, known.last_slot, known.is_bridged) == (None, slot(9), False)
    assert known.last_end_ms == to_ms(slot(9).end)


def test_a_repeated_intent_is_one_intent(ledger: Ledger) -> None:
    write = put("7", slot(9), 1000)
    ledger.record([write], [])
    ledger.record([write], [ended(write, Ending.UNANSWERED)])
    assert only(ledger).unsettled == (write.written,)


def test_a_way_back_is_no_sighting(ledger: Ledger) -> None:
    ledger.record([put("7", slot(9), 1000)], [])
    seen = only(ledger).seen_fingerprint
    ledger.record([put("7", slot(10), 2000, sighted_ms=0)], [])
    assert (only(ledger).seen_fingerprint, only(ledger).seen_ms) == (seen, 500)


def test_a_delete_keeps_the_first_sight(ledger: Ledger) -> None:
    ledger.record([put("7", slot(9), 1000)], [])
    ledger.record([take("7", 2000)], [])
    assert only(ledger).seen_ms == 500


# --- what was read back ---


def test_what_was_found_replaces_all_doubt(ledger: Ledger) -> None:
    ledger.record([put("7", slot(9), 1000)], [])
    ledger.record([], [Stored("7", 1500, b"other", slot(11))])
    known = only(ledger)
    assert (known.acked_version_ms, known.acked_fingerprint, known.places) == (1500, b"other", (slot(11),))


def test_what_was_found_missing_stands_nowhere_and_keeps_its_version(ledger: Ledger) -> None:
    ledger.record([put("7", slot(9), 1000)], [])
    ledger.record([], [Stored("7", 1000, ABSENT, None)])
    assert (only(ledger).places, only(ledger).acked_version_ms) == ((), 1000)


def test_what_was_found_after_an_outcome_of_the_same_booking_counts(ledger: Ledger) -> None:
    write = put("7", slot(9), 1000)
    ledger.record([write], [])
    ledger.record([], [ended(write, Ending.REJECTED, "court_not_found"), Stored("7", 900, b"other", slot(8))])
    known = only(ledger)
    assert known.places == (slot(8),)
    assert known.rejection is not None


# --- refusals ---


def test_a_refusal_is_remembered_with_its_configuration_and_time(ledger: Ledger) -> None:
    write = put("7", slot(9), 1000)
    ledger.record([write], [])
    ledger.record([], [ended(write, Ending.REJECTED, "court_not_found", at_ms=900)])
    assert only(ledger).rejection == Rejection(write.fingerprint, "court_not_found", "cfg", 900)


def test_a_refusal_is_forgotten_when_something_else_was_accepted(ledger: Ledger) -> None:
    write, other = put("7", slot(9), 1000), put("7", slot(10), 2000)
    ledger.record([write], [])
    ledger.record([other], [ended(write, Ending.REJECTED, "court_not_found")])
    ledger.record([], [acked(other)])
    assert only(ledger).rejection is None


@pytest.mark.parametrize("detour", [take("7", 2000, is_temporary=True, cycle=1), put("7", slot(8), 2000, sighted_ms=0)])
def test_a_refusal_outlives_the_detours_of_a_ring(ledger: Ledger, detour: Write) -> None:
    write = put("7", slot(9), 1000)
    ledger.record([write], [])
    ledger.record([detour], [ended(write, Ending.REJECTED, "court_not_found")])
    ledger.record([], [acked(detour)])
    assert only(ledger).rejection is not None


# --- rings ---


def cut(id_: str, *others: str, ring: int = 5, version_ms: int = 3000) -> Write:
    places = tuple((each, slot(hour)) for hour, each in enumerate((id_, *others), 9))
    return take(id_, version_ms, is_temporary=True, cycle=ring, places=places)


def stand(ledger: Ledger, *ids: str) -> None:
    writes = [put(id_, slot(hour), 1000) for hour, id_ in enumerate(ids, 9)]
    ledger.record(writes, [])
    ledger.record([], [acked(write) for write in writes])


def test_a_cut_ring_is_remembered_with_the_intent_of_its_cut(ledger: Ledger) -> None:
    stand(ledger, "1", "2")
    ledger.record([cut("1", "2")], [])
    known = ledger.known
    assert known["1"].cycle == CyclePlace(5, slot(9), is_deleted=True)
    assert known["2"].cycle == CyclePlace(5, slot(10), is_deleted=False)


@pytest.mark.parametrize("ending", [Ending.NOT_SENT, Ending.REJECTED])
def test_a_ring_whose_cut_never_happened_is_forgotten(ledger: Ledger, ending: Ending) -> None:
    stand(ledger, "1", "2")
    ledger.record([cut("1", "2")], [])
    ledger.record([], [ended(cut("1", "2"), ending)])
    assert all(known.cycle is None for known in ledger.known.values())


def test_a_ring_is_open_until_all_of_it_are_back(ledger: Ledger) -> None:
    stand(ledger, "1", "2", "3")
    cuts = [cut("1", "2", "3"), replace(cut("2", "1", "3"), places=cut("1", "2", "3").places)]
    ledger.record(cuts, [])
    ledger.record([], [acked(each) for each in cuts])
    assert {id_ for id_, known in ledger.known.items() if known.is_temporarily_deleted} == {"1", "2"}
    back = [put("1", slot(20), 4000), put("2", slot(21), 4000)]
    ledger.record(back, [])
    ledger.record([], [acked(back[0])])
    assert {id_ for id_, known in ledger.known.items() if known.is_temporarily_deleted} == {"2"}
    assert all(known.cycle for known in ledger.known.values())
    ledger.record([], [acked(back[1])])
    assert not any(known.cycle for known in ledger.known.values())


def test_one_ring_is_closed_without_the_other(ledger: Ledger) -> None:
    stand(ledger, "1", "2", "3", "4")
    ledger.record([cut("1", "2", cycle=5), cut("3", "4", cycle=6)], [])
    back = put("1", slot(20), 4000)
    ledger.record([back], [])
    ledger.record([], [acked(back)])
    assert {id_ for id_, known in ledger.known.items() if known.cycle} == {"3", "4"}


def test_a_ring_is_still_known_after_a_restart_and_closed_then(path: Path) -> None:
    with Ledger.open(path, US) as before:
        stand(before, "1", "2")
        before.record([cut("1", "2")], [])
    with Ledger.open(path, US) as after:
        assert after.known["1"].is_temporarily_deleted
        back = put("1", slot(20), 4000)
        after.record([back], [])
        after.record([], [acked(back)])
        assert not any(known.cycle for known in after.known.values())


def test_one_that_is_found_standing_is_temporarily_deleted_no_more(ledger: Ledger) -> None:
    stand(ledger, "1", "2")
    ledger.record([cut("1", "2")], [])
    ledger.record([], [Stored("1", 1000, b"x", slot(9))])
    assert not ledger.known["1"].is_temporarily_deleted


# --- adoption ---


def test_what_was_adopted_is_acknowledged_and_as_if_just_sent(ledger: Ledger) -> None:
    ledger.adopt([Stored("7", 1000, b"x", slot(9)), Stored("8", 1, ABSENT, None)])
    assert ledger.is_adopted
    known = only(ledger)
    assert known.stands_as(b"x")
    assert (known.id, known.account, known.slot) == ("7", "", slot(9))
    assert known.highest_ms == known.seen_ms == known.intended_version_ms == 1000


def test_adopting_nothing_is_remembered_too(ledger: Ledger) -> None:
    ledger.adopt([])
    assert ledger.is_adopted
    assert ledger.known == {}


# --- the end of a pass ---


def test_what_is_held_keeps_the_moment_it_began_for_as_long_as_its_reason(ledger: Ledger) -> None:
    overlap = Held("7", "court_booking_overlap", "taken by 8")
    ledger.finish(Closing(a_pass(1000), [overlap]))
    ledger.finish(Closing(a_pass(2000), [replace(overlap, detail="taken by 9")]))
    assert ledger.held() == [Held("7", "court_booking_overlap", "taken by 9", 1000)]
    ledger.finish(Closing(a_pass(3000), [replace(overlap, reason="no_duration")]))
    assert ledger.held() == [Held("7", "no_duration", "taken by 8", 3000)]
    ledger.finish(Closing(a_pass(4000)))
    assert ledger.held() == []


def test_several_without_a_readable_id_are_held_side_by_side(ledger: Ledger) -> None:
    held = [Held("", "invalid_booking", f"line {n}") for n in range(3)]
    ledger.finish(Closing(a_pass(), held))
    assert [entry.detail for entry in ledger.held()] == ["line 0", "line 1", "line 2"]


def test_a_sighting_is_remembered_from_the_first_time_on(ledger: Ledger) -> None:
    ledger.finish(Closing(a_pass(1000), sightings=[("7", b"x")]))
    ledger.finish(Closing(a_pass(2000), sightings=[("7", b"x")]))
    assert (only(ledger).seen_fingerprint, only(ledger).seen_ms) == (b"x", 1000)
    ledger.finish(Closing(a_pass(3000), sightings=[("7", b"y")]))
    assert (only(ledger).seen_fingerprint, only(ledger).seen_ms) == (b"y", 3000)
    assert not only(ledger).is_bridged


def test_owners_are_remembered(ledger: Ledger) -> None:
    stand(ledger, "7")
    ledger.finish(Closing(a_pass(), owners=[("7", "aa"), ("8", "aa")]))
    assert {id_: known.account for id_, known in ledger.known.items()} == {"7": "aa"}


def test_who_was_found_gone_first_is_remembered_until_it_is_back(ledger: Ledger) -> None:
    stand(ledger, "7", "8")
    ledger.asked(["7"], ["8"], 1000)
    ledger.asked(["7"], [], 2000)
    known = ledger.known
    assert (known["7"].gone_ms, known["7"].looked_up_ms) == (1000, 2000)
    assert (known["8"].gone_ms, known["8"].looked_up_ms) == (None, 1000)
    ledger.asked([], ["7"], 3000)
    assert (ledger.known["7"].gone_ms, ledger.known["7"].looked_up_ms) == (None, 3000)


def test_who_is_back_in_the_listing_is_neither_gone_nor_allowed_to_be_deleted(ledger: Ledger) -> None:
    stand(ledger, "7")
    ledger.asked(["7"], [], 1000)
    ledger.allow(["7", "nobody"])
    assert only(ledger).allowed
    ledger.finish(Closing(a_pass(), back=["7"]))
    assert (only(ledger).gone_ms, only(ledger).allowed) == (None, 0)


def test_an_acknowledged_write_uses_up_the_permission_to_delete(ledger: Ledger) -> None:
    stand(ledger, "7")
    ledger.allow(["7"])
    ledger.record([take("7", 2000)], [])
    assert only(ledger).allowed
    ledger.record([], [acked(take("7", 2000))])
    assert not only(ledger).allowed


def test_what_is_forgotten_leaves_no_trace(ledger: Ledger, path: Path) -> None:
    stand(ledger, "7", "8")
    ledger.record([cut("7", "8")], [ended(put("7", slot(9), 1000), Ending.REJECTED, "court_not_found")])
    ledger.finish(Closing(a_pass(), forgotten=["7"]))
    assert list(ledger.known) == ["8"]
    assert "'7'" not in _text_of(path)


def test_watermarks_are_those_of_the_last_pass_in_the_order_of_their_numbers(ledger: Ledger) -> None:
    first, second = Watermark("aa", 2, 1000, 9, None), Watermark("bb", 1, None, None, 5)
    ledger.finish(Closing(a_pass(), watermarks=[first, second]))
    assert ledger.watermarks() == [second, first]
    ledger.finish(Closing(a_pass(), watermarks=[first]))
    assert ledger.watermarks() == [first]


def test_passes_come_back_as_they_were_the_newest_first(ledger: Ledger) -> None:
    passes = [a_pass(n, withheld=("7", "8") if n == 3 else ()) for n in range(1, 5)]
    for each in passes:
        ledger.finish(Closing(each))
    assert ledger.passes() == passes[::-1]
    assert ledger.passes(2) == passes[:1:-1]


def test_only_the_last_passes_are_kept(path: Path) -> None:
    with Ledger.open(path, US) as ledger:
        ledger._connection.execute("PRAGMA synchronous = OFF")
        for number in range(PASSES_KEPT + 5):
            ledger.finish(Closing(a_pass(number)))
        kept = ledger.passes(10_000)
    assert len(kept) == PASSES_KEPT
    assert kept[-1].started_ms == 5


# --- all or nothing ---


def busy(path: Path) -> Ledger:
    ledger = Ledger.open(path, US)
    stand(ledger, "1", "2", "3")
    ledger.record([cut("1", "2"), put("3", slot(30), 2000)], [])
    ledger.finish(Closing(a_pass(), [Held("9", "no_duration", "how long?")], watermarks=[Watermark("aa", 1, 1, 1, 1)]))
    return ledger


STEPS: dict[str, Callable[[Ledger], object]] = {
    "record": lambda ledger: ledger.record(
        [put("4", slot(40), 3000), cut("2", "3", cycle=9, version_ms=9000)],
        [acked(cut("1", "2")), ended(put("3", slot(30), 2000), Ending.REJECTED, "x"), Stored("2", 1, b"x", slot(1))],
    ),
    "adopt": lambda ledger: ledger.adopt([Stored(str(n), 1, b"x", slot(n)) for n in range(300)]),
    "allow": lambda ledger: ledger.allow(["1", "2"]),
    "asked": lambda ledger: ledger.asked(["1"], ["2", "3"], 7000),
    "finish": lambda ledger: ledger.finish(
        Closing(
            a_pass(9000),
            [Held("1", "no_participant", "who?")],
            sightings=[("5", b"x")],
            owners=[("1", "bb")],
            back=["2"],
            forgotten=["3"],
            watermarks=[Watermark("bb", 1, 2, 3, 4)],
        )
    ),
}


def everything(ledger: Ledger) -> tuple[Any, ...]:
    tables = ("meta", "bookings", "intents", "refusals", "rings", "held", "accounts", "passes")
    return tuple(ledger._rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables)  # noqa: S608 (names of ours)


@pytest.mark.parametrize("step", STEPS)
def test_each_step_is_there_whole_or_not_at_all_whenever_the_process_dies(step: str, tmp_path: Path) -> None:
    """At every statement of the step, the files are copied as a kill would leave them."""
    ledger = busy(tmp_path / "live.db")
    before = everything(ledger)
    copies: list[Path] = []

    def copy(_: str) -> None:
        folder = tmp_path / f"copy{len(copies)}"
        folder.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(tmp_path / f"live.db{suffix}", folder / f"live.db{suffix}")
        copies.append(folder / "live.db")

    ledger._connection.set_trace_callback(copy)
    STEPS[step](ledger)
    ledger._connection.set_trace_callback(None)
    after = everything(ledger)
    ledger.close()
    assert after != before
    assert len(copies) >= 3
    for each in random.Random(1).sample(copies, min(len(copies), 12)):
        with Ledger.open(each, US) as survivor:
            assert everything(survivor) in (before, after)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_half_way_changes_nothing(step: str, path: Path) -> None:
    ledger = busy(path)
    before = everything(ledger)
    work = 0

    def count() -> int:
        nonlocal work
        work += 1
        return 0

    with Ledger.snapshot(path, US) as probe:
        probe._connection.set_progress_handler(count, 1)
        STEPS[step](probe)
    left = work * 2 // 3

    def interrupt() -> int:
        nonlocal left
        left -= 1
        return int(left == 0)

    ledger._connection.set_progress_handler(interrupt, 1)
    with pytest.raises(StateError, match="interrupted"):
        STEPS[step](ledger)
    ledger._connection.set_progress_handler(None, 1)
    assert everything(ledger) == before
    STEPS[step](ledger)
    assert everything(ledger) != before
    ledger.close()


def test_every_commit_is_on_the_disk_before_it_counts(ledger: Ledger) -> None:
    assert ledger._rows("PRAGMA synchronous") == [(2,)]
    assert ledger._rows("PRAGMA journal_mode") == [("wal",)]


def test_a_step_may_be_stored_by_another_thread(ledger: Ledger) -> None:
    thread = threading.Thread(target=stand, args=(ledger, "7"))
    thread.start()
    thread.join()
    assert only(ledger).slot == slot(9)


# --- the file ---


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_files_are_for_their_owner_only(path: Path) -> None:
    before = os.umask(0)
    try:
        with hold(path), Ledger.open(path, US) as ledger:
            stand(ledger, "7")
            modes = {each.name: mode(each) for each in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes.keys() >= {"courtbridge.db", "courtbridge.db.lock"}
    assert set(modes.values()) == {0o600}


def test_folders_that_are_missing_are_made(tmp_path: Path) -> None:
    path = tmp_path / "var" / "lib" / "courtbridge.db"
    with hold(path), Ledger.open(path, US):
        assert path.exists()


def test_no_name_and_no_address_of_a_person_is_in_the_file(path: Path) -> None:
    with Ledger.open(path, US) as ledger:
        stand(ledger, "7", "8")
        ledger.record([cut("7", "8")], [])
        ledger.finish(Closing(a_pass(), [Held("9", "no_participant", "no usable address")]))
        everything_on_disk = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert b"player" not in everything_on_disk
    assert "@" not in _text_of(path)


def _text_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as raw:
        return "\n".join(raw.iterdump())


def test_the_representation_names_the_file_and_nothing_else(ledger: Ledger, path: Path) -> None:
    assert repr(ledger) == f"Ledger({path})"


def test_closing_twice_is_no_error(path: Path) -> None:
    ledger = Ledger.open(path, US)
    ledger.close()
    ledger.close()


# --- schemas ---


def test_a_state_of_schema_1_opens_and_says_what_it_said(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(SCHEMA_1)
    with Ledger.open(path, US) as ledger:
        known = ledger.known
        assert ledger.is_adopted
        assert ledger.held() == [Held("1001", "court_not_found", "there is no such court", 5500)]
        assert ledger.watermarks() == [Watermark("aa", 1, 5000, 2, None)]
        assert ledger.passes() == [PassRecord(5000, 184, "attention", 2, 0, 1, 0, 0, 0, 1, ("1002",))]
        ledger.finish(Closing(a_pass(6000)))
    hour = 3_600_000
    place = Slot("c1", from_ms(hour), from_ms(2 * hour))
    assert known["1001"].slot == place
    assert known["1001"].rejection == Rejection(b"\x04", "court_not_found", "cfg", 5500)
    assert known["1001"].cycle == CyclePlace(7, place, is_deleted=True)
    assert known["1002"].unsettled == (Stored(6000, b"\x03", Slot("c1", from_ms(2 * hour), from_ms(9000000))),)
    assert (known["1002"].gone_ms, known["1002"].looked_up_ms, known["1002"].allowed) == (6500, 6500, 1)


def test_a_new_state_has_the_tables_that_the_frozen_one_grows_into(path: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old)) as raw:
        raw.executescript(SCHEMA_1)
    with Ledger.open(path, US) as new, Ledger.open(old, US) as upgraded:
        assert columns(new) == columns(upgraded)


def columns(ledger: Ledger) -> list[Any]:
    return ledger._rows(
        """
        SELECT t.name, c.name, c.type, c.pk, c."notnull"
        FROM sqlite_master AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table' ORDER BY 1, c.cid
        """
    )


def test_a_newer_state_is_refused_with_the_way_out_and_left_as_it_is(path: Path) -> None:
    Ledger.open(path, US).close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    with pytest.raises(StateError, match=f"newer Courtbridge \\(schema {SCHEMA + 1}, .*upgrade Courtbridge, or move"):
        Ledger.open(path, US)
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (SCHEMA + 1,)


def test_another_bridges_state_is_refused_and_says_whose_it_is(path: Path) -> None:
    Ledger.open(path, US).close()
    for other in (
        Identity("other.launch27.com", US.external_service_id, ""),
        Identity(US.launch27_host, "another", ""),
        Identity(US.launch27_host, US.external_service_id, "pad-"),
    ):
        for opening in (Ledger.open, Ledger.snapshot):
            with pytest.raises(StateError) as caught:
                opening(path, other)
            assert str(US) in str(caught.value)
            assert str(other) in str(caught.value)
            assert "sync.state" in str(caught.value)
    Ledger.open(path, US).close()


# --- damage ---


def test_a_file_that_is_no_database_is_refused_with_the_way_out(path: Path) -> None:
    path.write_bytes(b"this is no database, but it is long enough to be looked at " * 40)
    for opening in (Ledger.open, Ledger.snapshot):
        with pytest.raises(StateError, match=r"damaged.*move it away"):
            opening(path, US)
    assert path.read_bytes().startswith(b"this is no database")


def test_a_damaged_page_is_refused_when_it_is_met(path: Path) -> None:
    with Ledger.open(path, US) as ledger:
        stand(ledger, *map(str, range(200)))
        ledger._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StateError, match=r"courtbridge\.db: .*move it away"), Ledger.open(path, US) as ledger:
        ledger.known


def test_a_truncated_file_is_refused(path: Path) -> None:
    with Ledger.open(path, US) as ledger:
        stand(ledger, *map(str, range(200)))
    os.truncate(path, 5000)
    with pytest.raises(StateError, match="move it away"), Ledger.open(path, US) as ledger:
        ledger.known


def test_an_empty_file_is_a_new_state(path: Path) -> None:
    path.touch()
    with Ledger.open(path, US) as ledger:
        assert ledger.known == {}


def test_a_folder_in_the_place_of_the_file_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StateError, match="check the owner and mode"):
        Ledger.open(path, US)
    with pytest.raises(StateError):
        Ledger.snapshot(path, US)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").touch()
    path = tmp_path / "folder" / "courtbridge.db"
    with pytest.raises(StateError):
        Ledger.open(path, US)
    with pytest.raises(StateError, match="a folder that can be written"), hold(path):
        pass


def test_a_state_locked_by_another_program_is_refused_after_a_while(path: Path) -> None:
    with Ledger.open(path, US) as ledger, closing(sqlite3.connect(path, isolation_level=None)) as other:
        ledger._connection.execute("PRAGMA busy_timeout = 10")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match="locked by another program"):
            stand(ledger, "7")
        other.execute("ROLLBACK")
        stand(ledger, "7")


# --- another user, a full disk: in a child, since root may do everything ---

PRELUDE = """
import os, resource, signal, sys
from pathlib import Path
from bridge.errors import StateError
from bridge.model import Identity
from bridge.ledger.store import Ledger, hold
path = Path(sys.argv[1])
US = Identity("acme.launch27.com", "497f6eca-6276-4993-bfeb-53cbbbba6f08", "")
def adopt(ledger, count):
    from bridge.model import Stored, Slot, from_ms
    ledger.adopt(Stored(str(n), 1, b"x", Slot("c1", from_ms(n), from_ms(n + 1))) for n in range(count))
def become_nobody():
    if os.getuid() == 0:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
"""


def run_child(body: str, path: Path, *, timeout: float = 30) -> str:
    """Run Python in a process of its own and return what it printed."""
    code = PRELUDE + textwrap.dedent(body)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, cwd=root, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """Return a state whose folders others may enter; pytest's own are closed to them."""
    folder = tmp_path
    while folder != folder.parent and folder.owner() == tmp_path.owner() and mode(folder) == 0o700:
        folder.chmod(0o711)
        folder = folder.parent
    place = tmp_path / "state"
    place.mkdir()
    place.chmod(0o777)
    return place / "courtbridge.db"


FOREIGN = {
    "file read-only": (0o444, 0o777, "Ledger.open(path, US)", "check the owner and mode"),
    "file closed": (0o000, 0o777, "Ledger.open(path, US)", "check the owner and mode"),
    "file closed to a reader": (0o000, 0o777, "Ledger.snapshot(path, US)", "check"),
    "folder read-only": (0o666, 0o555, "Ledger.open(path, US)", "check its owner, mode and folder"),
    "folder closed": (0o666, 0o000, "Ledger.open(path, US)", "check the owner and mode"),
    "folder closed to a reader": (0o666, 0o000, "Ledger.snapshot(path, US)", "Permission denied"),
    "no place for the lock": (0o666, 0o555, "hold(path).__enter__()", "a folder that can be written"),
}


def test_a_state_that_another_user_owns_is_refused_with_what_to_check(open_path: Path) -> None:
    """Each case in a process of its own, forked from one: an interpreter takes its time to start."""
    with Ledger.open(open_path, US) as ledger:
        stand(ledger, "7")
    said = run_child(
        f"""
        cases = {FOREIGN!r}
        for name, (file_mode, folder_mode, call, _) in cases.items():
            path.chmod(file_mode)
            path.parent.chmod(folder_mode)
            if os.fork() == 0:
                become_nobody()
                try:
                    eval(call)
                except StateError as error:
                    print(name, error, sep="|", flush=True)
                os._exit(0)
            os.wait()
            path.parent.chmod(0o777)
        """,
        open_path,
    )
    sentences = dict(line.split("|") for line in said.splitlines())
    assert sentences.keys() == FOREIGN.keys()
    for name, (_, _, _, words) in FOREIGN.items():
        assert words in sentences[name], name
        assert sentences[name].startswith(str(open_path))


def test_a_reader_needs_no_right_to_write(open_path: Path) -> None:
    with Ledger.open(open_path, US) as ledger:
        stand(ledger, "7")
    open_path.chmod(0o444)
    open_path.parent.chmod(0o555)
    try:
        said = run_child("become_nobody()\nprint(list(Ledger.snapshot(path, US).known))", open_path)
    finally:
        open_path.parent.chmod(0o777)
    assert said.strip() == "['7']"


def test_a_full_disk_is_a_state_error_and_what_was_stored_stays(path: Path) -> None:
    """A limit on the size of files is as good as a full disk: the write fails in the middle."""
    said = run_child(
        """
        ledger = Ledger.open(path, US)
        adopt(ledger, 1)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
        stored = 1
        try:
            while True:
                adopt(ledger, stored + 50)
                stored += 50
        except StateError as error:
            print(stored)
            print(error)
        print(len(ledger.known))
        """,
        path,
    )
    stored, sentence, known = said.splitlines()
    assert "make room" in sentence
    assert int(known) in (int(stored), int(stored) + 50)
    with Ledger.open(path, US) as ledger:
        assert len(ledger.known) == int(known)
        stand(ledger, "more")


def test_a_database_that_may_not_grow_is_a_full_disk(ledger: Ledger) -> None:
    stand(ledger, "7")
    pages = ledger._rows("PRAGMA page_count")[0][0]
    ledger._rows(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StateError, match="the disk is full; make room and run again"):
        stand(ledger, *map(str, range(1000)))
    assert list(ledger.known) == ["7"]


def test_a_table_that_is_missing_is_a_state_to_be_moved_away(ledger: Ledger) -> None:
    ledger._rows("DROP TABLE held")
    with pytest.raises(StateError, match=r"cannot be used .*move it away"):
        ledger.held()


# --- snapshots ---


def listing(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in folder.iterdir()}


def test_a_snapshot_of_nothing_is_empty_and_makes_nothing(path: Path) -> None:
    with Ledger.snapshot(path, US) as snapshot:
        assert snapshot.known == {}
    assert not list(path.parent.iterdir())


def test_a_snapshot_of_a_resting_state_touches_nothing(path: Path) -> None:
    with Ledger.open(path, US) as ledger:
        stand(ledger, "7")
    before = listing(path.parent)
    assert list(before) == ["courtbridge.db"]
    with Ledger.snapshot(path, US) as snapshot:
        assert list(snapshot.known) == ["7"]
        snapshot.finish(Closing(a_pass()))
    assert listing(path.parent) == before


def test_a_snapshot_beside_a_writer_sees_what_was_committed_and_touches_no_byte(path: Path) -> None:
    with Ledger.open(path, US) as ledger:
        stand(ledger, "7")
        ledger._connection.execute("BEGIN IMMEDIATE")
        ledger._connection.execute("DELETE FROM bookings")
        before = {name: content for name, (content, _) in listing(path.parent).items() if name[-4:] != "-shm"}
        with Ledger.snapshot(path, US) as snapshot:
            assert list(snapshot.known) == ["7"]
            stand(snapshot, "8")
        after = {name: content for name, (content, _) in listing(path.parent).items() if name[-4:] != "-shm"}
        assert after == before
        ledger._connection.execute("ROLLBACK")
        assert list(ledger.known) == ["7"]


def killed(path: Path) -> Path:
    """Return a state as a killed process leaves it: with a log, and without its index."""
    left = path.parent / "left"
    left.mkdir()
    with Ledger.open(path, US) as ledger:
        stand(ledger, "7")
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", left / f"courtbridge.db{suffix}")
    return left / "courtbridge.db"


def test_a_snapshot_after_a_kill_reads_the_log_that_was_left_behind(path: Path) -> None:
    left = killed(path)
    with Ledger.snapshot(left, US) as snapshot:
        assert list(snapshot.known) == ["7"]
    assert left.with_name("courtbridge.db-wal").exists()
    with Ledger.open(left, US) as reopened:
        assert list(reopened.known) == ["7"]


def test_a_snapshot_after_a_kill_leaves_the_folder_as_it_is(path: Path) -> None:
    left = killed(path)
    before = listing(left.parent)
    Ledger.snapshot(left, US).close()
    assert listing(left.parent) == before


def test_a_writer_that_begins_while_a_snapshot_is_taken_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is being written must not be read as one that never changes."""
    with Ledger.open(path, US) as ledger:
        stand(ledger, "7")
    connect, began, uris = sqlite3.connect, list[Ledger](), list[str]()

    def connect_late(database: Any, **options: Any) -> sqlite3.Connection:
        if "immutable" in str(database) and not began:
            began.append(Ledger.open(path, US))
            stand(began[0], "8")
        uris.append(str(database))
        connection: sqlite3.Connection = connect(database, **options)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_late)
    with Ledger.snapshot(path, US) as snapshot:
        assert sorted(snapshot.known) == ["7", "8"]
    assert uris[-1].endswith("?mode=ro")
    began[0].close()


def test_a_snapshot_of_a_path_with_odd_characters(tmp_path: Path) -> None:
    path = tmp_path / "a ?#%41 folder" / "state.db"
    with Ledger.open(path, US) as ledger:
        stand(ledger, "7")
    with Ledger.snapshot(path, US) as snapshot:
        assert list(snapshot.known) == ["7"]


def test_snapshots_beside_a_busy_writer_are_always_whole(path: Path) -> None:
    """The writer changes two rows together; no snapshot may see one of them alone."""
    stop = threading.Event()
    with Ledger.open(path, US) as ledger:
        ledger._connection.execute("PRAGMA synchronous = OFF")
        stand(ledger, "1", "2")

        def write() -> None:
            version = 2000
            while not stop.is_set():
                pair = [put("1", slot(9), version), put("2", slot(10), version)]
                ledger.record(pair, [acked(each) for each in pair])
                version += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(25):
                with Ledger.snapshot(path, US) as snapshot:
                    known = snapshot.known
                assert known["1"].intended_version_ms == known["2"].intended_version_ms
        finally:
            stop.set()
            writer.join()


# --- one at a time ---

HOLDER = """
    with hold(path):
        print(os.getpid(), flush=True)
        sys.stdin.read()
"""


def start_holder(path: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(HOLDER), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    assert child.stdout.readline().strip() == str(child.pid)
    return child


def end(child: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    child.send_signal(number)
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()


def test_a_second_process_is_told_who_holds_the_state_and_a_killed_one_never_blocks(path: Path) -> None:
    child = start_holder(path)
    try:
        with pytest.raises(AlreadyRunning) as caught, hold(path):
            pass
        said = str(caught.value)
        assert f"process {child.pid}, running since 20" in said
        assert str(path) in said
        with Ledger.snapshot(path, US):
            pass
    finally:
        end(child)
    with hold(path):
        holder = json.loads(path.with_name(path.name + ".lock").read_text())
        assert holder["pid"] == os.getpid()


def test_a_state_that_was_held_can_be_held_again(path: Path) -> None:
    for _ in range(3):
        with hold(path):
            pass


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x", "since": 7}', '{"pid": 7}', "\x00" * 300])
def test_a_holder_that_cannot_be_read_is_another_process(path: Path, content: str) -> None:
    with hold(path):
        path.with_name(path.name + ".lock").write_text(content)
        with pytest.raises(AlreadyRunning, match="another process holds this state"), hold(path):
            pass


def test_the_lock_of_one_state_is_none_of_another(path: Path) -> None:
    with hold(path), hold(path.with_name("another.db")):
        pass


def test_the_lock_ends_with_its_block_also_where_that_fails(path: Path) -> None:
    with suppress(ZeroDivisionError), hold(path):
        raise ZeroDivisionError
    with hold(path):
        pass


# --- size ---


def test_a_thousand_writes_are_a_handful_of_transactions(ledger: Ledger) -> None:
    commits: Sequence[str] = []
    statements: list[str] = []
    ledger._connection.set_trace_callback(statements.append)
    writes = [put(str(n), slot(n), 1000) for n in range(1000)]
    ledger.record(writes, [])
    ledger.record([], [acked(write) for write in writes])
    commits = [statement for statement in statements if statement.startswith("COMMIT")]
    assert len(commits) == 2
    assert len(ledger.known) == 1000


def test_rows_of_no_booking_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "courtbridge.db"
    with Ledger.open(path, US):
        pass
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO rings VALUES ('1', 1, 1, 'c', 1, 2)")
    with Ledger.open(path, US) as ledger, pytest.raises(StateError, match="damaged"):
        ledger.known
