"""One club: its schedule, its passes, and its configuration, which may change between two of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from time import monotonic

import structlog
from apscheduler.schedulers.base import BaseScheduler  # type: ignore[import-untyped]

from bridge.config.loading import load_config
from bridge.config.schema import Config, WebConfig, changed_keys
from bridge.errors import ConfigError, Problem, StateBusy
from bridge.http.ratelimit import Urgency
from bridge.launch27.client import Session
from bridge.launch27.events import Push
from bridge.ledger.lock import Lock
from bridge.ledger.store import Ledger
from bridge.model import isoformat
from bridge.notify.notifier import Messenger, messenger
from bridge.service.edits import credentials, moved
from bridge.service.schedule import Backoff, Schedule
from bridge.service.systemd import Notifier
from bridge.service.watch import Watch
from bridge.sync.clients import Clients, connected
from bridge.sync.narrator import LogNarrator
from bridge.sync.result import PassResult
from bridge.sync.run import Synchronizer
from bridge.sync.status import Running, Status, read

HUNG_SECONDS = 30 * 60.0
"""A pass without any sign of life for so long hangs. A listing of 50,000 bookings, the longest silence there is,
takes four minutes at Launch27's rate, and half an hour where every page takes as long as it may."""


RELOAD_SECONDS = 3.5
"""From the moment that an edit is noticed, at most a beat after it, to the end of what is being written then."""
LONG_SECONDS = 2.0
"""A pass that takes longer is shown while it is under way."""

log = structlog.get_logger()


