"""The demo: it ends by itself, says the same every time, and notices when it has not worked."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from bridge.cli import demo
from bridge.errors import ExitStatus
from bridge.sandbox.saturday import STEPS, Club
from tests.cli.calls import Run
from tests.sandbox.conftest import TLS
from tests.support.builders import delete

WATCHED = """
import sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto") and arguments[1][0] not in ("127.0.0.1", "::1"):
        print("off loopback:", arguments[1], file=sys.stderr)
    if event == "socket.getaddrinfo" and arguments[0] not in ("127.0.0.1", "localhost"):
        print("asked for", arguments[0], file=sys.stderr)
sys.addaudithook(watch)
from bridge.cli.main import main
sys.exit(main(["demo"]))
"""


def test_the_demo_ends_in_sync_and_tells_each_pass(run: Run) -> None:
    said = run("demo")
    assert (said.code, said.err) == (0, "")
    for part in (
        *(f"{number}. {step.title}\n" for number, step in enumerate(STEPS, 1)),
        *("court_booking_overlap", "no_participant", "ambiguous_court"),
        "Court 1 is taken from 2026-06-13 10:00 by booking 1004",
        "19 bookings seen: 15 created, 0 updated, 0 unchanged, 1 ignored (no court), 3 held; 0 deleted.",
        "19 bookings seen: 0 created, 0 updated, 15 unchanged",
        "18 bookings seen: 1 created, 2 updated, 11 unchanged, 1 ignored (no court), 3 held; 2 deleted.",
        "18 bookings seen: 2 created, 2 updated, 12 unchanged, 1 ignored (no court), 1 held; 0 deleted.",
        "16 bookings seen: 0 created, 0 updated, 16 unchanged",
        "In sync: Wingfield has the 16 court bookings of Launch27",
        "0 of them rejected",
    ):
        assert part in said.out


def test_the_demo_sends_nothing_off_loopback_and_says_the_same_every_time(run: Run) -> None:
    ran = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stderr == ""
    assert run("demo").out == ran.stdout


def test_the_demo_exits_1_when_wingfield_has_not_what_launch27_says(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    club = Club()
    assert demo.verdict(club) is ExitStatus.ATTENTION
    assert "NOT in sync; these differ: 1001, 1002" in capsys.readouterr().out
    monkeypatch.setattr(demo, "STEPS", STEPS[:1])
    ran = run("demo")
    assert ran.code == 1, "what is held is not in Wingfield yet"
    assert "these differ: 1016, 1017." in ran.out


def test_a_booking_nobody_knows_has_no_name_and_a_delete_may_have_no_place(capsys: pytest.CaptureFixture[str]) -> None:
    demo._print_writes(Club(), [delete(1)])
    assert re.search(r"^  delete +1 +gone$", capsys.readouterr().out, re.MULTILINE)


# --- a club that goes on living ---


@contextmanager
def serve(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the living club, whose temporary files go into ``folder``; it is killed where the test did not end it."""
    environ, pipe = os.environ | {"TMPDIR": str(folder)}, subprocess.PIPE
    command = [sys.executable, "-m", "bridge", "demo", "--serve"]
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environ) as process:
        try:
            yield process
        finally:
            process.kill()


PLAIN: dict[str, Any] = {"verify": TLS, "trust_env": False}


def read_until(stream: IO[str], word: str) -> str:
    """Read lines until one has this word, and return that line."""
    return next(line for line in stream if word in line)


def test_the_living_club_is_bridged_until_a_signal_says_stop(tmp_path: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # one after the other: they would want the same port
        with serve(tmp_path) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            address = read_until(process.stdout, "Both services").split()[-1]
            assert "Simulated." in httpx.get(address, **PLAIN).text
            status_page = read_until(process.stdout, "status page").split()[-1]
            assert "Last passes" in httpx.get(status_page, **PLAIN).text
            read_until(process.stderr, '"pass_finished"')
            assert list(tmp_path.glob("courtbridge-demo-*/courtbridge.db"))
            read_until(process.stdout, "booking")  # something happens
            process.send_signal(number)
            _, err = process.communicate(timeout=5)
            assert process.returncode == 0, err
        assert not list(tmp_path.iterdir())
        assert "@" not in err


def test_an_early_ctrl_c_ends_the_living_club_as_well(tmp_path: Path) -> None:
    with serve(tmp_path) as process:
        assert process.stdout is not None
        read_until(process.stdout, "Ctrl-C ends it")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=5)
        assert process.returncode == 0
    assert not list(tmp_path.iterdir())
