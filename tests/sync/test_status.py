"""The status as an object: what it says, what it means, and which process has the lock."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import AlreadyRunning
from bridge.ledger.lock import lock
from bridge.model import Held, to_ms
from bridge.records import PassRecord, Watermark
from bridge.sync.status import Running, Status, running, status_json
from tests.support.builders import known

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW_MS, HOUR_MS = to_ms(NOW), 3_600_000
RECORD = PassRecord(NOW_MS - 60_000, 184, "attention", 42, 1, 2, 1, 36, 2, 1)
STATUS = Status(
    Path("/var/lib/courtbridge/courtbridge.db"),
    {str(n): known(n) for n in range(39)},
    (Held("1005", "no_participant", "it names nobody", NOW_MS - 3 * HOUR_MS),),
    (Watermark("k", 1, NOW_MS, 42, NOW_MS), Watermark("m", 2, None, None, None)),
    (replace(RECORD, withheld=("7",), pending=3), replace(RECORD, outcome="in_sync")),
    NOW,
    timedelta(minutes=1),
    running=Running(4711, NOW, NOW + timedelta(seconds=9)),
)

WELL: dict[str, Any] = {
    "held": (),
    "passes": (replace(RECORD, outcome="in_sync"),),
    "full_interval": timedelta(seconds=19),
}


def test_the_process_that_runs_is_the_one_that_has_the_lock_as_the_kernel_says(tmp_path: Path) -> None:
    state = tmp_path / "courtbridge.db"
    with lock(state):
        assert str(running(state)).startswith(f"process {os.getpid()}, since 20")
        assert running(state, tmp_path / "no-proc") is None
        with pytest.raises(AlreadyRunning), lock(state):
            pass
    assert running(state) is None


def test_the_status_is_json_as_the_interface_says() -> None:
    shown = status_json(STATUS)
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
        ({"held": (), "passes": (replace(RECORD, outcome="in_sync", started_ms=NOW_MS - 181_000),)}, 1),
        ({**WELL, "running": Running(4711, NOW, doing="1000 of 2000 written")}, 0),
        ({**WELL, "running": None, "full_interval": timedelta(seconds=19)}, 1),
        ({"held": (), "passes": (replace(RECORD, outcome="in_sync"),), "problems": ["sync.interval: wrong"]}, 78),
        ({"held": ()}, 1),
        ({"passes": ()}, 1),
    ],
)
def test_the_status_asks_for_a_person_when_one_is_needed(changes: dict[str, Any], code: int) -> None:
    assert replace(STATUS, **changes).exit_status == code


@pytest.mark.parametrize(
    ("outcome", "max_age", "code"),
    [("in_sync", timedelta(minutes=2), 0), ("in_sync", timedelta(seconds=30), 1), ("incomplete", timedelta(days=9), 1)],
)
def test_a_complete_pass_may_be_asked_to_be_young(outcome: str, max_age: timedelta, code: int) -> None:
    status = replace(STATUS, held=(), max_age=max_age)
    if outcome == "in_sync":
        status = replace(status, passes=(replace(RECORD, outcome=outcome),), last_success_ms=RECORD.started_ms)
    assert status.exit_status == code
    assert ("older than 0:00:30" in str(status.error)) is (max_age.seconds == 30)


def test_since_when_is_the_first_of_the_passes_that_came_to_the_same() -> None:
    passes = [
        replace(RECORD, started_ms=NOW_MS - n * 20_000, outcome="in_sync" if n < 5 else "refused") for n in range(9)
    ]
    assert replace(STATUS, passes=passes).since_ms == NOW_MS - 80_000
    assert replace(STATUS, passes=()).since_ms is None
