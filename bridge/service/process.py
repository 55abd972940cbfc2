"""The daemon: what holds for the whole process. What it does for a club is in ``club.py``.

    APScheduler's jobs        ──▶ a club's turn; one task runs its passes, so that they never overlap
    heart, twice a second     ──▶ edits of the files, jumps of the clock, systemd's watchdog
    SIGHUP                    ──▶ the configuration is read anew, edited or not
    SIGTERM, SIGINT           ──▶ stop: nothing new is begun; a second one ends the process where it stands

What goes wrong in a pass is for the next one to mend. What ends the daemon: a configuration that is wrong at
the start (78), a state that cannot be used (74) or is locked by another process (75), and a bug (1).
"""

from __future__ import annotations

import asyncio
import faulthandler
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
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
from bridge.http.loop import run as run_loop
from bridge.ledger.lock import lock
from bridge.ledger.store import Ledger
from bridge.model import STOP_SECONDS
from bridge.service.club import Club
from bridge.service.systemd import Notifier
from bridge.sync.narrator import LogNarrator

BEAT_SECONDS = 0.5
CLOCK_JUMP_SECONDS = 1.0
_LAST_ANSWER_SECONDS = STOP_SECONDS - 0.3
"""How long a pass may go on after a stop; the rest is for the end of the process."""

log = structlog.get_logger()


def run(config_path: Path, *, environ: Mapping[str, str], log_level: str) -> int:
    """Run the daemon under the configuration at ``config_path``; return the exit status when it ends."""
    aside = logs.Aside()
    logs.configure(log_level, aside=aside)
    with suppress(OSError, ValueError, RuntimeError):
        faulthandler.enable()  # systemd's watchdog ends a hung process with SIGABRT: that says where it hung
    notifier = Notifier.from_environ(environ)
    try:
        config = load_config(config_path, environ)
        state = config.sync.state
        with lock(state), Ledger.open(state, config.identity) as ledger:
            scheduler, narrator = Scheduler(), LogNarrator(lasting=True, aside=aside)
            club = Club(config, environ, ledger, scheduler, notifier, narrator)
            run_loop(Daemon(club, scheduler, notifier).run())
    except BridgeError as error:
        return _told(error, notifier)
    except Exception as error:  # noqa: BLE001 (the last resort: a restart begins with a clean process)
        log.critical("daemon_crashed", exception_type=type(error).__name__, at=_places(error))
        return ExitStatus.ATTENTION
    finally:
        notifier.close()
    return ExitStatus.OK


def _told(error: BridgeError, notifier: Notifier) -> ExitStatus:
    """Say why the daemon ends, in the log and in ``systemctl status``; return the exit status."""
    status = error.exit_status
    if isinstance(error, ConfigError):
        problems = list(map(str, error.problems))
        log.error("config_rejected", problems=problems, exit_status=int(status))
        notifier.status(f"the configuration is wrong: {'; '.join(problems)}")
    else:
        log.error("daemon_ended", error=str(error), exit_status=int(status))
        notifier.status(str(error))
    return status


def _places(error: BaseException) -> list[str]:
    """Return where an exception came from, without its message, which could hold anything."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]


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
    """Runs a club's passes until a signal says stop."""

    def __init__(
        self, club: Club, scheduler: Scheduler, notifier: Notifier, *, beat_seconds: float = BEAT_SECONDS
    ) -> None:
        self._club = club
        self._scheduler = scheduler
        self._notifier = notifier
        self._beat_seconds = beat_seconds
        self._stop = asyncio.Event()
        self._alive_at = 0.0

    async def run(self) -> None:
        """Run until a signal says stop. Raises StateError when the ledger cannot be used."""
        with self._signals():
            self._scheduler.start()
            self._notifier.ready(self._club.status)
            log.info("daemon_started", interval_seconds=self._club.interval_seconds)
            club, heart, stop = (
                asyncio.create_task(each) for each in (self._club.run(), self._heart(), self._stop.wait())
            )
            try:
                done, _ = await asyncio.wait({club, heart, stop}, return_when=asyncio.FIRST_COMPLETED)
                if self._stop.is_set():
                    done, late = await asyncio.wait({club}, timeout=_LAST_ANSWER_SECONDS)
                    if late:
                        log.warning("pass_cut_short", detail="the bridge is stopping, and an answer did not come")
                for task in done:
                    task.result()
            finally:
                self._scheduler.shutdown(wait=False)
                for task in (club, heart, stop):
                    task.cancel()
                await asyncio.gather(club, heart, stop, return_exceptions=True)
            log.info("daemon_stopped")

    # --- signals ---

    @contextmanager
    def _signals(self) -> Iterator[None]:
        handlers: dict[int, Callable[[], None]] = {
            signal.SIGTERM: self._begin_to_stop,
            signal.SIGINT: self._begin_to_stop,
            signal.SIGHUP: partial(self._club.look_after_configuration, asked=True),
        }
        before = {number: signal.getsignal(number) for number in handlers}
        loop = asyncio.get_running_loop()
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number, earlier in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, earlier)

    def _begin_to_stop(self) -> None:
        """Begin nothing new; the next signal is left to the kernel, which ends the process at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        log.info("daemon_stopping")
        self._notifier.stopping("stopping")
        self._club.stop()
        self._stop.set()

    # --- the heart ---

    async def _heart(self) -> None:
        """Look after the clock, the files and the watchdog, for as long as the passes run."""
        while True:
            await asyncio.sleep(self._beat_seconds)
            self._scheduler.follow_clock()
            self._club.look_after_configuration()
            self._notifier.flush()
            self._keep_alive()

    def _keep_alive(self) -> None:
        """Pet the watchdog, unless the club hangs."""
        wanted_every, now = self._notifier.watchdog_seconds, monotonic()
        if wanted_every is not None and not self._club.is_hung and now - self._alive_at >= wanted_every / 4:
            self._alive_at = now
            self._notifier.alive()
