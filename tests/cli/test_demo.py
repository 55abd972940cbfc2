"""The demo: it ends by itself, says the same every time, and notices when it has not worked."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog

from bridge.cli import demo
from bridge.cli.main import main
from bridge.errors import ExitStatus
from bridge.model import Verb, Write
from bridge.sandbox.saturday import STEPS, Club

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


@pytest.fixture(autouse=True)
def _log_afterwards() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_the_demo_ends_in_sync_and_tells_each_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    for part in (
        *(f"{number}. {step.title}\n" for number, step in enumerate(STEPS, 1)),
        *("court_booking_overlap", "no_participant", "ambiguous_court"),
        "19 bookings seen: 15 created, 0 updated, 0 unchanged, 1 ignored (no court), 3 held; 0 deleted.",
        "19 bookings seen: 0 created, 0 updated, 15 unchanged",
        "18 bookings seen: 1 created, 2 updated, 11 unchanged, 1 ignored (no court), 3 held; 2 deleted.",
        "18 bookings seen: 2 created, 2 updated, 12 unchanged, 1 ignored (no court), 1 held; 0 deleted.",
        "16 bookings seen: 0 created, 0 updated, 16 unchanged",
        "In sync: Wingfield has the 16 court bookings of Launch27",
        "0 of them rejected",
    ):
        assert part in said.out


def test_the_demo_sends_nothing_off_loopback_and_says_the_same_every_time(capsys: pytest.CaptureFixture[str]) -> None:
    ran = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stderr == ""
    main(["demo"])
    assert capsys.readouterr().out == ran.stdout


def test_the_demo_exits_1_when_wingfield_has_not_what_launch27_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    club = Club()
    assert demo.verdict(club) is ExitStatus.ATTENTION
    assert "NOT in sync; these differ: 1001, 1002" in capsys.readouterr().out
    monkeypatch.setattr(demo, "STEPS", STEPS[:1])
    assert main(["demo"]) == ExitStatus.ATTENTION, "what is held is not in Wingfield yet"
    assert "these differ: 1016, 1017." in capsys.readouterr().out


def test_a_booking_nobody_knows_has_no_name_and_a_delete_may_have_no_place(capsys: pytest.CaptureFixture[str]) -> None:
    demo._print_writes(Club(), [Write(Verb.DELETE, "1", None, (), b"", 0, "gone")])
    assert re.search(r"^  delete +1 +gone$", capsys.readouterr().out, re.MULTILINE)
