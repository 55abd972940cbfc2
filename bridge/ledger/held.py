"""Held bookings, as the ledger keeps them: each since when."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from bridge.ledger import rows
from bridge.model import Held

_HELD = "booking_id, reason, detail, since_ms, service_id, court_id, start_ms, end_ms"
_INSERT = rows.insert("held", f"nth, {_HELD}")


def read(connection: sqlite3.Connection) -> list[Held]:
    """Return them, by booking, in the order in which they were stored."""
    return [
        Held(id_, reason, detail, since_ms, rows.slot(*place), service_id)
        for id_, reason, detail, since_ms, service_id, *place in connection.execute(
            f"SELECT {_HELD} FROM held ORDER BY booking_id, nth"  # noqa: S608
        )
    ]


def store(connection: sqlite3.Connection, held: Sequence[Held], now_ms: int) -> None:
    """Store what is held from now on; what was held before for the same reason is so since then."""
    before = {(each.id, each.reason): each.since_ms for each in read(connection)}
    stored, nth = [], dict[str, int]()
    for each in held:
        nth[each.id] = nth.get(each.id, -1) + 1
        since_ms = before.get((each.id, each.reason), now_ms)
        place = rows.of_slot(each.slot)
        stored.append((nth[each.id], each.id, each.reason, each.detail, since_ms, each.service_id, *place))
    if stored or before:
        connection.execute("DELETE FROM held")
        connection.executemany(_INSERT, stored)
