"""Calls of the command line in a process of their own, and what they are about."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bridge.sandbox import Sandbox

COURT_1, COURT_2 = "79ae2927-a9bc-46ed-8f9e-079af32b7616", "2b1e6c1d-3f0a-4a52-8c1b-6a6d1f9f2c02"
SLOT = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=2)


@dataclass(frozen=True)
class Ran:
    """How a call ended, and all it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.out.count("\n") == 1
        return json.loads(self.out)

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.err.splitlines()]

    @property
    def places(self) -> list[str]:
        return [about for about, _ in self.found("problem")]

    def found(self, level: str) -> list[tuple[str, str]]:
        """Return what a check found on one level: about what, and the detail."""
        return [(each["about"], each["detail"]) for each in self.json["findings"] if each["level"] == level]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.log if line["event"] == name]


Run = Callable[..., Ran]
WriteConfig = Callable[..., Path]


@contextmanager
def restored_signals() -> Iterator[None]:
    """Give the test run its own signal handlers back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def start(*arguments: str | Path, **more: Any) -> subprocess.Popen[str]:
    """Start the command line in a process of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen([sys.executable, "-m", "bridge", *map(str, arguments)], text=True, **pipes)


def process(*arguments: str | Path, **more: Any) -> Ran:
    """Run the command line in a process of its own, to its end."""
    with start(*arguments, **more) as running:
        out, err = running.communicate(timeout=30)
    return Ran(running.returncode, out, err)


def on_a_terminal(*arguments: str | Path, typed: str = "") -> tuple[int, str]:
    """Run the command line on a terminal where this is typed; return its exit status, and what is shown."""
    ours, theirs = pty.openpty()
    os.write(ours, typed.encode())
    with start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # EIO: nobody has the other end open any more
            while chunk := os.read(ours, 65536):
                shown += chunk
        os.close(ours)
    return running.returncode, shown.decode()


def book(sandbox: Sandbox, hour: int = 0, court: int = 1, **fields: Any) -> int:
    fields = {"email": "player@example.com", "minutes": 60, **fields}
    return sandbox.launch27.add_booking(service_date=SLOT + timedelta(hours=hour), services=[court], **fields)


def writes(sandbox: Sandbox) -> list[str]:
    return [entry.method for entry in sandbox.wingfield.log if entry.method != "GET"]
