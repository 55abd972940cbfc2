"""Edits of files, in all the ways editors make them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.service.watch import Watch


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that can be reached by a link, in a folder that can be reached by a link."""
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        for file in ("a", "b"):
            (tmp_path / name / file).write_text("one")
        (tmp_path / name / "config.toml").symlink_to("a")
    (tmp_path / "data").symlink_to("1")
    return tmp_path / "data" / "config.toml"


def settles(watch: Watch, *, at: float = 100.0) -> bool:
    """Look twice, as the daemon does; return whether the second look sees a finished edit."""
    first = watch.look(at)
    assert not first
    return watch.look(at + 1.0)


def watching(*paths: Path) -> Watch:
    """Return a watch of files that were read a moment ago, and while it watched them."""
    watch = Watch()
    watch.take(paths)
    watch.look(0.0)
    watch.take(paths)
    return watch


def replace(path: Path, text: str) -> None:
    new = path.with_name("new")
    new.write_text(text)
    new.rename(path)


def switch(link: Path, to: str) -> None:
    link.unlink()
    link.symlink_to(to)


def keep_length(path: Path) -> None:
    path.write_text("two")
    os.utime(path, ns=(0, 1))


def keep_length_and_age(path: Path) -> None:
    found = path.stat()
    replace(path, "two")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize(
    "edit",
    [
        lambda path: path.write_text("other"),
        lambda path: replace(path, "other"),
        lambda path: path.chmod(0o600),
        lambda path: path.unlink(),
        lambda path: switch(path, "b"),
        lambda path: switch(path.parent, "2"),
        keep_length,
        keep_length_and_age,
    ],
)
def test_an_edit_is_noticed_in_any_of_the_files(path: Path, edit: Callable[[Path], None]) -> None:
    other = path.with_name("password")
    other.write_text("one")
    watch = watching(path, other)
    assert not settles(watch)
    edit(path)
    assert settles(watch, at=200.0)


def test_a_file_that_comes_is_noticed(path: Path) -> None:
    secret = path.with_name("password")
    watch = watching(path, secret)
    secret.write_text("new")
    assert settles(watch)


def test_a_half_written_file_is_not_finished(path: Path) -> None:
    watch = watching(path)
    for moment in range(10):
        with path.open("a") as file:
            file.write("more")
        assert not watch.look(moment * 0.9)
    assert not watch.look(9 * 0.9 + 0.9)
    assert watch.look(9 * 0.9 + 1.1)


def test_what_was_taken_is_not_noticed_again_and_an_edit_while_it_is_read_is(path: Path) -> None:
    watch = watching(path)
    path.write_text("two")
    assert settles(watch)
    watch.take([path])
    assert not settles(watch, at=200.0)
    watch.look(202.0)
    path.write_text("three")
    watch.take([path])
    assert settles(watch, at=300.0)


def test_a_file_that_was_not_watched_while_it_was_read_is_read_once_more(path: Path) -> None:
    watch = Watch()
    watch.take([path])
    assert settles(watch)
    watch.take([path])
    assert not settles(watch, at=200.0)
