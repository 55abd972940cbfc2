"""What tests of several modules share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.sandbox import Sandbox
from tests import unclosed

unclosed.install()

EMAIL, PASSWORD = "club@example.com", "correct-horse-battery"


@pytest.fixture(autouse=True)
def _every_connection_is_closed() -> Iterator[None]:
    """Let a test fail that leaves a database open. It is begun first, and so it ends last."""
    with unclosed.watched() as left:
        yield
    assert not left, "opened, and closed by nobody:\n" + "\n".join(left)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Both services in a thread, with one account and a catalogue: two courts, and rackets."""
    with Sandbox.in_thread() as sandbox:
        sandbox.launch27.add_account(EMAIL, PASSWORD)
        for number, name in ((1, "Court 1"), (2, "Court 2"), (9, "Racket hire")):
            sandbox.launch27.add_service(number, name)
        yield sandbox


@pytest.fixture
def write_config(sandbox: Sandbox, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes config.toml for the sandbox, with some of its lines replaced."""

    def write(replace: dict[str, str] | None = None, *, more: str = "") -> Path:
        rules = [
            f'[[courts]]\nname = "Court {number}"\ncourt_id = "{court_id}"\nservice_ids = [{number}]\n'
            for number, court_id in enumerate(sandbox.wingfield.courts, 1)
        ]
        text = f"""\
[launch27]
base_url = "{sandbox.launch27.url}"
reads_per_second = 1000.0
read_burst = 1000
[[launch27.accounts]]
email = "{EMAIL}"
password = "{PASSWORD}"
[wingfield]
base_url = "{sandbox.wingfield.url}"
external_service_id = "{sandbox.wingfield.service_id}"
token = "{sandbox.wingfield.token}"
{more}
{"".join(rules)}"""
        for old, new in (replace or {}).items():
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "config.toml"
        path.write_text(text)
        path.chmod(0o600)
        return path

    return write


@pytest.fixture
def config_file(write_config: Callable[..., Path]) -> Path:
    """A config.toml under which the sandbox can be bridged."""
    return write_config()
