"""The differences between Wingfield's list and the ledger, for people and for scripts."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from bridge.cli import verify
from bridge.ledger.store import Ledger
from bridge.sandbox import Sandbox
from bridge.sync import drift
from bridge.wingfield.client import Wingfield
from tests.cli.calls import COURT_1, COURT_2, SLOT, Run, WriteConfig, book, writes

HOUR = timedelta(hours=1)


def put(sandbox: Sandbox, key: object, court: str, hour: int) -> None:
    """Let somebody write under a key of ours."""
    start = SLOT + hour * HOUR
    sandbox.wingfield.store(str(key), court_id=court, start=start, end=start + HOUR, updated_at=SLOT)


def test_what_is_as_the_ledger_says_is_counted(run: Run, sandbox: Sandbox, config_file: Path) -> None:
    book(sandbox)
    book(sandbox, 1)
    run("--once", "--config", config_file)
    ran = run("verify", "--json", "--config", config_file)
    assert (ran.code, ran.json) == (0, {"missing": [], "changed": [], "extra": [], "checked": 2})
    assert "2 bookings compared. All is as the ledger says." in run("verify", "--config", config_file).out


def test_each_difference_is_said_in_words_and_nothing_is_written(run: Run, sandbox: Sandbox, config_file: Path) -> None:
    gone, moved, _ = (book(sandbox, hour) for hour in range(3))
    run("--once", "--config", config_file)
    sandbox.wingfield.remove(str(gone))
    put(sandbox, moved, COURT_2, 1)
    put(sandbox, 5000, COURT_2, 2)
    put(sandbox, 6000, COURT_2, -2000)
    put(sandbox, "theirs", COURT_2, 3)
    before, sent = config_file.parent.joinpath("courtbridge.db").read_bytes(), writes(sandbox)
    ran = run("--config", config_file, "--json", "verify")
    assert ran.code == 1
    assert ran.json == {"missing": [str(gone)], "changed": [str(moved)], "extra": ["5000"], "checked": 4}
    ran = run("verify", "--config", config_file)
    assert ran.code == 1
    for words in ("deleted in Wingfield", "court changed from Court 1 to Court 2 in Wingfield", "not known here"):
        assert words in ran.out
    assert "4 bookings compared. 3 differences found." in ran.out
    assert (config_file.parent.joinpath("courtbridge.db").read_bytes(), writes(sandbox)) == (before, sent)
    ran = run("--once", "--json", "--config", config_file)
    assert ran.json["drift"] == {"missing": 1, "changed": 1, "extra": 1}
    told = {(line["kind"], line["id"]) for line in ran.events("drift_found")}
    assert told == {("missing", str(gone)), ("changed", str(moved)), ("extra", "5000")}
    assert run("verify", "--config", config_file).code == 0
    assert run("status", "--json", "--config", config_file).json["verified_at"] is not None


def test_what_a_daemon_writes_meanwhile_is_no_difference(
    run: Run, sandbox: Sandbox, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, other = book(sandbox), book(sandbox, 1)
    run("--once", "--config", config_file)
    real = drift.read

    async def read(wingfield: Wingfield, known: object) -> object:
        put(sandbox, number, COURT_2, 0)
        put(sandbox, other, COURT_2, 1)
        look = await real(wingfield, known)  # type: ignore[arg-type]
        with closing(sqlite3.connect(config_file.parent / "courtbridge.db")) as connection, connection:
            connection.execute("UPDATE bookings SET acked_version_ms = 7 WHERE id = ?", (str(number),))
        return look

    monkeypatch.setattr(verify, "read", read)
    assert run("verify", "--json", "--config", config_file).json["changed"] == [str(other)]


def test_a_service_that_does_not_answer_is_for_later_and_a_refused_token_a_refusal(
    run: Run, sandbox: Sandbox, config_file: Path
) -> None:
    token, sandbox.wingfield.token = sandbox.wingfield.token, "another"
    ran = run("verify", "--json", "--config", config_file)
    assert (ran.code, ran.json["outcome"]) == (77, "refused")
    sandbox.wingfield.token = token
    sandbox.wingfield.faults.add("wrong_shape", times=None)
    assert run("verify", "--config", config_file).code == 75


def test_reported_drift_is_approved_like_a_withheld_delete(
    run: Run, sandbox: Sandbox, write_config: WriteConfig
) -> None:
    config = write_config(more='[sync]\ndrift = "report"')
    number = book(sandbox)
    run("--once", "--config", config)
    put(sandbox, number, COURT_2, 0)
    ran = run("--once", "--json", "--config", config)
    assert (ran.code, ran.json["held"][0]["reason"]) == (1, "drift")
    assert ran.json["drift"] == {"missing": 0, "changed": 1, "extra": 0}
    ran = run("approve", "--yes", "--json", "--config", config)
    assert (ran.code, ran.json) == (0, {"approved": [str(number)]})
    assert run("--once", "--config", config).code == 0
    assert sandbox.wingfield.bookings[str(number)]["courtId"] == COURT_1
    with Ledger.snapshot(config.parent / "courtbridge.db", None) as ledger:
        assert ledger.known[str(number)].drift is None
