"""``courtbridge history``: what was written when, and why. Works beside a running daemon, and asks no service."""

from __future__ import annotations

from typing import Any

from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.errors import ExitStatus
from bridge.ledger.history import Event
from bridge.ledger.store import Ledger
from bridge.sync.status import instant, slot_json
from bridge.sync.words import Places, moment


def run(options: Options) -> ExitStatus:
    """Show what happened last to one booking, or to all, newest first."""
    config = options.load_config(require_secrets=False)
    with Ledger.snapshot(config.sync.state, config.identity) as ledger:
        events, places = ledger.history(options.limit, options.id), Places.of(config, ledger)
    if options.json:
        output.show_json([event_json(each) for each in events])
        return ExitStatus.OK
    columns = ("at", "did", "booking", "court", "when", "why")
    rows = [
        (moment(each.at_ms, places.zone), each.action, each.id, *places.cells(each.slot), each.why) for each in events
    ]
    if rows:
        output.table(f"The last {output.several(len(rows), 'event')}", columns, rows)
    else:
        output.line(f"Nothing is known of booking {options.id}." if options.id else "Nothing has been written yet.")
    return ExitStatus.OK


def event_json(event: Event) -> dict[str, Any]:
    """Return an event as ``history --json`` prints it."""
    what = {"at": instant(event.at_ms), "id": event.id, "action": event.action}
    return {**what, **slot_json(event.slot), "version": instant(event.version_ms), "why": event.why}
