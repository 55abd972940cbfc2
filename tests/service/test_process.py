"""The daemon, over real sockets, with real signals and real edits."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any
from unittest.mock import Mock

import pytest
import structlog
import time_machine

from bridge.errors import StateError
from bridge.http import client as http
from bridge.ledger.lock import lock
from bridge.ledger.store import Ledger
from bridge.planning.drift import Mark
from bridge.sandbox import Sandbox
from bridge.service import club, schedule
from bridge.service import process as daemon
from bridge.sync import executor
from bridge.sync.run import Synchronizer
from tests.support.club import QUICK, is_listing, is_write
from tests.support.daemons import FakeSystemd, Here, Process, book

Write = Callable[..., Path]
Ran = Callable[..., tuple[int, str]]
SECOND = '[sync]\ninterval = "1s"\n'


def logins(sandbox: Sandbox) -> int:
    return sum(entry.path.endswith("/login") for entry in sandbox.launch27.log)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a request give up soon."""
    assert http.Http.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(http.Http.__init__.__kwdefaults__, "backoff", QUICK)


@pytest.fixture
def config(write_config: Write) -> Path:
    return write_config(more=SECOND)


# --- passes ---


async def test_the_first_pass_comes_at_once_and_a_change_is_followed(sandbox: Sandbox, config: Path) -> None:
    first, second = book(sandbox, 2)
    async with Here(config) as here:
        began = monotonic()
        await here.until(lambda: len(sandbox.wingfield.bookings) == 2)
        assert monotonic() - began < 1.0
        sandbox.launch27.cancel(first)
        await here.wait("booking_deleted")
        assert len(here.ledger.passes(100)) <= 3
    assert list(sandbox.wingfield.bookings) == [str(second)]


async def test_passes_keep_coming_never_overlap_and_quiet_ones_are_not_told(sandbox: Sandbox, config: Path) -> None:
    book(sandbox)
    sandbox.launch27.delay_seconds = 0.1
    async with Here(config) as here:
        await here.passes(3)
    for one, next_one in pairwise(here.records):
        assert one.started_ms + one.duration_ms <= next_one.started_ms + 5
    told = " ".join(line["event"] for line in here.log)
    assert told == "daemon_started booking_created pass_finished daemon_stopping daemon_stopped"
    read = Counter(entry.path.rpartition("/")[2] for entry in sandbox.launch27.log)
    assert (read["settings"], read["services"]) == (1, 1)
    assert read["bookings"] >= 2 * sum(record.is_complete for record in here.records)


async def test_each_daemon_reads_all_of_wingfields_list_in_its_first_pass(sandbox: Sandbox, config: Path) -> None:
    book(sandbox, 2)
    verified = []
    for passes in (2, 5):
        async with Here(config) as here:
            await here.passes(passes)
            verified.append(here.ledger.recall(Mark).verified_ms)
    assert verified[0] < verified[1] < here.records[-1].started_ms, "once for each daemon"


async def test_a_turn_missed_in_a_long_pass_is_not_made_up_for(sandbox: Sandbox, write_config: Write) -> None:
    config = write_config(more='[sync]\ninterval = "5s"\n')
    hang = sandbox.launch27.faults.add("hang", match=is_listing)
    async with Here(config) as here:
        await here.until(lambda: hang.hits == 1)
        await here.until(here.club.schedule.wake.is_set)
        hang.release()
        await here.passes(2)
    first, second = here.records
    assert second.started_ms - first.started_ms - first.duration_ms > 300


# --- near and full ---


async def test_a_hint_brings_the_change_within_a_second_however_long_the_interval(
    sandbox: Sandbox, write_config: Write
) -> None:
    config = write_config(more='[sync]\ninterval = "1h"\nnear = "1d"\n')
    (near,) = book(sandbox)
    async with Here(config) as here:
        await here.wait("booking_created")
        await here.passes(1)
        here.club.schedule._began_at -= 2
        (far,) = book(sandbox, first_hour=24 * 20)
        began = monotonic()
        here.club.hint(str(far))
        here.club.hint(None)
        await here.wait("booking_created", 2)
        assert monotonic() - began < 1
    assert [record.kind for record in here.records] == ["full", "near"]
    assert set(sandbox.wingfield.bookings) == {str(near), str(far)}


