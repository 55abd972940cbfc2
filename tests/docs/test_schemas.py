"""``docs/schemas/``: current, and what every command with ``--json`` really prints has their shape."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bridge.cli.main import main
from bridge.errors import ExitStatus
from bridge.sandbox import CONNECT_TOKEN, ConnectToken, Sandbox
from tests.cli.calls import COURT_1, WriteConfig, restored_signals
from tests.support.daemons import book
from tests.support.listener import listening

CHECKOUT = Path(__file__).parents[2]
FOLDER = CHECKOUT / "docs" / "schemas" / "1"
SETTINGS = '[sync]\nmax_delete_count = 0\nmax_delete_fraction = 0.0\n[notify]\nwebhook_url = "{}"\nafter = "0s"\n'
Call = Callable[..., Any]


def validate(name: str, value: object) -> None:
    jsonschema.Draft202012Validator(json.loads((FOLDER / f"{name}.json").read_text())).validate(value)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Call a command with ``--json``, and compare what it prints with a schema."""

    def call(name: str, config: Path, *arguments: str, status: int = 0) -> Any:
        with restored_signals():
            assert main([*arguments, "--json", "--config", str(config)]) == status
        value = json.loads(capsys.readouterr().out)
        validate(name, value)
        return value

    return call


@pytest.fixture
def heard(write_config: WriteConfig) -> Iterator[tuple[Path, list[tuple[str, str, Any]]]]:
    """A configuration with a webhook, and what that hears."""
    with listening() as listener:
        yield write_config(more=SETTINGS.format(listener.url)), listener.heard


def test_the_files_are_current() -> None:
    made = runpy.run_path(str(CHECKOUT / ".ci" / "schemas.py"))["files"]()
    assert {path: path.read_text() for path in FOLDER.iterdir()} == made, "run .ci/schemas.py"


def test_what_is_printed_and_posted_has_the_shape_that_is_documented(
    call: Call, sandbox: Sandbox, heard: tuple[Path, list[tuple[str, str, Any]]]
) -> None:
    config, messages = heard
    assert call("status", config, "status", status=1)["passes"] == []
    unmapped, gone, deleted, held = book(sandbox, 4)
    sandbox.launch27.edit(held, email="nobody")
    sandbox.launch27.bookings[unmapped]["services"][0]["id"] = 77
    assert call("pass", config, "--dry-run", status=1)["actions"]
    assert call("pass", config, "--once", status=1)["held"]
    sandbox.launch27.cancel(gone)
    sandbox.wingfield.remove(str(deleted))
    assert call("verify", config, "verify", status=1)["missing"] == [str(deleted)]
    result = call("pass", config, "--once", status=1)
    assert (result["withheld"], result["drift"]) == ([str(gone)], {"missing": 1, "changed": 0, "extra": 0})
    assert call("status", config, "status", status=1)["passes"]
    assert call("approve", config, "approve", "--yes")["approved"]
    assert {each["action"] for each in call("history", config, "history")} >= {"create", "drift", "approve"}
    assert messages
    for _, _, body in messages:
        validate("webhook", body)


def test_what_other_commands_print_has_the_shape_that_is_documented(
    call: Call, sandbox: Sandbox, heard: tuple[Path, list[tuple[str, str, Any]]]
) -> None:
    config, _ = heard
    assert call("check", config, "check")["findings"]
    assert call("check", config, "check", "--rehearse", COURT_1, "--yes")["problems"] == 0
    book(sandbox)
    call("pass", config, "--once")
    found = call("courts", config, "courts")
    assert found["courts"]
    assert found["services"]
    assert call("withdraw", config, "withdraw", "--yes")["withdrawn"]
    assert call("notify", config, "notify")["channels"] == {"webhook": None}
    sandbox.wingfield.connect_tokens[CONNECT_TOKEN + "x"] = ConnectToken("club")
    assert call("connect", config, "connect", CONNECT_TOKEN + "x")["organization_id"] == "club"


OF_A_PASS = [("pass", ["--once"]), ("pass", ["--dry-run"])]
ASK_A_SERVICE = [*OF_A_PASS, ("verify", ["verify"]), ("withdraw", ["withdraw", "--yes"])]
OTHERS = [("courts", ["courts"]), ("connect", ["connect", "x"]), ("notify", ["notify"])]
READ_THE_STATE = [("approve", ["approve"]), ("history", ["history"]), ("status", ["status"]), ("check", ["check"])]


@pytest.mark.parametrize(("name", "arguments"), [*ASK_A_SERVICE, *OTHERS, *READ_THE_STATE])
def test_a_wrong_configuration_has_the_shape_that_is_documented(
    call: Call, tmp_path: Path, name: str, arguments: list[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("")
    said = call(name, config, *arguments, status=ExitStatus.CONFIG)
    assert said["problems"] if name == "check" else said["outcome"] == "failed"


@pytest.mark.parametrize(("name", "arguments"), [*ASK_A_SERVICE, *READ_THE_STATE])
def test_a_state_that_cannot_be_used_has_the_shape_that_is_documented(
    call: Call, config_file: Path, name: str, arguments: list[str]
) -> None:
    config_file.with_name("courtbridge.db").write_text("no database at all" * 100)
    said = call(name, config_file, *arguments, status=ExitStatus.STATE)
    assert said["problems"] if name == "check" else said["outcome"] == "failed"


@pytest.mark.parametrize(("name", "arguments"), [*ASK_A_SERVICE, *OTHERS[:2], READ_THE_STATE[-1]])
@pytest.mark.parametrize(("fault", "status"), [({"kind": "redirect"}, 75), ({"kind": "status", "status": 401}, 77)])
def test_a_service_that_fails_or_refuses_has_the_shape_that_is_documented(
    call: Call, sandbox: Sandbox, config_file: Path, name: str, arguments: list[str], fault: dict[str, Any], status: int
) -> None:
    for service in (sandbox.launch27, sandbox.wingfield):
        service.faults.add(**fault, times=None)
    connect = [CONNECT_TOKEN + "x"] if name == "connect" else []
    call(name, config_file, *[each for each in arguments if each != "x"], *connect, status=status)


@pytest.mark.parametrize(
    ("name", "arguments"), [*OF_A_PASS, ("verify", ["verify"]), ("status", ["status"]), ("check", ["check"])]
)
def test_a_directory_of_clubs_has_the_shape_that_is_documented(
    call: Call, config_file: Path, tmp_path: Path, name: str, arguments: list[str]
) -> None:
    folder = tmp_path / "clubs"
    folder.mkdir()
    config_file.rename(folder / "good.toml")
    (folder / "bad.toml").write_text("")
    assert call(name, folder, *arguments, status=ExitStatus.CONFIG)["clubs"].keys() == {"bad", "good"}
