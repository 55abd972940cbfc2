"""The tables of what is known of bookings: a row for each, and three tables of what only few of them have."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import compress
from typing import Any

from bridge.ledger.schema import insert, place
from bridge.model import CyclePlace, Known, Rejection, Slot, Stored

_COLUMNS = Known._fields.index("unsettled")  # they are named as the fields before it
_BOOKING = ", ".join(Known._fields[:_COLUMNS])
_INTENT = "booking_id, version_ms, fingerprint, why, court_id, start_ms, end_ms"
_REJECTION = "booking_id, fingerprint, reason, config, at_ms"
_CYCLE = "booking_id, cycle, is_deleted, court_id, start_ms, end_ms"
_INSERT = insert("bookings", _BOOKING)


def _intents(known: Known) -> list[tuple[Any, ...]]:
    return [(known.id, lost.version_ms, lost.fingerprint, lost.why, *place(lost.slot)) for lost in known.unsettled]


def _rejections(known: Known) -> list[tuple[Any, ...]]:
    return [(known.id, one.fingerprint, one.reason, one.config, one.at_ms) for one in (known.rejection,) if one]


def _cycles(known: Known) -> list[tuple[Any, ...]]:
    return [(known.id, one.cycle, int(one.is_deleted), *one.slot.row) for one in (known.cycle,) if one]


_DETAILS: tuple[tuple[str, str, str, Callable[[Known], list[tuple[Any, ...]]]], ...] = (
    # the table, the field of an entry that it has, the statement that stores its rows, the rows of an entry
    ("intents", "unsettled", insert("intents", _INTENT), _intents),
    ("rejections", "rejection", insert("rejections", _REJECTION), _rejections),
    ("cycles", "cycle", insert("cycles", _CYCLE), _cycles),
)


def read(connection: sqlite3.Connection) -> dict[str, Known]:
    """Return all that is known, by Launch27 id. Raises KeyError for rows of no booking."""
    select = connection.execute
    values: dict[Any, Any] = {}  # equal ones are kept as one object: accounts, courts and fingerprints come again
    found = select(f"SELECT {_BOOKING} FROM bookings")  # noqa: S608 (our own names)
    known = {row[0]: Known(*(values.setdefault(each, each) for each in row)) for row in found}
    for id_, version_ms, content, why, *at in select(f"SELECT {_INTENT} FROM intents ORDER BY 1, 2"):  # noqa: S608
        lost = Stored(id_, version_ms, content, Slot.of_row(*at), why=why)
        known[id_] = known[id_]._replace(unsettled=(*known[id_].unsettled, lost))
    for id_, *rest in select(f"SELECT {_REJECTION} FROM rejections"):  # noqa: S608
        known[id_] = known[id_]._replace(rejection=Rejection(*rest))
    for id_, cycle, is_deleted, *at in select(f"SELECT {_CYCLE} FROM cycles"):  # noqa: S608
        if (slot := Slot.of_row(*at)) is not None:
            known[id_] = known[id_]._replace(cycle=CyclePlace(cycle, slot, bool(is_deleted)))
    return known


def store(connection: sqlite3.Connection, entries: Iterable[Known], before: Mapping[str, Known]) -> None:
    """Store entries within a transaction, and what belongs to them where it differs; the last of a booking counts."""
    latest = {known.id: known for known in entries}
    connection.executemany(_INSERT, (known[:_COLUMNS] for known in latest.values()))
    for table, field, statement, rows in _DETAILS:
        none = Known._field_defaults[field]
        differs = (getattr(before.get(id_), field, none) != getattr(each, field) for id_, each in latest.items())
        changed = list(compress(latest.values(), differs))
        _remove(connection, table, (each.id for each in changed))
        connection.executemany(statement, (row for each in changed for row in rows(each)))


def forget(connection: sqlite3.Connection, ids: Collection[str]) -> None:
    """Remove bookings, and all that belongs to them, within a transaction."""
    connection.executemany("DELETE FROM bookings WHERE id = ?", [(id_,) for id_ in ids])
    for table, *_ in _DETAILS:
        _remove(connection, table, ids)


def _remove(connection: sqlite3.Connection, table: str, ids: Iterable[str]) -> None:
    connection.executemany(f"DELETE FROM {table} WHERE booking_id = ?", [(id_,) for id_ in ids])  # noqa: S608
