"""The daemon: one pass after another, until a signal; the configuration may change in between.

    APScheduler's clock ──▶ wake ──▶ one task that runs the passes, so that they never overlap
    heart, every second ──▶ edits of the files, SIGHUP, jumps of the clock, systemd's watchdog
    SIGTERM, SIGINT     ──▶ stop: nothing new is begun; a second one ends the process where it stands

What goes wrong in a pass is for the next one to mend. What ends the daemon: a configuration that is wrong at
the start (78), a state that cannot be used (74) or is held by another (75), and a mistake of ours (1).
"""

from __future__ import annotations

import asyncio
import faulthandler
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler  # type: ignore[import-untyped]
from apscheduler.triggers.base import BaseTrigger  # type: ignore[import-untyped]

from bridge import log as logs
from bridge.config.loading import load_config
from bridge.config.schema import Config, changed_keys
from bridge.errors import BridgeError, ConfigError, ExitStatus, Problem
from bridge.launch27.client import Session
from bridge.ledger.store import Ledger, hold
from bridge.service.pace import Pace, Verdict
from bridge.service.systemd import Notifier
from bridge.service.watch import SETTLED_SECONDS, Watch, files_of
from bridge.sync.clients import Services, connected
from bridge.sync.narrator import LogNarrator, Overheard
from bridge.sync.run import PassResult, Synchronizer, is_refused_login

BEAT_SECONDS = 0.5
READING_GRACE_SECONDS = 2.0
"""How long a pass may go on after a stop when it has written nothing: an answer would change nothing."""
WRITING_GRACE_SECONDS = 5.5
"""The same when it writes; the executor itself ends after 5 seconds, and stores what was answered."""
HUNG_SECONDS = 30 * 60.0
"""A pass without any sign of life for so long hangs. A listing of 50,000 bookings, the longest silence there
is, takes four minutes at Launch27's rate, and half an hour where every page takes as long as it may."""
CLOCK_JUMP_SECONDS = 1.0

log = structlog.get_logger()


def run(config_path: Path, *, environ: Mapping[str, str], log_level: str) -> int:
    """Run the daemon under the configuration at ``config_path``; return the exit status when it ends."""
    aside = logs.Aside()
    logs.configure(log_level, aside=aside)
    with suppress(OSError, ValueError, RuntimeError):
        faulthandler.enable()  # systemd's watchdog ends a hung process with SIGABRT: that says where it hung
    notifier = Notifier.from_environ(environ)
    try:
        _run(config_path, environ, notifier, LogNarrator(lasting=True, aside=aside))
    except BridgeError as error:
        return _told(error, notifier)
    except Exception as error:  # noqa: BLE001 (the last resort: a restart begins with a clean process)
        log.critical("daemon_crashed", exception_type=type(error).__name__, at=_places(error))
        return ExitStatus.ATTENTION
    finally:
        notifier.close()
    return ExitStatus.OK


def _run(path: Path, environ: Mapping[str, str], notifier: Notifier, narrator: LogNarrator) -> None:
    source = Source(path, environ)
    config = source.load()
    state = config.sync.state
    with hold(state), Ledger.open(state, config.identity) as ledger:
        asyncio.run(Daemon(config, source, ledger, notifier, narrator).run())


def _told(error: BridgeError, notifier: Notifier) -> ExitStatus:
    """Say why the daemon ends, in the log and in ``systemctl status``; return the exit status."""
    status = error.exit_status
    if isinstance(error, ConfigError):
        log.error("config_rejected", problems=list(map(str, error.problems)), exit_status=int(status))
        notifier.status(f"the configuration is wrong: {'; '.join(map(str, error.problems))}")
    else:
        log.error("daemon_ended", error=str(error), exit_status=int(status))
        notifier.status(str(error))
    return status


