"""How lines are written, and where."""

from __future__ import annotations

import io
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import time_machine

from bridge import log as logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers
    structlog.reset_defaults()


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_level_and_utc_time(out: io.StringIO) -> None:
    logs.configure("info", out)
    structlog.get_logger().info("booking_created", id="1005", court="Ümläut")
    structlog.get_logger().debug("pass_started")
    (line,) = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "booking_created", "id": "1005", "court": "Ümläut", "level": "info"}
    assert "Ümläut" in out.getvalue()


@pytest.mark.parametrize("stream", ["{}:{}", "", "1:2", "nonsense", "1:2:3"])
def test_priorities_come_first_only_where_stderr_is_the_journal(
    stream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "journal").open("w+") as out:
        stat = os.fstat(out.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", stream.format(stat.st_dev, stat.st_ino))
        logs.configure("debug", out)
        log = structlog.get_logger()
        for method in (log.debug, log.info, log.warning, log.error, log.critical):
            method("x")
        out.seek(0)
        priorities = ["<7>{", "<6>{", "<4>{", "<3>{", "<2>{"]
        assert [line[:4] for line in out] == (priorities if stream == "{}:{}" else ['{"ti'] * 5)


def test_a_stream_without_a_file_is_no_journal(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    logs.configure("info", out)
    structlog.get_logger().info("x")
    assert out.getvalue().startswith("{")


def test_a_terminal_gets_lines_for_people_and_nothing_steers_it() -> None:
    out = Terminal()
    logs.configure("info", out)
    structlog.get_logger().info("booking_held", detail="\x1b[2Jgone\nfake line")
    text = out.getvalue()
    assert "booking_held" in text
    assert "\x1b[2J" not in text
    assert text.count("\n") == 1


def test_a_line_is_wrapped_between_its_words_and_colours_take_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = Terminal()
    logs.configure("info", out)
    blank = " " * 50
    structlog.get_logger().error(
        "failed", detail="no usable address, and no other either", exception=f"at\n{blank}\nend"
    )
    lines = re.sub("\x1b.*?m", "", out.getvalue()).splitlines()
    assert lines[-3:] == ["at", blank, "end"]
    assert max(map(len, lines[:-3])) <= 40
    assert " ".join(" ".join(lines[:-3]).split()).endswith("detail='no usable address, and no other either'")


@pytest.mark.parametrize(
    ("form", "terminal", "start"),
    [
        *(("json", True, "{"), ("json", False, "{"), ("auto", False, "{"), ("auto", True, "\x1b")),
        *(("text", True, "\x1b"), ("text", False, "1"), ("plain", True, "1"), ("plain", False, "1")),
    ],
)
@time_machine.travel("2026-11-20T12:00:00Z", tick=False)
def test_the_form_can_be_chosen(form: str, terminal: bool, start: str) -> None:
    out = Terminal() if terminal else io.StringIO()
    logs.configure("info", out, form=form)
    structlog.get_logger().info("pass_started")
    assert out.getvalue().startswith(start)
    assert ("\x1b" in out.getvalue()) is (start == "\x1b")
    assert out.getvalue().count("\n") == 1


def test_a_closed_stream_loses_lines_and_raises_nothing(out: io.StringIO) -> None:
    logs.configure("info", Broken())
    structlog.get_logger().info("x")
    logs.configure("info", out)
    out.close()
    structlog.get_logger().info("x")


def test_what_libraries_warn_about_is_a_line_without_its_values(out: io.StringIO) -> None:
    logs.configure("info", out)
    logs.configure("info", out)
    try:
        raise ValueError("hunter2")
    except ValueError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved\nfuture: hunter2")
    logging.getLogger("apscheduler").warning("late by %s", 5)
    logging.getLogger("httpx").info("GET https://club@example.com")
    first, second = lines(out)
    assert (first["event"], first["library"], first["level"]) == ("library_warning", "asyncio", "error")
    assert first["exception_type"] == "ValueError"
    assert (second["message"], second["level"]) == ("late by 5", "warning")
    assert "hunter2" not in out.getvalue()


# --- aside ---


def test_clients_lines_are_laid_aside_until_they_are_told_again(out: io.StringIO) -> None:
    aside = logs.Aside()
    logs.configure("info", out, aside)
    log = structlog.get_logger()
    log.warning("request_retried", service="Launch27")
    log.error("login_refused", account=1)
    log.info("pass_finished")
    assert [line["event"] for line in lines(out)] == ["pass_finished"]
    retried, refused = aside.take()
    assert (retried["service"], refused["account"]) == ("Launch27", 1)
    assert aside.take() == []
    log.warning(**retried)
    log.warning("request_retried")
    _, told = lines(out)
    assert told.pop("timestamp")
    assert told == {"event": "request_retried", "service": "Launch27", "level": "warning"}


@pytest.mark.parametrize(("level", "written", "aside"), [("debug", 5000, 0), ("info", 0, 1000)])
def test_no_pass_fills_the_memory_with_them_and_at_debug_level_they_are_written_as_they_come(
    out: io.StringIO, level: str, written: int, aside: int
) -> None:
    laid_aside = logs.Aside()
    logs.configure(level, out, laid_aside)
    for _ in range(5000):
        structlog.get_logger().warning("request_retried")
    assert (len(lines(out)), len(laid_aside.take())) == (written, aside)


def test_each_clubs_lines_are_laid_aside_apart_and_all_its_lines_have_its_name() -> None:
    aside, out = logs.Aside(), io.StringIO()
    logs.configure("info", out, aside)
    for club in ("east", "west"):
        with structlog.contextvars.bound_contextvars(club=club):
            logs.get_logger().warning("request_retried", id=club)
            logs.get_logger().info("pass_started")
    with structlog.contextvars.bound_contextvars(club="west"):
        assert [line["id"] for line in aside.take()] == ["west"]
        assert aside.take() == []
    assert [json.loads(line)["club"] for line in out.getvalue().splitlines()] == ["east", "west"]
