"""The status: what the state says, and which process has its lock."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bridge.cli import status
from bridge.cli.places import Places
from bridge.config.loading import load_config
from bridge.errors import AlreadyRunning, StateError
from bridge.ledger.lock import lock
from bridge.ledger.store import Ledger
from bridge.model import Held, PassRecord, Watermark, isoformat, to_ms
from bridge.sandbox import Sandbox
from tests.cli.calls import SLOT, Run, WriteConfig, book
from tests.support.builders import EMAIL, PASSWORD


def test_status_needs_no_secret_and_no_pass_and_asks_nobody(
    run: Run, sandbox: Sandbox, write_config: WriteConfig
) -> None:
    config = write_config({f'password = "{PASSWORD}"': 'password_file = "nowhere"'})
    ran = run("status", "--config", config)
    assert ran.code == 1
    assert ran.out.startswith("No pass has finished yet")
    assert run("status", "--json", "--config", config).json == {
        "outcome": "incomplete",
        "error": "no pass has finished yet",
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
    assert (checked.code, ["its token expires on" in warning for warning in checked.json["warnings"]]) == (0, [True])
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


def test_the_process_that_runs_is_the_one_that_has_the_lock_as_the_kernel_says(tmp_path: Path) -> None:
    state = tmp_path / "courtbridge.db"
    with lock(state):
        assert str(status.running(state)).startswith(f"process {os.getpid()}, since 20")
        assert status.running(state, tmp_path / "no-proc") is None
        with pytest.raises(AlreadyRunning), lock(state):
            pass
    assert status.running(state) is None


def test_a_state_out_of_reach_is_said_in_a_sentence(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    config = load_config(config_file, {})
    monkeypatch.setattr(Path, "stat", denied)
    with pytest.raises(StateError, match="Permission denied; call courtbridge as a user who may read"):
        Ledger.snapshot(config.sync.state, config.identity)


NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW_MS, HOUR_MS = to_ms(NOW), 3_600_000
RECORD = PassRecord(NOW_MS - 60_000, 184, "attention", 42, 1, 2, 1, 36, 2, 1)
STATUS = status.Status(
    Path("/var/lib/courtbridge/courtbridge.db"),
    39,
    (Held("1005", "no_participant", "it names nobody", NOW_MS - 3 * HOUR_MS),),
    (Watermark("k", 1, NOW_MS, 42, NOW_MS), Watermark("m", 2, None, None, None)),
    (replace(RECORD, withheld=("7",), pending=3), replace(RECORD, outcome="in_sync")),
    timedelta(minutes=1),
    status.Running(4711, NOW, NOW + timedelta(seconds=9)),
    NOW,
)


def test_the_status_tells_all_the_ledger_knows(capsys: pytest.CaptureFixture[str]) -> None:
    status.report(STATUS, Places())
    text = capsys.readouterr().out
    wrong = "1 delete withheld (courtbridge approve), 1 held, 3 pending"
    assert text.startswith(f"Last pass 1 min ago: needs a person: {wrong}; 39 bookings in sync.")
    for part in ("process 4711", "; next pass at ", "(3 h ago)  it names nobody", "  2        never", "in_sync"):
        assert part in text
    assert "The last pass withheld 1 delete: 7\n  If they really are gone" in text


def test_the_status_is_json_as_the_interface_says() -> None:
    shown = status.status_json(STATUS)
    assert (shown["outcome"], shown["error"], shown["pending"]) == ("attention", None, 3)
    assert (shown["withheld_deletes"], shown["withheld"]) == (1, ["7"])
    assert shown["daemon"] == {"running": True, "pid": 4711, "next_pass_at": "2026-11-20T12:00:09Z"}
    assert shown["watermarks"] == [
        {"account": 1, "listed_at": "2026-11-20T12:00:00Z", "source_updated_at": "2026-11-20T12:00:00Z"},
        {"account": 2, "listed_at": None, "source_updated_at": None},
    ]
    record = asdict(STATUS.passes[0])
    started_ms, withheld = record.pop("started_ms"), record.pop("withheld")
    assert (started_ms, withheld) == (NOW_MS - 60_000, ("7",))
    assert shown["passes"][0] == {"started_at": "2026-11-20T11:59:00Z", **record, "withheld_deletes": 1}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"held": (), "passes": ()}, 1),
        ({"held": (), "passes": (replace(RECORD, outcome="in_sync"),)}, 0),
        ({"held": (), "passes": (replace(RECORD, outcome="incomplete"),)}, 1),
        ({"held": (), "passes": (replace(RECORD, outcome="refused"),)}, 1),
        ({"held": (), "passes": (replace(RECORD, outcome="in_sync", started_ms=NOW_MS - HOUR_MS),)}, 1),
        ({"held": (), "passes": (replace(RECORD, outcome="in_sync"),), "problems": ["sync.interval: wrong"]}, 78),
        ({"held": ()}, 1),
        ({"passes": ()}, 1),
    ],
)
def test_the_status_asks_for_a_person_when_one_is_needed(changes: dict[str, Any], code: int) -> None:
    assert replace(STATUS, **changes).exit_status == code
