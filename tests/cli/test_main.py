"""Arguments, exit statuses, and what goes wrong with streams and beyond expectation."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bridge import __version__
from bridge.cli import status
from bridge.sandbox import Sandbox
from tests.cli.calls import COURT_1, COURT_2, Ran, Run, WriteConfig, book, on_a_terminal, process, start
from tests.support.builders import EMAIL, PASSWORD


def imported(*arguments: str | Path) -> set[str]:
    """Return the modules that a call imports, in a process of its own."""
    script = (
        "import sys, atexit; atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))\n"
        "from bridge.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    call = [sys.executable, "-c", script, *map(str, arguments)]
    ran = subprocess.run(call, capture_output=True, text=True, check=False)
    return set(ran.stderr.split())


def test_what_is_to_answer_at_once_imports_nothing_slow(config_file: Path) -> None:
    slow = {"httpx", "structlog", "rich", "apscheduler", "stamina", "starlette", "jinja2", "prometheus_client"}
    assert not imported("status", "--config", config_file) & slow
    for option in ("--version", "--help"):
        assert not imported(option) & (slow | {"pydantic", "sqlite_utils", "asyncio", "sqlite3"})


def test_version_and_help_tell_the_version_every_command_and_every_exit_status(run: Run) -> None:
    assert run("--version") == Ran(0, f"courtbridge {__version__}\n", "")
    told = run("--help").out
    assert all(f"    {command} " in told for command in ("check", "status", "courts", "demo"))
    assert all(re.search(rf"\b{status}  ", told) for status in (0, 1, 2, 74, 75, 77, 78))


@pytest.mark.parametrize("width", [40, 80])
def test_help_is_wrapped_between_words(run: Run, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = run("--help").out.splitlines()
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("status --once", "unrecognized"),
        ("--once status", "belong to a pass, not to 'status'"),
        ("--allow-mass-delete check", "belong to a pass"),
        ("--allow-mass-delete", "say --once"),
        ("--json", "the daemon only writes its log"),
        ("demo --json", "demo has no --json"),
        ("stats", "invalid choice"),
        ("--log-level loud", "invalid choice"),
        ("status --facility x", "unrecognized"),
        ("courts --facility nope", '"nope" is not a valid UUID'),
        ("check --rehearse 79ae2927", '"79ae2927" is not a valid UUID'),
        ("history --limit -3", '"-3" is not a number of at least 1'),
        ("day 99", "write it like 2026-11-20"),
        ("--conf=x", "unrecognized"),
    ],
)
def test_wrong_usage_is_said_in_a_sentence_with_status_2(run: Run, arguments: str, sentence: str) -> None:
    ran = run(*arguments.split())
    assert ran.code == 2
    assert sentence in ran.err
    if "--json" in arguments:
        assert (ran.json["outcome"], "wrong usage" in ran.json["error"]) == ("failed", True)
    else:
        assert ran.out == ""


def test_options_stand_before_or_after_the_command(run: Run, config_file: Path) -> None:
    for arguments in (["--config", config_file, "--json", "status"], ["status", "--json", "--config", config_file]):
        assert run(*arguments).json["bookings"] == 0


def test_without_a_command_it_is_the_daemon(run: Run, config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = []

    def daemon(path: Path, **more: Any) -> int:
        called.append((path, more))
        return 75

    monkeypatch.setattr("bridge.service.process.run", daemon)
    assert run("--config", config_file, "--log-level", "debug").code == 75
    assert called == [(config_file, {"environ": os.environ, "log_level": "debug", "log_format": "auto"})]


@pytest.mark.parametrize(
    ("arguments", "number", "code"),
    [("--once", signal.SIGTERM, 75), ("check", signal.SIGTERM, 75), ("", signal.SIGTERM, 0), ("status", None, 75)],
)
def test_an_interruption_or_a_broken_pipe_leaves_no_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: str, number: int | None, code: int
) -> None:
    def interrupted(*_: Any) -> Path:
        if number:
            os.kill(os.getpid(), number)
        raise BrokenPipeError

    monkeypatch.setattr("bridge.config.paths.find_config", interrupted)
    ran = run(*arguments.split())
    assert (ran.code, ran.out) == (code, "")
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("gone", ["stdout", "stderr"])
def test_a_reader_that_goes_away_changes_nothing(sandbox: Sandbox, config_file: Path, gone: str) -> None:
    number = book(sandbox)
    book(sandbox, 1, email="")
    with start("--once", "--config", config_file) as running:
        getattr(running, gone).close()
        other = running.stderr if gone == "stdout" else running.stdout
        assert other
        said = other.read()
    assert running.returncode == 1
    assert str(number) in sandbox.wingfield.bookings
    assert "Traceback" not in said
    assert "Exception ignored" not in said


def test_a_result_that_cannot_be_written_is_no_success(config_file: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ran = process("status", "--config", config_file, stdout=full)
    assert ran.code == 1
    assert ran.err.startswith("courtbridge: the result could not be written")
    assert "No space left" in ran.err


@pytest.mark.parametrize(
    ("arguments", "is_json"),
    [("status", False), ("status --log-format json", True), ("--once", True), ("--once --log-format text", False)],
)
def test_commands_talk_to_people_and_passes_to_machines_unless_told_otherwise(
    tmp_path: Path, arguments: str, is_json: bool
) -> None:
    ran = process(*arguments.split(), "--config", tmp_path / "none.toml")
    assert ran.code == 78
    assert ran.err.startswith("{" if is_json else "courtbridge: no configuration found")


@pytest.mark.parametrize(("name", "code"), [("config.toml", 1), ("none.toml", 78)])
def test_closed_standard_streams_are_no_error(config_file: Path, name: str, code: int) -> None:
    config = config_file.with_name(name)
    script = f'exec "{sys.executable}" -m bridge status --config "{config}" >&- 2>&-'
    assert subprocess.run(["sh", "-c", script], check=False).returncode == code


def test_what_nobody_expected_is_one_line_without_values(
    run: Run, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Any) -> None:
        secret = PASSWORD
        try:
            raise ExceptionGroup(secret, [OSError(28, secret)])
        except ExceptionGroup as error:
            raise ValueError(f"{secret} of {EMAIL}") from error

    monkeypatch.setattr(status, "running", fail)
    ran = run("status", "--log-format", "json", "--config", config_file)
    (line,) = ran.log
    assert ran.code == 1
    assert (line["event"], line["error"]) == ("internal_error", "ValueError")
    assert "in fail" in line["exception"]
    assert "OSError: No space left on device" in line["exception"]


def test_problems_are_told_in_words_on_a_terminal(write_config: WriteConfig) -> None:
    code, shown = on_a_terminal("--once", "--config", write_config({COURT_1: "court-one", COURT_2: "\\u0007"}))
    assert code == 78
    lines = [" ".join(text.split()) for text in shown.split("courtbridge: ")]
    assert lines[1].startswith('courts[0].court_id: "court-one" is no')
    assert len(lines) == 3
    assert "\x07" not in shown