def _places(error: BaseException) -> list[str]:
    """Return where an exception came from, without its message, which could hold anything."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]


class _FromNow(BaseTrigger):  # type: ignore[misc]
    """Fires an interval from now, always.

    APScheduler's own counts from the last time it fired: a clock set forward by years (a machine without a
    battery, at its first contact with a time server) would have it count every single missed turn.
    """

    def __init__(self, interval: timedelta) -> None:
        self.interval = interval

    def get_next_fire_time(self, _previous: datetime | None, now: datetime) -> datetime:
        return now + self.interval


class Source:
    """Where the configuration comes from, and whether it was edited."""

    def __init__(
        self, path: Path, environ: Mapping[str, str], settled_seconds: float = SETTLED_SECONDS
    ) -> None:
        self._path = path
        self._environ = environ
        self._watch = Watch((), settled_seconds)

    def load(self) -> Config:
        """Return the configuration as it is now. Raises ConfigError."""
        self._watch.take(files_of(self._path, self._environ))
        return load_config(self._path, self._environ)

    def is_edited(self, now: float) -> bool:
        """Whether what was loaded last is no longer what is there; ``now`` as for ``Watch.look``."""
        return self._watch.look(now)


class Daemon:
    """Runs passes under a configuration that may be replaced between two of them.

    ``clock`` is the wall clock; all waiting is done by the event loop's, which nobody sets.
    """

    def __init__(
        self,
        config: Config,
        source: Source,
        ledger: Ledger,
        notifier: Notifier,
        narrator: LogNarrator,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        beat_seconds: float = BEAT_SECONDS,
    ) -> None:
        self._config = config
        self._source = source
        self._ledger = ledger
        self._notifier = notifier
        self._narrator = narrator
        self._clock = clock
        self._beat_seconds = beat_seconds
        self._heard = Overheard(narrator, monotonic)
        self._pace = Pace(config.sync.interval)
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._stop = asyncio.Event()
        self._wake = asyncio.Event()
        self._hangup = asyncio.Event()
        self._is_due = False
        self._due_at = monotonic()
        self._clock_offset = self._offset()
        self._alive_at = 0.0
        self._pending: Config | None = None
        self._rejected: tuple[Problem, ...] = ()
        self._services: Services | None = None
        self._patience: asyncio.Timeout | None = None
        self._status = "waiting for the first pass"

    async def run(self) -> None:
        """Run passes until a signal says stop. Raises StateError when the ledger cannot be used."""
        _warn(self._config)
        with self._signals():
            self._start_clock()
            self._notifier.ready(self._status)
            log.info("daemon_started", interval_seconds=self._config.sync.interval.total_seconds())
            tasks = [asyncio.create_task(self._passes()), asyncio.create_task(self._heart())]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                self._scheduler.shutdown(wait=False)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            log.info("daemon_stopped")

    # --- signals ---

    @contextmanager
    def _signals(self) -> Iterator[None]:
        handlers = {
            signal.SIGTERM: self._begin_to_stop,
            signal.SIGINT: self._begin_to_stop,
            signal.SIGHUP: self._hangup.set,
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
        self._narrator.stopping = True
        self._stop.set()
        self._wake.set()
        if self._services is not None:
            self._services.stop()
        if self._patience is not None:
            grace = WRITING_GRACE_SECONDS if self._heard.is_writing else READING_GRACE_SECONDS
            self._patience.reschedule(loop.time() + grace)

    # --- the clock ---

    def _start_clock(self) -> None:
        """Let APScheduler wake the passes; the first is due now.

        The job is a coroutine function, since others would run in a thread. A turn that comes late counts:
        by default one second is too late, and the whole interval would be lost.
        """
        self._scheduler.start()
        self._job = self._scheduler.add_job(
            self._turn,
            _FromNow(self._config.sync.interval),
            next_run_time=self._clock(),
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
        )

    async def _turn(self) -> None:
        self._is_due = True
        self._wake.set()

    def _schedule(self, due_at: float) -> None:
        """Let the next pass begin at ``due_at``, a moment of the event loop's clock."""
        self._due_at = due_at
        wait_seconds = max(0.0, due_at - monotonic())
        self._job.modify(next_run_time=self._clock() + timedelta(seconds=wait_seconds))

    def _offset(self) -> float:
        return self._clock().timestamp() - monotonic()

    def _notice_clock_jump(self) -> None:
        """Plan anew when the wall clock was set: set back by hours, APScheduler would wait for hours."""
        offset = self._offset()
        if abs(offset - self._clock_offset) > CLOCK_JUMP_SECONDS:
            log.info("clock_jumped", seconds=round(offset - self._clock_offset, 1))
            self._clock_offset = offset
            self._schedule(self._due_at)

    # --- passes ---

    async def _passes(self) -> None:
        sessions: Iterable[Session] = ()
        while not self._stop.is_set():
            self._swap()
            async with connected(self._config, sessions) as services:
                self._services = services
                bridge = Synchronizer(
                    self._config,
                    services.launch27,
                    services.sessions,
                    services.wingfield,
                    self._ledger,
                    self._heard,
                    clock=self._clock,
                    stop=self._stop,
                )
                while await self._is_wanted():
                    services.new_pass()
                    await self._run_pass(bridge, services)
            sessions = services.sessions

    async def _is_wanted(self) -> bool:
        """Wait for the next pass; return False when there is a stop or another configuration instead."""
        while True:
            if self._stop.is_set() or self._pending is not None:
                return False
            if self._is_due and monotonic() >= self._pace.not_before:
                return True
            self._is_due = False
            await self._wake.wait()
            self._wake.clear()

    async def _run_pass(self, bridge: Synchronizer[Session], services: Services) -> None:
        began = monotonic()
        try:
            async with asyncio.timeout(None) as self._patience:
                result = await bridge.run_pass()
        except TimeoutError:
            if not self._stop.is_set():
                raise
            log.warning("pass_cut_short", detail="the bridge is stopping, and an answer did not come")
            return
        finally:
            self._patience = None
        self._is_due = False
        if not self._stop.is_set():
            self._settle(result, self._verdict(result, services), began)

    def _verdict(self, result: PassResult, services: Services) -> Verdict:
        """Return what the pass says about the services; the trouble of single bookings is none of theirs."""
        if is_refused_login(result):
            return Verdict.REFUSED
        listed = {
            mark.account for mark in self._ledger.watermarks() if mark.listed_ms == result.record.started_ms
        }
        is_read = all(account.key in listed for account in self._config.launch27.accounts)
        is_down = services.launch27.http.is_down or services.wingfield.is_down
        return Verdict.FINE if is_read and self._ledger.is_adopted and not is_down else Verdict.UNREACHABLE

    def _settle(self, result: PassResult, verdict: Verdict, began: float) -> None:
        now = monotonic()
        due_at = self._pace.next_due(verdict, began, now)
        self._schedule(due_at)
        next_pass = self._clock() + timedelta(seconds=due_at - now)
        self._status = in_words(result, self._clock(), None if verdict is Verdict.FINE else next_pass)
        self._notifier.status(self._status)

    # --- the configuration ---

    def _reload(self, *, asked: bool) -> None:
        """Read the configuration anew; a valid one waits for the end of the pass, a wrong one is told."""
        try:
            config = self._source.load()
            if moved := list(_moved(self._config, config)):
                raise ConfigError(moved)
        except ConfigError as error:
            self._reject(error.problems, asked=asked)
            return
        unchanged = self._pending is None and not changed_keys(self._config, config)
        if unchanged and not asked and not self._rejected:
            return
        self._pending, self._rejected = config, ()
        self._wake.set()

    def _reject(self, problems: tuple[Problem, ...], *, asked: bool) -> None:
        """Tell what is wrong: once, or whenever somebody asks with SIGHUP."""
        if problems == self._rejected and not asked:
            return
        self._rejected = problems
        self._notifier.reloading()
        log.error(
            "config_rejected",
            problems=list(map(str, problems)),
            detail="the configuration before stays in force",
        )
        self._notifier.ready(f"{self._status}; the edited configuration is wrong: {problems[0]}")

    def _swap(self) -> None:
        """Take the new configuration, if there is one, and have a pass soon."""
        old, new = self._config, self._pending
        if new is None:
            return
        self._pending = None
        self._notifier.reloading()
        log.info("config_reloaded", changed=changed_keys(old, new))
        if old.warnings != new.warnings:
            _warn(new)
        self._config = new
        self._pace.interval = new.sync.interval
        self._job.modify(trigger=_FromNow(new.sync.interval))
        if _credentials(old) != _credentials(new):
            self._pace.forgive()
        self._schedule(self._pace.soonest(monotonic()))
        self._notifier.ready(self._status)

    # --- the heart ---

    async def _heart(self) -> None:
        """Look after the clock, the files and the watchdog, for as long as the passes run."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._beat_seconds):
                    await self._hangup.wait()
            self._notice_clock_jump()
            self._look_after_configuration()
            self._notifier.flush()
            self._keep_alive()

    def _look_after_configuration(self) -> None:
        asked = self._hangup.is_set()
        self._hangup.clear()
        if not self._stop.is_set() and (asked or self._source.is_edited(monotonic())):
            self._reload(asked=asked)

    def _keep_alive(self) -> None:
        """Pet the watchdog, unless a pass hangs, or one that is due does not begin."""
        wanted_every, now = self._notifier.watchdog_seconds, monotonic()
        is_hung = now - max(self._heard.heard_at, self._due_at) > HUNG_SECONDS
        if wanted_every is not None and not is_hung and now - self._alive_at >= wanted_every / 4:
            self._alive_at = now
            self._notifier.alive()


def in_words(result: PassResult, ended: datetime, next_pass: datetime | None) -> str:
    """Return how things stand after a pass, for ``systemctl status``; the times are the machine's."""
    record = result.record
    bookings = record.created + record.updated + record.unchanged
    if result.errors:
        words = [f"not in step: {result.errors[0]}"]
    else:
        words = [f"{'not in step' if record.outcome == 'incomplete' else 'in step'}: {bookings} bookings"]
    if record.held:
        words.append(f"{record.held} held")
    if record.withheld:
        words.append(f"{len(record.withheld)} deletes withheld")
    words.append(f"last pass {ended.astimezone():%H:%M:%S}")
    if next_pass is not None:
        words.append(f"next {next_pass.astimezone():%H:%M:%S}")
    return ", ".join(words)


def _moved(old: Config, new: Config) -> Iterator[Problem]:
    """Yield what makes ``new`` the configuration of another state, which nobody can change in mid-run."""
    other = (
        "would make this another bridge, with another state; to have that, set sync.state to another file as "
        "well, and restart"
    )
    if old.launch27.host != new.launch27.host:
        yield Problem("launch27.base_url", other)
    if old.wingfield.base_url != new.wingfield.base_url:
        yield Problem("wingfield.base_url", other)
    if old.wingfield.external_service_id != new.wingfield.external_service_id:
        yield Problem("wingfield.external_service_id", other)
    if old.mapping.id_prefix != new.mapping.id_prefix:
        yield Problem("mapping.id_prefix", other)
    if old.sync.state != new.sync.state:
        yield Problem("sync.state", "is taken into account at the start only; restart to use another state")


def _credentials(config: Config) -> tuple[object, ...]:
    """Return all that a service may have refused."""
    return config.launch27.role, config.launch27.accounts, config.wingfield.token


def _warn(config: Config) -> None:
    for warning in config.warnings:
        log.warning("config_warning", detail=warning)
