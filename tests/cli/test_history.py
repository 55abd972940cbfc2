"""The history, as a table and as JSON, beside a daemon and of a large state."""

from __future__ import annotations

from pathlib import Path

from bridge.config.loading import load_config
from bridge.ledger.history import Event
from bridge.ledger.lock import lock
from bridge.ledger.store import Ledger
from bridge.model import from_ms, isoformat
from bridge.sandbox import Sandbox
from tests.cli.calls import COURT_1, SLOT, Run, book
from tests.support.builders import HOUR


def test_what_was_written_is_told_newest_first_by_booking_and_up_to_a_limit(
    run: Run, sandbox: Sandbox, config_file: Path
) -> None:
    first, second = book(sandbox), book(sandbox, 1)
    run("--once", "--config", config_file)
    sandbox.launch27.cancel(first)
    run("--once", "--config", config_file)
    with lock(config_file.with_name("courtbridge.db")):
        told = run("history", "--json", "--config", config_file).json
    assert [(each["id"], each["action"]) for each in told] == [
        (str(first), "delete"),
        *[(each["id"], "create") for each in told[1:]],
    ]
    assert {each["id"] for each in told[1:]} == {str(first), str(second)}
    (created,) = run("history", str(second), "--json", "--config", config_file).json
    version = sandbox.wingfield.bookings[str(second)]["externalUpdatedAt"]
    assert isoformat(SLOT + HOUR) == created["start"]
    assert created == {
        "at": created["at"],
        "id": str(second),
        "action": "create",
        "court": COURT_1,
        "start": isoformat(SLOT + HOUR),
        "end": isoformat(SLOT + 2 * HOUR),
        "version": version.replace(".000Z", "Z"),
        "why": "new",
    }
    assert run("history", "--limit", "1", "--json", "--config", config_file).json == told[:1]


def test_people_read_courts_by_name_and_times_of_the_account(run: Run, sandbox: Sandbox, config_file: Path) -> None:
    assert run("history", "--config", config_file).out == "Nothing has been written yet.\n"
    assert run("history", "1", "--config", config_file).out == "Nothing is known of booking 1.\n"
    book(sandbox)
    run("--once", "--config", config_file)
    shown = run("history", "--config", config_file).out
    assert "The last 1 event\n" in shown
    assert "Court 1" in shown
    assert shown.rstrip().endswith("new")


def test_what_is_not_known_is_null(run: Run, config_file: Path) -> None:
    config = load_config(config_file, {})
    with Ledger.open(config.sync.state, config.identity) as ledger:
        ledger.save([], [Event(1000, "7", "drift", None, "left over")])
    (told,) = run("history", "--json", "--config", config_file).json
    assert told == {
        "at": isoformat(from_ms(1000)),
        "id": "7",
        "action": "drift",
        **dict.fromkeys(("court", "start", "end", "version")),
        "why": "left over",
    }
