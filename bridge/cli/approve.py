"""``courtbridge approve``: a person lets withheld deletes, and repairs of drift, through; asks no service."""

from __future__ import annotations

from datetime import UTC, datetime

from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.errors import ExitStatus
from bridge.ledger.store import Ledger
from bridge.model import Reason, to_ms
from bridge.sync.words import Places


def run(options: Options) -> ExitStatus:
    """Show what is withheld and, once that is confirmed, approve exactly this; return 1 otherwise."""
    config = options.load_config(require_secrets=False)
    with Ledger.snapshot(config.sync.state, config.identity) as ledger:
        reported = (held.id for held in ledger.held() if held.reason == Reason.DRIFT)
        withheld, known, places = (*ledger.withheld, *reported), ledger.known, Places.of(config, ledger)
        rows = [(id_, *places.cells(known[id_].last_slot if id_ in known else None)) for id_ in withheld]
    if rows and not options.json:
        output.table(f"Withheld deletes and repairs ({len(rows)})", ("booking", "court", "when"), rows)
    question = f"Let {output.several(len(withheld), 'delete')} through?"
    approved = withheld if withheld and (options.yes or output.is_confirmed(question)) else ()
    if approved:
        with Ledger.open(config.sync.state, config.identity) as ledger:
            ledger.approve(approved, to_ms(datetime.now(UTC)))
    if options.json:
        output.show_json({"approved": list(approved)})
    elif approved:
        output.line("Approved for 24 hours. The next pass asks Launch27 for each once more, and deletes what is gone.")
    elif withheld:
        output.line('Nothing was approved; confirm with "y" on a terminal, or with --yes.')
    else:
        output.line("No delete and no repair is withheld.")
    return ExitStatus.OK if approved else ExitStatus.ATTENTION
