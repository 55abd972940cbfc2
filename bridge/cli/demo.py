"""``courtbridge demo``: a club's Saturday in both services, simulated here, and real passes between them."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import textwrap
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from bridge import log as logs
from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.cli.once import report
from bridge.cli.places import Places
from bridge.config.loading import load_config
from bridge.errors import ExitStatus
from bridge.ledger.store import Ledger
from bridge.model import Write
from bridge.sandbox import Sandbox
from bridge.sandbox.saturday import COURTS, SATURDAY, STEPS, Club, differing, hours
from bridge.sync.clients import connected
from bridge.sync.narrator import LogNarrator
from bridge.sync.result import PassResult
from bridge.sync.run import Synchronizer


def run(_options: Options) -> ExitStatus:
    """Run the demonstration; return 1 if at its end Wingfield has not what Launch27 says."""
    logs.configure("error", form="plain")
    with tempfile.TemporaryDirectory(prefix="courtbridge-demo-") as folder:
        return asyncio.run(_demo(Path(folder, "config.toml")))


async def _demo(path: Path) -> ExitStatus:
    """Let each step happen, run a pass, and show what it did."""
    output.line("Courtbridge, with both services simulated on this computer. Nothing leaves it.", "bold")
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
                    _tell(club, f"{number}. {step.title}", step.told, await sync.run_pass())
    return verdict(club)


def _tell(club: Club, title: str, told: str, result: PassResult) -> None:
    output.line()
    output.line(title, "bold")
    for line in textwrap.wrap(told, min(80, shutil.get_terminal_size().columns)):
        output.line(line)
    report(result, Places(), club.now, dry_run=False)
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
