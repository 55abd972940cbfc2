"""A state that is damaged, closed, or cannot grow: what is said, and what stays."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bridge.errors import StateError
from bridge.ledger.store import Ledger
from tests.ledger.child import run_child
from tests.ledger.states import US, mode, stand


@pytest.mark.parametrize("opening", [Ledger.open, Ledger.snapshot])
def test_a_file_that_is_no_database_is_rejected_with_the_way_out(path: Path, opening: Callable[..., Ledger]) -> None:
    path.write_bytes(b"this is no database, but it is long enough to be looked at " * 40)
    with pytest.raises(StateError, match=r"damaged.*move it away"):
        opening(path, US)
    assert path.read_bytes().startswith(b"this is no database")


@pytest.mark.parametrize("left", [4096, 5000])
@pytest.mark.parametrize("filler", [b"", b"\xff"], ids=["truncated", "damaged"])
def test_a_damaged_page_is_noticed_when_it_is_met(path: Path, left: int, filler: bytes) -> None:
    with Ledger.open(path, US) as ledger:
        stand(ledger, *map(str, range(200)))
    content = path.read_bytes()
    path.write_bytes(content[:left] + filler * (len(content) - left))
    with pytest.raises(StateError, match=r"courtbridge\.db: .*move it away"), Ledger.open(path, US) as ledger:
        _ = ledger.known


def test_an_empty_file_is_a_new_state(path: Path) -> None:
    path.touch()
    with Ledger.open(path, US) as ledger:
        assert ledger.known == {}


def test_a_folder_in_the_place_of_the_file_is_rejected(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StateError, match="check the owner and mode"):
        Ledger.open(path, US)
    with pytest.raises(StateError):
        Ledger.snapshot(path, US)


def test_a_file_in_the_place_of_the_folder_is_rejected(path: Path) -> None:
    path.touch()
    with pytest.raises(StateError):
        Ledger.open(path / "courtbridge.db", US)


def test_a_state_locked_by_another_program_is_given_up_after_a_while(path: Path) -> None:
    with Ledger.open(path, US) as ledger, closing(sqlite3.connect(path, isolation_level=None)) as other:
        ledger._connection.execute("PRAGMA busy_timeout = 10")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match="locked by another program"):
            stand(ledger, "7")
        other.execute("ROLLBACK")
        stand(ledger, "7")


def test_a_database_that_may_not_grow_is_a_full_disk(ledger: Ledger) -> None:
    stand(ledger, "7")
    pages = ledger._rows("PRAGMA page_count")[0][0]
    ledger._rows(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StateError, match="the disk is full; make room and run again"):
        stand(ledger, *map(str, range(1000)))
    assert list(ledger.known) == ["7"]


def test_a_table_that_is_missing_is_a_state_to_be_moved_away(ledger: Ledger) -> None:
    ledger._rows("DROP TABLE held")
    with pytest.raises(StateError, match=r"cannot be used .*move it away"):
        ledger.held()


def test_rows_of_no_booking_are_damage(ledger: Ledger) -> None:
    ledger._rows("INSERT INTO cycles VALUES ('1', 1, 1, 'c', 1, 2)")
    with pytest.raises(StateError, match="damaged"):
        _ = ledger.known


# --- another user, a full disk: in a child, since root may do everything ---


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """Return a state whose folders others may enter; pytest's own are closed to them."""
    folder = tmp_path
    while folder != folder.parent and folder.owner() == tmp_path.owner() and mode(folder) == 0o700:
        folder.chmod(0o711)
        folder = folder.parent
    place = tmp_path / "state"
    place.mkdir()
    place.chmod(0o777)
    return place / "courtbridge.db"


CLOSED = {
    "file read-only": (0o444, 0o777, "Ledger.open(path, US)", "check the owner and mode"),
    "file closed": (0o000, 0o777, "Ledger.open(path, US)", "check the owner and mode"),
    "file closed to a reader": (0o000, 0o777, "Ledger.snapshot(path, US)", "check"),
    "folder read-only": (0o666, 0o555, "Ledger.open(path, US)", "check its owner, mode and folder"),
    "folder closed": (0o666, 0o000, "Ledger.open(path, US)", "check the owner and mode"),
    "folder closed to a reader": (0o666, 0o000, "Ledger.snapshot(path, US)", "Permission denied"),
    "no place for the lock": (0o666, 0o555, "lock(path).__enter__()", "a folder that can be written"),
}


def test_a_state_that_another_user_owns_is_rejected_with_what_to_check(open_path: Path) -> None:
    """Each case in a process of its own, forked from one: an interpreter takes its time to start."""
    with Ledger.open(open_path, US) as ledger:
        stand(ledger, "7")
    said = run_child(
        f"""
        cases = {CLOSED!r}
        for name, (file_mode, folder_mode, call, _) in cases.items():
            path.chmod(file_mode)
            path.parent.chmod(folder_mode)
            if os.fork() == 0:
                become_nobody()
                try:
                    eval(call)
                except StateError as error:
                    print(name, error, sep="|", flush=True)
                os._exit(0)
            os.wait()
            path.parent.chmod(0o777)
        """,
        open_path,
    )
    sentences = dict(line.split("|") for line in said.splitlines())
    assert sentences.keys() == CLOSED.keys()
    for name, (_, _, _, words) in CLOSED.items():
        assert words in sentences[name], name
        assert sentences[name].startswith(str(open_path))


def test_a_reader_needs_no_right_to_write(open_path: Path) -> None:
    with Ledger.open(open_path, US) as ledger:
        stand(ledger, "7")
    open_path.chmod(0o444)
    open_path.parent.chmod(0o555)
    try:
        said = run_child("become_nobody()\nprint(list(Ledger.snapshot(path, US).known))", open_path)
    finally:
        open_path.parent.chmod(0o777)
    assert said.strip() == "['7']"


def test_a_full_disk_is_a_state_error_and_what_was_stored_stays(path: Path) -> None:
    """A limit on the size of files is as good as a full disk: the write fails in the middle."""
    said = run_child(
        """
        ledger = Ledger.open(path, US)
        adopt(ledger, 1)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
        stored = 1
        try:
            while True:
                adopt(ledger, stored + 50)
                stored += 50
        except StateError as error:
            print(stored)
            print(error)
        print(len(ledger.known))
        """,
        path,
    )
    stored, sentence, known = said.splitlines()
    assert "make room" in sentence
    assert known == stored
    with Ledger.open(path, US) as ledger:
        assert len(ledger.known) in (int(stored), int(stored) + 50)
        stand(ledger, "more")
