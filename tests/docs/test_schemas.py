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
from bridge.sandbox import Sandbox
from tests.cli.calls import WriteConfig, restored_signals
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


def test_what_check_prints_has_the_shape_that_is_documented(call: Call, write_config: WriteConfig) -> None:
    call("check", write_config(), "check")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("pass", ["--once"]), ("pass", ["--dry-run"]), ("verify", ["verify"]), ("approve", ["approve"])],
)
def test_a_failure_has_the_shape_that_is_documented(
    call: Call, tmp_path: Path, name: str, arguments: list[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("")
    assert call(name, config, *arguments, status=ExitStatus.CONFIG)["outcome"] == "failed"
