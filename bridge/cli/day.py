"""``courtbridge day``: the courts of one day as a grid, as the state knows them. Asks no service."""

from __future__ import annotations

from datetime import datetime, timedelta

from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.errors import ExitStatus
from bridge.ledger.day import Bar, bars
from bridge.ledger.store import Ledger
from bridge.sync.words import Places


def run(options: Options) -> ExitStatus:
    """Show a day of the account, today unless another one is named: a row for each start, a column for each court."""
    config = options.load_config(require_secrets=False)
    with Ledger.snapshot(config.sync.state, config.identity) as ledger:
        places = Places.of(config, ledger)
        day = options.day or datetime.now(places.zone).date()
        first, last = places.opening(day), places.opening(day + timedelta(days=1))
        found = bars(ledger.known.values(), ledger.held(), ledger.withheld, first, last)
    courts = dict.fromkeys((*places.courts, *found))
    titles = [places.name(court_id) or "no court" for court_id in courts]
    rows = [
        (
            f"{start.astimezone(places.zone):%H:%M}",
            *("; ".join(_words(bar, places) for bar in found.get(court, ()) if bar.start == start) for court in courts),
        )
        for start in sorted({bar.start for column in found.values() for bar in column})
    ]
    output.table(f"{day:%A, %Y-%m-%d}", ("from", *titles), rows)
    if not rows:
        output.line("Nothing is on the courts, as far as the last pass knows.")
    return ExitStatus.OK


def _words(bar: Bar, places: Places) -> str:
    """Return a booking's end, its id, and how it stands where that is not in sync."""
    end = f"–{bar.end.astimezone(places.zone):%H:%M} " if bar.end > bar.start else ""
    return f"{end}{bar.id}{'' if bar.state == 'in_sync' else f' ({bar.state})'}"
