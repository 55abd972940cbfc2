"""When the next pass is due, and which one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest

from bridge.service.schedule import Backoff, every

# --- turns ---


@pytest.mark.parametrize(("seconds", "most"), [(1, 0.05), (60, 3.0), (3600, 5.0)])
def test_turns_come_an_interval_apart_with_a_little_jitter_that_is_only_ever_later(seconds: float, most: float) -> None:
    now = datetime.now(UTC)
    trigger = every(seconds)
    for _ in range(50):
        first = trigger.get_next_fire_time(None, now)
        assert 0 <= (first - now).total_seconds() - seconds <= most + 1
        second = trigger.get_next_fire_time(first, first + timedelta(seconds=seconds / 2))
        assert 0 <= (second - first).total_seconds() - seconds <= most


# --- services that are away ---


@pytest.mark.parametrize(
    ("interval", "waits"),
    [
        (60, [60, 120, 240, 480, 900, 900, 900]),
        (3600, [3600, 3600, 3600]),
        (1, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, *[900] * 5000]),
    ],
)
def test_a_service_that_is_away_is_asked_less_and_less_until_it_is_back(interval: float, waits: list[float]) -> None:
    backoff = Backoff()
    for _ in range(2):
        assert [backoff.seconds_after(interval, is_refused=False, is_away=True) for _ in waits] == waits
        assert backoff.seconds_after(interval, is_refused=False, is_away=False) == interval


@pytest.mark.parametrize(("interval", "seconds"), [(1, 300), (3600, 3600)])
def test_after_a_refusal_five_minutes_pass_whatever_the_interval_and_whoever_asks(
    interval: float, seconds: float
) -> None:
    backoff = Backoff(failures=5)
    began = monotonic()
    assert backoff.seconds_after(interval, is_refused=True, is_away=True) == seconds
    assert 300 <= backoff.refused_until - began < 310
    assert backoff.failures == 0