async def test_what_a_near_pass_leaves_is_done_by_a_full_one_at_once(sandbox: Sandbox, write_config: Write) -> None:
    """The near booking wants the place that the far one is leaving."""
    config = write_config(more='[sync]\ninterval = "5s"\nfull_interval = "1h"\n')
    (near,), (far,) = book(sandbox), book(sandbox, first_hour=24 * 20)
    async with Here(config) as here:
        await here.passes(1)
        place = sandbox.launch27.bookings[far]["service_date"]
        sandbox.launch27.edit(far, service_date=datetime.fromisoformat(place) + timedelta(hours=2))
        sandbox.launch27.edit(near, service_date=datetime.fromisoformat(place))
        await here.wait("booking_updated", 2)
    kinds = [record.kind for record in here.records]
    assert kinds[: kinds.index("near")] == ["full"]
    assert "full" in kinds[kinds.index("near") :]


# --- edits ---


async def test_an_edit_is_taken_in_and_a_pass_follows(sandbox: Sandbox, write_config: Write) -> None:
    config = write_config(more='[sync]\ninterval = "1h"\n')
    edited = config.with_name("edited.toml")
    more = '[mapping]\nfallback_email = "a@c.co"\n[sync]\nfuture = "30d"'
    edited.write_text(config.read_text().replace("[sync]", more))
    config.rename(config.with_name("one.toml"))
    config.symlink_to("one.toml")
    async with Here(config) as here:
        await here.passes(1)
        config.unlink()
        config.symlink_to("edited.toml")
        began = monotonic()
        line = await here.wait("config_reloaded")
        await here.passes(2)
        assert monotonic() - began < 5
    assert logins(sandbox) == 1
    assert [entry.path for entry in sandbox.launch27.log].count("/latest/settings") == 2
    assert line["changed"] == ["sync.future", "mapping.fallback_email"]
    assert "a@c.co" not in str(here.log)


async def test_a_wrong_edit_is_told_once_with_all_its_problems(sandbox: Sandbox, config: Path) -> None:
    (number,) = book(sandbox)
    good = config.read_text()
    async with Here(config) as here:
        await here.passes(1)
        config.write_text(good.replace('"1s"', '"soon"') + "\n[[courts]]\nservice_ids = [3]\n")
        line = await here.wait("config_rejected")
        assert [problem.partition(":")[0] for problem in line["problems"]] == ["sync.interval", "courts[2].court_id"]
        config.touch()
        sandbox.launch27.cancel(number)
        await here.wait("booking_deleted")
        os.kill(os.getpid(), signal.SIGHUP)
        await here.wait("config_rejected", 2)
        config.write_text(good)
        assert (await here.wait("config_reloaded"))["changed"] == []
        config.write_text(good.replace('"1s"', '"soon"'))
        await here.wait("config_rejected", 3)
    assert len(here.log.of("config_rejected")) == 3


async def test_a_touched_file_is_no_edit(sandbox: Sandbox, config: Path) -> None:
    async with Here(config) as here:
        await here.until(lambda: here.loads == 2)
        config.touch()
        await here.until(lambda: here.loads == 3)
        await here.passes(3)
    assert not here.log.of("config_reloaded")


