"""Finds connections to a database that nobody closed, on every Python; only since 3.13 it does so itself."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any
from weakref import WeakSet

_HERE = (__file__, sqlite3.__file__)

_open: WeakSet[Watched] = WeakSet()
_dropped: list[str] = []


class Watched(sqlite3.Connection):
    """A connection that knows where it was opened; unlike its parent it can be referred to weakly."""

    opened_at = ""  # … as long as it is to be closed

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.opened_at = _place(sys._getframe(1))
        _open.add(self)

    def close(self) -> None:
        super().close()
        self.forget()

    def forget(self) -> None:
        self.opened_at = ""
        _open.discard(self)

    def __del__(self) -> None:
        if self.opened_at:
            _dropped.append(self.opened_at)


def _place(frame: FrameType | None) -> str:
    """Where a connection is opened, innermost first: of a helper, who called it matters as well."""
    places: list[str] = []
    while frame is not None and len(places) < 3:
        code = frame.f_code
        if code.co_filename not in _HERE:
            places.append(f"{code.co_filename}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(places)


_connect = sqlite3.connect


def connect(*args: Any, **options: Any) -> sqlite3.Connection:
    """Do as sqlite3.connect, but watch what is opened."""
    if len(args) < 6:  # the sixth is the factory
        options.setdefault("factory", Watched)
    connection: sqlite3.Connection = _connect(*args, **options)
    return connection


def install() -> None:
    """Watch from now on. Whoever imports the name ``connect`` does so afterwards."""
    sqlite3.connect = sqlite3.dbapi2.connect = connect  # type: ignore[assignment]


@contextmanager
def watched() -> Iterator[list[str]]:
    """Yield a list: at the end it says where those were opened inside that are not closed by then."""
    before = WeakSet(_open)
    _dropped.clear()
    left: list[str] = []
    try:
        yield left
    finally:
        for connection in set(_open) - set(before):
            left.append(connection.opened_at)
            with suppress(sqlite3.Error):  # … of another thread's
                connection.close()
            connection.forget()
        left += _dropped
        _dropped.clear()
