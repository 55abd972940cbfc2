"""Reading the state beside whatever writes it, without touching its files."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from bridge.ledger.store import Ledger
from tests.ledger.states import US, a_pass, ended, files, stand
from tests.support.builders import put, slot


def test_a_snapshot_of_nothing_is_empty_and_makes_nothing(path: Path) -> None:
    with Ledger.snapshot(path, US) as snapshot:
        assert snapshot.known == {}
    assert not list(path.parent.iterdir())


def test_a_snapshot_of_a_resting_state_touches_nothing(path: Path) -> None:
    with Ledger.open(path, US) as ledger:
        stand(ledger, "7")
    before = files(path.parent)
    assert list(before) == ["courtbridge.db"]
    with Ledger.snapshot(path, US) as snapshot:
        assert list(snapshot.known) == ["7"]
        snapshot.finish(a_pass(), [], [])
    assert files(path.parent) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {name: content for name, (content, _) in files(folder).items() if not name.endswith("-shm")}


def test_a_snapshot_beside_a_writer_sees_what_was_committed_and_touches_no_byte(path: Path) -> None:
    with Ledger.open(path, US) as ledger:
        stand(ledger, "7")
        ledger._connection.execute("BEGIN IMMEDIATE")
        ledger._connection.execute("DELETE FROM bookings")
        before = contents(path.parent)
        with Ledger.snapshot(path, US) as snapshot:
            assert list(snapshot.known) == ["7"]
            stand(snapshot, "8")
        assert contents(path.parent) == before
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


def test_a_snapshot_after_a_kill_reads_the_log_and_leaves_the_folder_as_it_is(path: Path) -> None:
    left = killed(path)
    before = files(left.parent)
    with Ledger.snapshot(left, US) as snapshot:
        assert list(snapshot.known) == ["7"]
    assert files(left.parent) == before
    with Ledger.open(left, US) as reopened:
        assert list(reopened.known) == ["7"]


def test_a_writer_that_begins_while_a_snapshot_is_taken_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is being written must not be read as one that never changes."""
    with Ledger.open(path, US) as ledger:
        stand(ledger, "7")
    connect, began, uris = sqlite3.connect, list[Ledger](), list[str]()

    def connect_late(database: Any, *patience: Any, **options: Any) -> sqlite3.Connection:
        if "immutable" in str(database) and not began:
            began.append(Ledger.open(path, US))
            stand(began[0], "8")
        uris.append(str(database))
        connection: sqlite3.Connection = connect(database, *patience, **options)
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
                ledger.record(pair, [ended(each) for each in pair])
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