async def test_an_edit_that_is_taken_back_in_time_changes_nothing(sandbox: Sandbox, config: Path) -> None:
    book(sandbox)
    hang = sandbox.wingfield.faults.add("hang", match=is_write)  # what is written is finished first
    text = config.read_text()
    async with Here(config) as here:
        await here.until(lambda: hang.hits == 1 and here.loads == 2)
        config.write_text(text.replace('"1s"', '"2s"'))
        await here.until(lambda: here.loads == 3)
        config.write_text(text)
        await here.until(lambda: here.loads == 4)
        hang.release()
        assert (await here.wait("config_reloaded"))["changed"] == []


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("127.0.0.1", "localhost", ["launch27.base_url", "wingfield.base_url"]),
        ("497f6eca", "497f6ecb", ["wingfield.external_service_id"]),
        ("[sync]", '[mapping]\nid_prefix = "x-"\n[sync]', ["mapping.id_prefix"]),
        ("[sync]", '[sync]\nstate = "other.db"', ["sync.state"]),
    ],
)
async def test_another_state_is_refused_while_running(
    sandbox: Sandbox, config: Path, old: str, new: str, place: list[str]
) -> None:
    async with Here(config) as here:
        await here.passes(1)
        here.edit(old, new)
        os.kill(os.getpid(), signal.SIGHUP)
        line = await here.wait("config_rejected")
        count = len(here.ledger.passes(100))
        await here.passes(count + 1)
    assert [problem.partition(":")[0] for problem in line["problems"]] == place
    assert "restart" in line["problems"][0]


async def test_a_rotated_secret_is_taken_in(sandbox: Sandbox, write_config: Write, tmp_path: Path) -> None:
    token = sandbox.wingfield.token
    secret = tmp_path / "token"
    secret.write_text(token)
    secret.chmod(0o600)
    config = write_config({f'token = "{token}"': 'token_file = "token"'}, more=SECOND)
    book(sandbox)
    async with Here(config) as here:
        await here.passes(1)
        sandbox.wingfield.token = "tok_ext_v1_new"
        secret.write_text("tok_ext_v1_new")
        assert (await here.wait("config_reloaded"))["changed"] == ["wingfield.token"]
        book(sandbox, first_hour=40)
        await here.wait("booking_created", 2)
    assert "tok_ext" not in str(here.log)


async def test_a_secret_others_can_read_is_warned_about(sandbox: Sandbox, config: Path) -> None:
    config.chmod(0o644)
    async with Here(config) as here:
        await here.wait("config_warning", 2)
        here.edit('"1s"', '"2s"')
        await here.wait("config_reloaded")
        config.chmod(0o600)
        await here.wait("config_reloaded", 1)
    assert len(here.log.of("config_warning")) == 2


# --- services that are away ---


@pytest.mark.usefixtures("quick")
async def test_an_outage_is_told_when_it_begins_and_when_it_ends(sandbox: Sandbox, config: Path) -> None:
    sandbox.launch27.faults.add("status", times=None, status=500, match=is_listing)
    sandbox.wingfield.faults.add("refuse", times=None)
    book(sandbox)
    async with Here(config) as here:
        await here.wait("pass_incomplete")
        await here.until(lambda: here.club.schedule.backoff.failures == 2)
        assert not here.log.of("request_retried")
        sandbox.launch27.faults.clear()
        sandbox.wingfield.faults.clear()
        here.edit('"1s"', '"2s"')  # does not wait for the end of the back-off
        await here.wait("trouble_over")
        await here.wait("booking_created")
        await here.until(lambda: here.club.schedule.backoff.failures == 0)
        await here.wait("trouble_over", 2)
    told = [line["error"].partition(":")[0] for line in here.log.of("pass_incomplete")]
    assert sorted(told) == ["Launch27", "Wingfield"]
    assert sorted(line["service"] for line in here.log.of("trouble_over")) == sorted(told)


@pytest.mark.usefixtures("quick")
async def test_the_trouble_of_one_booking_slows_nobody_down(sandbox: Sandbox, config: Path) -> None:
    numbers = book(sandbox, 3)
    sandbox.wingfield.faults.add(
        "status", times=None, status=500, match=lambda _method, path: path.endswith(f"/{numbers[0]}")
    )
    async with Here(config) as here:
        await here.passes(2)
        assert here.club.schedule.backoff.failures == 0
    assert len(sandbox.wingfield.bookings) == 2
    assert len(here.log.of("pass_incomplete")) == 1


