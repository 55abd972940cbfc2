"""Many clubs in one process: none stops or delays another."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from unittest.mock import ANY

import httpx
import pytest

from bridge.cli.main import main
from bridge.ledger.lock import lock
from bridge.sandbox import Sandbox
from tests.cli.calls import restored_signals
from tests.support.club import is_listing
from tests.support.daemons import PATIENCE_SECONDS, FakeSystemd, Process
from tests.support.directory import Directory
from tests.support.listener import listening


@pytest.fixture
def directory(tmp_path: Path, sandbox: Sandbox) -> Directory:
    return Directory(tmp_path / "clubs", sandbox)


def until(holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> float:
    """Wait for something in another process; return how long that took."""
    began = monotonic()
    while not holds():
        assert monotonic() - began < seconds
        sleep(0.02)
    return monotonic() - began


def clubs_of(daemon: Process, event: str) -> list[str]:
    return [line["club"] for line in daemon.log.of(event)]


def test_files_that_appear_change_and_go_are_taken_in_within_five_seconds(directory: Directory) -> None:
    directory.add("east", 2)
    directory.add("west", 1)
    with Process(directory.path) as daemon:
        daemon.wait("club_added", 2)
        until(lambda: directory.bridged("east") == 2 and directory.bridged("west") == 1)
        directory.add("north", 3)
        assert until(lambda: directory.bridged("north") == 3) < 5
        daemon.wait("club_added", 3)
        began = monotonic()
        directory.file("west").write_text(directory.text("west").replace('"1s"', '"2s"'))
        daemon.wait("config_reloaded")
        assert monotonic() - began < 5
        began = monotonic()
        directory.file("east").unlink()
        daemon.wait("club_removed")
        assert monotonic() - began < 5
        directory.book("east")
        directory.book("north")
        until(lambda: directory.bridged("north") == 4)
        daemon.popen.terminate()
        assert daemon.ended() == 0
    assert daemon.log.of("daemon_started")[0]["clubs"] == 2
    assert clubs_of(daemon, "club_added") == ["east", "west", "north"]
    assert clubs_of(daemon, "config_reloaded") == ["west"]
    assert clubs_of(daemon, "club_removed") == ["east"]
    assert set(clubs_of(daemon, "booking_created")) == {"east", "west", "north"}
    assert directory.bridged("east") == 2, "what it brought stays"
    assert {path.name for path in directory.path.glob("*.db")} == {"east.db", "north.db", "west.db"}


def test_a_broken_file_is_told_by_name_and_begins_once_it_is_right(directory: Directory, tmp_path: Path) -> None:
    directory.add("east", 1)
    directory.add("west", 1).write_text("[launch27")
    directory.add("Old_Town")
    directory.add("zoo", more='[web]\nlisten = "127.0.0.1:8027"\n')
    (directory.path / ".hidden.toml").write_text("x")
    with (
        FakeSystemd(tmp_path / "notify") as systemd,
        Process(directory.path, STATE_DIRECTORY=str(tmp_path), NOTIFY_SOCKET=str(systemd.path)) as daemon,
    ):
        daemon.wait("config_rejected", 3)
        until(lambda: directory.bridged("east") == 1)
        directory.file("west").write_text(directory.text("west"))
        assert until(lambda: directory.bridged("west") == 1) < 5
        systemd.hear("STATUS=not running: Old_Town, zoo; 2 in sync")
        directory.file("west").write_text("[launch27")
        systemd.hear("STATUS=configuration rejected: west; not running: Old_Town, zoo; 2 in sync")
        daemon.popen.terminate()
        assert daemon.ended() == 0
    told = {line["club"]: line["problems"] for line in daemon.log.of("config_rejected")}
    assert sorted(told) == ["Old_Town", "west", "zoo"]
    assert 'rename it to "old-town.toml"' in told["Old_Town"][0]
    assert told["zoo"] == ["web: is for all clubs; move it to courtbridge.toml"]
    assert len(daemon.log.of("config_rejected")) == 4, "each once"
    assert {path.name for path in tmp_path.glob("*.db")} == {"east.db", "west.db"}


def test_the_daemon_ends_when_no_club_is_left(directory: Directory) -> None:
    directory.add("east").write_text("[launch27")
    directory.add("west").write_text("")
    with Process(directory.path) as daemon:
        assert daemon.ended() == 78
    assert {problem.partition(":")[0] for problem in daemon.log[-1]["problems"]} == {"east", "west"}


def test_an_empty_directory_is_a_wrong_configuration(directory: Directory) -> None:
    with Process(directory.path) as daemon:
        assert daemon.ended() == 78
    assert "no club" in daemon.log[-1]["problems"][0]


@pytest.mark.parametrize("what", ["state", "account"])
def test_of_two_clubs_that_are_one_the_second_is_not_begun_until_the_first_goes(
    directory: Directory, what: str
) -> None:
    shared = directory.path.with_name("shared.db")
    more = f'[sync]\nstate = "{shared}"\n' if what == "state" else ""
    east, west = directory.add("east", 1), directory.add("west", 1)
    if what == "state":
        for file in (east, west):
            file.write_text(file.read_text().replace("[sync]\n", more))
    else:
        west.write_text(directory.text("east"))
    with Process(directory.path) as daemon:
        daemon.wait("config_rejected")
        (line,) = daemon.log.of("config_rejected")
        assert line["club"] == "west"
        assert "east" in line["problems"][0]
        assert "west" in line["problems"][0]
        until(lambda: directory.bridged("east") == 1)
        east.unlink()
        daemon.wait("club_removed")
        if what == "account":
            daemon.wait("club_added", 2)
        daemon.popen.terminate()
        assert daemon.ended() == 0


def test_a_directory_that_vanishes_is_said_once_and_the_clubs_go_on(directory: Directory, tmp_path: Path) -> None:
    directory.add("east", 1)
    with Process(directory.path, STATE_DIRECTORY=str(tmp_path)) as daemon:
        until(lambda: directory.bridged("east") == 1)
        directory.path.rename(tmp_path / "moved")
        daemon.wait("clubs_unreadable")
        daemon.wait("config_rejected")  # its file is away, and what it says stays in force
        directory.book("east")
        until(lambda: directory.bridged("east") == 2)
        (tmp_path / "moved").rename(directory.path)
        daemon.wait("config_reloaded")
        daemon.popen.terminate()
        assert daemon.ended() == 0
    assert len(daemon.log.of("clubs_unreadable")) == 1
    assert not daemon.log.of("club_removed")


def test_one_without_a_state_and_one_that_hangs_stop_nobody_else(directory: Directory, sandbox: Sandbox) -> None:
    for name in ("east", "north", "west"):
        directory.add(name, 1)
    (directory.path / "north.db").write_text("not a database, and far too short to be one" * 100)
    hang = sandbox.launch27.faults.add("hang", times=None, match=lambda _method, path: path.endswith("/login"))
    with Process(directory.path) as daemon:
        daemon.wait("club_failed", 2)
        until(lambda: hang.hits >= 2)
        hang.release()
        sandbox.launch27.faults.clear()
        until(lambda: directory.bridged("east") == 1 and directory.bridged("west") == 1)
        (directory.path / "north.db").unlink()
        until(lambda: directory.bridged("north") == 1)
        daemon.popen.terminate()
        assert daemon.ended() == 0
    assert set(clubs_of(daemon, "club_failed")) == {"north"}
    seconds = [line["again_in_seconds"] for line in daemon.log.of("club_failed")]
    assert seconds[:2] == [1, 2]


def test_one_page_shows_all_and_is_not_ready_while_one_could_not_be_started(directory: Directory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    directory.add("east", 1)
    directory.add("west").write_text("[launch27")
    directory.file("courtbridge").write_text(f'[web]\nlisten = "{address}"\n')
    with Process(directory.path) as daemon:
        daemon.wait("page_listening")
        until(lambda: directory.bridged("east") == 1)
        assert httpx.get(f"http://{address}/readyz").status_code == 503
        assert httpx.get(f"http://{address}/livez").status_code == 200
        assert set(httpx.get(f"http://{address}/api/status").json()["clubs"]) == {"east", "west"}
        directory.file("west").unlink()
        until(lambda: httpx.get(f"http://{address}/readyz").status_code == 200)
        daemon.popen.terminate()
        assert daemon.ended() == 0


def test_a_lock_that_another_process_has_stops_one_club_alone(directory: Directory) -> None:
    directory.add("east", 1)
    directory.add("west", 1)
    with lock(directory.path / "west.db"), Process(directory.path) as daemon:
        daemon.wait("club_failed")
        until(lambda: directory.bridged("east") == 1)
        daemon.popen.terminate()
        assert daemon.ended() == 0
    assert "uses this state" in daemon.log.of("club_failed")[0]["error"]


# --- commands ---


@pytest.fixture
def two(directory: Directory) -> Directory:
    directory.add("east", 2)
    directory.add("west", 1)
    return directory


def call(capsys: pytest.CaptureFixture[str], directory: Directory, *arguments: str) -> tuple[int, Any, str]:
    """Return the exit status, the JSON and the log of a call."""
    with restored_signals():
        code = main(["--config", str(directory.path), "--json", *arguments])
    said = capsys.readouterr()
    return code, json.loads(said.out), said.err


def test_a_command_works_on_all_clubs_and_the_worst_counts(two: Directory, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = call(capsys, two, "--dry-run")
    assert (code, {name: len(each["actions"]) for name, each in said["clubs"].items()}) == (0, {"east": 2, "west": 1})
    code, said, log = call(capsys, two, "--once")
    assert (code, {name: each["created"] for name, each in said["clubs"].items()}) == (0, {"east": 2, "west": 1})
    assert all(json.loads(line)["club"] in {"east", "west"} for line in log.splitlines())
    code, said, _ = call(capsys, two, "status")
    assert (code, {name: each["bookings"] for name, each in said["clubs"].items()}) == (0, {"east": 2, "west": 1})
    code, said, _ = call(capsys, two, "verify")
    assert (code, {name: each["checked"] for name, each in said["clubs"].items()}) == (0, {"east": 2, "west": 1})
    two.file("east").write_text(two.text("east").replace("correct-horse", "wrong-horse"))
    two.file("west").write_text("[launch27")
    code, said, _ = call(capsys, two, "--once")
    assert (code, {name: each["outcome"] for name, each in said["clubs"].items()}) == (
        78,
        {"east": "refused", "west": "failed"},
    )


def test_a_club_that_is_named_gives_the_plain_object(two: Directory, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, two, "--once", "--club", "east")[:2] == (0, ANY)
    code, said, _ = call(capsys, two, "status", "--club", "east")
    assert (code, said["bookings"]) == (0, 2)
    assert len(call(capsys, two, "--club", "east", "history")[1]) == 2


@pytest.mark.parametrize("arguments", [["history"], ["approve"], ["status", "--club", "north"], ["courts"]])
def test_a_club_must_be_named_where_only_one_is_meant(
    two: Directory, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    code, said, _ = call(capsys, two, *arguments)
    assert code == 2
    assert "east, west" in said["error"]
    two.file("west").unlink()
    assert call(capsys, two, *arguments)[0] == (2 if "north" in arguments else ANY)


def test_the_file_of_the_process_says_for_all_clubs_who_is_told(
    two: Directory, capsys: pytest.CaptureFixture[str]
) -> None:
    two.file("courtbridge").write_text('[sync]\ninterval = "5s"\n')
    code, said, log = call(capsys, two, "--once")
    assert code == 78
    assert {name: each["outcome"] for name, each in said["clubs"].items()} == {"east": "in_sync", "west": "in_sync"}
    assert "move it to the file of one" in log
    with listening() as listener:
        two.file("courtbridge").write_text(f'[notify]\nheartbeat_url = "{listener.url}"\n')
        assert call(capsys, two, "--once")[0] == 0
        assert len(listener.heard) == 2


def test_a_signal_ends_once_for_all_clubs(two: Directory, sandbox: Sandbox) -> None:
    hang = sandbox.launch27.faults.add("hang", times=None, match=is_listing)
    with Process(two.path, "--once", "--json") as daemon:
        until(lambda: hang.hits == 1)
        daemon.popen.send_signal(signal.SIGTERM)
        began = monotonic()
        assert daemon.ended() == 75
        assert monotonic() - began < 6
    hang.release()
    assert hang.hits == 1
