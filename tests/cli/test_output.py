"""Lines and tables, plain and drawn; JSON; standard output; times in words."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bridge.cli import output
from bridge.cli.main import main
from bridge.errors import BridgeError
from bridge.model import Held, Slot, to_ms
from bridge.sync.status import held_json
from bridge.sync.words import Places, age
from bridge.sync.words import since as told_since
from tests.support.builders import slot

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_table_is_plain_text_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    output.line("first")
    output.table("Title", ("a", "long name"), [("value", "x"), ("", "y")])
    assert capsys.readouterr().out == "first\n\nTitle\n  a      long name\n  value  x\n         y\n"


def test_lines_and_tables_are_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "20")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    output.line("all well", "green")
    output.table("Title", ("a",), [("[b]x[/b]",)])
    for part in ("\x1b[32mall well\x1b[0m", "─", "[b]x[/b]"):
        assert part in terminal.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_words_stay_whole_at_any_width(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    court = "79ae2927-a9bc-46ed-8f9e-079af32b7616"
    detail = "two rules name two courts for this booking, and only one of them can be meant by the customer"
    output.line(f"  {detail}")
    output.table("Held: 1 × ambiguous_court", ("booking", "court", "detail"), [("1005", court, detail)])
    plain = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    assert max(map(len, plain.splitlines())) <= width
    assert plain.count(court) == 1
    assert plain.startswith("  two rules name")
    assert all(plain.split().count(word) >= 2 for word in detail.split())


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal(), None])
def test_what_could_steer_a_terminal_is_made_visible(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO | None
) -> None:
    monkeypatch.setattr(sys, "stdout", stream)
    output.line("a\x1b[2Jb")
    output.table("", ("c",), [("d\x9be",)])
    if stream is not None:  # without standard output nothing is said
        assert r"a\x1b[2Jb" in stream.getvalue()
        assert r"d\x9be" in stream.getvalue()


def test_people_see_the_first_of_many_and_how_many_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    held = [Held(str(number), "no_participant", "it names nobody", 0) for number in range(60)]
    output.print_held(held, Places(), NOW)
    text = capsys.readouterr().out
    assert "Held: 60 × no_participant" in text
    assert "… and 10 more; --json lists all" in text
    output.print_withheld("Withheld", [str(number) for number in range(51)], "advice")
    assert capsys.readouterr().out.endswith("48, 49 … and 1 more\n  advice\n")


def test_held_bookings_have_a_table_for_each_reason_the_most_frequent_first(capsys: pytest.CaptureFixture[str]) -> None:
    places = Places({"c1": "Court 1"}, ZoneInfo("Europe/Berlin"))
    nowhere = Slot("", slot(25).start, slot(25).start)
    held = (
        Held("1", "no_participant", "court c1 is taken from 2026-11-21T12:00:00Z, or Court 1 (c1)", 0, slot(24), 4),
        Held("2", "ambiguous_court", "two", 0, nowhere, 7),
        Held("3", "ambiguous_court", "two", 0, replace(nowhere, start=slot(24).start, end=slot(24).start)),
    )
    output.print_held(held, places, NOW)
    lines = [re.sub(" {2,}", "|", line.strip()) for line in capsys.readouterr().out.splitlines() if line]
    since = re.sub(" {2,}", "|", told_since(0, NOW))
    assert lines == [
        "Held: 2 × ambiguous_court",
        "booking|court|when|service|since|detail",
        f"3|2026-11-21 13:00–|{since}|two",
        f"2|2026-11-21 14:00–|7|{since}|two",
        "Held: 1 × no_participant",
        "booking|court|when|service|since|detail",
        f"1|Court 1|2026-11-21 13:00–14:00|4|{since}|Court 1 is taken from 2026-11-21 13:00, or Court 1",
    ]


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(28, "No space left on device")])
def test_a_reader_that_has_gone_is_no_error_and_a_full_disk_is(monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    class Broken(io.StringIO):
        def flush(self) -> None:
            raise error

    abandoned: list[Any] = []
    monkeypatch.setattr(output, "abandon", abandoned.append)
    monkeypatch.setattr(sys, "stdout", Broken())
    if isinstance(error, BrokenPipeError):
        output.say("text")
    else:
        with pytest.raises(BridgeError, match="could not be written to standard output: No space left"):
            output.say("text")
    with pytest.raises(SystemExit):
        main(["--version"])
    assert abandoned == [sys.stdout, sys.stdout], "once for the result, and once at the very end"


def test_json_is_one_line_of_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_json({"held": held_json([Held("", "invalid_booking", "Plätze\x9b", 0)])})
    entry = r'{"id": "", "reason": "invalid_booking", "detail": "Pl\u00e4tze\u009b", "since": "1970-01-01T00:00:00Z"}'
    assert capsys.readouterr().out == f'{{"held": [{entry}]}}\n'


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((-5, "just now"), (59, "just now"), (60, "1 min ago"), (3599, "59 min ago"), (3600, "1 h ago")),
        *((47 * 3600, "1 d ago"), (400 * 86_400, "400 d ago")),
    ],
)
def test_an_age_is_told_in_its_largest_unit(seconds: int, words: str) -> None:
    assert age(to_ms(NOW) - seconds * 1000, NOW) == words
