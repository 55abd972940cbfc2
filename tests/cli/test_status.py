"""The status: what the state says, and which process has its lock."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bridge.cli import status
from bridge.config.loading import load_config
from bridge.errors import StateError
from bridge.ledger.lock import lock
from bridge.ledger.store import Ledger
from bridge.model import isoformat
from bridge.sandbox import Sandbox
from tests.cli.calls import SLOT, Run, WriteConfig, book
from tests.support.builders import EMAIL, PASSWORD
from tests.sync.test_status import STATUS


def test_status_needs_no_secret_and_no_pass_and_asks_nobody(
    run: Run, sandbox: Sandbox, write_config: WriteConfig
) -> None:
    config = write_config({f'password = "{PASSWORD}"': 'password_file = "nowhere"'})
    ran = run("status", "--config", config)
    assert ran.code == 1
    words = "out of reach here: launch27.accounts[0].password_file: no such file"
    assert ran.out.startswith(f"A secret is {words}")
    assert "\nNo pass has finished yet" in ran.out
    shown = run("status", "--json", "--config", config).json
    assert words in shown.pop("error")
    assert shown == {
        "outcome": "incomplete",
        "bookings": 0,
        "pending": 0,
        "held": [],
        "withheld_deletes": 0,
        "withheld": [],
        "last_success_at": None,
        "verified_at": None,
        "daemon": {"running": False},
        "unmapped_services": [],
        "watermarks": [],
        "passes": [],
    }
    assert sandbox.launch27.requests == 0


def test_status_shows_what_is_in_sync_and_what_is_held(run: Run, sandbox: Sandbox, config_file: Path) -> None:
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
    assert "1 booking in Wingfield, 1 held." in shown
    assert "No bridge is running" in shown
    assert "Held: 1 × no_participant" in shown
    start = (SLOT + timedelta(hours=1)).astimezone(ZoneInfo("Europe/Berlin"))
    minute = r"\d{4}-\d\d-\d\d \d\d:\d\d"
    assert re.search(rf"{number} +Court 1 +{start:%Y-%m-%d %H:%M}–\d\d:\d\d +1 +{minute} \(just now\)", shown)


def test_a_token_near_its_end_is_warned_about_also_without_the_secret(
    run: Run, sandbox: Sandbox, write_config: WriteConfig
) -> None:
    sandbox.launch27.add_account(EMAIL, PASSWORD, two_factor=True, token_lifetime_seconds=6 * 86_400)
    token = sandbox.launch27.new_token(EMAIL)
    config = write_config({f'password = "{PASSWORD}"': f'token = "{token}"'})
    once = run("--once", "--config", config)
    assert (once.code, "token_expires" in once.err, token in once.err) == (0, True, False)
    checked = run("check", "--json", "--config", config)
    assert (checked.code, ["its token expires on" in words for _, words in checked.found("warning")]) == (0, [True])
    config = write_config({f'password = "{PASSWORD}"': 'token_file = "nowhere"'})
    ran = run("status", "--config", config)
    assert ran.code == 0
    assert "account 1: its token expires on" in ran.out


def test_status_works_beside_the_process_that_holds_the_state_and_says_when_the_next_pass_is(
    run: Run, write_config: WriteConfig
) -> None:
    config = write_config(more='[sync]\ninterval = "1h"')
    soon = isoformat(datetime.now(UTC) + timedelta(minutes=1))
    for facts, told in (
        ({}, r"\)\."),
        ({"doing": "", "next_pass_at": soon}, r"\); next pass at \d\d:\d\d:\d\d\."),
        ({"doing": "1000 of 2000 written", "next_pass_at": soon}, r"\); a pass is under way: 1000 of 2000 written\."),
    ):
        with lock(config.with_name("courtbridge.db")) as held:
            held.note(**facts)
            shown = run("status", "--config", config).out
        assert re.search(rf"A bridge is running \(process {os.getpid()}, since [^)]+{told}", shown)


def test_a_state_out_of_reach_is_said_in_a_sentence(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    config = load_config(config_file, {})
    monkeypatch.setattr(Path, "stat", denied)
    with pytest.raises(StateError, match="Permission denied; call courtbridge as a user who may read"):
        Ledger.snapshot(config.sync.state, config.identity)


def test_the_status_tells_all_the_ledger_knows(capsys: pytest.CaptureFixture[str]) -> None:
    status.report(STATUS)
    text = capsys.readouterr().out
    wrong = "1 delete withheld (courtbridge approve), 1 held, 3 pending"
    assert text.startswith(f"Last pass 1 min ago: needs a person: {wrong}; 39 bookings in sync.")
    for part in ("process 4711", "; next pass at ", "(3 h ago)  it names nobody", "  2        never", "in_sync"):
        assert part in text
    assert "The last pass withheld 1 delete: 7\n  If they really are gone" in text


def test_monitoring_asks_how_old_the_last_complete_pass_may_be(run: Run, sandbox: Sandbox, config_file: Path) -> None:
    book(sandbox)
    assert run("status", "--max-age", "10m", "--config", config_file).code == 1
    run("--once", "--config", config_file)
    assert run("status", "--max-age", "10m", "--config", config_file).code == 0
    ran = run("status", "--json", "--max-age", "0s", "--config", config_file)
    assert (ran.code, ran.json["error"]) == (1, "the last complete full pass is older than 0:00:00")
    assert "older than 0:00:00" in run("status", "--max-age", "0s", "--config", config_file).out
    for wrong in ("soon", "10", "-5m", "10 m"):
        assert run("status", f"--max-age={wrong}", "--config", config_file).code == 2


def test_status_names_the_services_of_bookings_that_go_to_no_court(
    run: Run, sandbox: Sandbox, config_file: Path
) -> None:
    for hour in range(3):
        book(sandbox, hour, court=9 if hour else 4)
    run("--once", "--config", config_file)
    wanted = [{"id": 4, "name": "", "bookings": 1}, {"id": 9, "name": "Racket hire", "bookings": 2}]
    assert run("status", "--json", "--config", config_file).json["unmapped_services"] == wanted
    shown = run("status", "--config", config_file).out
    assert "service 4: 1 booking goes to no court\nservice 9, Racket hire: 2 bookings go to no court\n" in shown
    config_file.write_text(config_file.read_text().replace("service_ids = [2]", "service_ids = [2, 4, 9]"))
    run("--once", "--config", config_file)
    assert run("status", "--json", "--config", config_file).json["unmapped_services"] == []
