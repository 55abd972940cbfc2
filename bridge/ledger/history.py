"""What happened to each booking, and why: every acknowledged write, adoption, drift and approval.

Its rows are stored in the transactions of what they tell, and old ones go with them: a quiet pass costs nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from bridge.ledger.entry import Ending, Outcome
from bridge.ledger.schema import insert, place
from bridge.model import DAY_MS, Known, Slot, Stored, Verb

KEPT_MS = 90 * DAY_MS
MOST_ROWS = 200_000

_COLUMNS = "at_ms, booking_id, action, version_ms, why, court_id, start_ms, end_ms"
_INSERT = insert("history", _COLUMNS)


class Event(NamedTuple):
    """One row: what happened to a booking at ``at_ms``, in milliseconds since 1970.

    ``action`` is create, update, delete, adopt, drift or approve. ``version_ms`` is its version in Wingfield, ``slot``
    where it then stood, of a delete where it stood before; None where that is not known.
    """

    at_ms: int
    id: str
    action: str
    version_ms: int | None
    why: str
    slot: Slot | None = None


def came_of(known: Known, outcome: Outcome | Stored, at_ms: int) -> Event | None:
    """Return what an answer adds, ``known`` being the entry before it; None unless a write is now known to be done.

    It has the reason of the first time that it was sent. What is acknowledged without an intent was just read back, and
    is somebody else's.
    """
    if isinstance(outcome, Stored):
        state, words = outcome, "; read back from Wingfield"
    elif outcome.ending is Ending.ACKNOWLEDGED:
        state, words = outcome.write.stored, ""
    else:
        return None
    slot, is_delete = state.slot or known.last_slot, state.slot is None
    for sent in reversed(known.unsettled):
        if (sent.slot is None) is is_delete and (is_delete or sent.version_ms == state.version_ms):
            action = Verb.DELETE if is_delete else Verb.UPDATE if known.slot else Verb.CREATE
            return Event(at_ms, known.id, action, sent.version_ms, sent.why + words, slot)
    return None if words else Event(at_ms, known.id, "adopt", state.version_ms, "Wingfield had it already", slot)


def store(connection: sqlite3.Connection, events: Sequence[Event]) -> None:
    """Store events within a transaction, and remove what is too old or too much.

    No index is needed: the oldest rows come first, and the search ends with the first that is young enough.
    """
    if not events:
        return
    connection.executemany(_INSERT, [(*event[:-1], *place(event.slot)) for event in events])
    connection.execute("DELETE FROM history WHERE id <= (SELECT max(id) FROM history) - ?", (MOST_ROWS,))
    young = "SELECT id FROM history WHERE at_ms >= ? ORDER BY id LIMIT 1"
    connection.execute(f"DELETE FROM history WHERE id < ({young})", (events[-1].at_ms - KEPT_MS,))  # noqa: S608


def newest(connection: sqlite3.Connection, limit: int, id_: str | None = None) -> list[Event]:
    """Return the last ``limit`` events, newest first, of one booking or of all."""
    sql = f"SELECT {_COLUMNS} FROM history WHERE ? IS NULL OR booking_id = ? ORDER BY id DESC LIMIT ?"  # noqa: S608
    found = connection.execute(sql, (id_, id_, min(limit, MOST_ROWS)))
    return [Event._make((*row[:5], Slot.of_row(*row[5:]))) for row in found]
