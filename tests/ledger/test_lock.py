"""One process at a time."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest

from bridge.errors import AlreadyRunning, StateError
from bridge.ledger.lock import lock, lock_path
from bridge.ledger.store import Ledger
from tests.ledger.child import start_child
from tests.ledger.states import US

HOLDER = """
    with lock(path):
        print(os.getpid(), flush=True)
        sys.stdin.read()
"""


def test_a_second_process_is_told_which_one_it_is_and_a_killed_one_never_blocks(path: Path) -> None:
    with start_child(HOLDER, path) as child:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == str(child.pid)
        with pytest.raises(AlreadyRunning) as caught, lock(path):
            pass
        assert f"{path}: process {child.pid}, running since 20" in str(caught.value)
        with Ledger.snapshot(path, US):
            pass
        child.kill()
    with lock(path):
        assert json.loads(lock_path(path).read_text())["pid"] == os.getpid()


def test_a_state_can_be_locked_again_and_the_lock_ends_with_its_block_also_where_that_fails(path: Path) -> None:
    for _ in range(3):
        with suppress(ZeroDivisionError), lock(path):
            raise ZeroDivisionError


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x", "since": 7}', '{"pid": 7}', "\x00" * 300])
def test_a_holder_that_cannot_be_read_is_another_process(path: Path, content: str) -> None:
    with lock(path):
        lock_path(path).write_text(content)
        with pytest.raises(AlreadyRunning, match="another process uses this state"), lock(path):
            pass


def test_the_lock_of_one_state_is_none_of_another(path: Path) -> None:
    with lock(path), lock(path.with_name("another.db")):
        pass


def test_a_file_in_the_place_of_the_folder_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "folder").touch()
    with pytest.raises(StateError, match="a folder that can be written"), lock(tmp_path / "folder" / "courtbridge.db"):
        pass
