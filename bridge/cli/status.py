"""``courtbridge status``: what the state says. Works beside a running daemon, and asks no service."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from operator import attrgetter

from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.config.loading import find_state
from bridge.config.paths import is_there
from bridge.errors import ConfigError, ExitStatus
from bridge.ledger.store import Ledger
from bridge.records import PassRecord, Watermark
from bridge.sync.status import SHOWN, Status, read, running, status_json
from bridge.sync.words import age, moment, since, to_no_court


def run(options: Options) -> ExitStatus:
    """Show the status; return 1 when something needs a person, 78 under a wrong configuration."""
    status = _read(options)
    if options.json:
        output.show_json(status_json(status))
    else:
        report(status)
    return status.exit_status


def _read(options: Options) -> Status:
    """Return what the state says, whatever is wrong with the configuration. Raises BridgeError where there is none."""
    path, config, identity, problems = options.find_config(), None, None, list[str]()
    try:
        config = options.load_config(require_secrets=False)
        state, identity = config.sync.state, config.identity
    except ConfigError as error:
        state = find_state(path, os.environ, is_one_of_many=options.process is not None)
        problems = list(map(str, error.problems))
        if not is_there(state):
            raise
    with Ledger.snapshot(state, identity) as ledger:
        status = replace(read(ledger, state, config), running=running(state), problems=problems)
    unreached = [] if config is None or status.running else _unreached(options)
    return replace(status, max_age=options.max_age, unreached=unreached)


def _unreached(options: Options) -> list[str]:
    """Return what is wrong with the secrets: the next pass would not begin, unless it is run as somebody else."""
    try:
        options.load_config()
    except ConfigError as error:
        return list(map(str, error.problems))
    return []


def report(status: Status) -> None:
    """Tell the status, what is wrong first."""
    now = status.now
    for wrong in status.wrong:
        output.line(f"{wrong[:1].upper()}{wrong[1:]}.", "red")
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
    output.print_held(status.held, status.places, now)
    count = output.several(len(status.withheld), "delete")
    advice = "If they really are gone from Launch27, let them through: courtbridge approve"
    output.print_withheld(f"The last pass withheld {count}", status.withheld, advice)
    _print_listings(status.watermarks, now)
    _print_passes(status.passes[:SHOWN], now)


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
        (each.number, since(each.listed_ms, now), each.listed_count, moment(each.source_updated_ms))
        for each in watermarks
    ]
    output.table("Listings", ("account", "last complete", "bookings", "newest change"), rows)


def _print_passes(passes: Sequence[PassRecord], now: datetime) -> None:
    names = ("kind", "outcome", "seen", "created", "updated", "deleted", "held", "pending")
    cells = attrgetter(*names)
    rows = [
        (since(each.started_ms, now), *cells(each), len(each.withheld), f"{each.duration_ms} ms") for each in passes
    ]
    output.table("Last passes", ("started", *names, "withheld", "took"), rows)
