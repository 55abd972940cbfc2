"""Let the daemon run for long, and see what grows.

    python -m tests.soak             2,000 passes at full speed against the sandbox: memory, files, log lines
    python -m tests.soak outage      five minutes without either service: log lines

Ends with 1 when something grows that should not, or the log is not quiet.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import linear_regression
from typing import Any, NamedTuple

from bridge.sandbox import Sandbox
from tests.support.builders import EMAIL, PASSWORD, TOKEN
from tests.support.configuration import configuration, introduction, write_config
from tests.support.daemons import book

UUID = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
ACCOUNT = {"email": EMAIL, "password": PASSWORD, "token": TOKEN}
BOOKINGS = 100
WARM_UP_PASSES = 200
PASSES_BETWEEN_CHANGES = 25
MOST_GROWTH_KIB_PER_1000 = 1024
MOST_LINES_IN_AN_OUTAGE = 20
OUTAGE_SECONDS = 300.0
_LOOK_EVERY_SECONDS = 0.02


class Sample(NamedTuple):
    """The daemon after so many passes."""

    passes: int
    resident_kib: int
    files: int


def configured(folder: str, world: dict[str, Any]) -> Path:
    return write_config(Path(folder, "config.toml"), configuration(world, more=['[sync]\ninterval = "1s"']))


def started(config: Path, log: Path, *, hurried: bool) -> subprocess.Popen[bytes]:
    module = ["tests.soak.hurried"] if hurried else ["bridge", "--config"]
    with log.open("wb") as stderr:
        return subprocess.Popen([sys.executable, "-m", *module, str(config)], stderr=stderr)


def ended(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    if process.wait(20) != 0:
        sys.exit(f"the daemon ended with {process.returncode}")


# --- passes ---


def passes_of(state: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT coalesce(max(id), 0) FROM passes").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def sample(process: subprocess.Popen[bytes], passes: int) -> Sample:
    proc = Path("/proc", str(process.pid))
    status = (proc / "status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return Sample(passes, int(resident.split()[1]), len(list((proc / "fd").iterdir())))


def soak(wanted: int) -> bool:
    """Run ``wanted`` passes, with a change now and then; return whether nothing grew."""
    with Sandbox.in_thread() as sandbox, tempfile.TemporaryDirectory() as folder:
        launch27, wingfield = sandbox.launch27, sandbox.wingfield
        launch27.add_account(EMAIL, PASSWORD)
        launch27.add_service(1, "Court 1")
        numbers = book(sandbox, BOOKINGS)
        world = introduction(launch27, wingfield)
        config, log = configured(folder, world), Path(folder, "log")
        began = time.monotonic()
        process = started(config, log, hurried=True)
        samples, changes = [], 0
        try:
            while (passes := passes_of(config.with_name("courtbridge.db"))) < wanted:
                if process.poll() is not None:
                    sys.exit(f"the daemon ended:\n{log.read_text()[-2000:]}")
                if passes // PASSES_BETWEEN_CHANGES > changes:
                    minutes = 30 if changes // BOOKINGS % 2 == 0 else 60
                    number = numbers[changes % BOOKINGS]
                    services = [
                        dict(each, hourly={"quantity": 1, "minutes": minutes})
                        for each in launch27.bookings[number]["services"]
                    ]
                    launch27.edit(number, services=services)
                    changes += 1
                if passes >= WARM_UP_PASSES:
                    samples.append(sample(process, passes))
                launch27.log.clear()
                wingfield.log.clear()
                time.sleep(_LOOK_EVERY_SECONDS)
            ended(process)
        finally:
            process.kill()
        return told(samples, changes, log, time.monotonic() - began)


def told(samples: list[Sample], changes: int, log: Path, seconds: float) -> bool:
    """Print the figures; return whether they are good."""
    slope = 1000 * linear_regression([each.passes for each in samples], [each.resident_kib for each in samples]).slope
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    # A change is told with what was done and how the pass went; all else is the beginning and the end.
    others = len(events) - 2 * changes - BOOKINGS
    first, last = samples[0], samples[-1]
    files = [each.files for each in samples]
    print(f"passes           {last.passes} in {seconds:.0f} s, {changes} changes followed")
    print(f"resident memory  {first.resident_kib} KiB after {first.passes} passes")
    print(f"                 {last.resident_kib} KiB at the end")
    print(f"                 {slope:+.0f} KiB per 1,000 passes (at most {MOST_GROWTH_KIB_PER_1000})")
    print(f"open files       {min(files)} to {max(files)}, {last.files} at the end")
    print(f"log lines        {others} beside those about changes")
    return slope <= MOST_GROWTH_KIB_PER_1000 and last.files <= first.files + 8 and others <= 10


# --- an outage ---


def outage() -> bool:
    """Run the daemon with nobody listening at either address; return whether it says little."""
    with socket.socket() as one, socket.socket() as other, tempfile.TemporaryDirectory() as folder:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        world = {
            "launch27_url": f"http://127.0.0.1:{one.getsockname()[1]}/latest",
            "wingfield_url": f"http://127.0.0.1:{other.getsockname()[1]}",
            "service_id": UUID,
            "courts": [UUID],
        }
        config, log = configured(folder, world | ACCOUNT), Path(folder, "log")
        process = started(config, log, hurried=False)
        try:
            time.sleep(OUTAGE_SECONDS)
            ended(process)
        finally:
            process.kill()
        text, passes = log.read_text(), passes_of(config.with_name("courtbridge.db"))
    print(text)
    print(f"{len(text.splitlines())} log lines in {OUTAGE_SECONDS:.0f} s, {passes} passes")
    return len(text.splitlines()) < MOST_LINES_IN_AN_OUTAGE


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Let the daemon run for long.")
    parser.add_argument("what", nargs="?", choices=("passes", "outage"), default="passes")
    parser.add_argument("--passes", type=int, default=2000, metavar="N")
    arguments = parser.parse_args()
    return 0 if (soak(arguments.passes) if arguments.what == "passes" else outage()) else 1


if __name__ == "__main__":
    sys.exit(main())
