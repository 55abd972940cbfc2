"""What was brought to Wingfield is taken back: by hand, confirmed, with intents, and never what is over."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bridge.ledger.lock import lock
from bridge.sandbox import Sandbox
from tests.cli.calls import Run, WriteConfig, book, on_a_terminal, start, writes


@pytest.fixture
def bridged(run: Run, sandbox: Sandbox, config_file: Path) -> list[str]:
    """Three bookings in Wingfield: one that is over, one on court 1, one on court 2."""
    ids = [book(sandbox, -60), book(sandbox), book(sandbox, court=2)]
    assert run("--once", "--config", config_file).code == 0
    return list(map(str, ids))


def actions(run: Run, config: Path, id_: str) -> list[tuple[str, str]]:
    return [(each["action"], each["why"]) for each in run("history", id_, "--json", "--config", config).json]


def test_all_that_is_to_come_is_deleted_and_what_is_over_stays(
    run: Run, sandbox: Sandbox, config_file: Path, bridged: list[str]
) -> None:
    over, one, two = bridged
    ran = run("withdraw", "--yes", "--config", config_file)
    assert ran.code == 0
    assert "Court 1" in ran.out
    assert "2 court bookings deleted; what is over stays. The next pass creates them again" in ran.out
    assert sandbox.wingfield.bookings.keys() == {over}
    assert actions(run, config_file, two)[0] == ("delete", "withdrawn by a person")
    assert run("withdraw", "--config", config_file).out.startswith("0 court bookings deleted;")
    again = run("--once", "--json", "--config", config_file).json
    assert (again["created"], again["drift"]) == (2, {"missing": 0, "changed": 0, "extra": 0})
    assert sandbox.wingfield.bookings.keys() == {over, one, two}


def test_a_court_can_be_named_and_the_result_is_json(
    run: Run, sandbox: Sandbox, config_file: Path, bridged: list[str]
) -> None:
    over, one, two = bridged
    court = list(sandbox.wingfield.courts)[1]
    ran = run("withdraw", "--court", court.upper(), "--yes", "--json", "--config", config_file)
    assert (ran.code, ran.json) == (0, {"withdrawn": [two], "left": []})
    assert sandbox.wingfield.bookings.keys() == {over, one}


def test_a_court_that_nobody_knows_is_wrong_usage(run: Run, config_file: Path, bridged: list[str]) -> None:
    ran = run("withdraw", "--court", "Court 1", "--yes", "--config", config_file)
    assert (ran.code, ran.out) == (2, "")
    assert "brought to a court Court 1" in ran.err


@pytest.mark.parametrize(("typed", "code", "left"), [("y\n", 0, 1), ("n\n", 1, 3), ("\x04", 1, 3)])
def test_a_person_is_asked(
    sandbox: Sandbox, config_file: Path, bridged: list[str], typed: str, code: int, left: int
) -> None:
    ended, shown = on_a_terminal("withdraw", "--config", config_file, typed=typed)
    assert ended == code
    assert "Delete 2 court bookings in Wingfield? [y/N]" in shown
    assert len(sandbox.wingfield.bookings) == left


def test_a_new_ledger_first_takes_wingfields_list_over(
    run: Run, sandbox: Sandbox, config_file: Path, bridged: list[str]
) -> None:
    for file in config_file.parent.glob("courtbridge.db*"):
        file.unlink()
    assert run("withdraw", "--yes", "--json", "--config", config_file).json["withdrawn"] == bridged[1:]
    assert len(sandbox.wingfield.bookings) == 1


def test_it_needs_the_lock(run: Run, sandbox: Sandbox, config_file: Path, bridged: list[str]) -> None:
    before = writes(sandbox)
    with lock(config_file.parent / "courtbridge.db"):
        ran = run("withdraw", "--yes", "--config", config_file)
    assert ran.code == 75
    assert "stop it first" in ran.err
    assert writes(sandbox) == before


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [({"status": 503, "times": None}, 75, "Wingfield"), ({"status": 401, "times": None}, 77, "Wingfield")],
)
def test_what_could_not_be_deleted_is_told_and_the_same_call_goes_on(
    run: Run, sandbox: Sandbox, config_file: Path, bridged: list[str], fault: dict[str, Any], code: int, words: str
) -> None:
    sandbox.wingfield.faults.add("status", **fault)
    ran = run("withdraw", "--yes", "--config", config_file)
    assert ran.code == code
    assert "0 court bookings deleted;" in ran.out
    assert "2 court bookings left; run the same command again." in ran.out
    assert words in ran.out
    sandbox.wingfield.faults.clear()
    assert run("withdraw", "--yes", "--json", "--config", config_file).json["withdrawn"] == bridged[1:]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 75), (signal.SIGKILL, -9)])
def test_interrupted_or_killed_in_the_middle_the_same_call_goes_on(
    run: Run, sandbox: Sandbox, config_file: Path, number: signal.Signals, code: int
) -> None:
    ids = [str(book(sandbox, hour)) for hour in range(60)]
    assert run("--once", "--config", config_file).code == 0
    started: list[subprocess.Popen[str]] = []

    def tenth(method: str, _: str) -> bool:
        if method == "DELETE" and len(sandbox.wingfield.bookings) == 50:
            started[0].send_signal(number)
        return False

    sandbox.wingfield.faults.add("status", times=None, match=tenth)
    sandbox.wingfield.delay_seconds = 0.02  # so that the signal comes in the middle
    with start("withdraw", "--yes", "--json", "--config", config_file) as running:
        started.append(running)
        out, _ = running.communicate(timeout=30)
    assert running.returncode == code
    left = [id_ for id_ in ids if id_ in sandbox.wingfield.bookings]
    assert 0 < len(left) <= 50
    if code == 75:
        assert json.loads(out) == {"withdrawn": [id_ for id_ in ids if id_ not in left], "left": left}
    sandbox.wingfield.faults.clear()
    assert run("verify", "--config", config_file).code == 0
    assert run("withdraw", "--yes", "--config", config_file).code == 0
    assert sandbox.wingfield.bookings == {}


def test_of_a_rule_that_is_gone_nothing_comes_back(
    run: Run, sandbox: Sandbox, write_config: WriteConfig, bridged: list[str]
) -> None:
    config = write_config({"service_ids = [2]": "service_ids = [8]"})
    court = list(sandbox.wingfield.courts)[1]
    assert run("withdraw", "--court", court, "--yes", "--config", config).code == 0
    after = run("--once", "--json", "--config", config).json
    assert (after["created"], after["deleted"], after["withheld_deletes"]) == (0, 0, 0)
    assert bridged[2] not in sandbox.wingfield.bookings
