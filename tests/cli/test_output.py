"""Reports: lines and tables, plain and drawn; times in words; the bar of a long pass."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from bridge.cli import output as report
from bridge.cli.output import Findings, Holder, Line, Status, Table
from bridge.errors import BridgeError, ExitStatus, Unavailable
from bridge.model import (
    Held,
    PassRecord,
    Slot,
    Verb,
    Watermark,
    Write,
    to_ms,
)
from bridge.sync.result import PassResult
from tests.support.club import Recorder

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW_MS = to_ms(NOW)
HOUR_MS = 3_600_000
RECORD = PassRecord(NOW_MS - HOUR_MS, 184, "attention", 42, 1, 2, 1, 36, 2, 1)
SLOT = Slot("79ae2927-a9bc-46ed-8f9e-079af32b7616", NOW, NOW + timedelta(hours=1))
CREATE = Write(Verb.CREATE, "1001", SLOT, ("a@b.co",), b"x", NOW_MS, "new")
DELETE = Write(Verb.DELETE, "1002", None, (), b"", NOW_MS, "cancelled or gone in Launch27")
HELD = Held("1005", "no_participant", "it names nobody", NOW_MS - 3 * HOUR_MS)
RESULT = PassResult(RECORD, ExitStatus.ATTENTION, (HELD,), (CREATE, DELETE), ())


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def plain(blocks: report.Report) -> str:
    return report.render(blocks, io.StringIO())


def pass_report(result: PassResult = RESULT, *, dry_run: bool = False) -> str:
    return plain(report.pass_report(result, "stop the daemon", {}, NOW, dry_run=dry_run))


# --- lines and tables ---


def test_a_table_is_plain_text_where_nobody_looks() -> None:
    table = Table("Title", ("a", "long name"), [("value", "x"), ("", "y")])
    assert plain([Line("first"), table]) == "first\n\nTitle\n  a      long name\n  value  x\n         y\n"


def test_a_table_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    drawn = report.render([Line("all well", "green"), Table("Title", ("a",), [("[b]x[/b]",)])], Terminal())
    assert "\x1b[32mall well\x1b[0m" in drawn
    assert "─" in drawn
    assert "[b]x[/b]" in drawn


def test_a_line_stays_one_line_however_narrow_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    line = "# service_ids = []  # to be copied as it stands"
    assert line in report.render([Line(line)], Terminal())


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal(), None])
def test_what_could_steer_a_terminal_is_made_visible(stream: Any) -> None:
    text = report.render([Line("a\x1b[2Jb"), Table("", ("c",), [("d\x9be",)])], stream)
    assert r"a\x1b[2Jb" in text
    assert r"d\x9be" in text


def test_people_see_the_first_of_many_and_how_many_there_are() -> None:
    held = [replace(HELD, id=str(number)) for number in range(60)]
    text = plain(report.held_table(held, NOW))
    assert "Held back (60)" in text
    assert "… and 10 more; --json lists all" in text
    assert report.ids([str(number) for number in range(51)]).endswith("48, 49 … and 1 more")


# --- standard output ---


class Broken(io.StringIO):
    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def flush(self) -> None:
        raise self.error


@pytest.fixture
def abandoned(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    streams: list[Any] = []
    monkeypatch.setattr(report, "abandon", streams.append)
    return streams


def test_a_reader_that_has_gone_is_no_error(monkeypatch: pytest.MonkeyPatch, abandoned: list[Any]) -> None:
    out = Broken(BrokenPipeError())
    monkeypatch.setattr(sys, "stdout", out)
    report.say("text")
    assert abandoned == [out]


def test_a_full_disk_is_an_error(monkeypatch: pytest.MonkeyPatch, abandoned: list[Any]) -> None:
    out = Broken(OSError(28, "No space left on device"))
    monkeypatch.setattr(sys, "stdout", out)
    with pytest.raises(BridgeError, match="could not be written to standard output: No space left"):
        report.say("text")
    assert abandoned == [out]


def test_without_standard_output_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    report.show_json({})


def test_json_is_one_line_of_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    report.show_json({"name": "Plätze\x9b"})
    assert capsys.readouterr().out == '{"name": "Pl\\u00e4tze\\u009b"}\n'


# --- times ---


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=1), "1 h ago"),
        (timedelta(hours=47), "1 d ago"),
        (timedelta(days=400), "400 d ago"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(ago: timedelta, words: str) -> None:
    assert report.age(to_ms(NOW - ago), NOW) == words


# --- a pass ---


def test_a_pass_is_told_with_its_counts_and_what_is_held() -> None:
    text = pass_report()
    assert text.startswith(
        "Something needs a person.\n42 bookings seen: 1 created, 2 updated, 36 unchanged, "
    )
    assert "2 ignored (no court), 1 held back; 1 deleted." in text
    assert "(3 h ago)  it names nobody" in text
    assert "A pass would" not in text


def test_a_dry_run_tells_what_a_pass_would_do_and_where_a_delete_stood_if_that_is_known() -> None:
    text = pass_report(dry_run=True)
    assert "1 would be created" in text
    assert f"  create  1001     {SLOT.court_id}  " in text
    assert "  delete  1002  " in text
    actions = report.pass_json(RESULT, dry_run=True)["actions"]
    assert actions[0]["start"] == "2026-11-20T12:00:00Z"
    assert actions[1] == {
        "action": "delete",
        "id": "1002",
        "court": None,
        "start": None,
        "end": None,
        "why": "cancelled or gone in Launch27",
    }


def test_withheld_deletes_come_with_the_advice_and_errors_once_each() -> None:
    record = replace(RECORD, outcome="incomplete", withheld=("1", "2"))
    errors = (Unavailable("Wingfield", "answered 500"), Unavailable("Wingfield", "answered 500"))
    text = pass_report(replace(RESULT, record=record, held=(), errors=errors))
    assert "Deletes withheld: 1, 2\n  stop the daemon\n" in text
    assert text.count("Wingfield: answered 500") == 1
    assert "Held back" not in text


# --- the status ---

STATUS = Status(
    "/var/lib/courtbridge/courtbridge.db",
    39,
    (HELD,),
    (Watermark("k", 1, NOW_MS, 42, NOW_MS), Watermark("m", 2, None, None, None)),
    (replace(RECORD, withheld=("7",)), replace(RECORD, outcome="in_sync")),
    timedelta(minutes=1),
    Holder(4711, NOW),
)


def test_the_status_tells_all_the_ledger_knows() -> None:
    text = plain(report.status_report(STATUS, NOW))
    assert text.startswith("Last pass 1 h ago: Something needs a person.\n39 bookings in Wingfield, 1 held")
    assert "process 4711" in text
    assert "next pass due now." in text
    assert "The last pass withheld 1 delete: 7\n  If they really are gone" in text
    assert "  2        never" in text
    assert "in_sync" in text


def test_the_status_is_json_as_the_interface_says() -> None:
    status = report.status_json(STATUS)
    assert list(status) == ["bookings", "held", "withheld_deletes", "watermarks", "passes"]
    assert status["withheld_deletes"] == 1
    assert status["watermarks"] == [
        {"account": 1, "listed_at": "2026-11-20T12:00:00Z", "source_updated_at": "2026-11-20T12:00:00Z"},
        {"account": 2, "listed_at": None, "source_updated_at": None},
    ]
    assert status["passes"][0] == {
        "started_at": "2026-11-20T11:00:00Z",
        "outcome": "attention",
        "seen": 42,
        "created": 1,
        "updated": 2,
        "deleted": 1,
        "unchanged": 36,
        "ignored": 2,
        "held": 1,
        "withheld_deletes": 1,
        "duration_ms": 184,
    }


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"held": (), "passes": ()}, 0),
        ({"held": (), "passes": (replace(RECORD, outcome="in_sync"),)}, 0),
        ({"held": (), "passes": (replace(RECORD, outcome="incomplete"),)}, 0),
        ({"held": (), "passes": (replace(RECORD, outcome="refused"),)}, 1),
        ({"held": ()}, 1),
        ({"passes": ()}, 1),
    ],
)
def test_the_status_asks_for_a_person_when_one_is_needed(changes: dict[str, Any], code: int) -> None:
    assert replace(STATUS, **changes).exit_status == code


def test_a_bridge_without_a_finished_pass_is_running_all_the_same() -> None:
    text = plain(report.status_report(replace(STATUS, passes=()), NOW))
    assert text.startswith("No pass has finished yet")
    assert text.endswith(").\n")


# --- a check ---


def test_a_check_tells_what_is_well_before_what_is_not() -> None:
    findings = Findings(warnings=["think about it"], checked=["fine"])
    assert plain(report.check_report(findings)).endswith("All is well.\n")
    findings.wrong("courts[1].court_id", "no such court", ExitStatus.CONFIG)
    assert plain(report.check_report(findings)) == (
        "ok       fine\nwarning  think about it\n"
        "problem  courts[1].court_id: no such court\n1 problem found.\n"
    )
    assert report.check_json(findings)["problems"] == [
        {"place": "courts[1].court_id", "message": "no such court"}
    ]


# --- the bar ---


class Screen:
    """A bar on a terminal in memory, the narrator behind it, and how often the log was set up anew."""

    def __init__(self, *, writes: bool = True) -> None:
        self.out = Terminal()
        self.inner = Recorder()
        self.relogged = 0
        console = Console(file=self.out, force_terminal=True, width=80)
        self.bar = report.Bar(self.inner, console, self.relog, writes=writes)

    def relog(self) -> None:
        self.relogged += 1


def test_a_long_pass_has_a_bar_until_it_ends() -> None:
    screen = Screen()
    screen.bar.pass_started()
    screen.bar.planned(report.MANY + 1)
    assert screen.relogged == 1
    screen.bar.wrote(CREATE)
    screen.bar.participants_skipped("1001", 2)
    screen.bar.held_changed([Held("1", "no_duration", "")], [])
    screen.bar.pass_finished(RESULT)
    shown = screen.out.getvalue()
    assert "writing to Wingfield" in shown
    assert f"1/{report.MANY + 1}" in shown
    assert screen.relogged == 2
    assert screen.inner.wrote_ == [CREATE]
    assert screen.inner.skipped == [("1001", 2)]
    assert screen.inner.began == [Held("1", "no_duration", "")]
    assert screen.inner.results == [RESULT]


def test_many_questions_have_a_bar_of_their_own() -> None:
    screen = Screen(writes=False)
    for answered in range(report.MANY + 3):
        screen.bar.asking(answered)
    screen.bar.stop()
    assert "asking Launch27 by id" in screen.out.getvalue()
    assert screen.relogged == 2


@pytest.mark.parametrize(("writes", "planned"), [(True, report.MANY), (False, report.MANY + 1)])
def test_a_short_pass_and_a_dry_run_have_no_bar(writes: bool, planned: int) -> None:
    screen = Screen(writes=writes)
    screen.bar.planned(planned)
    screen.bar.wrote(CREATE)
    assert screen.out.getvalue() == ""
