"""When the next pass is due, and the words for how things stand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest

from bridge.errors import ExitStatus, ServiceError, Unavailable
from bridge.model import PassRecord
from bridge.service.club import Backoff, every, in_words
from bridge.sync.result import PassResult

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


# --- words ---


AWAY = Unavailable("Wingfield", "could not connect")


def result_of(
    outcome: str, *errors: ServiceError, held: int = 0, pending: int = 0, withheld: tuple[str, ...] = ()
) -> PassResult:
    record = PassRecord(0, 5, outcome, 43, 1, 2, 0, 38, 1, held, pending, withheld)
    return PassResult(record, ExitStatus.OK, (), (), errors)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (result_of("in_sync"), "in sync: 41 bookings"),
        (result_of("attention", held=1), "needs a person: 1 held; 41 bookings in sync"),
        (
            result_of("attention", withheld=("1", "2")),
            "needs a person: 2 deletes withheld (courtbridge approve); 41 bookings in sync",
        ),
        (
            result_of("attention", AWAY, held=1),
            "not in sync: Wingfield: could not connect, 1 held; 41 bookings in sync",
        ),
        (result_of("incomplete", pending=3), "not in sync: 3 pending; 41 bookings in sync"),
        (result_of("incomplete"), "not in sync: the last pass was not complete; 41 bookings in sync"),
        (result_of("incomplete", AWAY), "not in sync: Wingfield: could not connect; 41 bookings in sync"),
    ],
)
def test_the_status_says_how_things_stand(result: PassResult, words: str) -> None:
    ended = datetime(2026, 11, 20, 12, 0, 3, tzinfo=UTC)
    words = f"{words}, last pass {ended.astimezone():%H:%M:%S}"
    assert in_words(result, ended, None) == words
    later = ended + timedelta(minutes=5)
    assert in_words(result, ended, later) == f"{words}, next {later.astimezone():%H:%M:%S}"
