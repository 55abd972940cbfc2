"""The command line: in this process where that is enough, in one of its own where processes matter."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from bridge import __version__
from bridge import log as logs
from bridge.cli import commands, courts
from bridge.cli import output as report
from bridge.cli.main import LEVELS, main
from bridge.config.schema import load_config
from bridge.errors import AlreadyRunning, StateError
from bridge.ledger.store import Ledger, hold
from bridge.model import HeldSince
from bridge.sandbox import Sandbox
from bridge.sync.narrator import LogNarrator
from tests.conftest import EMAIL, PASSWORD

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

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.log if line["event"] == name]


@contextmanager
def restored_signals() -> Iterator[None]:
    """Give the test run its own signal handlers back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Ran]]:
    """Return a function that calls the command line in this process."""

    def run(*arguments: str | Path) -> Ran:
        capsys.readouterr()
        try:
            code = main(list(map(str, arguments)))
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        assert PASSWORD not in said.out + said.err
        assert EMAIL not in said.out + said.err
        return Ran(int(code), said.out, said.err)

    with restored_signals():
        yield run
    structlog.reset_defaults()


def start(*arguments: str | Path, **more: Any) -> subprocess.Popen[str]:
    """Start the command line in a process of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen([sys.executable, "-m", "bridge", *map(str, arguments)], text=True, **pipes)


def process(*arguments: str | Path, **more: Any) -> Ran:
    """Run the command line in a process of its own, to its end."""
    with start(*arguments, **more) as running:
        out, err = running.communicate(timeout=30)
    return Ran(running.returncode, out, err)


def book(sandbox: Sandbox, hour: int = 0, court: int = 1, **fields: Any) -> int:
    fields = {"email": "player@example.com", "minutes": 60, **fields}
    return sandbox.launch27.add_booking(service_date=SLOT + timedelta(hours=hour), services=[court], **fields)


def writes(sandbox: Sandbox) -> list[str]:
    return [entry.method for entry in sandbox.wingfield.log if entry.method != "GET"]


def is_put(method: str, _path: str) -> bool:
    return method == "PUT"


def is_listing(method: str, path: str) -> bool:
    return method == "GET" and path.endswith("/customer/bookings")


# --- arguments ---


def imported(*arguments: str | Path) -> set[str]:
    """Return the modules that a call imports, in a process of its own."""
    script = (
        "import sys, atexit; atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))\n"
        "from bridge.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return set(ran.stderr.split())


SLOW = {"httpx", "pydantic", "structlog", "rich", "sqlite_utils", "apscheduler", "stamina", "starlette"}


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_version_and_help_import_nothing_slow(option: str) -> None:
    assert not imported(option) & (SLOW | {"asyncio", "sqlite3"})


def test_status_imports_neither_clients_nor_what_draws(config_file: Path) -> None:
    assert not imported("status", "--config", config_file) & (SLOW - {"pydantic", "sqlite_utils"})


def test_the_version_is_the_packages(run: Callable[..., Ran]) -> None:
    assert run("--version") == Ran(0, f"courtbridge {__version__}\n", "")


def test_help_names_every_command_and_exit_status(run: Callable[..., Ran]) -> None:
    told = run("--help").out
    assert all(f"    {command} " in told for command in ("check", "status", "courts", "demo"))
    assert all(re.search(rf"\b{status}  ", told) for status in (0, 1, 2, 74, 75, 77, 78))


def test_the_levels_are_those_of_the_log() -> None:
    assert LEVELS == logs.LEVELS


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("status --once", "unrecognized"),
        ("--once status", "belong to a pass, not to 'status'"),
        ("--allow-mass-delete check", "belong to a pass"),
        ("--allow-mass-delete", "say --once"),
        ("--json", "the daemon tells its log"),
        ("demo --json", "demo has no --json"),
        ("stats", "invalid choice"),
        ("--log-level loud", "invalid choice"),
        ("status --facility x", "unrecognized"),
        ("--conf=x", "unrecognized"),
    ],
)
def test_wrong_usage_is_said_in_a_sentence_with_status_2(
    run: Callable[..., Ran], arguments: str, sentence: str
) -> None:
    ran = run(*arguments.split())
    assert (ran.code, ran.out) == (2, "")
    assert sentence in ran.err


@pytest.mark.parametrize("arguments", ["--config {} --json status", "status --json --config {}"])
def test_options_stand_before_or_after_the_command(
    run: Callable[..., Ran], config_file: Path, arguments: str
) -> None:
    assert run(*arguments.format(config_file).split()).json["bookings"] == 0


def test_without_a_command_it_is_the_daemon(
    run: Callable[..., Ran], config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []

    def daemon(path: Path, **more: Any) -> int:
        called.append((path, more))
        return 75

    monkeypatch.setattr("bridge.service.process.run", daemon)
    assert run("--config", config_file, "--log-level", "debug").code == 75
    assert called == [(config_file, {"environ": os.environ, "log_level": "debug"})]


# --- one pass ---


def test_a_pass_in_step_exits_0_and_prints_one_object(
    run: Callable[..., Ran], sandbox: Sandbox, config_file: Path
) -> None:
    book(sandbox)
    sandbox.launch27.add_booking(services=[9])
    ran = run("--once", "--json", "--config", config_file)
    duration_ms = ran.json.pop("duration_ms")
    assert isinstance(duration_ms, int)
    assert ran.code == 0
    assert ran.json == {
        "outcome": "in_step",
        "seen": 2,
        "created": 1,
        "updated": 0,
        "deleted": 0,
        "unchanged": 0,
        "ignored": 1,
        "held": [],
        "withheld_deletes": 0,
        "withheld": [],
        "duration_ms": duration_ms,
    }
    assert [line["event"] for line in ran.log] == ["pass_started", "booking_created", "pass_finished"]


def test_a_held_booking_exits_1_with_its_reason(
    run: Callable[..., Ran], sandbox: Sandbox, config_file: Path
) -> None:
    number = book(sandbox, email="")
    ran = run("--once", "--json", "--config", config_file)
    (held,) = ran.json["held"]
    assert ran.code == 1
    assert ran.json["outcome"] == "attention"
    assert (held["id"], held["reason"]) == (str(number), "no_participant")
    assert "fallback_email" in held["detail"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", held["since"])


def test_the_summary_names_what_is_held_and_what_failed(
    run: Callable[..., Ran], sandbox: Sandbox, config_file: Path
) -> None:
    book(sandbox, email="")
    book(sandbox, 1)
    sandbox.wingfield.faults.add("redirect", times=None, match=is_put, location="/elsewhere")
    ran = run("--once", "--config", config_file)
    assert ran.code == 75
    assert ran.out.startswith("Not complete")
    assert "2 bookings seen: 0 created" in ran.out
    assert "no_participant" in ran.out
    assert "Wingfield: answers with a redirect (status 302); is base_url right?" in ran.out


def test_withheld_deletes_are_listed_with_the_way_through_and_let_through_when_allowed(
    run: Callable[..., Ran], sandbox: Sandbox, config_file: Path
) -> None:
    numbers = [book(sandbox, hour) for hour in range(10)]
    assert run("--once", "--config", config_file).code == 0
    for number in numbers[:6]:
        sandbox.launch27.cancel(number)
    ran = run("--once", "--json", "--config", config_file)
    assert ran.code == 1
    assert (ran.json["withheld_deletes"], ran.json["withheld"]) == (6, [str(id_) for id_ in numbers[:6]])
    assert "courtbridge --once --allow-mass-delete" in run("--once", "--config", config_file).out
    status = run("status", "--config", config_file)
    assert status.code == 1
    assert "The last pass withheld 6 deletes: 1001, 1002" in status.out
    ran = run("--once", "--allow-mass-delete", "--dry-run", "--json", "--config", config_file)
    assert (ran.code, ran.json["deleted"]) == (0, 6)
    ran = run("--once", "--allow-mass-delete", "--json", "--config", config_file)
    assert (ran.code, ran.json["deleted"]) == (0, 6)


def test_warnings_of_the_configuration_are_logged(run: Callable[..., Ran], config_file: Path) -> None:
    config_file.chmod(0o644)
    ran = run("--once", "--config", config_file)
    assert [line["detail"].partition(":")[0] for line in ran.events("config_warning")] == [
        "launch27.accounts[0].password",
        "wingfield.token",
    ]


def test_a_second_instance_exits_75_and_says_who_holds_the_state(
    run: Callable[..., Ran], config_file: Path
) -> None:
    with hold(config_file.with_name("courtbridge.db")):
        ran = run("--once", "--config", config_file)
        assert run("--dry-run", "--config", config_file).code == 0
    (line,) = ran.log
    assert ran.code == 75
    assert line["event"] == "already_running"
    assert f"process {os.getpid()}" in line["message"]


def test_a_damaged_state_exits_74(run: Callable[..., Ran], config_file: Path) -> None:
    config_file.with_name("courtbridge.db").write_text("no database at all" * 100)
    for call in ("--once", "--dry-run", "status"):
        ran = run(call, "--config", config_file)
        assert (ran.code, ran.out) == (74, "")
        assert [line["event"] for line in ran.log] == ["state_unusable"]


def test_a_refused_password_exits_77_and_is_nowhere(
    run: Callable[..., Ran], sandbox: Sandbox, write_config: Callable[..., Path]
) -> None:
    config = write_config({PASSWORD: "hunter2-hunter2"})
    ran = run("--once", "--json", "--config", config)
    assert (ran.code, ran.json["outcome"]) == (77, "refused")
    assert "hunter2" not in ran.out + ran.err
    files = [path.read_bytes() for path in config.parent.iterdir() if path != config]
    assert not any(b"hunter2" in content or EMAIL.encode() in content for content in files)
    assert run("status", "--config", config).code == 1
    assert not writes(sandbox)


def test_a_wrong_configuration_exits_78_with_a_line_for_each_problem_and_no_request(
    run: Callable[..., Ran], sandbox: Sandbox, write_config: Callable[..., Path]
) -> None:
    password = f'password = "{PASSWORD}"'
    config = write_config({password: 'password_env = "NO_SUCH_VARIABLE"', COURT_2: "court-two"})
    ran = run("--once", "--config", config)
    assert (ran.code, ran.out) == (78, "")
    assert [(line["event"], line["place"]) for line in ran.log] == [
        ("config_invalid", "launch27.accounts[0].password_env"),
        ("config_invalid", "courts[1].court_id"),
    ]
    assert "$NO_SUCH_VARIABLE is not set" in ran.log[0]["message"]
    assert (sandbox.launch27.requests, sandbox.wingfield.requests) == (0, 0)


def test_no_configuration_at_all_says_where_it_was_looked_for(
    run: Callable[..., Ran], tmp_path: Path
) -> None:
    ran = run("--once", "--config", tmp_path / "none.toml")
    assert ran.code == 78
    assert "none.toml" in ran.log[0]["message"]
    assert "place" not in ran.log[0]


def test_the_page_of_a_captive_portal_is_no_answer_and_exits_75(
    run: Callable[..., Ran], sandbox: Sandbox, config_file: Path
) -> None:
    book(sandbox)
    sandbox.launch27.faults.add("garbage", times=None)
    ran = run("--once", "--json", "--config", config_file)
    assert (ran.code, ran.json["outcome"]) == (75, "incomplete")
    assert ran.events("request_retried")
    assert not writes(sandbox)


def test_a_redirect_is_not_followed_and_exits_75(
    run: Callable[..., Ran], sandbox: Sandbox, config_file: Path
) -> None:
    sandbox.launch27.faults.add("redirect", times=None, location=f"{sandbox.wingfield.address}/login")
    ran = run("--once", "--config", config_file)
    assert ran.code == 75
    assert "is base_url right?" in ran.out
    assert not [entry for entry in sandbox.wingfield.log if entry.path.endswith("/login")]


# --- dry run ---


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_a_dry_run_says_what_a_pass_would_write_and_writes_nothing_anywhere(
    run: Callable[..., Ran], sandbox: Sandbox, config_file: Path
) -> None:
    moved, gone = book(sandbox), book(sandbox, 1)
    assert run("--once", "--config", config_file).code == 0
    new = book(sandbox, 2, court=2)
    sandbox.launch27.edit(moved, service_date=SLOT + timedelta(hours=3))
    sandbox.launch27.cancel(gone)
    before, sent = tree(config_file.parent), len(writes(sandbox))
    ran = run("--once", "--dry-run", "--json", "--config", config_file)
    assert tree(config_file.parent) == before
    assert len(writes(sandbox)) == sent
    assert ran.code == 0
    assert [ran.json[name] for name in ("seen", "created", "updated", "deleted")] == [2, 1, 1, 1]
    actions = {action.pop("id"): action for action in ran.json["actions"]}
    assert {id_: action["action"] for id_, action in actions.items()} == {
        str(moved): "update",
        str(gone): "delete",
        str(new): "create",
    }
    assert actions[str(new)] == {
        "action": "create",
        "court": COURT_2,
        "start": f"{SLOT + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{SLOT + timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}",
        "why": "new",
    }
    assert all(line["dry_run"] for line in ran.log)


def test_a_dry_run_before_the_first_pass_leaves_no_file(
    run: Callable[..., Ran], sandbox: Sandbox, config_file: Path
) -> None:
    book(sandbox)
    ran = run("--dry-run", "--config", config_file)
    assert [path.name for path in config_file.parent.iterdir()] == ["config.toml"]
    assert ran.out.startswith("Dry run, nothing was written.")
    assert re.search(r"create +1001 +Court 1 +\d{4}-\d\d-\d\d \d\d:\d\d–\d\d:\d\d +new", ran.out)
    assert not writes(sandbox)


def test_a_dry_run_works_beside_a_process_that_holds_the_state_and_leaves_its_files_alone(
    run: Callable[..., Ran], sandbox: Sandbox, config_file: Path
) -> None:
    book(sandbox)
    assert run("--once", "--config", config_file).code == 0
    config = load_config(config_file, {})
    with hold(config.sync.state), Ledger.open(config.sync.state, config.identity) as ledger:
        ledger.allow(["1001"])
        before = {name: found[0] for name, found in tree(config_file.parent).items() if "-shm" not in name}
        assert run("--dry-run", "--config", config_file).code == 0
        after = {name: found[0] for name, found in tree(config_file.parent).items() if "-shm" not in name}
        assert after == before


# --- signals, pipes, and what nobody expected ---


def test_sigterm_ends_a_pass_with_what_is_in_flight_stored_and_75(
    sandbox: Sandbox, config_file: Path
) -> None:
    for hour in range(20):
        book(sandbox, hour)
    hang = sandbox.wingfield.faults.add("hang", match=is_put, after=3)
    with start("--once", "--json", "--config", config_file) as running:
        assert hang.struck.wait(20)
        running.send_signal(signal.SIGTERM)
        assert running.stderr
        next(line for line in running.stderr if '"stopping"' in line)
        hang.release()
        out, _ = running.communicate(timeout=20)
    assert running.returncode == 75
    assert json.loads(out)["outcome"] == "incomplete"
    answered = [entry.id for entry in sandbox.wingfield.log if (entry.method, entry.status) == ("PUT", 200)]
    assert json.loads(out)["created"] == len(answered) == len(sandbox.wingfield.bookings)
    assert process("--once", "--config", config_file).code == 0
    sent = [entry.id for entry in sandbox.wingfield.log if (entry.method, entry.status) == ("PUT", 200)]
    assert len(sent) == len(set(sent)) == 20


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(sandbox: Sandbox, config_file: Path, first: signal.Signals) -> None:
    hang = sandbox.launch27.faults.add("hang", match=is_listing)
    with start("--once", "--config", config_file) as running:
        assert hang.struck.wait(20)
        running.send_signal(first)
        assert running.stderr
        next(line for line in running.stderr if '"stopping"' in line)
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=4)
    assert running.returncode == 75
    assert json.loads(err.splitlines()[-1])["event"] == "ended_at_once"


async def test_what_is_still_in_flight_after_the_grace_is_cut_off(
    sandbox: Sandbox, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "STOP_SECONDS", 0.05)
    monkeypatch.setattr(commands, "_STORE_SECONDS", 0.0)
    hang = sandbox.launch27.faults.add("hang", match=is_listing)
    config = load_config(config_file, {})
    with Ledger.snapshot(config.sync.state, config.identity) as ledger:
        options = {"allow_mass_delete": False, "dry_run": True}
        running = asyncio.create_task(commands._run_pass(config, ledger, LogNarrator(), **options))
        await hang.struck.reached()
        with restored_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            assert await running is None


def test_a_pass_that_was_cut_off_says_so_and_exits_75(
    run: Callable[..., Ran], config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_off(*_: Any, **__: Any) -> None: ...

    monkeypatch.setattr(commands, "_run_pass", cut_off)
    ran = run("--once", "--json", "--config", config_file)
    assert (ran.code, ran.out) == (75, "")
    assert ran.events("pass_interrupted")


@pytest.mark.parametrize(("arguments", "code"), [("--once", 75), ("check", 75), ("", 0)])
def test_an_interruption_before_anything_began_leaves_no_traceback(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, arguments: str, code: int
) -> None:
    def interrupted(*_: Any) -> Path:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("SIGTERM ends what Ctrl-C ends")

    monkeypatch.setattr(commands, "find_config", interrupted)
    assert run(*arguments.split()) == Ran(code, "", "")


def test_a_reader_that_goes_away_changes_nothing(sandbox: Sandbox, config_file: Path) -> None:
    book(sandbox, email="")
    with start("--once", "--config", config_file) as running:
        assert running.stdout
        assert running.stderr
        running.stdout.close()
        err = running.stderr.read()
    assert running.returncode == 1
    assert "Traceback" not in err
    assert "Exception ignored" not in err


def test_a_log_that_nobody_reads_any_more_changes_nothing(sandbox: Sandbox, config_file: Path) -> None:
    number = book(sandbox)
    with start("--once", "--config", config_file) as running:
        assert running.stderr
        running.stderr.close()
    assert running.returncode == 0
    assert str(number) in sandbox.wingfield.bookings


def test_a_result_that_cannot_be_written_is_no_success(config_file: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ran = process("status", "--config", config_file, stdout=full)
    assert ran.code == 1
    assert "No space left" in ran.log[0]["message"]


def test_without_standard_streams_a_problem_is_an_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with restored_signals():
        assert main(["status", "--config", str(tmp_path / "none.toml")]) == 78


def test_what_cannot_be_handed_over_at_the_very_end_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    abandoned: list[Any] = []
    monkeypatch.setattr(report, "abandon", abandoned.append)
    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(SystemExit):
        main(["--version"])
    assert abandoned == [sys.stdout]


def test_closed_standard_streams_are_no_error(config_file: Path) -> None:
    script = f'exec "{sys.executable}" -m bridge status --config "{config_file}" >&- 2>&-'
    assert subprocess.run(["sh", "-c", script], check=False).returncode == 0


def test_what_nobody_expected_is_one_line_without_values(
    run: Callable[..., Ran], config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Any) -> None:
        secret = PASSWORD
        try:
            raise ExceptionGroup(secret, [OSError(28, secret)])
        except ExceptionGroup as error:
            raise ValueError(f"{secret} of {EMAIL}") from error

    monkeypatch.setattr(commands, "holder", fail)
    ran = run("status", "--config", config_file)
    (line,) = ran.log
    assert ran.code == 1
    assert (line["event"], line["error"]) == ("internal_error", "ValueError")
    assert "in fail" in line["exception"]
    assert "OSError: No space left on device" in line["exception"]


def test_a_broken_pipe_anywhere_else_leaves_no_traceback(
    run: Callable[..., Ran], config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(commands, "holder", fail)
    assert run("status", "--config", config_file) == Ran(75, "", "")


# --- on a terminal ---


def on_a_terminal(*arguments: str | Path) -> tuple[int, str]:
    """Run the command line on a terminal; return its exit status, and what is shown."""
    ours, theirs = pty.openpty()
    with start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # EIO: nobody has the other end open any more
            while chunk := os.read(ours, 65536):
                shown += chunk
        os.close(ours)
    return running.returncode, shown.decode()


def test_problems_are_told_in_words_on_a_terminal(write_config: Callable[..., Path]) -> None:
    code, shown = on_a_terminal(
        "--once", "--config", write_config({COURT_1: "court-one", COURT_2: "\\u0007"})
    )
    assert code == 78
    lines = shown.splitlines()
    assert lines[0].startswith('courtbridge: courts[0].court_id: "court-one" is no UUID')
    assert len(lines) == 2
    assert "\x07" not in shown


def test_on_a_terminal_in_this_process(
    run: Callable[..., Ran],
    sandbox: Sandbox,
    write_config: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda _: True)
    assert run("--once", "--config", write_config({COURT_1: "court-one"})).err.startswith(
        "courtbridge: courts[0]"
    )
    book(sandbox)
    ran = run("--once", "--config", write_config())
    assert ran.code == 0
    assert "booking_created" in ran.err


def test_the_second_signal_says_that_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[Any] = []
    monkeypatch.setattr("bridge.cli.commands.os.write", lambda number, line: ended.append((number, line)))
    monkeypatch.setattr("bridge.cli.commands.os._exit", ended.append)
    commands.end_at_once(signal.SIGTERM, None)
    assert ended == [(2, b'{"event": "ended_at_once", "signal": "SIGTERM", "level": "warning"}\n'), 75]


def test_a_long_pass_has_a_bar_on_a_terminal(sandbox: Sandbox, config_file: Path) -> None:
    for hour in range(40):
        book(sandbox, hour, court=1 + hour % 2)
    code, shown = on_a_terminal("--once", "--config", config_file)
    assert code == 0
    assert "writing to Wingfield" in shown
    assert shown.count("booking_created") == 40
    assert "In step." in shown
    assert "{" not in shown


# --- status ---


def test_status_before_the_first_pass_says_so(run: Callable[..., Ran], config_file: Path) -> None:
    ran = run("status", "--config", config_file)
    assert ran.code == 0
    assert ran.out.startswith("No pass has finished yet")
    assert run("status", "--json", "--config", config_file).json == {
        "bookings": 0,
        "held": [],
        "withheld_deletes": 0,
        "watermarks": [],
        "passes": [],
    }


def test_status_needs_no_secret_and_no_court_and_asks_nobody(
    run: Callable[..., Ran], sandbox: Sandbox, write_config: Callable[..., Path]
) -> None:
    config = write_config(
        {f'password = "{PASSWORD}"': 'password_file = "nowhere"', "[[courts]]": "[[other]]"}
    )
    text = config.read_text()
    config.write_text(text[: text.index("[[other]]")])
    assert run("status", "--config", config).code == 0
    assert sandbox.launch27.requests == 0


def test_status_shows_what_is_in_step_and_what_is_held(
    run: Callable[..., Ran], sandbox: Sandbox, config_file: Path
) -> None:
    book(sandbox)
    number = book(sandbox, 1, email="")
    run("--once", "--config", config_file)
    ran = run("status", "--json", "--config", config_file)
    assert ran.code == 1
    assert ran.json["bookings"] == 1
    assert [held["id"] for held in ran.json["held"]] == [str(number)]
    (mark,) = ran.json["watermarks"]
    assert (mark["account"], mark["source_updated_at"]) == (1, None)
    (last,) = ran.json["passes"]
    assert last["started_at"] == mark["listed_at"]
    assert (last["outcome"], last["created"], last["held"]) == ("attention", 1, 1)
    shown = run("status", "--config", config_file).out
    assert "1 booking in Wingfield, 1 held back." in shown
    assert "No bridge is running" in shown
    assert re.search(r"no_participant +\d{4}-\d\d-\d\d \d\d:\d\d \(just now\)", shown)


def test_status_works_beside_the_process_that_holds_the_state_and_says_when_the_next_pass_is(
    run: Callable[..., Ran], write_config: Callable[..., Path]
) -> None:
    config = write_config(more='[sync]\ninterval = "1h"')
    with hold(config.with_name("courtbridge.db")):
        shown = run("status", "--config", config).out
    assert f"A bridge is running (process {os.getpid()}, since " in shown
    run("--once", "--config", config)
    with hold(config.with_name("courtbridge.db")):
        shown = run("status", "--config", config).out
    assert re.search(r"; next pass at \d\d:\d\d:\d\d\.", shown)


def test_the_holder_is_who_the_kernel_says_holds_the_lock(tmp_path: Path) -> None:
    state = tmp_path / "courtbridge.db"
    assert commands.holder(state) is None
    with hold(state):
        found = commands.holder(state)
        assert found is not None
        assert found.pid == os.getpid()
        assert commands.holder(state, tmp_path / "no-proc") is None
        with pytest.raises(AlreadyRunning), hold(state):
            pass
    assert commands.holder(state) is None


def test_a_state_out_of_reach_is_said_in_a_sentence(
    config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any) -> bool:
        raise PermissionError(13, "Permission denied")

    config = load_config(config_file, {})
    monkeypatch.setattr(Path, "exists", denied)
    with pytest.raises(StateError, match="Permission denied; call courtbridge as a user who may read"):
        Ledger.snapshot(config.sync.state, config.identity)


# --- check ---


def test_a_check_without_problems_exits_0_and_lists_what_it_looked_at(
    run: Callable[..., Ran], sandbox: Sandbox, config_file: Path
) -> None:
    ran = run("check", "--json", "--config", config_file)
    assert ran.code == 0
    assert ran.json["ok"]
    assert ran.json["problems"] == ran.json["warnings"] == []
    checked = "\n".join(ran.json["checked"])
    for part in ("account 1: logged in", "services 1 Court 1", f"court {COURT_2}: Court 2", "none yet"):
        assert part in checked
    assert not writes(sandbox)
    assert [path.name for path in config_file.parent.iterdir()] == ["config.toml"]
    run("--once", "--config", config_file)
    shown = run("check", "--config", config_file).out
    assert "0 bookings in Wingfield" in shown
    assert shown.endswith("All is well.\n")


def test_a_check_lists_every_problem_at_once(
    run: Callable[..., Ran], sandbox: Sandbox, write_config: Callable[..., Path]
) -> None:
    sandbox.launch27.settings.update(timezone="Nowhere/City", status="frozen")
    config = write_config(
        {COURT_2: "00000000-0000-4000-8000-000000000000", "service_ids = [1]": "service_ids = [1, 77]"},
        more="[mapping.service_minutes]\n88 = 30",
    )
    config.with_name("courtbridge.db").write_text("no database at all" * 100)
    ran = run("check", "--json", "--config", config)
    assert ran.code == 78
    assert [problem["place"] for problem in ran.json["problems"]] == [
        "launch27.timezone",
        "courts[0].service_ids",
        "courts[1].court_id",
        "sync.state",
    ]
    assert "no service 77" in ran.json["problems"][1]["message"]
    assert "frozen" in ran.json["warnings"][0]
    assert "no service 88" in ran.json["warnings"][1]
    shown = run("check", "--config", config).out
    assert "problem  courts[0].service_ids: Launch27 has no service 77" in shown
    assert shown.endswith("4 problems found.\n")


def test_a_check_of_a_wrong_configuration_lists_its_problems_and_asks_nobody(
    run: Callable[..., Ran], sandbox: Sandbox, write_config: Callable[..., Path]
) -> None:
    config = write_config({COURT_1: "court-one", COURT_2: "court-two"})
    ran = run("check", "--json", "--config", config)
    assert ran.code == 78
    assert [problem["place"] for problem in ran.json["problems"]] == [
        "courts[0].court_id",
        "courts[1].court_id",
    ]
    assert (sandbox.launch27.requests, sandbox.wingfield.requests) == (0, 0)


def test_a_check_names_refused_credentials_of_both_services(
    run: Callable[..., Ran], sandbox: Sandbox, write_config: Callable[..., Path]
) -> None:
    config = write_config({PASSWORD: "hunter2-hunter2", sandbox.wingfield.token: "tok_ext_v1_other"})
    ran = run("check", "--json", "--config", config)
    assert ran.code == 77
    assert [problem["place"] for problem in ran.json["problems"]] == ["launch27.accounts[0]", "wingfield"]
    assert "hunter2" not in ran.out + ran.err
    assert "tok_ext" not in ran.out + ran.err


def test_a_check_names_a_login_of_the_wrong_role(
    run: Callable[..., Ran], write_config: Callable[..., Path]
) -> None:
    config = write_config({"reads_per_second": 'role = "staff"\nreads_per_second'})
    ran = run("check", "--json", "--config", config)
    assert ran.code == 77
    assert 'launch27.role is "staff"' in ran.json["problems"][0]["message"]


def test_a_check_says_once_that_a_service_is_down(
    run: Callable[..., Ran], sandbox: Sandbox, config_file: Path
) -> None:
    for service in (sandbox.launch27, sandbox.wingfield):
        service.faults.add("redirect", times=None)
    ran = run("check", "--json", "--config", config_file)
    assert ran.code == 75
    assert [problem["place"] for problem in ran.json["problems"]] == ["launch27.base_url", "wingfield"]


def test_a_check_warns_of_what_it_may_not_see(
    run: Callable[..., Ran], sandbox: Sandbox, write_config: Callable[..., Path]
) -> None:
    config = write_config({"reads_per_second": 'timezone = "Europe/Paris"\nreads_per_second'})
    sandbox.wingfield.scopes["organization"] = "none"
    sandbox.launch27.faults.add(
        "status", times=None, status=404, match=lambda _, path: path.endswith("/services")
    )
    ran = run("check", "--json", "--config", config)
    assert ran.code == 0
    assert [warning.partition(" ")[0] for warning in ran.json["warnings"]] == [
        "launch27.timezone:",
        "Launch27",
        "Wingfield's",
    ]


def test_a_check_tells_a_court_that_is_denied_from_services_that_fail(
    run: Callable[..., Ran], sandbox: Sandbox, config_file: Path
) -> None:
    sandbox.wingfield.faults.add(
        "status", times=None, status=403, match=lambda _, path: path.endswith(COURT_1)
    )
    sandbox.wingfield.faults.add("redirect", times=None, match=lambda _, path: path.endswith(COURT_2))
    sandbox.launch27.faults.add("redirect", match=lambda _, path: path.endswith("/services"))
    ran = run("check", "--json", "--config", config_file)
    places = [problem["place"] for problem in ran.json["problems"]]
    assert ran.code == 75
    assert places == ["launch27", "courts[1].court_id"]


def test_a_court_of_an_organization_that_gave_no_access_needs_a_person(
    run: Callable[..., Ran], sandbox: Sandbox, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bridge.errors import AccessDenied
    from bridge.wingfield.client import Wingfield

    async def denied(_: Wingfield, __: str) -> None:
        raise AccessDenied("Wingfield", "the court's organization has not given access")

    monkeypatch.setattr(Wingfield, "court", denied)
    ran = run("check", "--json", "--config", config_file)
    assert ran.code == 1
    assert [problem["place"] for problem in ran.json["problems"]] == [
        "courts[0].court_id",
        "courts[1].court_id",
    ]


def test_a_check_sees_that_the_state_cannot_be_written(
    run: Callable[..., Ran], write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(more='[sync]\nstate = "deep/below/courtbridge.db"')
    monkeypatch.setattr("bridge.cli.check.os.access", lambda *_: False)
    ran = run("check", "--json", "--config", config)
    assert ran.code == 74
    assert str(config.parent) in ran.json["problems"][0]["message"]


# --- courts ---


def test_courts_prints_blocks_that_make_a_valid_configuration(
    run: Callable[..., Ran], sandbox: Sandbox, config_file: Path
) -> None:
    text = config_file.read_text()
    config_file.write_text(text[: text.index("[[courts]]")])
    facility = next(iter(sandbox.wingfield.courts.values())).facility_id
    ran = run("courts", "--facility", facility, "--config", config_file)
    assert ran.code == 0
    printed = ran.out[ran.out.index("[[courts]]") :]
    assert [rule["service_ids"] for rule in tomllib.loads(printed)["courts"]] == [[1], [2]]
    config_file.write_text(config_file.read_text() + printed)
    assert run("--once", "--config", config_file).code == 0


def test_courts_are_found_in_mappings_and_bookings(
    run: Callable[..., Ran], sandbox: Sandbox, config_file: Path
) -> None:
    book(sandbox)
    run("--once", "--config", config_file)
    sandbox.wingfield.mappings[COURT_2] = {
        "courtId": COURT_2,
        "externalCourtId": "2",
        "externalCourtName": "Platz 2",
        "updatedAt": "2026-11-20T09:00:00Z",
    }
    ran = run("courts", "--json", "--config", config_file)
    assert ran.code == 0
    assert [(court["id"], court["service_ids"]) for court in ran.json["courts"]] == [
        (COURT_1, [1]),
        (COURT_2, [2]),
    ]
    assert [service["id"] for service in ran.json["services"]] == [1, 2, 9]


def test_courts_without_any_says_what_to_try(run: Callable[..., Ran], config_file: Path) -> None:
    ran = run("courts", "--config", config_file)
    assert ran.code == 0
    assert "try --facility ID" in ran.out
    assert "[[courts]]" not in ran.out


def test_courts_shows_the_one_side_when_the_other_is_refused(
    run: Callable[..., Ran], sandbox: Sandbox, write_config: Callable[..., Path]
) -> None:
    facility = next(iter(sandbox.wingfield.courts.values())).facility_id
    config = write_config({PASSWORD: "hunter2-hunter2"})
    ran = run("courts", "--facility", facility, "--config", config)
    assert ran.code == 77
    assert "Court 2" in ran.out
    assert "Launch27: account 1: the e-mail address or the password was refused" in ran.out
    config = write_config({sandbox.wingfield.token: "tok_ext_v1_other"})
    ran = run("courts", "--config", config)
    assert ran.code == 77
    assert "Racket hire" in ran.out
    assert "Wingfield: the token was refused" in ran.out


def test_courts_shows_what_it_can_when_launch27_is_down(
    run: Callable[..., Ran], sandbox: Sandbox, config_file: Path
) -> None:
    sandbox.launch27.faults.add("redirect", times=None)
    assert run("courts", "--config", config_file).code == 75


def test_a_court_that_is_gone_is_left_out(
    run: Callable[..., Ran], sandbox: Sandbox, config_file: Path
) -> None:
    book(sandbox)
    run("--once", "--config", config_file)
    del sandbox.wingfield.courts[COURT_1]
    assert run("courts", "--json", "--config", config_file).json["courts"] == []


@pytest.mark.parametrize(
    ("court", "service", "fits"),
    [
        ("Court 1", "court 1", True),
        ("Court 01", "Court 1 (60 min)", True),
        ("Court 1", "Court 10", False),
        ("Platz 3", "Platz 3 – Sand", True),
        ("Court 1", "Racket hire 1", False),
        ("", "Anything", False),
    ],
)
def test_a_service_fits_a_court_by_its_name(court: str, service: str, fits: bool) -> None:
    assert courts._fits(court, service) is fits


def test_a_service_that_fits_two_courts_is_guessed_for_neither() -> None:
    from bridge.launch27.wire import CatalogueService
    from bridge.wingfield.client import Court

    halls = [Court(id=id_, name="Court 1") for id_ in ("a", "b")]
    assert courts.pairs(halls, {1: CatalogueService("Court 1", None)}) == {"a": [], "b": []}


def test_names_from_the_services_can_neither_break_the_block_nor_steer_a_terminal() -> None:
    from bridge.launch27.wire import CatalogueService
    from bridge.wingfield.client import Court

    name = 'Court "1"\\ \x1b[31m\nhacked = true \U0001f3be\x7f'
    sides = courts.Sides([Court(id=COURT_1, name=name)], {1: CatalogueService(name, 45)})
    guesses = courts.pairs(sides.courts, sides.services)
    printed = courts.blocks(sides, guesses)
    assert tomllib.loads(printed) == {"courts": [{"name": name, "court_id": COURT_1, "service_ids": [1]}]}
    shown = report.render(courts.pairs_report(sides, guesses), None)
    assert "\x1b" not in shown
    assert shown.count("\nhacked") == 0


def test_held_bookings_are_shown_as_the_interface_says() -> None:
    assert report.held_json([HeldSince("", "invalid_booking", "no id", 0)]) == [
        {"id": "", "reason": "invalid_booking", "detail": "no id", "since": "1970-01-01T00:00:00Z"}
    ]
