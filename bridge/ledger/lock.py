"""One process at a time: the lock on a state."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bridge.errors import AlreadyRunning, StateError
from bridge.model import isoformat

_NOTE_BYTES = 512


def lock_path(state: Path) -> Path:
    """Return the lock file of a state: beside the database itself, whatever links lead there."""
    real = Path(os.path.realpath(state))
    return real.with_name(real.name + ".lock")


@dataclass(frozen=True, slots=True)
class Lock:
    """The lock of a state, held by this process since ``since``."""

    state: Path
    path: Path
    handle: int
    since: str

    def note(self, **facts: str | None) -> None:
        """Write into the lock file who holds it, and what others may want to know of that process.

        Always as long, in one piece: a reader sees one note or the other, and none that is cut.
        """
        with suppress(OSError):
            note = json.dumps({"pid": os.getpid(), "since": self.since, **facts})
            os.pwrite(self.handle, note.encode().ljust(_NOTE_BYTES), 0)

    def check(self) -> None:
        """Raise AlreadyRunning where the lock file was removed or replaced: another process may have its own."""
        with suppress(OSError):
            if os.path.samestat(os.fstat(self.handle), self.path.stat()):
                return
        raise AlreadyRunning(
            f"{self.path} was removed or replaced, so that this process has {self.state} no longer for itself; "
            f"make sure that only one runs, and start it again"
        )


@contextmanager
def lock(state: Path) -> Iterator[Lock]:
    """Keep ``state`` for this process alone, until it ends in whatever way.

    Raises AlreadyRunning, naming the process that has it, or StateError if there can be no lock file.
    """
    path = state
    try:
        with suppress(FileNotFoundError):
            state.stat()  # links that lead in a circle
        path = lock_path(state)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}; the state needs a folder that can be written") from None
    held = Lock(state, path, handle, isoformat(datetime.now(UTC).replace(microsecond=0)))
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunning(f"{state}: {_holder(handle)} uses this state; stop it first") from None
        held.check()
        with suppress(OSError):
            os.ftruncate(handle, 0)
        held.note()
        yield held
    finally:
        os.close(handle)


def _holder(handle: int) -> str:
    try:
        holder = json.loads(os.pread(handle, _NOTE_BYTES, 0))
        since = datetime.fromisoformat(holder["since"]).astimezone()
        return f"process {int(holder['pid'])}, running since {since:%Y-%m-%d %H:%M},"
    except (ValueError, KeyError, TypeError, OSError):
        return "another process"
