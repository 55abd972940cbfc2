"""Many clubs in one process: none stops or delays another."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from time import monotonic

import httpx
import pytest

from bridge.ledger.lock import lock
from bridge.sandbox import Sandbox
from tests.support.daemons import FakeSystemd, Process
from tests.support.directory import Directory


def clubs_of(daemon: Process, event: str) -> list[str]:
    return [line["club"] for line in daemon.log.of(event)]


def test_files_that_appear_change_and_go_are_taken_in_within_five_seconds(directory: Directory) -> None:
    directory.add("east", 2)
    directory.add("west", 1)
    with Process(directory.path) as daemon:
        daemon.wait("club_added", 2)
        directory.until(lambda: directory.bridged("east") == 2 and directory.bridged("west") == 1)
        directory.add("north", 3)
        assert directory.until_bridged("north", 3) < 5
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
        directory.until_bridged("north", 4)
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
    Path(os.fsdecode(bytes(directory.path) + b"/m\xfcnchen.toml")).touch()
    with (
        FakeSystemd(tmp_path / "notify") as systemd,
        Process(directory.path, STATE_DIRECTORY=str(tmp_path), NOTIFY_SOCKET=str(systemd.path)) as daemon,
    ):
        daemon.wait("config_rejected", 4)
        directory.until_bridged("east", 1)
        directory.file("west").write_text(directory.text("west"))
        assert directory.until_bridged("west", 1) < 5
        systemd.hear("STATUS=not running: Old_Town, m\\xfcnchen, zoo; 2 in sync")
        directory.file("west").write_text("[launch27")
        systemd.hear("STATUS=configuration rejected: west; not running: Old_Town, m\\xfcnchen, zoo; 2 in sync")
        daemon.popen.terminate()
        assert daemon.ended() == 0
    told = {line["club"]: line["problems"] for line in daemon.log.of("config_rejected")}
    assert sorted(told) == ["Old_Town", r"m\xfcnchen", "west", "zoo"]
    assert 'rename it to "old-town.toml"' in told["Old_Town"][0]
    assert told["zoo"] == ["web: is for all clubs; move it to courtbridge.toml"]
    assert len(daemon.log.of("config_rejected")) == 5, "each once"
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
        directory.until_bridged("east", 1)
        east.unlink()
        daemon.wait("club_removed")
        if what == "account":
            daemon.wait("club_added", 2)
        daemon.popen.terminate()
        assert daemon.ended() == 0


def test_a_directory_that_vanishes_is_said_once_and_the_clubs_go_on(directory: Directory, tmp_path: Path) -> None:
    directory.add("east", 1)
    with Process(directory.path, STATE_DIRECTORY=str(tmp_path)) as daemon:
        directory.until_bridged("east", 1)
        directory.path.rename(tmp_path / "moved")
        daemon.wait("clubs_unreadable")
        daemon.wait("config_rejected")  # its file is away, and what it says stays in force
        directory.book("east")
        directory.until_bridged("east", 2)
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
        directory.until(lambda: hang.hits >= 2)
        hang.release()
        sandbox.launch27.faults.clear()
        directory.until(lambda: directory.bridged("east") == 1 and directory.bridged("west") == 1)
        (directory.path / "north.db").unlink()
        directory.until_bridged("north", 1)
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
        directory.until_bridged("east", 1)
        assert httpx.get(f"http://{address}/readyz").status_code == 503
        assert httpx.get(f"http://{address}/livez").status_code == 200
        assert set(httpx.get(f"http://{address}/api/status").json()["clubs"]) == {"east", "west"}
        directory.file("west").unlink()
        directory.until(lambda: httpx.get(f"http://{address}/readyz").status_code == 200)
        daemon.popen.terminate()
        assert daemon.ended() == 0


def test_a_lock_that_another_process_has_stops_one_club_alone(directory: Directory) -> None:
    directory.add("east", 1)
    directory.add("west", 1)
    with lock(directory.path / "west.db"), Process(directory.path) as daemon:
        daemon.wait("club_failed")
        directory.until_bridged("east", 1)
        daemon.popen.terminate()
        assert daemon.ended() == 0
    assert "uses this state" in daemon.log.of("club_failed")[0]["error"]
