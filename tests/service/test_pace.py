"""When the next pass is due."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.service.pace import Pace, Verdict

FINE, UNREACHABLE, REFUSED = Verdict.FINE, Verdict.UNREACHABLE, Verdict.REFUSED


def pace_of(seconds: float, chance: float = 0.0) -> Pace:
    return Pace(timedelta(seconds=seconds), chance=lambda: chance)


def test_passes_begin_an_interval_apart_however_long_they_take() -> None:
    assert pace_of(60).next_due(FINE, 1000.0, 1020.0) == 1060.0


def test_a_missed_turn_is_not_made_up_for() -> None:
    assert pace_of(60).next_due(FINE, 1000.0, 1150.0) == 1180.0


@pytest.mark.parametrize(("seconds", "most"), [(1, 0.05), (60, 3.0), (3600, 5.0)])
def test_jitter_is_little_and_only_ever_later(seconds: float, most: float) -> None:
    assert pace_of(seconds, 1.0).next_due(FINE, 0.0, 0.1) == pytest.approx(seconds + most)
    assert pace_of(seconds, 0.0).next_due(FINE, 0.0, 0.1) == seconds


def test_a_service_that_is_away_is_asked_less_and_less() -> None:
    pace = pace_of(60)
    waits = [pace.next_due(UNREACHABLE, 0.0, 10.0) - 10.0 for _ in range(8)]
    assert waits == [60, 120, 240, 480, 900, 900, 900, 900]


def test_an_interval_longer_than_the_longest_back_off_stays() -> None:
    pace = pace_of(3600)
    assert [pace.next_due(UNREACHABLE, 0.0, 0.0) for _ in range(3)] == [3600] * 3


def test_years_of_failures_do_not_overflow() -> None:
    pace = pace_of(1)
    for _ in range(5000):
        last = pace.next_due(UNREACHABLE, 0.0, 0.0)
    assert last == 900.0


def test_the_first_success_ends_the_back_off() -> None:
    pace = pace_of(60)
    for _ in range(5):
        pace.next_due(UNREACHABLE, 0.0, 0.0)
    assert pace.next_due(FINE, 0.0, 1.0) == 60.0
    assert pace.next_due(UNREACHABLE, 0.0, 0.0) == 60.0


def test_after_a_refusal_five_minutes_pass_whatever_the_interval() -> None:
    assert pace_of(1).next_due(REFUSED, 100.0, 101.0) == 401.0
    assert pace_of(3600).next_due(REFUSED, 100.0, 101.0) == 3700.0


def test_nobody_can_ask_for_a_pass_within_those_minutes() -> None:
    pace = pace_of(1)
    pace.next_due(REFUSED, 100.0, 101.0)
    assert pace.soonest(150.0) == 401.0
    assert pace.soonest(500.0) == 500.0


def test_new_credentials_may_be_tried_at_once() -> None:
    pace = pace_of(1)
    pace.next_due(REFUSED, 100.0, 101.0)
    pace.forgive()
    assert pace.soonest(150.0) == 150.0