class Club:
    """Runs one club's passes: a full one as soon as ``run`` is called, then near and full ones as scheduled."""

    def __init__(
        self,
        config: Config,
        environ: Mapping[str, str],
        ledger: Ledger,
        scheduler: BaseScheduler,
        notifier: Notifier,
        narrator: LogNarrator,
        lock: Lock | None = None,
        place: float | None = None,
    ) -> None:
        self.standing = "waiting for the first pass"
        """How things stand, without what goes on."""
        self._told = ""
        self._told_next: datetime | None = None
        self.schedule = Schedule(scheduler, config.sync, place)
        self._accounts: dict[str, Backoff] = {}
        self._config = config
        self.load: Callable[[], Config] = lambda: load_config(config.path, environ)
        """Reads the configuration anew."""
        self._ledger = ledger
        self._notifier = notifier
        self._narrator = narrator
        self._watch = Watch()
        self._watch.take(config.files)
        self._lock = lock
        self.trouble = ""
        """What is wrong beside the passes, in a sentence."""
        self._began_at = datetime.now(UTC)
        self._has_news = True
        self._stop = asyncio.Event()
        self.is_begun = asyncio.Event()
        """Set with the end of the first pass."""
        self._over = asyncio.Event()
        """Set when the configuration in force is over: there is a stop, or another one."""
        self._pass: asyncio.Task[PassResult] | None = None
        self._is_state_busy = False
        self._began = 0.0
        self._pending: Config | None = None
        self._rejected: tuple[Problem, ...] = ()
        self._seen: Status | None = None
        self._clients: Clients | None = None
        self._push: Push | None = None

    def hint(self, booking_id: str | None) -> None:
        """Hear that Launch27 says of a booking, or of some, that it has changed: a near pass follows in a second."""
        self.schedule.hint(booking_id)

    @property
    def is_hung(self) -> bool:
        """Whether a pass has shown no sign of life for too long, or one that is due does not begin."""
        heard_at = self._clients.heard_at if self._clients else 0.0
        return monotonic() - max(self._narrator.heard_at, self.schedule.due_at, heard_at) > HUNG_SECONDS

    @property
    def is_rejected(self) -> bool:
        """Whether the configuration has been made wrong since it was taken in."""
        return bool(self._rejected)

    @property
    def status(self) -> str:
        """How things stand, in words for ``systemctl status``; what is wrong, and what is under way, comes first."""
        words = [f"configuration rejected: {self._rejected[0]}"] if self._rejected else []
        if self.trouble:
            words.append(self.trouble)
        if doing := self.doing:
            words.append(f"pass under way: {doing}")
        return "; ".join([*words, self.standing])

    @property
    def doing(self) -> str:
        """What a pass that takes long is at, in words; "" where there is none."""
        if self._pass is None or monotonic() - self._began <= LONG_SECONDS:
            return ""
        written, total = self._narrator.written, self._narrator.to_write
        return f"{min(written, total)} of {total} written" if self._narrator.is_writing else "reading"

    @property
    def is_push_connected(self) -> bool:
        """Whether Launch27's events are listened to."""
        return self._push is not None and self._push.is_connected

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._config

    @property
    def described(self) -> dict[str, object]:
        """What the log says of it at the start."""
        return {"interval_seconds": self.schedule.interval_seconds}

    @property
    def looks(self) -> dict[str, Callable[[], Status] | None]:
        """How each club of the process stands, for the page: this one."""
        return {self._config.path.stem: self.look}

    @property
    def web(self) -> WebConfig | None:
        """Where the page is served."""
        return self._config.web

    def look(self) -> Status:
        """Return how things stand now; while a pass has the ledger for itself, as they stood before it."""
        if self._seen is None or (self._pass is None and self._has_news):
            self._seen, self._has_news = read(self._ledger, self._config.sync.state, self._config), False
        next_pass = self.schedule.next_pass_at
        running = Running(os.getpid(), self._began_at, next_pass, self.doing, self.trouble, self.is_hung)
        now, problems, figures = datetime.now(UTC), list(map(str, self._rejected)), self._narrator.figures
        figures.is_push_connected = self.is_push_connected
        return replace(self._seen, now=now, running=running, problems=problems, figures=figures)

    def tell(self) -> None:
        """Tell systemd and ``courtbridge status`` how things stand, where that has changed."""
        words, next_pass = self.status, self.schedule.next_pass_at
        if words != self._told:
            self._notifier.status(words)
        if self._lock is not None and (words, next_pass) != (self._told, self._told_next):
            self._lock.note(
                doing=self.doing, next_pass_at=isoformat(next_pass) if next_pass else None, trouble=self.trouble
            )
        self._told, self._told_next = words, next_pass

    def stop(self) -> None:
        """Begin nothing new; ``run`` returns when what is in flight is answered and stored."""
        self._stop.set()
        self._end_configuration()

    def _end_configuration(self) -> None:
        """Begin nothing new under the configuration in force."""
        self._narrator.stopping = True
        self._over.set()
        self.schedule.wake.set()
        if self._clients is not None:
            self._clients.stop()
        if self._push is not None:
            self._push.stop()

    # --- passes ---

    async def run(self) -> None:
        """Run passes until there is a stop.

        Raises StateError when the ledger cannot be used, AlreadyRunning when its lock is lost.
        """
        _warn(self._config)
        sessions: Iterable[Session] = ()
        while not self._stop.is_set():
            self._narrator.stopping, self._over = False, asyncio.Event()
            self._swap()
            config, clock = self._config, partial(datetime.now, UTC)
            async with (
                connected(config, sessions) as clients,
                messenger(config, self._ledger) as messages,
                aclosing(Push(clients.launch27, clients.sessions if config.launch27.push else (), self.hint)) as push,
            ):
                self._clients, self._push = clients, push
                clients.launch27.http.answers = clients.wingfield.http.answers = self._narrator.figures.requests
                bridge = Synchronizer(config, clients, self._ledger, self._narrator, clock=clock, stop=self._over)
                while await self._is_wanted():
                    clients.new_pass()
                    self._settle(await self._run_pass(bridge), clients, messages)
                    await clients.rest()
            sessions = clients.sessions

    async def _run_pass(self, bridge: Synchronizer) -> PassResult | None:
        """Return how a pass went; None where it was broken off, or the state was locked."""
        if self._lock is not None:
            self._lock.check()
        self._began = monotonic()
        limiter = bridge.clients.launch27.http.limiter
        extent = self.schedule.begin(bridge.reader.near_reads, limiter.read_seconds)
        limiter.urgency = Urgency.NEAR if extent.kind == "near" else Urgency.FULL
        self._pass = asyncio.create_task(bridge.run_pass(extent))
        try:
            result = await self._pass
            self._has_news = True
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._pending is None or (task is not None and task.cancelling()):
                raise
            return None
        except StateBusy as error:
            self._note_busy_state(error)
            return None
        finally:
            self._pass = None
            self.is_begun.set()
            self.tell()
        if self._is_state_busy:
            log.info("trouble_over", service="state")
            self._is_state_busy = False
        return result

    def _note_busy_state(self, error: StateBusy) -> None:
        """Say once that another program has the state; the next pass is the next turn's."""
        if not self._is_state_busy:
            log.error("pass_incomplete", error=str(error))
        self._is_state_busy = True
        self.schedule.due_at = monotonic() + self.schedule.interval_seconds
        self.standing = f"not in sync: {error}"

    @property
    def _is_interrupted(self) -> bool:
        return self._stop.is_set() or self._pending is not None

    async def _is_wanted(self) -> bool:
        """Wait for the next pass; return False when there is a stop or another configuration instead."""
        if not self._is_interrupted:
            await self.schedule.wake.wait()
        self.schedule.wake.clear()
        return not self._is_interrupted

    def _settle(self, result: PassResult | None, clients: Clients, messages: Messenger | None) -> None:
        """Plan the next passes by what this one says of the services, and say how things stand."""
        if result is None:
            self.schedule.broken_off()
        if result is None or self._stop.is_set():
            return
        self._let_accounts_rest(clients, result.listed)
        is_refused = result.is_refused_login and (not result.listed or result.is_refused_by_wingfield)
        is_away = not result.listed or not self._ledger.is_adopted or clients.is_away
        fails = self.schedule.after(result, is_refused=is_refused, is_away=is_away)
        if result.status or not result.only_hinted:  # else it has looked at next to nothing
            self.standing = in_words(result, datetime.now(UTC), self.schedule.next_pass_at if fails else None)
        self.tell()
        if messages is not None:
            messages.pass_finished(result, list(map(str, self._rejected)))

    def _let_accounts_rest(self, clients: Clients, listed: frozenset[str]) -> None:
        """Where some accounts were read and others not, those wait longer and longer, and nobody else does."""
        for session in clients.sessions if listed else ():
            if session.is_resting:
                continue
            backoff, key = self._accounts.setdefault(session.account.key, Backoff()), session.account.key
            interval = self.schedule.interval_seconds
            seconds = backoff.seconds_after(interval, is_refused=session.is_refused, is_away=key not in listed)
            if key not in listed:
                session.rest(seconds - interval / 2)  # the next turn may come a little early

    # --- the configuration ---

    def look_after_configuration(self, *, asked: bool = False) -> None:
        """Read the configuration anew, if it was edited or somebody ``asked``.

        For a valid one, what a pass reads is broken off, and what it writes is finished. A wrong one is told, once or
        whenever somebody asks.
        """
        is_edited = self._watch.look(monotonic())
        if self._stop.is_set() or not (asked or is_edited):
            return
        try:
            config = self.load()
            if problems := moved(self._config, config):
                raise ConfigError(problems, files=config.files)
        except ConfigError as error:
            self._watch.take(error.files)
            if asked or error.problems != self._rejected:
                self._reject(error.problems)
            return
        self._watch.take(config.files)
        if asked or self._rejected or self._pending is not None or changed_keys(self._config, config):
            self._pending, self._rejected = config, ()
            self._end_configuration()
            if self._pass is not None:
                noticed_at = monotonic() if asked else self._watch.noticed_at
                seconds = noticed_at + RELOAD_SECONDS - monotonic() if self._narrator.is_writing else 0.0
                asyncio.get_running_loop().call_later(seconds, self._pass.cancel)

    def _reject(self, problems: tuple[Problem, ...]) -> None:
        self._rejected = problems
        told = list(map(str, problems))
        self._notifier.reloading()
        log.error("config_rejected", problems=told, detail="the configuration before stays in force")
        self._notifier.ready(self.status)

    def _swap(self) -> None:
        """Take the new configuration, if there is one, and have a pass soon."""
        old, new, self._pending = self._config, self._pending, None
        if new is None:
            return
        self._notifier.reloading()
        log.info("config_reloaded", changed=changed_keys(old, new))
        if old.warnings != new.warnings:
            _warn(new)
        self._config, self._has_news = new, True
        self.schedule.change(new.sync, forgive=credentials(old) != credentials(new))
        self._notifier.ready(self.status)


def in_words(result: PassResult, ended: datetime, next_pass: datetime | None) -> str:
    """Return how things stand after a pass, for ``systemctl status``; the times are the machine's."""
    words = f"{result.record.in_words(result.error)}, last pass {ended.astimezone():%H:%M:%S}"
    return words if next_pass is None else f"{words}, next {next_pass.astimezone():%H:%M:%S}"


def _warn(config: Config) -> None:
    for warning in config.warnings:
        log.warning("config_warning", detail=warning)
