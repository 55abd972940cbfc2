"""A day's picture: which hours it has, and where the bookings are in it."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

from bridge.web.day import draw
from tests.support.builders import NOON, ONE, TWO
from tests.support.views import at, status

TODAY = date(2026, 11, 20)


def test_an_empty_day_has_the_usual_hours_and_a_row_for_each_court() -> None:
    day = draw(status(), TODAY)
    assert [court for court, _ in day.rows] == ["Court 1", "Court 2", "Court 3"]
    assert [(place, hour.hour) for place, hour in (day.hours[0], day.hours[-1])] == [(0.0, 8), (100.0, 22)]
    assert day.now == round(100 * 5 / 14, 3)


def test_early_and_late_bookings_widen_the_day_and_those_of_other_days_are_not_there() -> None:
    day = draw(status(at(1, ONE, -6.5), at(2, ONE, 10.5), at(3, TWO, -24), at(4, "c9", 24)), TODAY)
    assert (day.hours[0][1].hour, day.hours[-1][1].hour) == (6, 0)
    boxes = day.rows[0][1]
    assert [f"{box.start:%H:%M}" for box in boxes] == ["06:30", "23:30"]
    assert boxes[1].left + boxes[1].width == 100.0
    assert [len(boxes) for _, boxes in day.rows] == [2, 0, 0]


def test_bookings_that_overlap_stand_in_lanes_of_their_own() -> None:
    _, boxes = draw(status(at(1, ONE, 0), at(2, ONE, 0.5), at(3, ONE, 1), at(4, ONE, 1.5)), TODAY).rows[0]
    assert [box.lane for box in boxes] == [0, 1, 0, 1]


def test_a_court_without_a_rule_has_a_row_by_its_id() -> None:
    assert draw(status(at(1, "79ae2927-a9bc", 0)), TODAY).rows[-1][0] == "Court 79ae2927…"


def test_hours_stay_as_long_where_the_clock_is_changed() -> None:
    winter = date(2026, 10, 25)
    hour = (NOON - NOON.replace(month=10, day=25, hour=0)) / timedelta(hours=1)
    day = draw(status(at(1, ONE, -hour)), winter)  # 2:00 in Berlin, for the first time
    assert [mark.hour for _, mark in day.hours][:3] == [2, 2, 3]
    assert len({round(right - left, 2) for (left, _), (right, _) in pairwise(day.hours)}) == 1
