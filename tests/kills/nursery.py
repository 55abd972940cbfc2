"""Starts bridges: forks one that has everything imported, since an interpreter takes a second to get there.

Each line on standard input is a JSON list of arguments; for each, the process id and then the exit status
are printed, a line each. What the bridge says goes to the file named on this program's own command line.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]


class Bridge:
    """One bridge under way."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.status: int | None = None
        self._ended = threading.Event()

    def end(self, status: int) -> None:
        self.status = status
        self._ended.set()

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for its end; return whether it came in time."""
        return self._ended.wait(timeout_seconds)

    def kill(self) -> None:
        """End it without a chance to do anything, and wait until it is gone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        assert self.wait(20)


class Nursery:
    """The parent of the bridges, as a context manager."""

    def __init__(self, said: Path) -> None:
        self._said = said
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kills.nursery", str(self._said)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        if self._reader is not None:
            self._reader.join()
        self._process.wait()
        self._process.stdout.close()

    def start(self, *arguments: str) -> Bridge:
        """Start a bridge and return it; one at a time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._reader is not None:
            self._reader.join()
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        bridge = Bridge(int(self._process.stdout.readline()))
        self._reader = threading.Thread(target=self._await_end, args=(bridge,))
        self._reader.start()
        return bridge

    def _await_end(self, bridge: Bridge) -> None:
        assert self._process.stdout is not None
        bridge.end(int(self._process.stdout.readline()))


def main() -> None:
    """Fork a bridge for each line, and wait for it."""
    import bridge.cli.main
    import bridge.cli.once
    import bridge.log
    import bridge.sync.clients
    import bridge.sync.narrator
    import bridge.sync.run

    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            said = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for stream in (1, 2):
                os.dup2(said, stream)
            os._exit(bridge.cli.main.main(json.loads(line)))
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
