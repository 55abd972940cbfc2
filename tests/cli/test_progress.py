"""The bar of a long pass: on a terminal in memory, with the log beside it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from structlog.testing import CapturingLogger

from bridge.cli.progress import MANY, Bar
from bridge.errors import ExitStatus
from bridge.model import Verb
from bridge.records import PassRecord
from bridge.sync.result import PassResult
from tests.support.builders import put

CREATE = put(1001, verb=Verb.CREATE)
RESULT = PassResult(PassRecord(0, 184, "in_sync", 1, 1, 0, 0, 0, 0, 0), ExitStatus.OK, (), (CREATE,), ())


class Screen:
    def __init__(self, *, writes: bool = True, width: int = 80) -> None:
        self.out = io.StringIO()
        self.log = CapturingLogger()
        console = Console(file=self.out, force_terminal=True, width=width)
        self.bar = Bar(self.log, console, writes=writes)


def test_a_long_pass_has_a_bar_until_it_ends_and_its_log_goes_on() -> None:
    screen = Screen()
    screen.bar.pass_started()
    screen.bar.planned(MANY + 1)
    screen.bar.wrote(CREATE)
    screen.bar.participants_skipped("1001", 2)
    screen.bar.pass_finished(RESULT)
    screen.bar.stop()
    shown = screen.out.getvalue()
    assert "writing" in shown
    assert f"1/{MANY + 1}" in shown
    logged = [call.args[0] for call in screen.log.calls]
    assert logged == ["pass_started", "booking_created", "participants_skipped", "pass_finished"]


def test_many_look_ups_have_a_bar_of_their_own() -> None:
    screen = Screen(writes=False)
    for answered in range(MANY + 3):
        screen.bar.asking(answered)
    screen.bar.stop()
    assert "looking up bookings" in screen.out.getvalue()


def test_the_bar_is_one_line_with_the_time_left() -> None:
    screen = Screen()
    for answered in range(MANY + 3):
        screen.bar.asking(answered)
    screen.bar.planned(MANY + 10)
    (shown,) = [task for task in screen.bar._progress.tasks if task.visible]
    assert (shown.description, shown.total) == ("writing", MANY + 10)
    assert "TimeRemainingColumn" in [type(column).__name__ for column in screen.bar._progress.columns]
    screen.bar.stop()


def test_the_bar_has_room_on_forty_columns() -> None:
    looking_up, writing = Screen(width=40), Screen(width=40)
    for answered in range(1300):
        looking_up.bar.asking(answered)
    looking_up.bar.stop()
    assert "1299/?" in looking_up.out.getvalue()
    writing.bar.planned(12_000)
    writing.bar.wrote(CREATE)
    writing.bar.stop()
    assert " 1/12000" in writing.out.getvalue()
    assert "…" not in looking_up.out.getvalue() + writing.out.getvalue()


@pytest.mark.parametrize(("writes", "planned"), [(True, MANY), (False, MANY + 1)])
def test_a_short_pass_and_a_dry_run_have_no_bar(writes: bool, planned: int) -> None:
    screen = Screen(writes=writes)
    screen.bar.planned(planned)
    screen.bar.wrote(CREATE)
    assert screen.out.getvalue() == ""
