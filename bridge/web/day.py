"""A day's courts as a picture: a row for each court, and where in it each booking stands. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from bridge.ledger.day import bars
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
    places = status.places
    midnight, next_midnight = places.opening(day), places.opening(day + timedelta(days=1))
    opening, closing = places.opening(day, FIRST_HOUR), places.opening(day, LAST_HOUR)
    on_courts = bars(tuple(status.known.values()), status.held, status.withheld, midnight, next_midnight)
    found = [bar for column in on_courts.values() for bar in column]
    begin = max(midnight, min([opening, *(bar.start for bar in found)]).replace(minute=0, second=0, microsecond=0))
    hours = -(-(min(next_midnight, max([closing, *(bar.end for bar in found)])) - begin) // _HOUR)

    def place(instant: datetime) -> float:
        return round(100 * min(max((instant - begin) / (hours * _HOUR), 0.0), 1.0), 3)

    rows: dict[str, list[Box]] = {court_id: [] for court_id in (*places.courts, *on_courts)}
    for court_id, column in on_courts.items():
        for bar in column:
            lane, left = _free_lane(rows[court_id], bar.start), place(bar.start)
            width = max(round(place(bar.end) - left, 3), 1.0)  # also where nothing says how long it is
            start, end = bar.start.astimezone(places.zone), bar.end.astimezone(places.zone)
            rows[court_id].append(Box(bar.id, bar.state, left, width, lane, start, end))
    marks = [begin + n * _HOUR for n in range(hours + 1)]
    return Day(
        day,
        [(places.courts.get(id_) or (f"Court {id_[:8]}…" if id_ else "no court"), row) for id_, row in rows.items()],
        [(place(mark), mark.astimezone(places.zone)) for mark in marks],
        place(status.now) if begin <= status.now <= marks[-1] else None,
    )


def _free_lane(row: Sequence[Box], start: datetime) -> int:
    """Return the first lane in which nothing stands any more: bookings that overlap are not drawn over one another."""
    taken = {box.lane for box in row if box.end > start or box.start == start}
    return next(lane for lane in range(len(taken) + 1) if lane not in taken)
