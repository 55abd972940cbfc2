"""Commands on a directory of clubs: for one of them, or for all side by side."""

from __future__ import annotations

import json
import signal
from time import monotonic
from typing import Any
from unittest.mock import ANY

import pytest

from bridge.cli import clubs
from bridge.cli.main import main
from bridge.sandbox import Sandbox
from tests.cli.calls import restored_signals, start
from tests.support.club import is_listing
from tests.support.directory import Directory, email_of
from tests.support.listener import listening


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


@pytest.mark.parametrize(
    "arguments", [["history"], ["approve"], ["status", "--club", "north"], ["courts"], ["notify", "--club", "north"]]
)
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


@pytest.mark.parametrize(("arguments", "club"), [([], "courtbridge"), (["--club", "west"], "west")])
def test_one_test_message_is_sent_for_all_clubs(
    two: Directory, capsys: pytest.CaptureFixture[str], arguments: list[str], club: str
) -> None:
    with listening() as listener:
        two.file("courtbridge").write_text(f'[notify]\nwebhook_url = "{listener.url}"\n')
        assert call(capsys, two, "notify", *arguments)[:2] == (0, {"channels": {"webhook": None}})
        ((_, _, message),) = listener.heard
    assert (message["event"], message["club"]) == ("test", club)


def test_a_club_that_hangs_delays_no_other_and_all_are_shown_in_the_order_of_their_names(
    two: Directory, sandbox: Sandbox
) -> None:
    hang = sandbox.launch27.faults.add("hang", part=email_of("east"), match=is_listing)
    with start("--config", two.path, "--once", "--json") as running:
        assert hang.struck.wait(20)
        two.until_bridged("west", 1)
        assert two.bridged("east") == 0
        hang.release()
        said, _ = running.communicate(timeout=20)
    assert running.returncode == 0
    assert list(json.loads(said)["clubs"]) == ["east", "west"]


def test_no_more_are_at_work_than_there_is_room_for(
    two: Directory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clubs, "AT_ONCE", 1)
    _, _, log = call(capsys, two, "--once")
    order = [line["club"] for line in map(json.loads, log.splitlines()) if line["event"] == "pass_finished"]
    assert order == ["east", "west"]


def test_people_read_what_each_club_said_under_its_name(two: Directory, capsys: pytest.CaptureFixture[str]) -> None:
    two.file("west").write_text(two.text("west").replace("correct-horse", "wrong-horse"))
    with restored_signals():
        assert main(["check", "--config", str(two.path)]) == 77
    east, west = capsys.readouterr().out.split("west:\n")
    assert east.startswith("east:\n")
    assert "All is well." in east
    assert "1 problem found." in west


def test_each_club_has_a_report_of_its_own(two: Directory, capsys: pytest.CaptureFixture[str]) -> None:
    report = two.path.with_name("report.json")
    assert call(capsys, two, "check", "--report", str(report))[0] == 0
    assert sorted(path.name for path in report.parent.glob("*.json")) == ["east-report.json", "west-report.json"]


@pytest.mark.parametrize("arguments", [["--once"], ["--dry-run"], ["check"], ["status"]])
def test_of_two_clubs_that_are_one_the_second_is_left_out(
    two: Directory, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    two.file("west").write_text(two.text("east"))
    code, said, _ = call(capsys, two, *arguments)
    assert code == 78
    wrong = json.dumps(said["clubs"]["west"])
    assert "west and east bridge the same account" in wrong
    assert "bridge the same" not in json.dumps(said["clubs"]["east"])


def is_bookings(_method: str, path: str) -> bool:
    return "bookings" in path


@pytest.mark.parametrize("arguments", [["--once"], ["check"], ["verify"]])
def test_a_signal_ends_all_clubs_and_each_says_so(two: Directory, sandbox: Sandbox, arguments: list[str]) -> None:
    world = sandbox.wingfield if arguments == ["verify"] else sandbox.launch27
    hang = world.faults.add("hang", times=None, match=is_bookings)
    with start("--config", two.path, "--json", *arguments) as running:
        two.until(lambda: hang.hits == 2)
        running.send_signal(signal.SIGTERM)
        began = monotonic()
        said, log = running.communicate(timeout=20)
        assert monotonic() - began < 6
    hang.release()
    assert running.returncode == 75
    assert "Traceback" not in log
    outcomes = {name: each["outcome"] for name, each in json.loads(said)["clubs"].items()}
    assert outcomes == dict.fromkeys(("east", "west"), outcomes["east"])
    assert outcomes["east"] in {"failed", "incomplete"}


def test_all_clubs_share_one_budget_of_reads(two: Directory, capsys: pytest.CaptureFixture[str]) -> None:
    """Six tokens, one back every 50 ms, as the service counts them: each club for itself would ask for more."""
    launch27 = two.sandbox.launch27
    launch27.rates = True
    launch27.reads.limit, launch27.reads.ttl_ms = 6, 50
    for name in ("north", "south"):
        two.add(name, 1)
    for name in ("east", "north", "south", "west"):
        slow = two.text(name).replace(
            "reads_per_second = 1000.0\nread_burst = 1000", "reads_per_second = 20\nread_burst = 6"
        )
        two.file(name).write_text(slow)
    code, said, _ = call(capsys, two, "--once")
    assert (code, len(said["clubs"])) == (0, 4)
    assert [entry.path for entry in launch27.log if entry.status == 429] == []
