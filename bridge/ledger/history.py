"""What happened to each booking, and why: every acknowledged write, adoption, drift and approval.

Its rows are stored in the transactions of what they tell, and old ones go with them: a quiet pass costs nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from bridge.ledger.rows import insert, of_slot
from bridge.model import DAY_MS, Ending, Known, Outcome, Slot, Stored, Verb

KEPT_MS = 90 * DAY_MS
MOST_ROWS = 200_000

_COLUMNS = "at_ms, booking_id, action, court_id, start_ms, end_ms, version_ms, why"
_INSERT = insert("history", _COLUMNS)


class Event(NamedTuple):
    """One row: what happened to a booking at ``at_ms``, in milliseconds since 1970.

    ``action`` is create, update, delete, adopt, drift or approve. ``court_id`` to ``end_ms`` are where it then stood,
    of a delete where it stood before; ``version_ms`` is its version in Wingfield. Each may be unknown.
    """

    at_ms: int
    id: str
    action: str
    court_id: str | None
    start_ms: int | None
    end_ms: int | None
    version_ms: int | None
    why: str

    @classmethod
    def of(cls, at_ms: int, id_: str, action: str, slot: Slot | None, version_ms: int | None, why: str) -> Event:
        """Return what happened to a booking at ``slot``."""
        return cls(at_ms, id_, action, *of_slot(slot), version_ms, why)


def came_of(known: Known, outcome: Outcome | Stored, at_ms: int) -> Event | None:
    """Return what an answer adds, ``known`` being the entry before it; None unless a write is now known to be done.

    A repeated write keeps the reason of the first time. What is acknowledged without an intent was read back, and had
    been written by somebody else.
    """
    if isinstance(outcome, Stored):
        return _found(known, outcome, at_ms)
    write = outcome.write
    if outcome.ending is not Ending.ACKNOWLEDGED:
        return None
    for sent in known.unsettled:
        if sent.version_ms == write.version_ms:
            return Event.of(at_ms, write.id, write.verb, write.slot, write.version_ms, sent.why or write.why)
    return Event.of(at_ms, write.id, "adopt", write.slot, write.version_ms, "Wingfield had it already")


def _found(known: Known, stored: Stored, at_ms: int) -> Event | None:
    """Return the lost write that a look at Wingfield shows to be done."""
    for lost in reversed(known.unsettled):
        is_delete = lost.slot is None
        if is_delete is (stored.slot is None) and (is_delete or lost.version_ms == stored.version_ms):
            verb = Verb.DELETE if is_delete else Verb.UPDATE if known.slot else Verb.CREATE
            why = f"{lost.why or 'sent before'}; read back from Wingfield, which has done it"
            return Event.of(at_ms, known.id, verb, stored.slot or known.last_slot, lost.version_ms, why)
    return None


def store(connection: sqlite3.Connection, events: Sequence[Event]) -> None:
    """Store events within a transaction, and remove what is too old or too much.

    No index is needed: the oldest rows come first, and the search ends with the first that is young enough.
    """
    if not events:
        return
    connection.executemany(_INSERT, events)
    connection.execute("DELETE FROM history WHERE id <= (SELECT max(id) FROM history) - ?", (MOST_ROWS,))
    young = "SELECT id FROM history WHERE at_ms >= ? ORDER BY id LIMIT 1"
    connection.execute(f"DELETE FROM history WHERE id < ({young})", (events[-1].at_ms - KEPT_MS,))  # noqa: S608


def newest(connection: sqlite3.Connection, limit: int, id_: str | None = None) -> list[Event]:
    """Return the last ``limit`` events, newest first, of one booking or of all."""
    where = "" if id_ is None else "WHERE booking_id = :id"
    sql = f"SELECT {_COLUMNS} FROM history {where} ORDER BY history.id DESC LIMIT :limit"  # noqa: S608 (our own names)
    return [Event(*row) for row in connection.execute(sql, {"id": id_, "limit": limit})]
