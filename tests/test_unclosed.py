"""The check that every test undergoes: a connection is closed by whoever opened it."""

from __future__ import annotations

import gc
import sqlite3
import sqlite3.dbapi2
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from threading import Thread
from typing import Any
from weakref import ref

import pytest
from sqlite_utils import Database

from tests.unclosed import Watched, watched


def test_what_is_closed_is_not_spoken_of() -> None:
    with watched() as left:
        with closing(sqlite3.connect(":memory:")), closing(connect(":memory:")):
            pass
        Database(memory=True).close()
    assert left == []


def test_one_that_was_dropped_is_found() -> None:
    with watched() as left:
        sqlite3.connect(":memory:")
        sqlite3.dbapi2.connect(database=":memory:")
        Database(memory=True)
        gc.collect()
    assert len(left) == 3


def test_a_with_block_closes_nothing_but_the_watch_does() -> None:
    with watched() as left, connect(":memory:") as kept:
        kept.execute("SELECT 1")
    assert len(left) == 1
    assert left[0].startswith(f"{__file__}:")
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        kept.execute("SELECT 1")


def test_one_in_a_circle_of_garbage_is_found_without_a_collection() -> None:
    circle: list[Any] = []
    with watched() as left:
        circle += [circle, sqlite3.connect(":memory:")]
        del circle
    assert len(left) == 1


def test_one_of_another_thread_is_found() -> None:
    kept: list[sqlite3.Connection] = []
    with watched() as left:
        thread = Thread(target=lambda: kept.append(sqlite3.connect(":memory:")))
        thread.start()
        thread.join()
    assert len(left) == 1


def test_one_that_was_open_before_is_another_tests() -> None:
    with closing(connect(":memory:")):
        with watched() as left:
            pass
        assert left == []


def test_one_that_could_not_be_opened_needs_no_closing(tmp_path: Path) -> None:
    with watched() as left, pytest.raises(sqlite3.OperationalError):
        sqlite3.connect(tmp_path / "nowhere" / "some.db")
    assert left == []


def test_nothing_is_kept_alive() -> None:
    with closing(connect(":memory:")) as connection:
        assert isinstance(connection, Watched)
        watching = ref(connection)
    del connection
    gc.collect()
    assert watching() is None
