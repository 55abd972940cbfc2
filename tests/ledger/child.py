"""Another process beside the tests' own: another user, a limited one, or one that has the lock."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from tests.ledger.states import US

_PRELUDE = f"""
import os, resource, signal, sys
from pathlib import Path
from bridge.errors import StateError
from bridge.model import Slot, Stored, from_ms
from bridge.records import Identity
from bridge.ledger.lock import lock
from bridge.ledger.store import Ledger
path = Path(sys.argv[1])
US = {US!r}
def adopt(ledger, count):
    ledger.adopt(Stored(str(n), 1, b"x", Slot("c1", from_ms(n), from_ms(n + 1))) for n in range(count))
def become_nobody():
    if os.getuid() == 0:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
"""


def start_child(body: str, path: Path) -> subprocess.Popen[str]:
    """Start Python in a process of its own, which is given the path of a state."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", _PRELUDE + textwrap.dedent(body), str(path)]
    root = Path(__file__).parents[2]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=root)


def run_child(body: str, path: Path) -> str:
    """Run Python in a process of its own, and return what it printed."""
    with start_child(body, path) as child:
        said, trouble = child.communicate(timeout=30)
    assert child.returncode == 0, trouble
    return said