@pytest.mark.usefixtures("quick")
async def test_a_request_that_had_to_be_retried_is_told_once(sandbox: Sandbox, config: Path) -> None:
    sandbox.launch27.faults.add("status", times=1, status=503)
    async with Here(config) as here:
        await here.wait("request_retried")
        sandbox.launch27.faults.add("status", times=1, status=503)
        await here.passes(3)
    assert len(here.log.of("request_retried")) == 1
    assert not here.log.of("pass_incomplete")


async def test_a_refused_login_waits_until_the_password_is_another(sandbox: Sandbox, config: Path) -> None:
    right = config.read_text()
    config.write_text(right.replace("correct-horse", "wrong-horse"))
    book(sandbox)
    async with Here(config) as here:
        await here.wait("login_refused")
        await here.passes(1)
        os.kill(os.getpid(), signal.SIGHUP)
        await here.wait("config_reloaded")
        here.edit('"1s"', '"2s"')
        await here.wait("config_reloaded", 2)
        assert logins(sandbox) == 1
        assert here.club.schedule.near.next_run_time - datetime.now(UTC) > timedelta(seconds=290)
        config.write_text(right)
        await here.wait("booking_created")
    assert logins(sandbox) == 2
    assert len(here.log.of("login_refused")) == 1
    assert not here.log.of("pass_incomplete")


# --- the clock ---


@pytest.mark.parametrize("jump", [timedelta(hours=-5), timedelta(hours=5), timedelta(days=20_000)])
async def test_a_clock_that_is_set_changes_nothing(sandbox: Sandbox, config: Path, jump: timedelta) -> None:
    (number,) = book(sandbox, first_hour=30)
    slot = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=40)
    async with Here(config) as here:
        await here.passes(1)
        before = sandbox.wingfield.bookings[str(number)]["externalUpdatedAt"]
        with time_machine.travel(datetime.now(UTC) + jump, tick=True):
            await here.wait("clock_jumped")
            count = len(here.ledger.passes(100))
            sandbox.launch27.edit(number, service_date=slot)
            await here.passes(count + 2)
            if abs(jump) < timedelta(days=1):
                await here.wait("booking_updated")
                assert sandbox.wingfield.bookings[str(number)]["externalUpdatedAt"] > before
        await here.wait("clock_jumped", 2)


@pytest.mark.parametrize("jump", [timedelta(hours=-5), timedelta(days=20_000)])
async def test_jobs_keep_their_distance_and_no_missed_turn_is_counted(jump: timedelta) -> None:
    turned = asyncio.Event()

    async def turn() -> None:
        turned.set()

    def seconds_to(job: Any) -> Any:
        return (job.next_run_time - datetime.now(UTC)).total_seconds()

    scheduler = daemon.Scheduler()
    scheduler.start()
    quick, slow, moved = (scheduler.add_job(turn, schedule.every(seconds)) for seconds in (0.1, 60, 60))
    with time_machine.travel(datetime.now(UTC) + jump, tick=True):
        moved.reschedule(schedule.every(100))
        await asyncio.wait_for(turned.wait(), 5)
        assert seconds_to(quick) < 1
        assert 50 < seconds_to(slow) < 64
        assert 90 < seconds_to(moved) < 106
        scheduler.shutdown(wait=False)


# --- stopping ---


async def test_a_stop_while_listing_ends_soon_and_deletes_nothing(
    sandbox: Sandbox, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "LAST_ANSWER_SECONDS", 0.2)
    book(sandbox, 3)
    async with Here(config) as here:
        await here.passes(1)
        hang = sandbox.launch27.faults.add("hang", match=is_listing)
        await here.until(lambda: hang.hits == 1)
        os.kill(os.getpid(), signal.SIGTERM)
        await here.wait("pass_cut_short")
    assert len(sandbox.wingfield.bookings) == 3
    assert not here.log.of("pass_incomplete")


