"""One pass: what it prints and exits with, dry runs, and signals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import once, stopping
from bridge.config.loading import load_config
from bridge.errors import ExitStatus, Unavailable
from bridge.ledger.lock import lock
from bridge.ledger.store import Ledger
from bridge.records import PassRecord
from bridge.sandbox import Sandbox
from bridge.sync.result import PassResult
from bridge.sync.words import Places
from tests.cli import calls
from tests.cli.calls import COURT_2, SLOT, Run, WriteConfig, book, process, start, writes
from tests.support.builders import EMAIL, PASSWORD, delete


def is_put(method: str, _path: str) -> bool:
    return method == "PUT"


def is_listing(method: str, path: str) -> bool:
    return method == "GET" and path.endswith("/customer/bookings")


def stop(running: subprocess.Popen[str], hang: Any, number: int) -> None:
    """Send a signal to a pass once it hangs, and wait until it says that it stops."""
    assert hang.struck.wait(20)
    running.send_signal(number)
    assert running.stderr
    next(line for line in running.stderr if '"stopping"' in line)


def test_a_pass_in_sync_exits_0_and_prints_one_object(run: Run, sandbox: Sandbox, config_file: Path) -> None:
    book(sandbox)
    sandbox.launch27.add_booking(services=[9])
    ran = run("--once", "--json", "--config", config_file)
    assert ran.code == 0
    shown = ran.json
    assert isinstance(shown.pop("duration_ms"), int)
    assert shown == {
        "outcome": "in_sync",
        "seen": 2,
        "created": 1,
        "updated": 0,
        "deleted": 0,
        "unchanged": 0,
        "ignored": 1,
        "pending": 0,
        "held": [],
        "withheld_deletes": 0,
        "withheld": [],
        "drift": {"missing": 0, "changed": 0, "extra": 0},
    }
    assert [line["event"] for line in ran.log] == ["pass_started", "booking_created", "pass_finished"]


def test_a_held_booking_exits_1_with_its_reason(run: Run, sandbox: Sandbox, config_file: Path) -> None:
    number = book(sandbox, email="")
    ran = run("--once", "--json", "--config", config_file)
    (held,) = ran.json["held"]
    assert (ran.code, ran.json["outcome"]) == (1, "attention")
    assert (held["id"], held["reason"]) == (str(number), "no_participant")
    assert "fallback_email" in held["detail"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", held["since"])


def test_the_summary_names_what_is_held_and_what_failed(run: Run, sandbox: Sandbox, config_file: Path) -> None:
    book(sandbox, email="")
    book(sandbox, 1)
    sandbox.wingfield.faults.add("redirect", times=None, match=is_put, location="/elsewhere")
    ran = run("--once", "--config", config_file)
    assert ran.code == 75
    assert ran.out.startswith("Not complete")
    redirect = "Wingfield: answers with a redirect (status 302); is base_url right?"
    assert all(part in ran.out for part in ("2 bookings seen: 0 created", "no_participant", redirect))


def test_withheld_deletes_are_listed_with_the_way_through_and_let_through_when_allowed(
    run: Run, sandbox: Sandbox, config_file: Path
) -> None:
    numbers = [book(sandbox, hour) for hour in range(10)]
    assert run("--once", "--config", config_file).code == 0
    for number in numbers[:6]:
        sandbox.launch27.cancel(number)
    ran = run("--once", "--json", "--config", config_file)
    assert ran.code == 1
    assert (ran.json["withheld_deletes"], ran.json["withheld"]) == (6, [str(id_) for id_ in numbers[:6]])
    assert "courtbridge approve" in run("--once", "--config", config_file).out
    status = run("status", "--config", config_file)
    assert status.code == 1
    assert "The last pass withheld 6 deletes: 1001, 1002" in status.out
    for only in ("--dry-run", "--once"):
        ran = run(only, "--allow-mass-delete", "--json", "--config", config_file)
        assert (ran.code, ran.json["deleted"]) == (0, 6)


def test_warnings_of_the_configuration_are_logged(run: Run, config_file: Path) -> None:
    config_file.chmod(0o644)
    ran = run("--once", "--config", config_file)
    assert [line["detail"].partition(":")[0] for line in ran.events("config_warning")] == [
        "launch27.accounts[0].password",
        "wingfield.token",
    ]


def test_a_second_instance_exits_75_and_says_who_holds_the_state(run: Run, config_file: Path) -> None:
    with lock(config_file.with_name("courtbridge.db")):
        ran = run("--once", "--config", config_file)
        assert run("--dry-run", "--config", config_file).code == 0
    (line,) = ran.log
    assert ran.code == 75
    assert line["event"] == "already_running"
    assert f"process {os.getpid()}" in line["message"]


def test_a_damaged_state_exits_74(run: Run, config_file: Path) -> None:
    config_file.with_name("courtbridge.db").write_text("no database at all" * 100)
    for call in ("--once", "--dry-run", "status"):
        ran = run(call, "--config", config_file)
        assert (ran.code, ran.out) == (74, "")
        if call == "status":
            assert ran.err.startswith(f"courtbridge: {config_file.with_name('courtbridge.db')}: the state is damaged")
        else:
            assert [line["event"] for line in ran.log] == ["state_unusable"]


def test_a_refused_password_exits_77_and_is_nowhere(run: Run, sandbox: Sandbox, write_config: WriteConfig) -> None:
    config = write_config({PASSWORD: "hunter2-hunter2"})
    ran = run("--once", "--json", "--config", config)
    assert (ran.code, ran.json["outcome"]) == (77, "refused")
    assert "hunter2" not in ran.out + ran.err
    files = [path.read_bytes() for path in config.parent.iterdir() if path != config]
    assert not any(b"hunter2" in content or EMAIL.encode() in content for content in files)
    assert run("status", "--config", config).code == 1
    assert not writes(sandbox)


def test_a_wrong_configuration_exits_78_with_a_line_for_each_problem_and_no_request(
    run: Run, sandbox: Sandbox, write_config: WriteConfig
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
    (line,) = run("--once", "--config", config.with_name("none.toml")).log
    assert "none.toml" in line["message"]
    assert "place" not in line


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: content for name, (content, _) in tree(folder).items() if "-shm" not in name}


def test_a_dry_run_says_what_a_pass_would_write_and_writes_nothing_anywhere(
    run: Run, sandbox: Sandbox, config_file: Path
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
    verbs = {str(moved): "update", str(gone): "delete", str(new): "create"}
    assert {id_: action["action"] for id_, action in actions.items()} == verbs
    start, end = (f"{SLOT + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}" for hour in (2, 3))
    assert actions[str(new)] == {"action": "create", "court": COURT_2, "start": start, "end": end, "why": "new"}
    assert all(line["dry_run"] for line in ran.log)


def test_a_dry_run_before_the_first_pass_leaves_no_file(run: Run, sandbox: Sandbox, config_file: Path) -> None:
    book(sandbox)
    ran = run("--dry-run", "--config", config_file)
    assert [path.name for path in config_file.parent.iterdir()] == ["config.toml"]
    assert ran.out.startswith("Dry run, nothing was written. All would be in sync.")
    assert "There is no state at" in ran.out
    assert re.search(r"create +1001 +Court 1 +\d{4}-\d\d-\d\d \d\d:\d\d–\d\d:\d\d +new", ran.out)
    assert not writes(sandbox)


def test_a_dry_run_works_beside_a_process_that_holds_the_state_and_leaves_its_files_alone(
    run: Run, sandbox: Sandbox, config_file: Path
) -> None:
    book(sandbox)
    assert run("--once", "--config", config_file).code == 0
    config = load_config(config_file, {})
    with lock(config.sync.state), Ledger.open(config.sync.state, config.identity) as ledger:
        ledger.save([ledger.known["1001"]._replace(allowed_ms=1)])
        before = contents(config_file.parent)
        assert run("--dry-run", "--config", config_file).code == 0
        assert contents(config_file.parent) == before


@pytest.mark.parametrize(
    ("where", "environ"), [(".", {}), ("draft", {"STATE_DIRECTORY": "{}"})], ids=["beside", "in another directory"]
)
def test_a_draft_is_tried_against_the_state_of_the_daemon(
    sandbox: Sandbox, config_file: Path, where: str, environ: dict[str, str]
) -> None:
    book(sandbox)
    assert process("--once", "--config", config_file).code == 0
    draft = config_file.parent / where / "draft.toml"
    draft.parent.mkdir(exist_ok=True)
    draft.write_text(config_file.read_text().replace("service_ids = [1]", "service_ids = [8]"))
    home = str(config_file.parent)
    env = {**os.environ, **{name: value.format(home) for name, value in environ.items()}}
    with lock(config_file.with_name("courtbridge.db")):
        ran = process("--dry-run", "--config", draft, env=env)
    assert ran.code == 1
    assert "an edit of the configuration causes them" in ran.out, "only the state knows of the rule before"
    assert "There is no state" not in ran.out


def test_a_delete_without_a_known_place_and_withheld_deletes_are_shown_as_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = PassRecord(0, 184, "incomplete", 42, 1, 2, 1, 36, 2, 1, withheld=("1", "2"))
    errors = (Unavailable("Wingfield", "answered 500"), Unavailable("Wingfield", "answered 500"))
    result = PassResult(record, ExitStatus.TRY_LATER, (), (delete(1002, why="cancelled or gone"),), errors)
    once.report(result, Places(), datetime.now(UTC), dry_run=True)
    text = capsys.readouterr().out
    assert "1 would be created" in text
    assert re.search("^  delete  1002 +cancelled", text, re.MULTILINE)
    assert "Deletes withheld: 1, 2\n  2 of 0 bookings would be deleted" in text
    assert text.count("Wingfield: answered 500") == 1
    (action,) = once.pass_json(result, dry_run=True)["actions"]
    assert (action["action"], action["court"], action["start"], action["end"]) == ("delete", None, None, None)


def test_sigterm_ends_a_pass_with_what_is_in_flight_stored_and_75(sandbox: Sandbox, config_file: Path) -> None:
    for hour in range(20):
        book(sandbox, hour)
    hang = sandbox.wingfield.faults.add("hang", match=is_put, after=3)
    with start("--once", "--json", "--config", config_file) as running:
        stop(running, hang, signal.SIGTERM)
        hang.release()
        out, _ = running.communicate(timeout=20)
    assert running.returncode == 75
    assert json.loads(out)["outcome"] == "incomplete"
    assert "did not come to its end" in json.loads(out)["error"]
    answered = [entry.id for entry in sandbox.wingfield.log if (entry.method, entry.status) == ("PUT", 200)]
    assert json.loads(out)["created"] == len(answered) == len(sandbox.wingfield.bookings)
    assert process("--once", "--config", config_file).code == 0
    sent = [entry.id for entry in sandbox.wingfield.log if (entry.method, entry.status) == ("PUT", 200)]
    assert len(sent) == len(set(sent)) == 20


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(sandbox: Sandbox, config_file: Path, first: signal.Signals) -> None:
    hang = sandbox.launch27.faults.add("hang", match=is_listing)
    with start("--once", "--config", config_file) as running:
        stop(running, hang, first)
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=4)
    assert running.returncode == 75
    assert json.loads(err.splitlines()[-1])["event"] == "ended_at_once"


def test_what_is_still_in_flight_after_the_grace_is_cut_off(
    run: Run, sandbox: Sandbox, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "LAST_ANSWER_SECONDS", 0.05)
    hang = sandbox.launch27.faults.add("hang", match=is_listing)

    def end() -> None:
        assert hang.struck.wait(20)
        os.kill(os.getpid(), signal.SIGTERM)

    with ThreadPoolExecutor() as executor:
        ended = executor.submit(end)
        ran = run("--once", "--json", "--config", config_file)
    ended.result()
    assert (ran.code, ran.json["outcome"]) == (75, "incomplete")
    assert ran.events("pass_interrupted")


def test_a_long_pass_has_a_bar_on_a_terminal(sandbox: Sandbox, config_file: Path) -> None:
    for hour in range(40):
        book(sandbox, hour, court=1 + hour % 2)
    code, shown = calls.on_a_terminal("--once", "--config", config_file)
    assert code == 0
    assert "writing" in shown
    assert shown.count("booking_created") == 40
    assert "In sync." in shown
    assert "{" not in shown
