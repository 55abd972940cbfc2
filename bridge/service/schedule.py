"""When a club's next pass is due, and which one.

    near       every sync.interval          a near pass, or a full one where that is due
    full       every sync.full_interval     a full pass
    verify     every sync.verify_interval   a full pass that reads all of Wingfield's list
    refresh    every hour                   the next pass asks for Launch27's settings and catalogues
    directory  every hour                   the next pass asks for Wingfield's relations and mappings

Each is a job of APScheduler's. A job only wakes the task that runs the passes, or says what these are to ask for anew,
so that they never overlap; a pass that somebody asks for is the same job, run now.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from time import monotonic
from typing import Any
from zlib import crc32

from apscheduler.jobstores.base import JobLookupError  # type: ignore[import-untyped]
from apscheduler.schedulers.base import BaseScheduler  # type: ignore[import-untyped]
from apscheduler.triggers.interval import IntervalTrigger  # type: ignore[import-untyped]

from bridge.config.schema import SyncConfig
from bridge.model import to_ms
from bridge.sync.result import Extent, PassResult, Since

LONGEST_BACKOFF_SECONDS = 15 * 60.0
AFTER_REFUSAL_SECONDS = 5 * 60.0
"""Five refused logins within a minute lock an account for five. Source: Launch27, ``POST /login``."""
HINT_SECONDS = 0.2
"""How long after a hint its pass begins: what comes meanwhile goes with it."""
HINTED_PASSES_SECONDS = 2.0
"""Passes that hints ask for begin so far apart."""
MOST_HINTED = 20
"""So many bookings are looked up in one pass because of hints; for more there is the full pass."""
HINTED_SHARE = 0.1
"""Near listings only because of hints take at most so much of the reads that Launch27 allows."""
NEARLY_SECONDS = 5.0
"""A full pass that is due within this time takes the place of a near one: jobs come late by as much, at most."""
MASS_CHANGE_SECONDS = 60.0


@dataclass(slots=True)
class Backoff:
    """When a service that fails is asked again: the one place that decides it."""

    failures: int = 0
    until: float = 0.0
    """In seconds of the monotonic clock: no pass before, but for an edit of the configuration."""
    refused_until: float = 0.0
    """The same: no pass before with the same credentials, whoever asks for one."""

    def seconds_after(self, interval_seconds: float, *, is_refused: bool, is_away: bool) -> float:
        """Return how long to wait after a pass that has just ended, by what it says of the services."""
        if is_refused:
            self.failures = 0
            self.until = self.refused_until = monotonic() + AFTER_REFUSAL_SECONDS
            return max(interval_seconds, AFTER_REFUSAL_SECONDS)
        self.failures = self.failures + 1 if is_away else 0
        doublings = min(max(self.failures - 1, 0), 30)  # a month of failures would be more than a float can hold
        seconds = min(interval_seconds * 2.0**doublings, max(LONGEST_BACKOFF_SECONDS, interval_seconds))
        self.until = monotonic() + seconds if is_away else 0.0
        return seconds


def every(length: timedelta | float, place: float | None = None) -> IntervalTrigger:
    """Return a trigger for every so many seconds (or every ``length``), for the first time after as many.

    A little jitter, only ever later, keeps several clubs on one machine from asking at the same moments. Many clubs of
    one process have each its ``place`` in the interval, from 0 to 1: then the first time is when that comes round,
    after half of the length to one and a half.
    """
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    start = None
    if place is not None:
        soonest = datetime.now(UTC).timestamp() + seconds / 2
        start = datetime.fromtimestamp(soonest + (place * seconds - soonest) % seconds, UTC)
    return IntervalTrigger(seconds=seconds, start_date=start, timezone=UTC, jitter=min(seconds * 0.05, 5.0))


def place_of(name: str) -> float:
    """Return a club's place in any interval, from 0 to 1: always the same for a name."""
    return crc32(name.encode()) / 2**32


