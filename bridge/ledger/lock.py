"""One process at a time: the lock on a state."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from bridge.errors import AlreadyRunning, StateError
from bridge.model import isoformat


def lock_path(state: Path) -> Path:
    """Return the lock file of a state."""
    return state.with_name(state.name + ".lock")


@contextmanager
def lock(state: Path) -> Iterator[None]:
    """Keep ``state`` for this process alone, until it ends in whatever way.

    Raises AlreadyRunning, naming the process that has it, or StateError if there can be no lock file.
    """
    path = lock_path(state)
    try:
        state.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}; the state needs a folder that can be written") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunning(f"{state}: {_holder(handle)} uses this state; stop it first") from None
        with suppress(OSError):
            os.ftruncate(handle, 0)
            since = isoformat(datetime.now(UTC).replace(microsecond=0))
            os.pwrite(handle, json.dumps({"pid": os.getpid(), "since": since}).encode(), 0)
        yield
    finally:
        os.close(handle)


def _holder(handle: int) -> str:
    try:
        holder = json.loads(os.pread(handle, 200, 0))
        return f"process {int(holder['pid'])}, running since {datetime.fromisoformat(holder['since'])},"
    except (ValueError, KeyError, TypeError, OSError):
        return "another process"
