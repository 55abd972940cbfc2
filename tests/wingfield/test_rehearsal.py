"""The list of Wingfield's rules, and the sandbox judged by it; what is left behind, whatever happens."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from bridge.cli.main import main
from bridge.sandbox import Sandbox
from bridge.wingfield.rehearsal import KEY, RULES
from tests.cli.calls import COURT_1, restored_signals, start


def rehearse(config: Path, *arguments: str, court: str = COURT_1) -> int:
    with restored_signals():
        return main(["check", "--rehearse", court, "--config", str(config), *arguments])


def nothing_is_left(sandbox: Sandbox) -> bool:
    return not [key for key in sandbox.wingfield.bookings if key.startswith(KEY)]


def test_the_sandbox_keeps_every_rule(config_file: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert rehearse(config_file, "--yes") == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(RULES)
    assert all(line.endswith((": as documented", "(not documented)")) for line in said)
    assert nothing_is_left(sandbox)
    assert rehearse(config_file, "--yes", "--json") == 0, "a second time, although versions are remembered"
    found = json.loads(capsys.readouterr().out)
    assert (found["problems"], [each["level"] for each in found["findings"]]) == (0, ["ok"] * len(RULES))


def test_it_asks_first(config_file: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert rehearse(config_file) == 1
    assert "--yes" in capsys.readouterr().out
    assert rehearse(config_file, "--json") == 1
    assert json.loads(capsys.readouterr().out)["problems"] == 1
    assert sandbox.wingfield.log == []


def is_put(method: str, _path: str) -> bool:
    return method == "PUT"


def test_a_rule_that_is_broken_is_told_with_what_happened_instead(
    config_file: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    body = json.dumps({"error": {"type": "invalid_schema", "message": "x"}}).encode()
    sandbox.wingfield.faults.add("answer", status=400, body=body, match=is_put)
    assert rehearse(config_file, "--yes") == 1
    assert "a new booking is created: invalid_schema instead of accepted" in capsys.readouterr().out
    assert nothing_is_left(sandbox)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", [0, 2, 4])
def test_a_signal_leaves_nothing_behind(config_file: Path, sandbox: Sandbox, number: int, after: int) -> None:
    hang = sandbox.wingfield.faults.add("hang", match=is_put, after=after, applied=True)
    with start("check", "--rehearse", COURT_1, "--yes", "--config", config_file) as running:
        assert hang.struck.wait(20)
        running.send_signal(number)
        out, _ = running.communicate(timeout=30)
    assert running.returncode == 75
    assert "interrupted" in out
    assert nothing_is_left(sandbox)


def test_what_a_killed_rehearsal_left_is_removed_first(config_file: Path, sandbox: Sandbox) -> None:
    hang = sandbox.wingfield.faults.add("hang", match=is_put, after=5)
    with start("check", "--rehearse", COURT_1, "--yes", "--config", config_file) as running:
        assert hang.struck.wait(20)
        running.kill()
        running.communicate()
    assert not nothing_is_left(sandbox)
    sandbox.wingfield.faults.clear()
    assert rehearse(config_file, "--yes") == 0
    assert nothing_is_left(sandbox)


def test_a_lost_answer_ends_it_and_leaves_nothing(config_file: Path, sandbox: Sandbox) -> None:
    sandbox.wingfield.faults.add("status", times=None, match=is_put, after=4)
    assert rehearse(config_file, "--yes") == 75
    assert nothing_is_left(sandbox)


def test_what_cannot_be_deleted_is_named(
    config_file: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    body = json.dumps({"error": {"type": "organization_access_denied", "message": "x"}}).encode()
    is_delete = lambda method, _: method == "DELETE"  # noqa: E731
    sandbox.wingfield.faults.add("answer", times=None, status=403, body=body, match=is_delete, after=4)
    assert rehearse(config_file, "--yes") == 1
    assert f"{KEY}a is still there" in capsys.readouterr().out.replace("rehearsal: ", "")


def test_a_court_that_is_not_there_is_no_rehearsal(
    config_file: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rehearse(config_file, "--yes", court="ffffffff-ffff-4fff-8fff-ffffffffffff") == 1
    assert "court_not_found" in capsys.readouterr().out
    assert nothing_is_left(sandbox)
