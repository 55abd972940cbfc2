"""A day's courts as a picture: a row for each court, and where in it each booking stands. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from bridge.ledger.day import Bar, bars
from bridge.sync.view import View

FIRST_HOUR, LAST_HOUR = 8, 22
"""The hours that are shown of an empty day; bookings outside them widen it."""
_MOST_DAYS = 3650
_PIXELS = {"small": 2.9, "medium": 5.3, "large": 10.0}
"""How wide a hundredth of the picture is at least: on a phone, a tablet, a desk. The style sheet knows the same."""
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Box:
    """A booking in the picture: its place in hundredths of the width, and the lane of its row."""

    id: str
    state: str
    left: float
    width: float
    lane: int
    start: datetime
    end: datetime

    @property
    def hours(self) -> str:
        """Its hours as short as they can be said: ``9–10``, ``9:30–11``."""
        return f"{_short(self.start)}–{_short(self.end)}"

    @property
    def fits(self) -> str:
        """On which screens there is room for the hours: from "small", "medium" or "large" ones on, or on "none"."""
        needed_pixels = 5.6 * len(self.hours) + 12
        return next((size for size, pixels in _PIXELS.items() if self.width * pixels >= needed_pixels), "none")


@dataclass(slots=True)
class Row:
    """A court by name, and its bookings; those that overlap stand in several lanes."""

    court: str
    boxes: list[Box] = field(default_factory=list)

    @property
    def lanes(self) -> int:
        """How many lanes there are, at least one."""
        return max((box.lane for box in self.boxes), default=0) + 1


@dataclass(frozen=True, slots=True)
class Day:
    """The picture of a day; ``hours`` are full hours with their place, ``now`` is the place of now, if it is there."""

    date: date
    rows: Sequence[Row]
    hours: Sequence[tuple[float, str]]
    now: float | None


def chosen_day(text: str | None, today: date) -> tuple[date, bool]:
    """Return the day that was asked for, and whether ``text`` is one; else today."""
    if text is None:
        return today, True
    with suppress(ValueError):
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            day = date.fromisoformat(text)
            if abs(day - today).days < _MOST_DAYS:
                return day, True
    return today, False


def draw(view: View, day: date) -> Day:
    """Return the picture of a day; its times are in the account's zone."""
    zone, status = view.zone, view.status
    first, end = _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
    held = {each.id for each in status.held}
    found = sorted(bars(view.known, held, set(status.withheld), first, end), key=lambda bar: bar.slot.start)
    begin, until = _shown_hours(found, day, first, end, zone)
    width = until - begin

    def place(instant: datetime) -> float:
        return round(100 * ((min(max(instant, begin), until) - begin) / width), 3)

    rows = {court_id: Row(name or f"Court {court_id[:8]}…") for court_id, name in view.courts.items()}
    for bar in found:
        row = rows.setdefault(bar.slot.court_id, Row(f"Court {bar.slot.court_id[:8]}…"))
        left, right, lane = place(bar.slot.start), place(bar.slot.end), _free_lane(row.boxes, bar)
        start, stop = bar.slot.start.astimezone(zone), bar.slot.end.astimezone(zone)
        row.boxes.append(Box(bar.id, bar.state, left, round(right - left, 3), lane, start, stop))
    marks = [begin + n * _HOUR for n in range(int(width / _HOUR) + 1)]
    hours = [(place(mark), f"{mark.astimezone(zone):%-H}") for mark in marks]
    return Day(day, list(rows.values()), hours, place(status.now) if begin <= status.now <= until else None)


def _midnight(day: date, zone: tzinfo) -> datetime:
    """Return the first moment of a day; in UTC, since hours are counted with it where a clock is changed."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _shown_hours(
    found: Iterable[Bar], day: date, first: datetime, end: datetime, zone: tzinfo
) -> tuple[datetime, datetime]:
    opening, closing = (datetime.combine(day, time(hour), zone).astimezone(UTC) for hour in (FIRST_HOUR, LAST_HOUR))
    for bar in found:
        opening, closing = min(opening, bar.slot.start), max(closing, bar.slot.end)
    whole = opening.replace(minute=0, second=0, microsecond=0)
    more = -(-(closing - whole) // _HOUR) * _HOUR
    return max(whole, first), min(whole + more, end)


def _free_lane(boxes: Iterable[Box], bar: Bar) -> int:
    taken = {box.lane for box in boxes if box.end > bar.slot.start}
    return next(lane for lane in range(len(taken) + 1) if lane not in taken)


def _short(moment: datetime) -> str:
    return f"{moment:%-H:%M}" if moment.minute else f"{moment:%-H}"
