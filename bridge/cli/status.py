"""``courtbridge status``: what the state says. Works beside a running daemon, and asks no service."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.cli.places import Places
from bridge.config.loading import find_state
from bridge.config.paths import is_there
from bridge.errors import ConfigError, ExitStatus
from bridge.ledger.store import Ledger
from bridge.model import PassRecord, Watermark
from bridge.sync.status import SHOWN, Status, read, running, status_json
from bridge.sync.words import age, moment, since, to_no_court


def run(options: Options) -> ExitStatus:
    """Show the status; return 1 when something needs a person, 78 under a wrong configuration."""
    status, places = _read(options)
    if options.json:
        output.show_json(status_json(status))
    else:
        report(status, places)
    return status.exit_status


def _read(options: Options) -> tuple[Status, Places]:
    """Return what the state says, whatever is wrong with the configuration. Raises BridgeError where there is none."""
    path, config, identity, problems = options.find_config(), None, None, list[str]()
    try:
        config = options.load_config(require_secrets=False)
        state, identity = config.sync.state, config.identity
    except ConfigError as error:
        state, problems = (
            find_state(path, os.environ, is_one_of_many=options.process is not None),
            list(map(str, error.problems)),
        )
        if not is_there(state):
            raise
    with Ledger.snapshot(state, identity) as ledger:
        status = replace(read(ledger, state, config), running=running(state), problems=problems)
        unreached = [] if config is None or status.running else _unreached(options)
        return replace(status, max_age=options.max_age, unreached=unreached), Places.of(config, ledger)


def _unreached(options: Options) -> list[str]:
    """Return what is wrong with the secrets: the next pass would not begin, unless it is run as somebody else."""
    try:
        options.load_config()
    except ConfigError as error:
        return list(map(str, error.problems))
    return []


def report(status: Status, places: Places) -> None:
    """Tell the status, what is wrong first."""
    now = status.now
    _print_troubles(status)
    if last := status.decisive:
        style = output.VERDICTS[last.outcome][1]
        output.line(f"Last pass {age(last.started_ms, now)}: {last.in_words(status.last_error)}.", style)
    else:
        output.line(f"No pass has finished yet (state: {status.state}).", "yellow")
    output.line(f"{output.several(len(status.bridged), 'booking')} in Wingfield, {len(status.held)} held.")
    output.line(_activity(status))
    for warning in status.expiring:
        output.line(f"Launch27 {warning}.", "yellow")
    for id_, unmapped in status.unmapped.items():
        output.line(to_no_court(id_, *unmapped))
    if not status.passes:
        return
    if status.last_success_ms is None:
        output.line("No full pass was ever complete.")
    elif status.decisive and not status.decisive.is_complete:
        output.line(f"Last complete full pass: {since(status.last_success_ms, now)}.")
    if status.verified_ms is not None:
        output.line(f"Wingfield's whole list was last read {since(status.verified_ms, now)}.")
    output.print_held(status.held, places, now)
    count = output.several(len(status.withheld), "delete")
    advice = "If they really are gone from Launch27, let them through: courtbridge approve"
    output.print_withheld(f"The last pass withheld {count}", status.withheld, advice)
    _print_listings(status.watermarks, now)
    _print_passes(status.passes[:SHOWN], now)


def _print_troubles(status: Status) -> None:
    for problem in status.problems:
        output.line(f"The configuration is wrong: {problem}", "red")
    for unreached in status.unreached:
        output.line(f"A secret is out of reach here: {unreached}", "yellow")
    if status.is_stale:
        output.line(f"Nothing has run since {since(status.passes[0].started_ms, status.now)}.", "red")
    if status.is_older(status.max_age):
        output.line(f"The last complete full pass is older than {status.max_age}.", "red")
    if status.running is not None and status.running.trouble:
        output.line(f"{status.running.trouble}.", "red")


def _activity(status: Status) -> str:
    if status.running is None:
        return "No bridge is running on this state."
    runs = f"A bridge is running ({status.running})"
    if status.running.doing:
        return f"{runs}; a pass is under way: {status.running.doing}."
    if status.next_pass is None:
        return f"{runs}."
    return f"{runs}; next pass at {status.next_pass.astimezone():%H:%M:%S}."


def _print_listings(watermarks: Sequence[Watermark], now: datetime) -> None:
    rows = [
        (
            mark.number,
            "never" if mark.listed_ms is None else since(mark.listed_ms, now),
            mark.listed_count,
            None if mark.source_updated_ms is None else moment(mark.source_updated_ms),
        )
        for mark in watermarks
    ]
    output.table("Listings", ("account", "last complete", "bookings", "newest change"), rows)


def _print_passes(passes: Sequence[PassRecord], now: datetime) -> None:
    names = ("kind", "outcome", "seen", "created", "updated", "deleted", "held", "pending")
    rows = [
        (
            since(record.started_ms, now),
            *(getattr(record, name) for name in names),
            len(record.withheld),
            f"{record.duration_ms} ms",
        )
        for record in passes
    ]
    output.table("Last passes", ("started", *names, "withheld", "took"), rows)
