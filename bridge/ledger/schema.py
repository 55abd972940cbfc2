"""The tables of the ledger, and how an older one is brought up to date.

bookings    one row for each booking ever sent (or first seen): acknowledged, intended, first sight
intents     writes without an answer yet: what else Wingfield may have
rejections  content that Wingfield rejected, so that it is not sent again for a while
cycles      the old places of a cycle of moves, while one of it is temporarily deleted
held        what is held, since when, and where it wants to stand
accounts    watermarks
passes      the last passes with their counts
approvals   deletes that a person let through, until a pass takes them
history     what happened to each booking, and why
meta        whose state this is, and what is remembered from pass to pass, as JSON
"""

from __future__ import annotations

import sqlite3
from itertools import chain
from typing import TYPE_CHECKING

from bridge.errors import StateError
from bridge.ledger.failures import REBUILT

if TYPE_CHECKING:
    from bridge.model import Slot


def insert(table: str, columns: str) -> str:
    """Return the statement that stores a row with these columns, named side by side."""
    marks = ", ".join("?" * (columns.count(",") + 1))
    return f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 (our own names)


def place(slot: Slot | None) -> tuple[str | None, int | None, int | None]:
    """Return the three columns of a slot."""
    return slot.row if slot else (None, None, None)


_PLACE = {"court_id": str, "start_ms": int, "end_ms": int}
_COUNTS = dict.fromkeys(("seen", "created", "updated", "deleted", "unchanged", "ignored", "held"), int)
_BOOKING = {
    "id": str,
    "account": str,
    "acked_version_ms": int,
    "acked_fingerprint": bytes,
    **_PLACE,
    "intended_version_ms": int,
    "intended_fingerprint": bytes,
    "seen_fingerprint": bytes,
    "seen_ms": int,
    "gone_ms": int,
    "asked_ms": int,
    "allowed": int,
}
_ACCOUNT = {"account": str, "number": int, "listed_ms": int, "listed_count": int, "source_updated_ms": int}
_PASS = {"id": int, "started_ms": int, "duration_ms": int, "outcome": str, **_COUNTS, "withheld": str}

_TABLES_1: tuple[tuple[str, dict[str, type], tuple[str, ...], set[str]], ...] = (
    # name, columns, primary key, columns that may be null
    ("meta", {"name": str, "value": str}, ("name",), set()),
    ("bookings", _BOOKING, ("id",), {"acked_version_ms", "intended_version_ms", "gone_ms", "asked_ms", *_PLACE}),
    (
        "intents",
        {"booking_id": str, "version_ms": int, "fingerprint": bytes, **_PLACE},
        ("booking_id", "version_ms"),
        set(_PLACE),
    ),
    (
        "refusals",
        {"booking_id": str, "fingerprint": bytes, "reason": str, "config": str, "at_ms": int},
        ("booking_id",),
        set(),
    ),
    ("rings", {"booking_id": str, "ring": int, "taken_out": int, **_PLACE}, ("booking_id",), set()),
    (
        "held",
        {"booking_id": str, "nth": int, "reason": str, "detail": str, "since_ms": int},
        ("booking_id", "nth"),
        set(),
    ),
    ("accounts", _ACCOUNT, ("account",), {"listed_ms", "listed_count", "source_updated_ms"}),
    ("passes", _PASS, ("id",), set()),
)


_CHANGES: tuple[tuple[str, ...], ...] = (
    (  # to version 2: what 0.1 named otherwise
        "ALTER TABLE refusals RENAME TO rejections",
        "ALTER TABLE rings RENAME TO cycles",
        "ALTER TABLE cycles RENAME COLUMN ring TO cycle",
        "ALTER TABLE cycles RENAME COLUMN taken_out TO is_deleted",
        "ALTER TABLE bookings RENAME COLUMN asked_ms TO looked_up_ms",
        "UPDATE passes SET outcome = 'in_sync' WHERE outcome LIKE 'in_s%'",
    ),
    (  # to version 3: what the rules of 0.2 remember
        "ALTER TABLE bookings RENAME COLUMN allowed TO allowed_ms",
        "UPDATE bookings SET allowed_ms = coalesce(gone_ms, 0) WHERE allowed_ms = 1",
        "ALTER TABLE bookings ADD COLUMN doubted_ms INTEGER",
        "ALTER TABLE bookings ADD COLUMN is_approved INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE bookings ADD COLUMN failures INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE bookings ADD COLUMN config TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE passes ADD COLUMN pending INTEGER NOT NULL DEFAULT 0",
        "CREATE TABLE approvals (booking_id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT",
    ),
    (  # to version 4: the history, and what 0.2 wants to know of writes, held bookings, accounts and passes
        "ALTER TABLE intents ADD COLUMN why TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE held ADD COLUMN service_id INTEGER",
        "ALTER TABLE held ADD COLUMN court_id TEXT",
        "ALTER TABLE held ADD COLUMN start_ms INTEGER",
        "ALTER TABLE held ADD COLUMN end_ms INTEGER",
        """CREATE TABLE history (
            id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, booking_id TEXT NOT NULL, action TEXT NOT NULL,
            why TEXT NOT NULL, court_id TEXT, start_ms INTEGER, end_ms INTEGER, version_ms INTEGER
        ) STRICT""",
        "ALTER TABLE accounts ADD COLUMN failing_since_ms INTEGER",
        "ALTER TABLE passes ADD COLUMN kind TEXT NOT NULL DEFAULT 'full'",
    ),
)
VERSION = 1 + len(_CHANGES)


def migrate(connection: sqlite3.Connection, source: str) -> None:
    """Bring the schema up to date in one transaction.

    Raises StateError if a newer program wrote it.
    """
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found == VERSION:
        return
    if found > VERSION:
        raise StateError(
            f"{source}: written by a newer Courtbridge (schema {found}, this one knows {VERSION}); "
            f"upgrade Courtbridge, or {REBUILT}"
        )
    from sqlite_utils import Database

    db = Database(connection)
    with db.atomic():
        if not found:
            for name, columns, key, nullable in _TABLES_1:
                not_null = set(columns) - set(key) - nullable
                db.table(name).create(columns, pk=key[0] if len(key) == 1 else key, not_null=not_null, strict=True)
        for statement in chain(*_CHANGES[max(found - 1, 0) :]):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")
