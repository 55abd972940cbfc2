"""Bridges that stay, for tests: a fake systemd, a log to wait for, a daemon in a process or in this one."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest
import structlog

from bridge import log as logs
from bridge.config.loading import load_config
from bridge.config.schema import Config
from bridge.ledger.store import Ledger
from bridge.sandbox import Sandbox
from bridge.service import club, clubs, process, watch
from bridge.service.systemd import Notifier
from bridge.sync.narrator import LogNarrator
from tests.support.builders import EMAIL

PATIENCE_SECONDS = 20.0
Line = dict[str, Any]


def book(sandbox: Sandbox, count: int = 1, *, first_hour: int = 24) -> list[int]:
    """Make ``count`` bookings of court 1, an hour each, from ``first_hour`` hours from now."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=first_hour)
    return [
        sandbox.launch27.add_booking(
            owner=EMAIL, email="a@b.co", service_date=hour + timedelta(hours=n), services=[1], minutes=60
        )
        for n in range(count)
    ]


class Log(list[Line]):
    """Lines of JSON, in the order in which they came."""

    def of(self, event: str) -> list[Line]:
        return [line for line in self if line["event"] == event]


class FakeSystemd:
    """Listens at a notify socket; a path that begins with a zero byte is an abstract name."""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def hear(self, wanted: str = "") -> str:
        """Wait for a message that contains ``wanted``, and return it."""
        while True:
            message = self._socket.recv(65536).decode()
            if wanted in message:
                return message

    async def hears(self, wanted: str) -> str:
        """Wait for a message that contains ``wanted``, while the event loop goes on."""
        return await asyncio.to_thread(self.hear, wanted)

    def heard_by_now(self) -> list[str]:
        """Return what was said since the last message that was waited for."""
        heard = []
        self._socket.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                heard.append(self._socket.recv(65536).decode())
        self._socket.settimeout(PATIENCE_SECONDS)
        return heard


class Process:
    """``courtbridge`` as a real process, killed if it takes too long."""

    def __init__(self, config: Path, *arguments: str, **environ: str) -> None:
        self.log = Log()
        plain = {name: value for name, value in os.environ.items() if not name.startswith("COURTBRIDGE")}
        command = [sys.executable, "-m", "bridge", "--config", str(config), *arguments]
        self.popen = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=plain | environ, text=True
        )
        self._patience = threading.Timer(PATIENCE_SECONDS, self.popen.kill)
        self._patience.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self.popen:
            self.popen.kill()
        self._patience.cancel()

    def wait(self, event: str, count: int = 1) -> None:
        """Read the log until there are ``count`` lines of ``event``."""
        assert self.popen.stderr is not None
        while len(self.log.of(event)) < count:
            self.log.append(json.loads(self.popen.stderr.readline()))

    def ended(self) -> int:
        """Wait for the end; return the exit status, negative for a signal. The log must be JSON to its end."""
        assert self.popen.stderr is not None
        self.log += map(json.loads, self.popen.stderr)
        return self.popen.wait()


class Here:
    """The daemon in the running event loop; when the test is over, it is told to stop.

    To save time, an interval is a fifth of what is configured, and so is the time in which a file settles,
    and it looks at its files twenty times a second.
    """

    def __init__(
        self, config: Path, *, notify: FakeSystemd | None = None, watchdog_seconds: float | None = None
    ) -> None:
        self.config = config
        self.log = Log()
        self.loads = 0
        """How often the configuration was read."""
        self._patch = pytest.MonkeyPatch()
        self._notifier = Notifier(str(notify.path) if notify else "", watchdog_seconds)
        self._added = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._patch.setattr(club, "load_config", self._load)
        self._patch.setattr(watch, "SETTLED_SECONDS", 0.2)
        self._patch.setattr(process, "BEAT_SECONDS", 0.05)
        aside = logs.Aside()
        stream = io.StringIO()
        stream.write = self._write  # type: ignore[method-assign]
        logs.configure("info", stream, aside)
        scheduler = process.Scheduler()
        self.task = asyncio.create_task(process.Daemon(self._make(scheduler, aside), scheduler, self._notifier).run())
        return self

    def _make(self, scheduler: process.Scheduler, aside: logs.Aside) -> club.Club | clubs.Clubs:
        """Return what the daemon runs."""
        config = self._load(self.config, {})
        self.ledger = Ledger.open(config.sync.state, config.identity)
        narrator = LogNarrator(lasting=True, aside=aside)
        self.club = club.Club(config, {}, self.ledger, scheduler, self._notifier, narrator)
        return self.club

    def _close(self) -> None:
        self.records = self.ledger.passes(1000)[::-1]
        self.ledger.close()

    def _load(self, *arguments: Any) -> Config:
        """Read the configuration; an interval is a fifth of what is configured."""
        self.loads += 1
        config = load_config(*arguments)
        lengths = {name: getattr(config.sync, name) / 5 for name in ("interval", "full_interval")}
        sync = config.sync.model_copy(update=lengths)
        return config.model_copy(update={"sync": sync})

    async def __aexit__(self, *_: object) -> None:
        try:
            if not (self.task.done() or self.log.of("daemon_stopping")):
                await self.wait("daemon_started")
                os.kill(os.getpid(), signal.SIGTERM)
            await self.ended()
        finally:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
            self._close()
            self._notifier.close()
            self._patch.undo()
            structlog.reset_defaults()

    async def ended(self) -> None:
        """Wait for the end."""
        await asyncio.wait_for(asyncio.shield(self.task), PATIENCE_SECONDS)

    def _write(self, text: str) -> int:
        if text.strip():
            self.log.append(json.loads(text))
            self._added.set()
        return len(text)

    def edit(self, old: str, new: str) -> None:
        """Edit the configuration in place."""
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    async def wait(self, event: str, count: int = 1) -> Line:
        """Wait until there are ``count`` lines of ``event``; return the last of them."""
        await self.until(lambda: len(self.log.of(event)) >= count, event)
        return self.log.of(event)[count - 1]

    async def until(self, holds: Callable[[], bool], what: object = "") -> None:
        """Wait until something holds; it is looked at with every line, and every hundredth of a second."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():
                assert not self.task.done(), (what, self.log, self.task)
                self._added.clear()
                try:
                    await asyncio.wait_for(self._added.wait(), 0.01)
                except TimeoutError:
                    continue

    async def passes(self, count: int) -> None:
        """Wait until there were ``count`` passes in all."""
        await self.until(lambda: len(self.ledger.passes(1000)) >= count, f"{count} passes")


class HereMany(Here):
    """The daemon on a directory of clubs. A club that fails begins again after a twentieth of a second at first."""

    def _make(self, scheduler: process.Scheduler, aside: logs.Aside) -> clubs.Clubs:
        self._patch.setattr(clubs, "AGAIN_SECONDS", 0.05)
        return clubs.Clubs(self.config, {}, scheduler, self._notifier, aside)

    def _close(self) -> None:
        """Each club has closed its own."""
