"""Whatever people read is wrapped between its words, on any terminal from 40 columns on."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.cli.arguments import COMMANDS
from bridge.sandbox import Sandbox
from tests.cli.calls import COURT_1, Run, WriteConfig, book

ALLOWED = re.compile(r'\S+|court_id = "\S+"|-+')
"""What cannot be wrapped: one word that is longer than the line, and what is to be pasted."""


@pytest.fixture(params=[40, 60, 80, 120])
def too_wide(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, run: Run) -> Callable[..., list[str]]:
    """Return a function that calls the command line on such a terminal, and returns the lines that are too wide."""
    monkeypatch.setenv("COLUMNS", str(request.param))
    monkeypatch.setenv("TERM", "xterm")

    def too_wide(*arguments: str | Path) -> list[str]:
        for stream in (sys.stdout, sys.stderr):
            monkeypatch.setattr(stream, "isatty", lambda: True)
        ran = run(*arguments)
        assert ran.out + ran.err
        lines = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", ran.out + ran.err).splitlines()
        return [line for line in lines if len(line) > request.param and not ALLOWED.fullmatch(line.strip())]

    return too_wide


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_and_wrong_usage_fit(too_wide: Callable[..., list[str]], command: str) -> None:
    for more in ("--help", "--log-level=loud", "--no-such-option or-argument", "--club=mitte"):
        assert too_wide(*command.split(), *more.split()) == []
    assert too_wide("stats") == too_wide("day", "tomorrow") == []


def test_every_result_fits(too_wide: Callable[..., list[str]], sandbox: Sandbox, write_config: WriteConfig) -> None:
    config = write_config(more="[sync]\nmax_delete_count = 0\nmax_delete_fraction = 0.0")
    gone, missing, *_ = [book(sandbox, hour) for hour in (0, 1, 2, 2)]
    book(sandbox, 3, email="nobody")
    book(sandbox, 4, court=9)
    sandbox.launch27.bookings[book(sandbox, 5)]["services"].append({"id": 2, "name": "Court 2"})
    for call in ("check", "--dry-run", "--once", "status", "day", "history", "courts", "notify", "connect tok_bad"):
        assert too_wide(*call.split(), "--config", config) == [], call
    sandbox.launch27.cancel(gone)
    sandbox.wingfield.remove(str(missing))
    for call in ("verify", "--once", "approve", "status", "withdraw", "withdraw --yes"):
        assert too_wide(*call.split(), "--config", config) == [], call
    config.write_text(config.read_text().replace(COURT_1, "the-court-behind-the-hall"))
    for call in ("check", "status", "--once", "courts"):
        assert too_wide(*call.split(), "--config", config) == [], call


def test_the_demo_fits(too_wide: Callable[..., list[str]]) -> None:
    assert too_wide("demo") == []
