"""The tables of the ledger, and how an older one is brought up to date.

bookings    one row for each booking ever sent (or first seen): acknowledged, intended, first sight
intents     writes without an answer yet: what else Wingfield may have
rejections  content that Wingfield rejected, so that it is not sent again for a while
cycles      the old places of a cycle of moves, while one of it is temporarily deleted
held        what is held, and since when
accounts    watermarks
passes      the last passes with their counts
meta        whose state this is
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge.errors import StateError
from bridge.ledger.failures import REBUILT

if TYPE_CHECKING:
    from sqlite_utils import Database


def _version_1(db: Database) -> None:
    db.table("meta").create({"name": str, "value": str}, pk="name", not_null={"value"}, strict=True)
    db.table("bookings").create(
        {
            "id": str,
            "account": str,
            "acked_version_ms": int,
            "acked_fingerprint": bytes,
            "court_id": str,
            "start_ms": int,
            "end_ms": int,
            "intended_version_ms": int,
            "intended_fingerprint": bytes,
            "seen_fingerprint": bytes,
            "seen_ms": int,
            "gone_ms": int,
            "asked_ms": int,
            "allowed": int,
        },
        pk="id",
        not_null={"account", "acked_fingerprint", "intended_fingerprint", "seen_fingerprint", "seen_ms", "allowed"},
        strict=True,
    )
    place = {"court_id": str, "start_ms": int, "end_ms": int}
    db.table("intents").create(
        {"booking_id": str, "version_ms": int, "fingerprint": bytes, **place},
        pk=("booking_id", "version_ms"),
        not_null={"fingerprint"},
        strict=True,
    )
    db.table("refusals").create(
        {"booking_id": str, "fingerprint": bytes, "reason": str, "config": str, "at_ms": int},
        pk="booking_id",
        not_null={"fingerprint", "reason", "config", "at_ms"},
        strict=True,
    )
    db.table("rings").create(
        {"booking_id": str, "ring": int, "taken_out": int, **place},
        pk="booking_id",
        not_null={"ring", "taken_out", *place},
        strict=True,
    )
    db.table("held").create(
        {"booking_id": str, "nth": int, "reason": str, "detail": str, "since_ms": int},
        pk=("booking_id", "nth"),
        not_null={"reason", "detail", "since_ms"},
        strict=True,
    )
    db.table("accounts").create(
        {"account": str, "number": int, "listed_ms": int, "listed_count": int, "source_updated_ms": int},
        pk="account",
        not_null={"number"},
        strict=True,
    )
    counts = dict.fromkeys(("seen", "created", "updated", "deleted", "unchanged", "ignored", "held"), int)
    db.table("passes").create(
        {"id": int, "started_ms": int, "duration_ms": int, "outcome": str, **counts, "withheld": str},
        pk="id",
        not_null={"started_ms", "duration_ms", "outcome", *counts, "withheld"},
        strict=True,
    )


def _version_2(db: Database) -> None:
    """Rename what 0.1 named otherwise."""
    for statement in (
        "ALTER TABLE refusals RENAME TO rejections",
        "ALTER TABLE rings RENAME TO cycles",
        "ALTER TABLE cycles RENAME COLUMN ring TO cycle",
        "ALTER TABLE cycles RENAME COLUMN taken_out TO is_deleted",
        "ALTER TABLE bookings RENAME COLUMN asked_ms TO looked_up_ms",
        "UPDATE passes SET outcome = 'in_sync' WHERE outcome = 'in_step'",
    ):
        db.execute(statement)


_MIGRATIONS: tuple[Callable[[Database], None], ...] = (_version_1, _version_2)
VERSION = len(_MIGRATIONS)


def migrate(connection: sqlite3.Connection, source: str) -> None:
    """Bring the schema up to date, one version at a time, in one transaction.

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
        for version, migration in enumerate(_MIGRATIONS[found:], found + 1):
            migration(db)
            db.execute(f"PRAGMA user_version = {version}")
