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
from bridge.model import Kind
from bridge.records import PassRecord
from bridge.service.process import Scheduler
from bridge.service.schedule import Backoff, Schedule, every, place_of
from bridge.sync.result import PassResult, Since

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


def result_of(kind: Kind, *, outcome: str = "in_sync", **details: Any) -> PassResult:
    record = PassRecord(0, 5, outcome, 1, 0, 0, 0, 1, 0, 0, kind=kind)
    return PassResult(record, ExitStatus.OK, (), (), (), **details)


def run(schedule: Schedule, *, fails: bool = False, **details: Any) -> tuple[Kind, frozenset[str]]:
    """Let the pass that is due run; return its kind and what was hinted at."""
    extent = schedule.begin(2, 0.0)
    schedule.after(result_of(extent.kind, **details), is_refused=False, is_away=fails)
    return extent.kind, extent.hinted


def seconds_to(job: Any) -> float:
    return float((job.next_run_time - datetime.now(UTC)).total_seconds())


async def test_the_first_pass_is_full_until_one_succeeds_and_near_ones_follow(scheduler: Scheduler) -> None:
    schedule = Schedule(scheduler, sync())
    assert [run(schedule, fails=fails)[0] for fails in (True, True, False, False, True, False)] == [
        *("full", "full", "full", "near", "near", "near")
    ]


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
    before, schedule.since = schedule.since, Since()
    assert seconds_to(schedule.verify) > 86_000
    schedule.wake.clear()
    schedule.verify.modify(next_run_time=datetime.now(UTC))
    await asyncio.wait_for(schedule.wake.wait(), 5)
    assert run(schedule)[0] == "full"
    assert schedule.since.list_ms >= before.list_ms


async def test_what_is_refreshed_hourly_is_asked_for_by_the_pass_that_comes_next(scheduler: Scheduler) -> None:
    schedule = Schedule(scheduler, sync())
    run(schedule)
    schedule.wake.clear()
    for job, name in ((schedule.refresh, "facts_ms"), (schedule.directory, "directory_ms")):
        assert 3500 < seconds_to(job) < 3700
        schedule.since = Since(1, 1, 1)
        await job.func(*job.args)
        assert schedule.since != (1, 1, 1)
        assert schedule.since._replace(**{name: 1}) == (1, 1, 1)
    assert not schedule.wake.is_set()


async def test_a_club_that_has_gone_leaves_no_job(scheduler: Scheduler) -> None:
    schedule = Schedule(scheduler, sync())
    schedule.end()
    assert scheduler.get_jobs() == []


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
    for id_ in ("1", None, "2", "x", "-1", "1", "²"):
        schedule.hint(id_)
    assert 0 < seconds_to(schedule.near) < 1
    schedule.wake.clear()
    await asyncio.wait_for(schedule.wake.wait(), 5)
    assert run(schedule) == ("near", frozenset({"1", "2"}))
    schedule.hint(None)
    assert 1 < seconds_to(schedule.near) <= 2
    assert run(schedule) == ("near", frozenset())


async def test_near_listings_because_of_hints_take_a_tenth_of_the_reads_and_polling_goes_on(
    scheduler: Scheduler,
) -> None:
    schedule = Schedule(scheduler, sync(interval=60))
    run(schedule)
    for seconds, near_reads, read_seconds, ids, only_hinted in (
        (15.1, 3, 0.5, ("1",), False),
        (14.9, 3, 0.5, ("1", "2"), True),
        (14.9, 3, 0.5, ("1", "2", "3"), False),
        (14.9, 3, 0.5, ("1", None), False),
        (14.9, 3, 0.5, (), False),
        (14.9, 30, 0.5, map(str, range(21)), False),
        (2.0, 3, 0.001, ("1",), False),
        (59.0, 30, 0.5, ("1",), True),
        (60.1, 30, 0.5, ("1",), False),
    ):
        schedule._listed_at = monotonic() - seconds
        for id_ in ids:
            schedule.hint(id_)
        extent = schedule.begin(near_reads, read_seconds)
        schedule.near.modify(next_run_time=datetime.now(UTC) + timedelta(seconds=60))  # as when its job has run
        schedule.after(result_of("near", only_hinted=extent.only_hinted), is_refused=False, is_away=False)
        assert (extent.kind, extent.only_hinted) == ("near", only_hinted)
        assert seconds_to(schedule.near) == pytest.approx(60 - seconds if only_hinted else 60, abs=4)


async def test_while_a_pass_that_lists_leaves_something_open_every_hint_brings_one(scheduler: Scheduler) -> None:
    schedule = Schedule(scheduler, sync())
    run(schedule)
    schedule.after(result_of("near", outcome="incomplete"), is_refused=False, is_away=False)
    for outcome, only_hinted in (("incomplete", False), ("attention", False), ("in_sync", True), ("in_sync", True)):
        schedule.hint("1")
        is_so = schedule.begin(5, 0.5).only_hinted
        result = result_of("near", outcome=outcome, only_hinted=is_so)
        schedule.after(result, is_refused=False, is_away=False)
        assert is_so is only_hinted


async def test_a_hint_that_comes_during_a_pass_is_for_the_next_one(scheduler: Scheduler) -> None:
    schedule = Schedule(scheduler, sync())
    run(schedule)
    extent = schedule.begin(2, 0.0)
    schedule.hint("7")
    assert (extent.kind, extent.hinted, seconds_to(schedule.near) > 10) == ("near", frozenset(), True)
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
    kind = schedule.begin(2, 0.0).kind
    schedule.hint("1")
    schedule.after(result_of(kind, needs_full=True), is_refused=is_refused, is_away=True)
    schedule.hint("2")
    assert min(seconds_to(schedule.near), seconds_to(schedule.full)) >= least