class Schedule:
    """The jobs of one club, what wakes its passes, and what these were asked for."""

    def __init__(self, scheduler: BaseScheduler, sync: SyncConfig, place: float | None = None) -> None:
        self._place = place
        self.backoff = Backoff()
        self.wake = asyncio.Event()
        self.wake.set()
        self.due_at = monotonic()
        """When the next pass is due, in seconds of the monotonic clock."""
        self.since = Since(*[to_ms(datetime.now(UTC))] * 3)
        """What the next pass is to ask for anew."""
        self._sync = sync
        self._is_full_due = True
        self._hinted: set[str] = set()
        self._has_unnamed = False
        """Whether hints came that named no booking, or too many."""
        self._is_running = False
        self._began_at = self._hinted_at = -inf
        """When the last pass began, and the last that hints asked for: in seconds of the monotonic clock."""
        self._listed_at = -inf
        """When the last pass that listed began, if it was complete: the same."""
        self.near = scheduler.add_job(self._near_turn, every(sync.interval, place))
        self.full = scheduler.add_job(self._full_turn, every(sync.full_interval, place))
        self.verify = scheduler.add_job(self._verify_turn, every(sync.verify_interval, place))
        self.refresh = scheduler.add_job(self._ask_anew, every(timedelta(hours=1), place), ["facts_ms"])
        self.directory = scheduler.add_job(self._ask_anew, every(timedelta(hours=1), place), ["directory_ms"])

    # APScheduler runs coroutine functions in the event loop, and others in a thread.

    async def _near_turn(self) -> None:
        self.wake.set()

    async def _full_turn(self) -> None:
        self._is_full_due = True
        self.wake.set()

    async def _ask_anew(self, what: str) -> None:
        self.since = self.since._replace(**{what: to_ms(datetime.now(UTC))})

    async def _verify_turn(self) -> None:
        await self._ask_anew("list_ms")
        self._bring_forward(self.full, 0)

    @property
    def interval_seconds(self) -> float:
        """How often a pass is wanted."""
        return self._sync.interval.total_seconds()

    @property
    def next_pass_at(self) -> datetime | None:
        """When the next pass begins; None before the scheduler runs."""
        times = [getattr(job, "next_run_time", None) for job in (self.near, self.full)]
        return min((time for time in times if time is not None), default=None)

    def hint(self, booking_id: str | None) -> None:
        """Have a near pass within a second, one every two seconds at most; a back-off is not cut short."""
        if booking_id is not None and booking_id.isascii() and booking_id.isdigit() and len(self._hinted) < MOST_HINTED:
            self._hinted.add(booking_id)
        else:
            self._has_unnamed |= booking_id not in self._hinted
        self._follow_hint()

    def _follow_hint(self) -> None:
        if (self._hinted or self._has_unnamed) and not self._is_running:
            apart = self._hinted_at + HINTED_PASSES_SECONDS - monotonic()
            self._bring_forward(self.near, max(HINT_SECONDS, apart))

    def _bring_forward(self, job: Any, seconds: float) -> None:  # noqa: ANN401 (APScheduler has no types)
        """Let a job run in so many seconds, unless it does so earlier, or a back-off lasts longer."""
        soon = datetime.now(UTC) + timedelta(seconds=max(seconds, self.backoff.until - monotonic()))
        if soon < job.next_run_time:
            job.modify(next_run_time=soon)

    def end(self) -> None:
        """Have no turn any more: the club has gone."""
        for job in (self.near, self.full, self.verify, self.refresh, self.directory):
            with suppress(JobLookupError):  # the scheduler has ended before
                job.remove()

    def begin(self, near_reads: int, read_seconds: float) -> Extent:
        """Return what the pass that begins now reads.

        A near listing takes so many reads, and each of them so long to come back.
        """
        self._is_running, self._began_at = True, monotonic()
        nearly = timedelta(seconds=min(NEARLY_SECONDS, self.interval_seconds / 2))
        if not self._is_full_due and self.full.next_run_time - datetime.now(UTC) < nearly:
            self._is_full_due = True
            self.full.reschedule(every(self._sync.full_interval, self._place))
        if self._is_full_due:
            self.near.reschedule(every(self.near.trigger.interval_length, self._place))
        only_hinted = not self._is_full_due and self._are_hints_enough(near_reads, read_seconds)
        if self._hinted or self._has_unnamed:
            self._hinted_at = self._began_at
        hinted, self._hinted, self._has_unnamed = frozenset(self._hinted), set(), False
        return Extent("full" if self._is_full_due else "near", hinted, only_hinted, self.since)

    def _are_hints_enough(self, near_reads: int, read_seconds: float) -> bool:
        """Whether the near pass that begins looks only at what hints have named: what is polled is always listed.

        So it is where looking them up is cheaper, and near listings because of hints would take more than their share.
        """
        if self._has_unnamed or not 0 < len(self._hinted) < near_reads:
            return False
        apart_seconds = min(near_reads * read_seconds / HINTED_SHARE, self.interval_seconds)
        return monotonic() - self._listed_at < apart_seconds

    def broken_off(self) -> None:
        """Take note that the pass did not get to its end: the next turn begins it anew."""
        self._is_running = False
        self.wake.clear()

    def after(self, result: PassResult, *, is_refused: bool, is_away: bool) -> bool:
        """Plan the next passes: at the jobs' next turns, unless a service fails, or did so before this pass.

        Returns whether one fails. A full pass that failed is due again at the next turn.
        """
        self.broken_off()  # a turn that was missed meanwhile is not made up for
        seconds = self.backoff.seconds_after(self.interval_seconds, is_refused=is_refused, is_away=is_away)
        fails = is_refused or is_away
        if not result.only_hinted:
            self._listed_at = self._began_at if result.record.is_complete else -inf
        if fails or self.near.trigger.interval_length != seconds:
            self.near.reschedule(every(seconds, None if fails else self._place))
        if fails:
            self.full.modify(next_run_time=max(self.full.next_run_time, self.near.next_run_time))
        elif result.record.kind == "full":
            self._is_full_due = False
        if result.only_hinted:
            self._bring_forward(self.near, self._listed_at + self.interval_seconds - monotonic())
        if result.needs_full:
            self._bring_forward(self.full, 0)
        elif result.waiting:
            self._bring_forward(self.full, MASS_CHANGE_SECONDS)
        self._follow_hint()
        self._note_due()
        return fails

    def _note_due(self) -> None:
        if (next_pass := self.next_pass_at) is not None:
            self.due_at = monotonic() + (next_pass - datetime.now(UTC)).total_seconds()

    def change(self, sync: SyncConfig, *, forgive: bool) -> None:
        """Take another configuration, and have a full pass soon; ``forgive`` what was refused."""
        if forgive:
            self.backoff = Backoff()
        self._sync, self._is_full_due = sync, True
        self.due_at = max(monotonic(), self.backoff.refused_until)
        soon = datetime.now(UTC) + timedelta(seconds=self.due_at - monotonic())
        self.near.modify(trigger=every(sync.interval, self._place), next_run_time=soon)
        self.full.modify(trigger=every(sync.full_interval, self._place), next_run_time=soon)
        self.verify.reschedule(every(sync.verify_interval, self._place))
