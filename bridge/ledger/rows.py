"""How the records of the model become rows of the tables, and rows become records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from bridge.model import Slot, from_ms, to_ms


def insert(table: str, columns: str) -> str:
    """Return the statement that stores a row with these columns, named side by side."""
    marks = ", ".join("?" * (columns.count(",") + 1))
    return f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 (our own names)


def shared(found: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows with equal values as one object: accounts, courts and fingerprints come again and again."""
    values: dict[Any, Any] = {}
    return (tuple(values.setdefault(each, each) for each in row) for row in found)


def of_record(record: Any) -> tuple[Any, ...]:  # noqa: ANN401 (any of the slotted dataclasses of the model)
    """Return the fields of a record, in the order of its columns."""
    return tuple(getattr(record, name) for name in record.__slots__)


def of_slot(slot: Slot | None) -> tuple[str | None, int | None, int | None]:
    """Return the three columns of a slot."""
    return (None, None, None) if slot is None else (slot.court_id, to_ms(slot.start), to_ms(slot.end))


def slot(court_id: str | None, start_ms: int | None, end_ms: int | None) -> Slot | None:
    """Return the slot of three columns; None unless all are known."""
    if court_id is None or start_ms is None or end_ms is None:
        return None
    return Slot(court_id, from_ms(start_ms), from_ms(end_ms))
