"""The ledger: what is stored comes back, whole or not at all, whatever is done to the process or the file."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import StateError
from bridge.ledger.entry import Ending
from bridge.ledger.lock import lock
from bridge.ledger.store import PASSES_KEPT, Ledger
from bridge.model import ABSENT, CyclePlace, Held, Stored
from bridge.planning.deletes import decided_before
from bridge.records import Watermark
from tests.ledger.states import US, a_pass, cut, ended, mode, only, rejected, stand
from tests.support.builders import never_sent, put, slot


def test_a_new_ledger_knows_nothing(ledger: Ledger) -> None:
    assert (ledger.known, ledger.held(), ledger.watermarks(), ledger.passes()) == ({}, [], [], [])
    assert not ledger.is_adopted


def test_the_intents_of_one_transaction_follow_its_outcomes(ledger: Ledger) -> None:
    first, second = put(), put(place=slot(10), version_ms=2000)
    ledger.record([first], [])
    ledger.record([second], [ended(first)])
    assert (only(ledger).slot, only(ledger).unsettled) == (first.slot, (second.stored,))


def test_what_is_not_known_has_no_outcome(ledger: Ledger) -> None:
    ledger.record([], [ended(put()), Stored("8", 1, b"x", slot())])
    assert ledger.known == {}


@pytest.mark.parametrize("found", [[Stored("7", 1000, b"x", slot(9)), Stored("8", 1, ABSENT, None)], []])
def test_adoption_is_remembered_also_of_nothing(ledger: Ledger, found: list[Stored]) -> None:
    ledger.adopt(found)
    assert ledger.is_adopted
    assert {id_: entry.slot for id_, entry in ledger.known.items()} == ({"7": slot(9)} if found else {})


# --- cycles ---


def in_cycles(ledger: Ledger) -> set[str]:
    return {id_ for id_, entry in ledger.known.items() if entry.cycle}


def deleted(ledger: Ledger) -> set[str]:
    return {id_ for id_, entry in ledger.known.items() if entry.is_temporarily_deleted}


def test_a_cycle_is_remembered_with_the_intent_of_its_cut(ledger: Ledger) -> None:
    stand(ledger, "1", "2")
    ledger.record([cut("1", "2")], [])
    assert ledger.known["1"].cycle == CyclePlace(5, slot(9), is_deleted=True)
    assert ledger.known["2"].cycle == CyclePlace(5, slot(10), is_deleted=False)


@pytest.mark.parametrize("ending", [Ending.NOT_SENT, Ending.REJECTED])
def test_a_cycle_whose_cut_never_happened_is_forgotten(ledger: Ledger, ending: Ending) -> None:
    stand(ledger, "1", "2")
    ledger.record([cut("1", "2")], [])
    ledger.record([], [ended(cut("1", "2"), ending)])
    assert not in_cycles(ledger)


def test_a_cycle_is_open_until_all_of_it_are_back(ledger: Ledger) -> None:
    stand(ledger, "1", "2", "3")
    cuts = [cut("1", "2", "3"), replace(cut("2", "1", "3"), places=cut("1", "2", "3").places)]
    ledger.record(cuts, [])
    ledger.record([], [ended(each) for each in cuts])
    assert deleted(ledger) == {"1", "2"}
    back = [put("1", slot(20), 4000), put("2", slot(21), 4000)]
    ledger.record(back, [])
    ledger.record([], [ended(back[0])])
    assert deleted(ledger) == {"2"}
    assert in_cycles(ledger) == {"1", "2", "3"}
    ledger.record([], [ended(back[1])])
    assert not in_cycles(ledger)


def test_one_cycle_is_closed_without_the_other_also_after_a_restart(path: Path) -> None:
    with Ledger.open(path, US) as before:
        stand(before, "1", "2", "3", "4")
        before.record([cut("1", "2", cycle=5), cut("3", "4", cycle=6)], [])
    with Ledger.open(path, US) as after:
        assert deleted(after) == {"1", "3"}
        back = put("1", slot(20), 4000)
        after.record([back], [])
        after.record([], [ended(back)])
        assert in_cycles(after) == {"3", "4"}


def test_a_cycle_that_its_deleted_booking_leaves_for_another_is_closed(ledger: Ledger) -> None:
    """The delete of 1 got no answer, and the source changed its mind: now 1 changes places with 3."""
    stand(ledger, "1", "2", "3")
    ledger.record([cut("1", "2", cycle=5)], [])
    ledger.record([cut("1", "3", cycle=6, version_ms=4000)], [])
    assert (in_cycles(ledger), deleted(ledger)) == ({"1", "3"}, {"1"})


# --- the end of a pass ---


def test_where_a_held_booking_wants_to_stand_is_kept_as_far_as_it_is_known(path: Path) -> None:
    somewhere = replace(slot(), court_id="", end=slot().start)
    held = [
        Held("1", "court_booking_overlap", "taken", 1000, slot()),
        Held("2", "ambiguous_court", "two", 1000, somewhere, 4),
        Held("3", "invalid_booking", "odd", 1000),
    ]
    with Ledger.open(path, US) as ledger:
        ledger.finish(a_pass(1000), held, [])
    with Ledger.snapshot(path, US) as again:
        assert again.held() == held


def test_an_approval_that_comes_while_others_are_taken_is_kept_for_the_next_pass(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand(ledger, "7", "8")
    ledger.approve(["7"], 5)
    read = ledger._rows

    def read_and_approve(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        found = read(sql, *parameters)
        monkeypatch.undo()
        ledger.approve(["8"], 6)
        return found

    monkeypatch.setattr(ledger, "_rows", read_and_approve)
    assert ledger.take_approvals(9) == ("7",)
    assert ledger.take_approvals(9) == ("8",)
    assert ledger.take_approvals(9) == ()


def test_an_approval_given_since_the_pass_began_counts_in_it(ledger: Ledger) -> None:
    stand(ledger, "7")
    ledger.approve(["7"], 900)
    assert ledger.take_approvals(500) == ("7",)
    assert decided_before(only(ledger), 500)


def test_several_without_a_readable_id_are_held_side_by_side(ledger: Ledger) -> None:
    ledger.finish(a_pass(), [Held("", "invalid_booking", f"line {n}") for n in range(3)], [])
    assert [entry.detail for entry in ledger.held()] == ["line 0", "line 1", "line 2"]


def test_what_is_forgotten_leaves_no_trace_but_its_history(ledger: Ledger, path: Path) -> None:
    stand(ledger, "7", "8")
    ledger.record([cut("7", "8")], [rejected(put("7", slot(9)))])
    ledger.finish(a_pass(), [], [], forgotten=["7"])
    assert list(ledger.known) == ["8"]
    assert {event.id for event in ledger.history(9)} == {"7", "8"}
    ledger._connection.execute("DELETE FROM history")
    assert "'7'" not in _text_of(path)


def test_watermarks_are_those_of_the_last_pass_in_the_order_of_their_numbers(ledger: Ledger) -> None:
    first, second = Watermark("aa", 2, 1000, 9, None), Watermark("bb", 1, None, None, 5)
    ledger.finish(a_pass(), [], [first, second])
    assert ledger.watermarks() == [second, first]
    ledger.finish(a_pass(), [], [first])
    assert ledger.watermarks() == [first]


def test_passes_come_back_as_they_were_the_newest_first(ledger: Ledger) -> None:
    passes = [a_pass(n, withheld=("7", "8") if n == 3 else ()) for n in range(1, 5)]
    for each in passes:
        ledger.finish(each, [], [])
    assert ledger.passes() == passes[::-1]
    assert ledger.passes(2) == passes[:1:-1]


def test_only_the_last_passes_are_kept(ledger: Ledger) -> None:
    ledger._connection.execute("PRAGMA synchronous = OFF")
    for number in range(PASSES_KEPT + 5):
        ledger.finish(a_pass(number), [], [])
    kept = ledger.passes(10_000)
    assert len(kept) == PASSES_KEPT
    assert kept[-1].started_ms == 5


# --- all or nothing ---


def busy(path: Path) -> Ledger:
    ledger = Ledger.open(path, US)
    stand(ledger, "1", "2", "3")
    ledger.record([cut("1", "2"), put("3", slot(30), 2000)], [])
    ledger.finish(a_pass(), [Held("9", "no_duration", "how long?")], [Watermark("aa", 1, 1, 1, 1)])
    return ledger


STEPS: dict[str, Callable[[Ledger], object]] = {
    "record": lambda ledger: ledger.record(
        [put("4", slot(40), 3000), cut("2", "3", cycle=9, version_ms=9000)],
        [ended(cut("1", "2")), rejected(put("3", slot(30), 2000)), Stored("2", 1, b"x", slot(1))],
    ),
    "adopt": lambda ledger: ledger.adopt([Stored(str(n), 1, b"x", slot(n)) for n in range(300)]),
    "save": lambda ledger: ledger.save([entry._replace(allowed_ms=1) for entry in ledger.known.values()]),
    "finish": lambda ledger: ledger.finish(
        a_pass(9000),
        [Held("1", "no_participant", "nobody")],
        [Watermark("bb", 1, 2, 3, 4)],
        entries=[never_sent("5"), ledger.known["1"]._replace(account="bb")],
        forgotten=["3"],
    ),
}


def everything(ledger: Ledger) -> tuple[Any, ...]:
    tables = ("meta", "bookings", "intents", "rejections", "cycles", "held", "accounts", "passes", "history")
    rows = [ledger._rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]  # noqa: S608 (names of ours)
    return dict(ledger.known), *rows


@pytest.mark.parametrize("step", STEPS)
def test_each_step_is_there_whole_or_not_at_all_whenever_the_process_dies(step: str, tmp_path: Path) -> None:
    """At every statement of the step, the files are copied as a kill would leave them."""
    copies: list[Path] = []

    def copy(_: str) -> None:
        folder = tmp_path / f"copy{len(copies)}"
        folder.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(tmp_path / f"live.db{suffix}", folder / f"live.db{suffix}")
        copies.append(folder / "live.db")

    with busy(tmp_path / "live.db") as ledger:
        before = everything(ledger)
        ledger._connection.set_trace_callback(copy)
        STEPS[step](ledger)
        ledger._connection.set_trace_callback(None)
        after = everything(ledger)
    assert after != before
    assert len(copies) >= 3
    for each in random.Random(1).sample(copies, min(len(copies), 12)):
        with Ledger.open(each, US) as survivor:
            assert everything(survivor) in (before, after)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_half_way_changes_nothing(step: str, path: Path) -> None:
    left = 0

    def work() -> int:
        nonlocal left
        left -= 1
        return int(left == 0)

    with busy(path) as ledger:
        before = everything(ledger)
        with Ledger.snapshot(path, US) as probe:
            assert everything(probe) == before
            probe._connection.set_progress_handler(work, 1)
            STEPS[step](probe)
        left = -left * 2 // 3
        ledger._connection.set_progress_handler(work, 1)
        with pytest.raises(StateError, match="interrupted"):
            STEPS[step](ledger)
        ledger._connection.set_progress_handler(None, 1)
        assert everything(ledger) == before
        STEPS[step](ledger)
        assert everything(ledger) != before


def test_every_commit_is_on_the_disk_before_it_counts(ledger: Ledger) -> None:
    assert ledger._rows("PRAGMA synchronous") == [(2,)]
    assert ledger._rows("PRAGMA journal_mode") == [("wal",)]


def test_only_a_pass_in_which_nothing_happened_does_not_wait_for_the_disk(ledger: Ledger) -> None:
    said: list[str] = []
    ledger._connection.set_trace_callback(said.append)
    ledger.finish(a_pass(), [], [])
    assert said[-1] == "PRAGMA shrink_memory"
    stand(ledger, "7")
    ledger.finish(a_pass(), [], [], entries=[only(ledger)])
    ledger.finish(a_pass(), [], [], forgotten=["7"])
    modes = [sql.rpartition(" ")[2] for sql in said if sql.startswith("PRAGMA synchronous")]
    assert modes == ["NORMAL", *["FULL"] * (len(modes) - 1)]
    assert len(modes) == said.count("BEGIN IMMEDIATE")


def test_equal_values_are_read_as_one_object(path: Path, ledger: Ledger) -> None:
    stand(ledger, "7", "8")
    with Ledger.open(path, US) as again:
        one, other = again.known["7"], again.known["8"]
        assert one.court_id is other.court_id
        assert one.acked_fingerprint is one.intended_fingerprint


def test_a_step_may_be_stored_by_another_thread(ledger: Ledger) -> None:
    thread = threading.Thread(target=stand, args=(ledger, "7"))
    thread.start()
    thread.join()
    assert only(ledger).slot == slot(9)


def test_a_thousand_writes_are_a_handful_of_transactions(ledger: Ledger) -> None:
    statements: list[str] = []
    ledger._connection.set_trace_callback(statements.append)
    stand(ledger, *map(str, range(1000)))
    assert sum(statement.startswith("COMMIT") for statement in statements) == 2
    assert len(ledger.known) == 1000


# --- the file ---


def test_the_files_are_for_their_owner_only(path: Path) -> None:
    before = os.umask(0)
    try:
        with lock(path), Ledger.open(path, US) as ledger:
            stand(ledger, "7")
            modes = {each.name: mode(each) for each in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes.keys() >= {"courtbridge.db", "courtbridge.db.lock"}
    assert set(modes.values()) == {0o600}


def test_folders_that_are_missing_are_made(tmp_path: Path) -> None:
    path = tmp_path / "var" / "lib" / "courtbridge.db"
    with lock(path), Ledger.open(path, US):
        assert path.exists()


def test_no_name_and_no_address_of_a_person_is_in_the_file(path: Path) -> None:
    with Ledger.open(path, US) as ledger:
        stand(ledger, "7", "8")
        ledger.record([cut("7", "8")], [])
        ledger.finish(a_pass(), [Held("9", "no_participant", "no usable address")], [])
        everything_on_disk = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert b"player" not in everything_on_disk
    assert "@" not in _text_of(path)


def _text_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as raw:
        return "\n".join(raw.iterdump())


def test_closing_twice_is_no_error(ledger: Ledger) -> None:
    ledger.close()
    ledger.close()
