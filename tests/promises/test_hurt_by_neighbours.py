"""What other processes, links and edits did to a club: one process at a time, and the right account's password."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest

from bridge.config.loading import load_config
from bridge.errors import AlreadyRunning, ConfigError, StateError
from bridge.ledger.lock import lock
from bridge.ledger.store import Ledger
from bridge.sandbox import Sandbox
from tests.support.club import is_listing
from tests.support.daemons import Here, Process, book

Write = Callable[..., Path]


def is_lookup(_method: str, path: str) -> bool:
    return path.rsplit("/", 1)[-1].isdecimal()


SECOND = '[sync]\ninterval = "1s"\n'


def test_two_daemons_ran_on_one_state_through_a_symlink(sandbox: Sandbox, write_config: Write, tmp_path: Path) -> None:
    first = write_config(more=SECOND)
    (tmp_path / "link.db").symlink_to(tmp_path / "courtbridge.db")
    second = tmp_path / "second.toml"
    second.write_text(first.read_text().replace("[sync]", '[sync]\nstate = "link.db"'))
    second.chmod(0o600)
    book(sandbox)
    with Process(first) as holder:
        holder.wait("pass_finished")
        with Process(second) as other:
            assert other.ended() == 75
        assert f"process {holder.popen.pid}" in other.log.of("daemon_ended")[0]["error"]
        with Ledger.snapshot(tmp_path / "link.db", load_config(second, {}).identity) as ledger:
            assert ledger.passes()


def test_two_daemons_ran_on_one_state_after_the_lock_file_was_removed(sandbox: Sandbox, write_config: Write) -> None:
    config = write_config(more=SECOND)
    book(sandbox)
    with Process(config) as first:
        first.wait("pass_finished")
        config.with_name("courtbridge.db.lock").unlink()
        with Process(config) as second:
            assert first.ended() == 75
            assert "was removed or replaced" in first.log.of("daemon_ended")[0]["error"]
            second.wait("daemon_started")


@pytest.mark.parametrize("replaced", [True, False])
def test_a_lock_whose_file_is_another_is_none(tmp_path: Path, replaced: bool) -> None:
    with lock(tmp_path / "courtbridge.db") as held:
        held.check()
        held.path.unlink()
        if replaced:
            held.path.touch()
        with pytest.raises(AlreadyRunning, match="removed or replaced"):
            held.check()


def test_a_state_whose_links_lead_in_a_circle_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "courtbridge.db").symlink_to(tmp_path / "courtbridge.db")
    with pytest.raises(StateError, match="links"), lock(tmp_path / "courtbridge.db"):
        pass


# --- edits ---


@pytest.mark.parametrize("address", ["desk@localhost", "desk@club", "d\u00e9sk@example.com", "desk.@example.com"])
def test_a_fallback_address_passed_validation_and_did_nothing(write_config: Write, address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write_config(more=f'[mapping]\nfallback_email = "{address}"\n'), {})
    (problem,) = caught.value.problems
    assert problem.place == "mapping.fallback_email"
    assert "write one like" in problem.message
    assert address not in problem.message


@pytest.mark.parametrize("host", ["acme.launch27.com", "ACME.launch27.com.", "acme-sandbox.l27.co:443"])
def test_the_password_went_to_the_account_of_the_example(sandbox: Sandbox, write_config: Write, host: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write_config({sandbox.launch27.url: f"https://{host}/latest"}), {})
    (problem,) = caught.value.problems
    assert problem.place == "launch27.base_url"
    assert "the address of yours" in problem.message


@pytest.mark.parametrize("hangs", [is_listing, is_lookup])
async def test_a_reload_took_as_long_as_launch27_hung(
    sandbox: Sandbox, write_config: Write, hangs: Callable[[str, str], bool]
) -> None:
    config = write_config(more=SECOND)
    (number,) = book(sandbox)
    async with Here(config) as here:
        await here.passes(1)
        sandbox.launch27.vanish(number)
        hang = sandbox.launch27.faults.add("hang", match=hangs)
        await here.until(lambda: hang.hits == 1)
        here.edit('"1s"', '"2s"')
        await here.wait("config_reloaded")
        assert not hang.released.is_set()
        await here.wait("booking_deleted")
    assert not here.log.of("pass_incomplete")
    assert not sandbox.wingfield.bookings


async def test_a_reload_in_the_middle_of_writing_loses_and_repeats_nothing(
    sandbox: Sandbox, write_config: Write
) -> None:
    config = write_config(more=SECOND)
    book(sandbox, 40)
    sandbox.wingfield.delay_seconds = 0.2
    async with Here(config) as here:
        await here.wait("booking_created", 3)
        here.edit('"1s"', '"2s"')
        await here.wait("config_reloaded")
        assert len(here.log.of("booking_created")) < 40
        await here.wait("booking_created", 40)
    assert not here.log.of("pass_incomplete")
    assert sum(entry.method == "PUT" for entry in sandbox.wingfield.log) == 40


def test_a_reload_took_six_seconds_behind_a_write_that_hung(sandbox: Sandbox, write_config: Write) -> None:
    """What was answered meanwhile is stored: it is not sent again."""
    config = write_config(more=SECOND)
    numbers = book(sandbox, 4)
    hang = sandbox.wingfield.faults.add("hang", match=lambda _, path: path.endswith(f"/{numbers[0]}"))
    with Process(config) as process:
        process.wait("booking_created", 3)
        began = monotonic()
        config.write_text(config.read_text().replace('"1s"', '"2s"'))
        process.wait("config_reloaded")
        assert monotonic() - began < 5
        assert not hang.released.is_set()
        process.wait("booking_created", 4)
    written = [entry.id for entry in sandbox.wingfield.log if entry.method == "PUT" and entry.status == 200]
    assert len(written) == len(set(written)) == 4


# --- another program's lock ---


async def test_a_backup_that_locked_the_database_ended_the_daemon(
    sandbox: Sandbox, write_config: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(more=SECOND)
    async with Here(config) as here:
        here.ledger._connection.execute("PRAGMA busy_timeout = 10")
        await here.passes(1)
        with closing(sqlite3.connect(config.with_name("courtbridge.db"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            line = await here.wait("pass_incomplete")
            await here.until(lambda: here.club.status.startswith("not in sync"))
            book(sandbox)
            other.execute("ROLLBACK")
        await here.wait("trouble_over")
        await here.wait("booking_created")
    assert "locked by another program" in line["error"]
    assert len(here.log.of("pass_incomplete")) == 1
