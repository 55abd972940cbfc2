"""What tests of several modules share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from bridge.http import ratelimit
from bridge.sandbox import Sandbox
from tests import unclosed
from tests.support.builders import EMAIL, PASSWORD
from tests.support.club import Club
from tests.support.configuration import configuration, introduction
from tests.support.configuration import write_config as write_config_file
from tests.support.directory import Directory

unclosed.install()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "club(**options): how the fixture `club` is set up; as for `Club`")
    config.addinivalue_line("markers", "hurt(item): which of the twenty ways to hurt a club a test is about")


@pytest.fixture(autouse=True)
def _every_connection_is_closed() -> Iterator[None]:
    """Let a test fail that leaves a database open. It is begun first, and so it ends last."""
    with unclosed.watched() as left:
        yield
    assert not left, "opened, and closed by nobody:\n" + "\n".join(left)


@pytest.fixture(autouse=True)
def _nothing_is_known_of_other_tests_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """All sandboxes have the same address, and would share one budget."""
    monkeypatch.setattr(ratelimit, "_budgets", {})


@pytest.fixture
async def club(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Club]:
    """A club in the running event loop; ``@pytest.mark.club(accounts=2)`` sets it up otherwise."""
    options = {name: value for mark in request.node.iter_markers("club") for name, value in mark.kwargs.items()}
    async with Club(tmp_path, **options) as club:
        yield club


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Both services in a thread, with one account and a catalogue: two courts, and rackets."""
    with Sandbox.in_thread() as sandbox:
        sandbox.launch27.add_account(EMAIL, PASSWORD)
        for number, name in ((1, "Court 1"), (2, "Court 2"), (9, "Racket hire")):
            sandbox.launch27.add_service(number, name)
        yield sandbox


@pytest.fixture
def directory(tmp_path: Path, sandbox: Sandbox) -> Directory:
    """A directory for clubs, each with an account of its own."""
    return Directory(tmp_path / "clubs", sandbox)


@pytest.fixture
def write_config(sandbox: Sandbox, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes config.toml for the sandbox, with some of its lines replaced."""

    def write(replace: dict[str, str] | None = None, *, more: str = "") -> Path:
        text = configuration(introduction(sandbox.launch27, sandbox.wingfield), more=[more])
        for old, new in (replace or {}).items():
            assert old in text
            text = text.replace(old, new)
        return write_config_file(tmp_path / "config.toml", text)

    return write


@pytest.fixture
def config_file(write_config: Callable[..., Path]) -> Path:
    """A config.toml under which the sandbox can be bridged."""
    return write_config()
