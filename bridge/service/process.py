"""The daemon: what holds for the whole process. What it does for a club is in ``club.py``, for many in ``clubs.py``.

    APScheduler's jobs        ──▶ a club's turn; one task runs its passes, so that they never overlap
    heart, twice a second     ──▶ edits of the files, jumps of the clock, systemd's watchdog
    SIGHUP                    ──▶ the configuration is read anew, edited or not
    SIGTERM, SIGINT           ──▶ stop: nothing new is begun; a second one ends the process where it stands

What goes wrong in a pass is for the next one to mend. What ends the daemon: a configuration that is wrong at
the start (78), a state that cannot be used (74) or is locked by another process (75), and a bug (1).
Of many clubs, each has these troubles for itself: the daemon ends (78) when no club is left.
"""

from __future__ import annotations

import asyncio
import faulthandler
import resource
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler  # type: ignore[import-untyped]

from bridge import log as logs
from bridge.config.loading import load_config
from bridge.errors import BridgeError, ConfigError, ExitStatus
from bridge.http.loop import LAST_ANSWER_SECONDS
from bridge.http.loop import run as run_loop
from bridge.ledger.lock import lock
from bridge.ledger.store import Ledger
from bridge.service.club import Club
from bridge.service.clubs import Clubs
from bridge.service.page import Page
from bridge.service.systemd import Notifier
from bridge.sync.narrator import LogNarrator

BEAT_SECONDS = 0.5
CLOCK_JUMP_SECONDS = 1.0
log = structlog.get_logger()


def run(config_path: Path, *, environ: Mapping[str, str], log_level: str, log_format: str = "auto") -> int:
    """Run the daemon under the configuration at ``config_path``; return the exit status when it ends."""
    aside = logs.Aside()
    logs.configure(log_level, aside=aside, form=log_format)
    with suppress(OSError, ValueError, RuntimeError):
        faulthandler.enable()  # systemd's watchdog ends a hung process with SIGABRT: that says where it hung
    notifier = Notifier.from_environ(environ)
    try:
        scheduler = Scheduler()
        if config_path.is_dir():
            _allow_many_files()
            run_loop(Daemon(Clubs(config_path, environ, scheduler, notifier, aside), scheduler, notifier).run())
            return ExitStatus.OK
        config = load_config(config_path, environ)
        state = config.sync.state
        with lock(state) as held, Ledger.open(state, config.identity) as ledger:
            narrator = LogNarrator(lasting=True, aside=aside)
            club = Club(config, environ, ledger, scheduler, notifier, narrator, held)
            run_loop(Daemon(club, scheduler, notifier).run())
    except BridgeError as error:
        _tell(error, notifier)
        return error.exit_status
    except Exception as error:  # noqa: BLE001 (the last resort: a restart begins with a clean process)
        log.critical("daemon_crashed", **logs.origin(error))
        return ExitStatus.ATTENTION
    finally:
        notifier.close()
    return ExitStatus.OK


def _tell(error: BridgeError, notifier: Notifier) -> None:
    """Say why the daemon ends, in the log and in ``systemctl status``."""
    exit_status = int(error.exit_status)
    if isinstance(error, ConfigError):
        problems = list(map(str, error.problems))
        log.error("config_rejected", problems=problems, exit_status=exit_status)
        notifier.status(f"the configuration is wrong: {'; '.join(problems)}")
    else:
        log.error("daemon_ended", error=str(error), exit_status=exit_status)
        notifier.status(str(error))


def _allow_many_files() -> None:
    """Raise the limit of open files, where it may be raised: each club has a few, and connections."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Scheduler(AsyncIOScheduler):  # type: ignore[misc]
    """APScheduler, whose jobs keep their distance when the wall clock is set.

    Its triggers know no other clock: set back by hours, a job would wait for hours; set forward by years (a
    machine without a battery, at its first contact with a time server), every single turn that was missed
    would be counted. A turn that comes late counts; by default, one that is a second late is skipped.
    """

    def __init__(self) -> None:
        defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        super().__init__(timezone=UTC, job_defaults=defaults)
        self._clock_offset = time.time() - monotonic()

    def follow_clock(self) -> None:
        """Move all jobs along with the wall clock, if it was set."""
        offset = time.time() - monotonic()
        jump_seconds = offset - self._clock_offset
        if abs(jump_seconds) > CLOCK_JUMP_SECONDS:
            log.info("clock_jumped", seconds=round(jump_seconds, 1))
            self._clock_offset = offset
            for job in self.get_jobs():
                job.modify(next_run_time=job.next_run_time + timedelta(seconds=jump_seconds))

    # Both look at the clock, and have to know of a jump before.

    def _process_jobs(self) -> Any:  # noqa: ANN401 (APScheduler has no types)
        self.follow_clock()
        return super()._process_jobs()

    def modify_job(self, *arguments: Any, **changes: Any) -> Any:  # noqa: ANN401
        """Change a job."""
        self.follow_clock()
        return super().modify_job(*arguments, **changes)


class Daemon:
    """Runs a club's passes, or those of many clubs, until a signal says stop."""

    def __init__(self, club: Club | Clubs, scheduler: Scheduler, notifier: Notifier) -> None:
        self._club = club
        self._scheduler = scheduler
        self._notifier = notifier
        self._page = Page(club.looks, is_many=isinstance(club, Clubs))
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Run until a signal says stop. Raises StateError when the ledger cannot be used."""
        loop = asyncio.get_running_loop()  # which gives the signals back when it is closed
        loop.add_signal_handler(signal.SIGHUP, partial(self._club.look_after_configuration, asked=True))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._begin_to_stop)
        self._scheduler.start()
        if isinstance(self._club, Clubs):
            self._club.look_after_configuration()
        await self._show()
        self._notifier.ready(self._club.status)
        log.info("daemon_started", **self._club.described)
        club, heart, stop = map(asyncio.create_task, (self._club.run(), self._heart(), self._stop.wait()))
        try:
            done, _ = await asyncio.wait({club, heart, stop}, return_when=asyncio.FIRST_COMPLETED)
            if self._stop.is_set():
                done, late = await asyncio.wait({club}, timeout=LAST_ANSWER_SECONDS)
                if late:
                    log.warning("pass_cut_short", detail="the bridge is stopping, and an answer did not come")
            for task in done:
                task.result()
        finally:
            self._scheduler.shutdown(wait=False)
            for task in (club, heart, stop):
                task.cancel()
            await asyncio.gather(club, heart, stop, return_exceptions=True)
            await self._page.close()
        log.info("daemon_stopped")

    def _begin_to_stop(self) -> None:
        """Begin nothing new; the next signal is left to the kernel, which ends the process at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        log.info("daemon_stopping")
        self._notifier.stopping()
        self._club.stop()
        self._stop.set()

    async def _show(self) -> None:
        """Serve the page as the configuration in force says."""
        await self._page.follow(self._club.web)
        self._club.trouble = self._page.trouble

    async def _heart(self) -> None:
        """Look after the clock, the files and the watchdog, for as long as the passes run."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            self._scheduler.follow_clock()
            self._club.look_after_configuration()
            await self._show()
            self._club.tell()
            self._notifier.flush()
            if not self._club.is_hung:
                self._notifier.alive()
