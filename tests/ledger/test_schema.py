"""An older state is brought up to date and loses nothing; one that is not ours is left alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import StateError
from bridge.ledger.schema import VERSION
from bridge.ledger.store import Ledger
from bridge.model import CyclePlace, Held, Known, Rejection, Slot, Stored, from_ms
from bridge.records import PassRecord, Watermark
from tests.ledger.states import US, a_pass

SCHEMA_1 = (Path(__file__).parent / "data" / "schema_1.sql").read_text()
HOUR_MS = 3_600_000


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A state of 0.1, with one row more: a pass that was in sync."""
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.executescript(SCHEMA_1)
        raw.execute("INSERT INTO passes VALUES (2, 6000, 9, 'in_step', 2, 0, 0, 0, 2, 0, 0, '[]')")
    return path


def at(start: float, end: float, court: str = "c1") -> Slot:
    return Slot(court, from_ms(int(start * HOUR_MS)), from_ms(int(end * HOUR_MS)))


def says_what_it_said(ledger: Ledger) -> None:
    assert ledger.is_adopted
    assert ledger.held() == [Held("1001", "court_not_found", "there is no such court", 5500)]
    assert ledger.watermarks() == [Watermark("aa", 1, 5000, 2, None)]
    attention = PassRecord(5000, 184, "attention", 2, 0, 1, 0, 0, 0, 1, withheld=("1002",))
    assert ledger.passes() == [PassRecord(6000, 9, "in_sync", 2, 0, 0, 0, 2, 0, 0), attention]
    times = (HOUR_MS, 2 * HOUR_MS)
    first = Known("1001", "aa", 5000, b"\x01", "c1", *times, 5000, b"\x01", b"\x01", 4000)
    second = Known("1002", "aa", 5000, b"\x02", "c2", *times, 6000, b"\x03", b"\x03", 6000, 6500, 6500, allowed_ms=6500)
    assert ledger.known == {
        "1001": first._replace(
            rejection=Rejection(b"\x04", "court_not_found", "cfg", 5500), cycle=CyclePlace(7, at(1, 2), is_deleted=True)
        ),
        "1002": second._replace(unsettled=(Stored("1002", 6000, b"\x03", at(2, 2.5)),)),
    }


def test_a_state_of_schema_1_opens_and_loses_nothing(old: Path) -> None:
    with Ledger.snapshot(old, US) as snapshot:
        says_what_it_said(snapshot)
    for _ in range(2):
        with Ledger.open(old, US) as ledger:
            says_what_it_said(ledger)
    with Ledger.open(old, US) as ledger:
        ledger.record([], [Stored("1001", 9000, b"x", at(1, 2))])
        ledger.finish(a_pass(), [], [])
        assert not any(entry.cycle for entry in ledger.known.values())


def test_a_new_state_has_the_tables_that_the_frozen_one_grows_into(path: Path, old: Path) -> None:
    with Ledger.open(path, US) as new, Ledger.open(old, US) as upgraded:
        assert columns(new) == columns(upgraded)


def columns(ledger: Ledger) -> list[Any]:
    return ledger._rows(
        """
        SELECT t.name, c.name, c.type, c.pk, c."notnull"
        FROM sqlite_master AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table' ORDER BY 1, c.cid
        """
    )


def test_a_migration_that_fails_leaves_the_state_as_it_was(old: Path) -> None:
    with closing(sqlite3.connect(old)) as raw, raw:
        raw.execute("CREATE TABLE cycles (odd)")
    with closing(sqlite3.connect(old)) as raw:
        before = list(raw.iterdump())
    with pytest.raises(StateError, match="move it away"):
        Ledger.open(old, US)
    with closing(sqlite3.connect(old)) as raw:
        assert list(raw.iterdump()) == before
        assert raw.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_newer_state_is_rejected_with_the_way_out_and_left_as_it_is(path: Path) -> None:
    Ledger.open(path, US).close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(StateError, match=f"newer Courtbridge \\(schema {VERSION + 1}, .*upgrade Courtbridge, or move"):
        Ledger.open(path, US)
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)


def test_another_bridges_state_is_rejected_and_says_whose_it_is(path: Path) -> None:
    Ledger.open(path, US).close()
    for other in (
        replace(US, launch27_host="other.launch27.com"),
        replace(US, wingfield_host="other.wingfield.io"),
        replace(US, external_service_id="another"),
        replace(US, id_prefix="pad-"),
    ):
        for opening in (Ledger.open, Ledger.snapshot):
            with pytest.raises(StateError) as caught:
                opening(path, other)
            assert str(US) in str(caught.value)
            assert str(other) in str(caught.value)
            assert "sync.state" in str(caught.value)
    Ledger.open(path, US).close()
