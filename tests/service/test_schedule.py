"""When the next pass is due, and which one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import time_machine

from bridge.config.schema import SyncConfig
from bridge.errors import ExitStatus
from bridge.model import Kind, PassRecord
from bridge.service.process import Scheduler
from bridge.service.schedule import Backoff, Schedule, every, place_of
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


def test_each_of_many_clubs_has_its_own_place_in_the_interval_and_keeps_it() -> None:
    places = sorted(place_of(f"club-{number}") for number in range(200))
    assert [place_of("mitte"), place_of("mitte")] == [place_of("mitte")] * 2
    assert max(after - before for before, after in pairwise([0.0, *places, 1.0])) < 0.05
    for moment in (datetime(2026, 11, 20, 12, 0, second, tzinfo=UTC) for second in (0, 7, 19)):
        with time_machine.travel(moment, tick=False):
            for place in places:
                first = every(20, place).get_next_fire_time(None, moment)
                assert 10 <= (first - moment).total_seconds() <= 31
                assert (first.timestamp() - place * 20 + 0.001) % 20 <= 1.01, "at its place, but for the jitter"


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


# --- near and full ---


def sync(interval: float = 20, full: float = 300) -> SyncConfig:
    return SyncConfig(
        state=Path("state.db"), interval=timedelta(seconds=interval), full_interval=timedelta(seconds=full)
    )


@pytest.fixture
async def scheduler() -> AsyncIterator[Scheduler]:
    scheduler = Scheduler()
    scheduler.start()
    yield scheduler
    scheduler.shutdown(wait=False)


def result_of(kind: Kind, *, needs_full: bool = False, waiting: tuple[str, ...] = ()) -> PassResult:
    record = PassRecord(0, 5, "in_sync", 1, 0, 0, 0, 1, 0, 0, kind=kind)
    return PassResult(record, ExitStatus.OK, (), (), (), waiting=waiting, needs_full=needs_full)


def run(schedule: Schedule, *, fails: bool = False, **details: Any) -> tuple[Kind, frozenset[str]]:
    """Let the pass that is due run; return its kind and what was hinted at."""
    kind, hinted = schedule.begin()
    schedule.after(result_of(kind, **details), is_refused=False, is_away=fails)
    return kind, hinted


def seconds_to(job: Any) -> float:
    return float((job.next_run_time - datetime.now(UTC)).total_seconds())


async def test_the_first_pass_is_full_until_one_succeeds_and_near_ones_follow(scheduler: Scheduler) -> None:
    schedule = Schedule(scheduler, sync())
    assert [run(schedule, fails=fails)[0] for fails in (True, True, False, False, True, False)] == [
        *("full", "full", "full", "near", "near", "near")
    ]


async def test_a_club_that_has_gone_leaves_no_job(scheduler: Scheduler) -> None:
    Schedule(scheduler, sync()).end()
    assert scheduler.get_jobs() == []


async def test_a_full_pass_that_is_due_takes_the_place_of_a_near_one(scheduler: Scheduler) -> None:
    schedule = Schedule(scheduler, sync())
    run(schedule)
    schedule.full.modify(next_run_time=datetime.now(UTC) + timedelta(seconds=4))
    assert [run(schedule)[0], run(schedule)[0]] == ["full", "near"]
    assert seconds_to(schedule.full) > 290
    schedule.full.modify(next_run_time=datetime.now(UTC))
    schedule.wake.clear()
    await asyncio.wait_for(schedule.wake.wait(), 5)
    assert run(schedule)[0] == "full"


async def test_when_wingfields_list_is_to_be_verified_a_full_pass_follows_at_once(scheduler: Scheduler) -> None:
    schedule = Schedule(scheduler, sync())
    run(schedule)
    before, schedule.since_ms = schedule.since_ms, 0
    assert seconds_to(schedule.verify) > 86_000
    schedule.wake.clear()
    schedule.verify.modify(next_run_time=datetime.now(UTC))
    await asyncio.wait_for(schedule.wake.wait(), 5)
    assert run(schedule)[0] == "full"
    assert schedule.since_ms >= before


async def test_with_equal_intervals_every_pass_is_full(scheduler: Scheduler) -> None:
    schedule = Schedule(scheduler, sync(1, 1))
    for _ in range(2):
        schedule.wake.clear()
        await asyncio.wait_for(schedule.wake.wait(), 5)
        assert run(schedule)[0] == "full"


@pytest.mark.parametrize(
    ("details", "least", "most"),
    [({}, 290, 310), ({"needs_full": True}, -1, 0.1), ({"waiting": ("1",)}, 59, 61), ({"fails": True}, 290, 310)],
    ids=["quiet", "left something", "a mass change waits", "a service fails"],
)
async def test_when_the_full_pass_follows_a_near_one(
    scheduler: Scheduler, details: dict[str, Any], least: float, most: float
) -> None:
    schedule = Schedule(scheduler, sync())
    run(schedule)
    assert run(schedule, **details)[0] == "near"
    assert least < seconds_to(schedule.full) < most


# --- hints ---


async def test_hints_bring_one_near_pass_within_a_second_and_the_next_two_seconds_later(scheduler: Scheduler) -> None:
    schedule = Schedule(scheduler, sync())
    run(schedule)
    schedule._began_at -= 10
    for id_ in ("1", None, "2", "x", "-1", "1", "²"):
        schedule.hint(id_)
    assert 0 < seconds_to(schedule.near) < 1
    schedule.wake.clear()
    await asyncio.wait_for(schedule.wake.wait(), 5)
    assert run(schedule) == ("near", frozenset({"1", "2"}))
    schedule.hint(None)
    assert 1 < seconds_to(schedule.near) <= 2
    assert run(schedule) == ("near", frozenset())


async def test_a_hint_that_comes_during_a_pass_is_for_the_next_one(scheduler: Scheduler) -> None:
    schedule = Schedule(scheduler, sync())
    run(schedule)
    kind, hinted = schedule.begin()
    schedule.hint("7")
    assert (kind, hinted, seconds_to(schedule.near) > 10) == ("near", frozenset(), True)
    schedule.after(result_of("near"), is_refused=False, is_away=False)
    assert seconds_to(schedule.near) <= 2
    assert run(schedule) == ("near", frozenset({"7"}))


async def test_a_flood_of_hints_is_neither_kept_nor_looked_up(scheduler: Scheduler) -> None:
    schedule = Schedule(scheduler, sync())
    run(schedule)
    for number in range(10_000):
        schedule.hint(str(number))
    assert len(run(schedule)[1]) == 20


@pytest.mark.parametrize(("is_refused", "least"), [(True, 290), (False, 19)])
async def test_hints_cut_no_back_off_short(scheduler: Scheduler, is_refused: bool, least: float) -> None:
    schedule = Schedule(scheduler, sync())
    run(schedule)
    kind, _ = schedule.begin()
    schedule.hint("1")
    schedule.after(result_of(kind, needs_full=True), is_refused=is_refused, is_away=True)
    schedule.hint("2")
    assert min(seconds_to(schedule.near), seconds_to(schedule.full)) >= least
