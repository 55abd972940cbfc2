"""What people and scripts were not told, and the word that lets withheld deletes through."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import structlog

from bridge.cli import output
from bridge.cli.main import main
from bridge.errors import ClockWrong, ExitStatus, StateBusy
from bridge.ledger.lock import lock
from bridge.ledger.store import Ledger
from bridge.records import PassRecord
from bridge.sandbox import Sandbox
from bridge.service import club as clubs
from bridge.sync.narrator import LogNarrator
from bridge.sync.result import PassResult
from tests.cli.calls import on_a_terminal, process, restored_signals
from tests.support.daemons import FakeSystemd, Here, Process, book

Write = Callable[..., Path]
GUARD = '[sync]\ninterval = "1s"\nmax_delete_count = 0\nmax_delete_fraction = 0.0\n'


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., tuple[int, Any]]]:
    """Return a function that calls the command line with --json, and returns status and object."""

    def run(config: Path, *arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = main([*arguments, "--json", "--config", str(config)])
        return int(code), json.loads(capsys.readouterr().out)

    with restored_signals():
        yield run
    structlog.reset_defaults()


Run = Callable[..., tuple[int, Any]]


# --- approve ---


async def test_withheld_deletes_needed_a_stop_of_the_daemon(sandbox: Sandbox, write_config: Write) -> None:
    config = write_config(more=GUARD)
    one, other, _ = book(sandbox, 3)
    async with Here(config) as here:
        await here.passes(1)
        sandbox.launch27.cancel(one)
        await here.wait("deletes_withheld")
        approved = await asyncio.to_thread(process, "approve", "--yes", "--json", "--config", config)
        sandbox.launch27.cancel(other)
        await here.wait("booking_deleted")
        line = await here.wait("deletes_approved")
        await here.until(lambda: here.ledger.passes(1)[0].withheld == (str(other),))
    assert (approved.code, approved.json) == (0, {"approved": [str(one)]})
    assert line["ids"] == [str(one)]
    assert [each["id"] for each in here.log.of("booking_deleted")] == [str(one)]
    assert str(other) in sandbox.wingfield.bookings


def test_nothing_withheld_or_nobody_who_says_yes_approves_nothing(
    sandbox: Sandbox, write_config: Write, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(more=GUARD)
    book(sandbox, 2)
    assert run(config, "approve", "--yes") == (1, {"approved": []})
    run(config, "--once")
    (number, *_) = sandbox.launch27.bookings
    sandbox.launch27.cancel(number)
    assert run(config, "--once")[1]["withheld"] == [str(number)]
    assert run(config, "approve") == (1, {"approved": []})
    assert run(config, "--once")[1]["withheld"] == [str(number)]
    monkeypatch.setattr(output, "is_confirmed", lambda _: True)
    assert run(config, "approve") == (0, {"approved": [str(number)]})
    assert run(config, "--once")[1]["deleted"] == 1


def test_the_withheld_deletes_are_shown_before_anybody_says_yes(
    sandbox: Sandbox, write_config: Write, run: Run
) -> None:
    config = write_config(more=GUARD)
    (number, _) = book(sandbox, 2)
    run(config, "--once")
    sandbox.launch27.cancel(number)
    run(config, "--once")
    code, shown = on_a_terminal("approve", "--yes", "--config", config)
    assert code == 0
    assert str(number) in shown
    assert "Court 1" in shown
    assert "Approved for 24 hours" in shown


# --- status ---


def test_status_said_all_was_well_when_nothing_had_run_for_days(sandbox: Sandbox, config_file: Path, run: Run) -> None:
    book(sandbox)
    assert run(config_file, "status")[0] == 1
    run(config_file, "--once")
    code, said = run(config_file, "status")
    assert (code, said["outcome"], said["error"], said["daemon"]) == (0, "in_sync", None, {"running": False})
    assert said["last_success_at"]
    with closing(sqlite3.connect(config_file.with_name("courtbridge.db"))) as db, db:
        db.execute("UPDATE passes SET started_ms = started_ms - ?", (timedelta(days=3) // timedelta(milliseconds=1),))
    code, said = run(config_file, "status")
    assert (code, said["outcome"]) == (1, "incomplete")
    assert said["error"].startswith("no pass since")


def test_status_said_all_was_well_after_an_incomplete_pass_and_not_why(
    sandbox: Sandbox, config_file: Path, run: Run
) -> None:
    book(sandbox)
    run(config_file, "--once")
    sandbox.wingfield.token = "another"
    assert run(config_file, "--once")[0] == 77
    code, said = run(config_file, "status")
    assert (code, said["outcome"]) == (1, "refused")
    assert said["error"].startswith("Wingfield: ")
    assert said["last_success_at"] < said["passes"][0]["started_at"]


@pytest.mark.parametrize(("old", "new"), [("[sync]", "[snyc]"), ("[sync]", "= ["), ("service_ids", "sevrice_ids")])
def test_status_showed_nothing_under_a_broken_configuration(
    sandbox: Sandbox, write_config: Write, run: Run, capsys: pytest.CaptureFixture[str], old: str, new: str
) -> None:
    config = write_config(more='[sync]\ninterval = "1m"\n')
    book(sandbox)
    run(config, "--once")
    config.write_text(config.read_text().replace(old, new))
    code, said = run(config, "status")
    assert (code, said["outcome"], said["bookings"]) == (78, "failed", 1)
    assert said["error"].startswith("the configuration is wrong: ")
    assert main(["status", "--config", str(config)]) == 78
    shown = capsys.readouterr().out
    assert shown.startswith("The configuration is wrong: ")
    assert "1 booking in Wingfield" in shown


async def test_a_pass_under_way_was_not_shown(
    sandbox: Sandbox, write_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clubs, "LONG_SECONDS", 0.0)
    book(sandbox, 30)
    sandbox.wingfield.delay_seconds = 0.1
    with FakeSystemd(tmp_path / "notify") as systemd:
        async with Here(write_config(more=GUARD), notify=systemd) as here:
            await systemd.hears("STATUS=pass under way: reading; waiting for the first pass")
            assert " of 30 written" in await systemd.hears("STATUS=pass under way: ")
            await here.passes(1)
            await systemd.hears("STATUS=in sync: 30 bookings")
            here.edit('"1s"', '"1x"')
            await systemd.hears("STATUS=configuration rejected: sync.interval")
            for _ in range(3):  # it stays, whatever the passes that go on have to say
                assert "configuration rejected: sync.interval" in await systemd.hears("STATUS=")
            here.edit('"1x"', '"1s"')
            await systemd.hears("STATUS=in sync: 30 bookings")


def test_the_daemon_says_in_status_when_its_next_pass_is(sandbox: Sandbox, write_config: Write, run: Run) -> None:
    config = write_config(more='[sync]\ninterval = "1h"\n')
    book(sandbox)
    with Process(config) as daemon:
        daemon.wait("pass_finished")
        said: dict[str, Any] = {}
        while not said.get("next_pass_at"):
            said = run(config, "status")[1]["daemon"]
        assert (said["running"], said["pid"]) == (True, daemon.popen.pid)
        assert said["next_pass_at"] > run(config, "status")[1]["last_success_at"]


# --- scripts ---


def damage(config: Path) -> None:
    config.with_name("courtbridge.db").write_bytes(b"no database at all" * 100)


def misspell(config: Path) -> None:
    config.write_text(config.read_text().replace("[wingfield]", "[wingfeild]"))


@pytest.mark.parametrize("call", [["--once"], ["--dry-run"], ["status"], ["approve"]])
@pytest.mark.parametrize(("hurt", "expected"), [(damage, 74), (misspell, 78)])
def test_scripts_got_empty_output(
    config_file: Path, run: Run, call: list[str], hurt: Callable[[Path], None], expected: int
) -> None:
    hurt(config_file)
    code, said = run(config_file, *call)
    assert (code, said["outcome"]) == (expected, "failed")
    assert said["error"]


def test_a_script_that_meets_the_daemon_is_told_so(config_file: Path, run: Run) -> None:
    with lock(config_file.with_name("courtbridge.db")):
        code, said = run(config_file, "--once")
    assert (code, said["outcome"]) == (75, "failed")
    assert "uses this state" in said["error"]


def test_a_script_is_told_what_kept_a_pass_from_its_end(sandbox: Sandbox, config_file: Path, run: Run) -> None:
    sandbox.wingfield.token = "another"
    code, said = run(config_file, "--once")
    assert (code, said["outcome"], said["pending"]) == (77, "refused", 0)
    assert said["error"].startswith("Wingfield: ")


def test_a_script_beside_a_backup_is_told_to_try_later(
    config_file: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config_file, "--once")
    monkeypatch.setattr(Ledger, "finish", Mock(side_effect=StateBusy("locked by another program")))
    assert run(config_file, "--once") == (75, {"outcome": "failed", "error": "locked by another program"})


# --- the log ---


def test_a_wrong_clock_and_a_mass_change_are_told_once_by_their_own_names() -> None:
    with structlog.testing.capture_logs() as lines:
        narrator = LogNarrator(lasting=True, log=structlog.get_logger())
        ids = tuple(map(str, range(30)))
        record = PassRecord(0, 5, "incomplete", 30, 0, 0, 0, 0, 0, 0, 30)
        wrong = ClockWrong("clock", "this machine's clock is 9 minutes behind", kind="clock")
        for _ in range(2):
            narrator.pass_finished(PassResult(record, ExitStatus.TRY_LATER, (), (), (wrong,), waiting=ids))
        narrator.pass_finished(PassResult(record, ExitStatus.OK, (), (), (), approved=("7",)))
        narrator.pass_finished(PassResult(record, ExitStatus.TRY_LATER, (), (), (), waiting=ids))
    events = [line["event"] for line in lines if line["event"] != "pass_finished"]
    assert events == ["clock_wrong", "mass_change_delayed", "trouble_over", "deletes_approved", "mass_change_delayed"]
    (delayed, _) = (line for line in lines if line["event"] == "mass_change_delayed")
    assert (delayed["count"], delayed["ids"]) == (30, list(ids[:20]))
    assert all(line["pending"] == 30 for line in lines if line["event"] == "pass_finished")
