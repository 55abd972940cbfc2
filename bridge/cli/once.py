"""``courtbridge --once`` and ``--dry-run``: one pass, and its summary."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from bridge import log as logs
from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.cli.stopping import ended_well
from bridge.config.paths import is_there
from bridge.config.schema import Config
from bridge.errors import ExitStatus
from bridge.ledger.lock import lock
from bridge.ledger.store import Ledger
from bridge.model import Write
from bridge.notify.notifier import messenger
from bridge.planning.drift import counts
from bridge.sync.clients import connected
from bridge.sync.narrator import LogNarrator, withheld_advice
from bridge.sync.result import PassResult
from bridge.sync.run import Synchronizer
from bridge.sync.status import held_json, record_json, slot_json
from bridge.sync.words import Places


async def run(options: Options) -> ExitStatus:
    """Run one pass, or only say what it would do: a dry run writes nothing anywhere."""
    options.set_up_log()
    config = options.load_config()
    for warning in config.warnings:
        logs.get_logger().warning("config_warning", detail=warning)
    with ExitStack() as stack:
        if not options.dry_run:
            stack.enter_context(lock(config.sync.state))
        opened = Ledger.snapshot if options.dry_run else Ledger.open
        ledger = stack.enter_context(opened(config.sync.state, config.identity))
        narrator = narrator_of(options, stack)
        result = await _run_pass(options, config, ledger, narrator)
        places = Places.of(config, ledger)
    if result is None:
        logs.get_logger().warning("pass_interrupted")
        if options.json:
            output.show_failure("the pass was interrupted; the next one goes on", "incomplete")
        return ExitStatus.TRY_LATER
    if options.json:
        output.show_json(pass_json(result, dry_run=options.dry_run))
    else:
        report(result, places, datetime.now(UTC), dry_run=options.dry_run)
        if options.dry_run and not is_there(config.sync.state):
            output.line(f"There is no state at {config.sync.state} yet: this compares with Wingfield's own list.")
    return result.status


def narrator_of(options: Options, stack: ExitStack) -> LogNarrator:
    """Return what logs the pass; one alone on a terminal gets a bar, until ``stack`` ends."""
    log = logs.get_logger(**({"dry_run": True} if options.dry_run else {}))
    if output.is_gathering() or sys.stderr is None or not sys.stderr.isatty():
        return LogNarrator(log=log)
    from rich.console import Console

    from bridge.cli.progress import Bar

    bar = Bar(log, Console(stderr=True), writes=not options.dry_run)
    stack.callback(bar.stop)
    return bar


async def _run_pass(options: Options, config: Config, ledger: Ledger, narrator: LogNarrator) -> PassResult | None:
    """Return how the pass went; None when it had to be cut off after a signal."""
    stop = asyncio.Event()
    async with connected(config) as services, messenger(config, ledger) as messages:
        synchronizer = Synchronizer(config, services, ledger, narrator, clock=lambda: datetime.now(UTC), stop=stop)
        work = synchronizer.run_pass(allow_mass_delete=options.allow_mass_delete, dry_run=options.dry_run)
        result = await ended_well(work, stop, services)
        if result is not None and messages is not None and not options.dry_run and not stop.is_set():
            messages.pass_finished(result)
            await messages.drain()
        return result


def pass_json(result: PassResult, *, dry_run: bool) -> dict[str, Any]:
    """Return a pass as ``--once --json`` prints it."""
    lists = {"held": held_json(result.held), "withheld": list(result.record.withheld)}
    drift = {"drift": None if result.drift is None else counts(result.drift)}
    actions = {"actions": [_action_json(write) for write in result.planned]} if dry_run else {}
    error = {"error": words} if (words := result.error or _unfinished(result)) else {}
    return {**record_json(result.record), **error, **lists, **drift, **actions}


def _unfinished(result: PassResult) -> str:
    """Return why a pass is not complete that met no trouble; "" where it is complete."""
    if result.record.outcome != "incomplete":
        return ""
    waits = f"{len(result.waiting)} bookings wait for a minute, in case their new places are an odd answer"
    return waits if result.waiting else "the pass did not come to its end; the next one goes on"


def _action_json(write: Write) -> dict[str, str | None]:
    return {"action": write.verb.value, "id": write.id, **slot_json(write.slot), "why": write.why}


def report(result: PassResult, places: Places, now: datetime, *, dry_run: bool) -> None:
    """Tell a pass to people."""
    verdict, style = output.VERDICTS[result.record.outcome]
    if dry_run:
        verdict = f"Dry run, nothing was written. {verdict.replace('In sync', 'All would be in sync')}"
    output.line(verdict, style)
    record, would = result.record, "would be " if dry_run else ""
    pending = f", {record.pending} pending" if record.pending else ""
    output.line(
        f"{output.several(record.seen, 'booking')} seen: {record.created} {would}created, {record.updated} "
        f"{would}updated, {record.unchanged} unchanged, {record.ignored} ignored (no court), "
        f"{record.held} held{pending}; {record.deleted} {would}deleted."
    )
    if dry_run and result.planned:
        rows = [(write.verb, write.id, *places.cells(write.slot), write.why) for write in result.planned]
        output.table("A pass would", ("do", "booking", "court", "when", "why"), rows, output.SHOWN)
    output.print_drift("Changed in Wingfield by somebody else", result.drift or (), places)
    output.print_held(result.held, places, now)
    output.print_withheld("Deletes withheld", record.withheld, withheld_advice(result))
    if result.errors:
        output.line()
    for error in dict.fromkeys(map(str, result.errors)):
        output.line(error, "red")