async def test_a_stop_while_pages_come_ends_soon_and_deletes_nothing(sandbox: Sandbox, write_config: Write) -> None:
    config = write_config({"reads_per_second": "page_size = 2\nreads_per_second"}, more=SECOND)
    book(sandbox, 20)
    async with Here(config) as here:
        await here.passes(1)
        sandbox.launch27.delay_seconds = 0.1
        asked = len(sandbox.launch27.log)
        await here.until(lambda: len(sandbox.launch27.log) >= asked + 3)
        began = monotonic()
        os.kill(os.getpid(), signal.SIGTERM)
        await here.ended()
        assert monotonic() - began < 1.5
    assert len(sandbox.wingfield.bookings) == 20
    assert not here.log.of("pass_incomplete")


async def test_a_stop_while_writing_stores_what_was_answered(
    sandbox: Sandbox, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "STOP_SECONDS", 0.3)
    numbers = book(sandbox, 4)
    hang = sandbox.wingfield.faults.add("hang", match=lambda _method, path: path.endswith(f"/{numbers[-1]}"))
    async with Here(config) as here:
        await here.until(lambda: hang.hits == 1 and len(sandbox.wingfield.bookings) == 3)
        os.kill(os.getpid(), signal.SIGTERM)
        await here.ended()
    sandbox.wingfield.faults.clear()
    async with Here(config) as here:
        await here.wait("booking_created")
    applied = [entry.id for entry in sandbox.wingfield.log if entry.method == "PUT" and entry.status == 200]
    assert sorted(map(str, applied)) == sorted(map(str, numbers))


async def test_a_ledger_that_fails_ends_the_daemon(
    sandbox: Sandbox, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ledger, "finish", Mock(side_effect=StateError("the disk is full")))
    here = Here(config)
    with pytest.raises(StateError):
        async with here:
            await asyncio.wait([here.task])


# --- systemd ---


async def test_systemd_hears_of_everything(sandbox: Sandbox, config: Path, systemd: FakeSystemd) -> None:
    book(sandbox, 2)
    async with Here(config, notify=systemd) as here:
        await here.passes(1)
        await systemd.hears("READY=1\nSTATUS=waiting for the first pass")
        words = await systemd.hears("STATUS=in sync: 2 bookings, last pass ")
        assert words.count(":") == 3
        here.edit('"1s"', '"2s"')
        await here.wait("config_reloaded")
        await systemd.hears("RELOADING=1\nMONOTONIC_USEC=")
        await systemd.hears("READY=1\nSTATUS=in sync")
        here.edit('"2s"', '"2x"')
        await here.wait("config_rejected")
        await systemd.hears("RELOADING=1\nMONOTONIC_USEC=")
        assert "configuration rejected: sync.interval" in await systemd.hears("READY=1")


