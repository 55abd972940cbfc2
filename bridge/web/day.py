"""A day's courts as a picture: a row for each court, and where in it each booking stands. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from bridge.ledger.day import standing, state
from bridge.model import Slot
from bridge.sync.status import Status

FIRST_HOUR, LAST_HOUR = 8, 22
"""The hours that are shown of an empty day; bookings outside them widen it."""
_HOUR = timedelta(hours=1)


class Box(NamedTuple):
    """A booking in the picture: its place in hundredths of the width, the lane of its row, its times in the zone."""

    id: str
    state: str
    left: float
    width: float
    lane: int
    start: datetime
    end: datetime


class Day(NamedTuple):
    """The picture of a day: courts by name with their bookings, full hours with their places, the place of now."""

    date: date
    rows: Sequence[tuple[str, Sequence[Box]]]
    hours: Sequence[tuple[float, datetime]]
    now: float | None


def draw(status: Status, day: date) -> Day:
    """Return the picture of a day in the account's zone."""
    # In UTC, since hours are counted with it where a clock is changed.
    midnight, next_midnight, opening, closing = (
        datetime.combine(day, time(), status.zone).astimezone(UTC),
        datetime.combine(day + timedelta(days=1), time(), status.zone).astimezone(UTC),
        datetime.combine(day, time(FIRST_HOUR), status.zone).astimezone(UTC),
        datetime.combine(day, time(LAST_HOUR), status.zone).astimezone(UTC),
    )
    found = sorted(standing(status.bridged, midnight, next_midnight), key=lambda each: each[1].start)
    begin = max(midnight, min([opening, *(slot.start for _, slot in found)]).replace(minute=0, second=0, microsecond=0))
    hours = -(-(min(next_midnight, max([closing, *(slot.end for _, slot in found)])) - begin) // _HOUR)

    def place(instant: datetime) -> float:
        return round(100 * min(max((instant - begin) / (hours * _HOUR), 0.0), 1.0), 3)

    held, withheld = {each.id for each in status.held}, set(status.withheld)
    rows: dict[str, list[Box]] = {court_id: [] for court_id in status.courts}
    for known, slot in found:
        row, (left, right) = rows.setdefault(slot.court_id, []), (place(slot.start), place(slot.end))
        start, end = slot.start.astimezone(status.zone), slot.end.astimezone(status.zone)
        lane = _free_lane(row, slot)
        row.append(Box(known.id, state(known, held, withheld), left, round(right - left, 3), lane, start, end))
    marks = [begin + n * _HOUR for n in range(hours + 1)]
    return Day(
        day,
        [(status.courts.get(id_) or f"Court {id_[:8]}…", row) for id_, row in rows.items()],
        [(place(mark), mark.astimezone(status.zone)) for mark in marks],
        place(status.now) if begin <= status.now <= marks[-1] else None,
    )


def _free_lane(row: Sequence[Box], slot: Slot) -> int:
    """Return the first lane in which nothing stands any more: bookings that overlap are not drawn over one another."""
    taken = {box.lane for box in row if box.end > slot.start}
    return next(lane for lane in range(len(taken) + 1) if lane not in taken)
