"""``courtbridge demo``: a club in both services, simulated here, and real passes between them.

Its Saturday, told pass by pass; with ``--serve`` a club that goes on living, and the daemon.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from bridge import log as logs
from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.cli.once import report
from bridge.config.loading import load_config
from bridge.errors import ExitStatus
from bridge.ledger.store import Ledger
from bridge.model import Write
from bridge.sandbox import Launch27, Sandbox, Wingfield
from bridge.sandbox.configuration import WEB
from bridge.sandbox.living import Living
from bridge.sandbox.page import served
from bridge.sandbox.playground import Playground, courts
from bridge.sandbox.saturday import COURTS, SATURDAY, STEPS, Club, differing, hours
from bridge.sandbox.server import free_port, in_thread
from bridge.sync.clients import connected
from bridge.sync.narrator import LogNarrator
from bridge.sync.result import PassResult
from bridge.sync.run import Synchronizer
from bridge.sync.words import Places

_SYNC = """\
[sync]
interval = "2s"
full_interval = "10s"
delete_window = "1m"  # people here cancel more in an hour than others do in a week
"""
_WHERE = "Courtbridge, with both services simulated on this computer. Nothing leaves it."


def run(options: Options) -> ExitStatus:
    """Run the demonstration; return 1 if at its end Wingfield has not what Launch27 says."""
    if options.serve:
        return _serve(options.log_level)
    logs.configure("error", form="plain")
    with tempfile.TemporaryDirectory(prefix="courtbridge-demo-") as folder:
        return asyncio.run(_demo(Path(folder, "config.toml")))


async def _demo(path: Path) -> ExitStatus:
    """Let each step happen, run a pass, and show what it did."""
    output.line(_WHERE, "bold")
    output.line(f"A club with four courts, and its bookings for {SATURDAY:%A, %d %B %Y}.")
    club, stop = Club(), asyncio.Event()
    async with Sandbox(club.launch27, club.wingfield):
        club.write_config(path)
        config = load_config(path, {})
        with Ledger.open(config.sync.state, config.identity) as ledger:
            async with connected(config) as services:
                sync = Synchronizer(config, services, ledger, LogNarrator(), clock=lambda: club.now, stop=stop)
                for number, step in enumerate(STEPS, 1):
                    club.now += timedelta(minutes=1)
                    step.happens(club)
                    services.new_pass()
                    result = await sync.run_pass()
                    _tell(club, f"{number}. {step.title}", step.told, result, Places.of(config, ledger))
    return verdict(club)


def _tell(club: Club, title: str, told: str, result: PassResult, places: Places) -> None:
    output.line()
    output.line(title, "bold")
    for line in textwrap.wrap(told, min(80, shutil.get_terminal_size().columns)):
        output.line(line)
    report(result, places, club.now, dry_run=False)
    if result.planned:
        _print_writes(club, result.planned)
        output.table("Wingfield now", ("from", *(f"Court {number}" for number in COURTS)), club.day())


def _print_writes(club: Club, writes: Iterable[Write]) -> None:
    """Print what was written: a cycle last and in its order, the others, which have none, by id."""
    rows = []
    for write in sorted(writes, key=lambda write: (1, "") if write.cycle else (0, write.id)):
        court = club.wingfield.courts[write.slot.court_id].name if write.slot else None
        when = hours(write.slot.start, write.slot.end) if write.slot else None
        rows.append((write.verb, write.id, club.name_of(write.id), court, when, write.why))
    output.table("What the pass did", ("did", "booking", "name", "court", "when", "why"), rows)


def verdict(club: Club) -> ExitStatus:
    """Compare both services, by rules that are not the bridge's, and return the exit status."""
    output.line()
    if differ := differing(club):
        output.line(f"NOT in sync; these differ: {', '.join(differ)}. This is a bug.", "red")
        return ExitStatus.ATTENTION
    count, requests = len(club.wingfield.bookings), club.wingfield.log
    rejected = sum(entry.status >= 400 for entry in requests)
    output.line(f"In sync: Wingfield has the {count} court bookings of Launch27, as they are there.", "green")
    output.line(f"{len(requests)} requests to Wingfield, {rejected} of them rejected.")
    output.line('Next: copy config.example.toml to config.toml, edit it, and run "courtbridge check".')
    return ExitStatus.OK


def _serve(log_level: str) -> ExitStatus:
    """Run the daemon for a club that goes on living, until a signal says stop."""
    from bridge.service import process  # which the Saturday does without

    listen = f"127.0.0.1:{free_port(8027)}"
    club = Playground(Launch27("Demo"), Wingfield(courts=courts(4)), _SYNC, WEB.format(listen=listen))
    living = Living(club)
    living.fill(30)
    club.tell = lambda sentence: output.line(f"{club.now.astimezone():%H:%M:%S} {sentence}")
    playing = served(club, living=living, every_seconds=4.0)
    with suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix="courtbridge-demo-") as folder:
        output.line(f"{_WHERE} Ctrl-C ends it.", "bold")
        with in_thread(playing) as page:
            path = Path(folder, "config.toml")
            path.touch(mode=0o600)
            path.write_text(club.configuration)
            output.line(f"Both services, to book, move, cancel and break things: {page}/")
            threading.Thread(target=_announce, args=[listen], daemon=True).start()
            return ExitStatus(process.run(path, environ={}, log_level=log_level))
    return ExitStatus.OK


def _announce(listen: str) -> None:
    """Say where the status page is, as soon as the daemon serves it."""
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", int(listen.rpartition(":")[2]))):
            output.line(f"The status page: http://{listen}/", "bold")
            return
        time.sleep(0.1)