async def test_a_pass_that_hangs_is_no_longer_alive(
    sandbox: Sandbox, config: Path, systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(club, "HUNG_SECONDS", 0.3)
    monkeypatch.setattr(daemon, "LAST_ANSWER_SECONDS", 0.1)
    hang = sandbox.launch27.faults.add("hang")
    async with Here(config, notify=systemd, watchdog_seconds=0.1) as here:
        await here.until(lambda: hang.hits == 1)
        await systemd.hears("WATCHDOG=1")
        await here.until(lambda: here.club.is_hung)
        systemd.heard_by_now()
        beat = Mock()
        monkeypatch.setattr(here.club, "look_after_configuration", beat)
        await here.until(lambda: beat.call_count > 4)
        assert systemd.heard_by_now() == []
        hang.release()
        await here.passes(1)
        await here.until(lambda: "WATCHDOG=1" in systemd.heard_by_now())


# --- how it ends: run() itself ---


@pytest.fixture
def ran(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Ran]:
    monkeypatch.setattr("faulthandler.enable", lambda: None)

    def run(config: Path, **environ: str) -> tuple[int, str]:
        status = daemon.run(config, environ=environ, log_level="info")
        return status, capsys.readouterr().err

    yield run
    structlog.reset_defaults()


def test_a_wrong_configuration_ends_with_78_and_every_reason(
    ran: Ran, write_config: Write, systemd: FakeSystemd
) -> None:
    config = write_config({"service_ids = [1]": "", "correct-horse-battery": ""}, more=SECOND)
    status, log = ran(config, NOTIFY_SOCKET=str(systemd.path))
    assert status == 78
    assert log.count("config_rejected") == 1
    assert "courts[0]" in log
    assert "launch27.accounts[0].password" in log
    assert "the configuration is wrong" in systemd.hear("STATUS")


def test_a_state_that_cannot_be_used_ends_with_74(ran: Ran, config: Path) -> None:
    config.with_name("courtbridge.db").write_bytes(b"no database " * 100)
    status, log = ran(config)
    assert status == 74
    assert "courtbridge.db" in log


def test_a_state_that_is_held_ends_with_75_and_says_by_whom(ran: Ran, config: Path) -> None:
    with lock(config.with_name("courtbridge.db")):
        status, log = ran(config)
    assert status == 75
    assert str(os.getpid()) in log


@pytest.mark.parametrize("bug", [RuntimeError("hunter2"), TimeoutError("hunter2")])
def test_a_bug_ends_with_1_and_shows_no_values(
    ran: Ran, config: Path, monkeypatch: pytest.MonkeyPatch, bug: Exception
) -> None:
    monkeypatch.setattr(Synchronizer, "run_pass", Mock(side_effect=bug))
    status, log = ran(config)
    assert status == 1
    assert type(bug).__name__ in log
    assert "club.py" in log
    assert "hunter2" not in log


def test_it_ends_with_0_when_told_to(ran: Ran, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = Ledger.finish

    def finish_and_stop(ledger: Ledger, *arguments: Any, **entries: Any) -> None:
        finish(ledger, *arguments, **entries)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Ledger, "finish", finish_and_stop)
    handler = signal.getsignal(signal.SIGINT)
    assert ran(config)[0] == 0
    assert signal.getsignal(signal.SIGINT) == handler


# --- real processes ---


def test_a_process_runs_under_systemd_and_ends_when_told(sandbox: Sandbox, config: Path, systemd: FakeSystemd) -> None:
    book(sandbox, 3)
    with Process(config, NOTIFY_SOCKET=str(systemd.path), WATCHDOG_USEC="1000000") as process:
        systemd.hear("READY=1")
        systemd.hear("STATUS=in sync: 3 bookings")
        systemd.hear("WATCHDOG=1")
        process.popen.send_signal(signal.SIGTERM)
        assert process.ended() == 0
        systemd.hear("STOPPING=1")


def test_a_process_that_is_stopped_in_mid_pass_sends_nothing_twice(sandbox: Sandbox, config: Path) -> None:
    numbers = book(sandbox, 60)
    sandbox.wingfield.delay_seconds = 0.2
    with Process(config) as process:
        process.wait("booking_created", 10)
        began = monotonic()
        process.popen.send_signal(signal.SIGINT)
        assert process.ended() == 0
        assert monotonic() - began < 5
    sandbox.wingfield.delay_seconds = 0.0
    assert len(sandbox.wingfield.bookings) < 60
    with Process(config, "--once") as process:
        assert process.ended() == 0
    assert len(sandbox.wingfield.bookings) == 60
    assert sum(entry.method == "PUT" for entry in sandbox.wingfield.log) == len(numbers)


def test_a_second_signal_ends_a_process_at_once(sandbox: Sandbox, config: Path) -> None:
    (number,) = book(sandbox)
    hang = sandbox.wingfield.faults.add("hang", match=is_write)
    with Process(config) as process:
        assert hang.struck.wait(20)
        process.popen.send_signal(signal.SIGTERM)
        process.wait("daemon_stopping")
        began = monotonic()
        process.popen.send_signal(signal.SIGTERM)
        assert process.ended() == -signal.SIGTERM
        assert monotonic() - began < 1
    sandbox.wingfield.faults.clear()
    with Process(config, "--once") as process:
        assert process.ended() == 0
    assert list(sandbox.wingfield.bookings) == [str(number)]
