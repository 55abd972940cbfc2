"""Notices edits of a few files: in place, by rename, by a switched link, and not before they are finished.

It asks for their ``stat`` instead of using inotify: once a second that costs nothing, it follows links, it
works on every file system, and a file that does not exist yet is no special case.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

SETTLED_SECONDS = 1.0
"""How long a file must have been left alone: a half-written one may be valid, with half of its courts."""

_Stamp = tuple[int, ...] | None


class Watch:
    """Watches files, named by path; each may be missing."""

    def __init__(self) -> None:
        self._taken: dict[Path, _Stamp] = {}
        self._seen: dict[Path, _Stamp] = {}
        self.noticed_at = 0.0
        """When the last edit was noticed, in seconds of a monotonic clock."""

    def look(self, now: float) -> bool:
        """Return whether there is an edit that is not taken yet, and is finished.

        ``now`` is in seconds of a monotonic clock.
        """
        stamps = {path: _stamp(path) for path in self._taken}
        if stamps != self._seen:
            self._seen, self.noticed_at = stamps, now
            return False
        return stamps != self._taken and now - self.noticed_at >= SETTLED_SECONDS

    def take(self, paths: Iterable[Path]) -> None:
        """Watch ``paths`` from now on, which were read after the last ``look``: no edit since is lost.

        One that was not watched while it was read counts as edited: reading it once more costs nothing.
        """
        self._taken = {path: self._seen.get(path, ()) for path in paths}


def _stamp(path: Path) -> _Stamp:
    """Return what changes with a file's content, its permissions, or which file it is."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
