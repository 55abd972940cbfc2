"""SQLite's errors as StateError, each with a way out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from bridge.errors import StateBusy, StateError

REBUILT = "move it away: the next pass builds a new one from Wingfield's list"


@contextmanager
def translated(source: str) -> Iterator[None]:
    """Raise StateError for every error of SQLite's; ``source`` is the path it is about."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", "") or ""
        kind = StateBusy if code.startswith("SQLITE_BUSY") else StateError
        raise kind(f"{source}: {_words(code, error)}") from None


def _words(code: str, error: sqlite3.Error) -> str:
    if code.startswith("SQLITE_FULL"):
        return "the disk is full; make room and run again"
    if code.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN", "SQLITE_AUTH")):
        return f"the state cannot be written or opened ({error}); check its owner, mode and folder"
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return f"the state is damaged ({error}); {REBUILT}"
    if code.startswith("SQLITE_BUSY"):
        return "the state is locked by another program; try again when it is done"
    if code.startswith("SQLITE_IOERR"):
        return f"the disk failed or is full ({error}); make room or mend it, and run again"
    return f"the state cannot be used ({error}); {REBUILT}"
