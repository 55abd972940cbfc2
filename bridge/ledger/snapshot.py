"""A copy of the state in memory, for whatever only reads: made without touching the disk."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from urllib.parse import quote


def copy(path: Path, target: sqlite3.Connection) -> None:
    """Copy the database at ``path``, which another process may be writing, without touching its files.

    Opening a database in WAL mode makes files beside it, unless it is called immutable; that is true only
    while nobody writes, which is when there is no ``-wal`` file. What a kill left behind is read elsewhere.
    """
    path = Path(os.path.realpath(path))  # SQLite keeps its files beside the database itself, whatever links lead there
    log, index = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))
    for _ in range(3):
        before = path.stat()
        if not log.exists():
            _backup(path, "immutable=1", target)
            after = path.stat()
            is_same = (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
            if is_same and not log.exists():
                return None
        elif index.exists():
            return _backup(path, "mode=ro", target)
        else:
            with tempfile.TemporaryDirectory(prefix="courtbridge-") as folder:
                for file in (path, log):
                    shutil.copy(file, folder)
                return _backup(Path(folder, path.name), "mode=rw", target)
    return _backup(path, "mode=ro", target)


def _backup(path: Path, mode: str, target: sqlite3.Connection) -> None:
    with closing(sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True)) as source:
        source.execute("PRAGMA busy_timeout = 5000")
        source.backup(target)
