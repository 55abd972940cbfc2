"""``courtbridge approve``: a person lets withheld deletes, and repairs of drift, through; asks no service."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.errors import ExitStatus
from bridge.ledger.store import Ledger
from bridge.model import Known, Reason, to_ms


def run(options: Options) -> ExitStatus:
    """Show what the last pass withheld and, once that is confirmed, approve exactly this; return 1 otherwise."""
    config = options.load_config(require_courts=False, require_secrets=False)
    with Ledger.snapshot(config.sync.state, config.identity) as ledger:
        withheld = ledger.passes(1)[0].withheld if ledger.passes(1) else ()
        withheld += tuple(held.id for held in ledger.held() if held.reason == Reason.DRIFT)
        rows = [_row(id_, ledger.known.get(id_)) for id_ in withheld]
    if not options.json:
        _show(rows)
    approved = withheld if withheld and (options.yes or _is_confirmed(len(withheld))) else ()
    if approved:
        with Ledger.open(config.sync.state, config.identity) as ledger:
            ledger.approve(approved, to_ms(datetime.now(UTC)))
    if options.json:
        output.show_json({"approved": list(approved)})
    elif approved:
        output.line("Approved for 24 hours. The next pass asks Launch27 for each once more, and deletes what is gone.")
    elif withheld:
        output.line('Nothing was approved; confirm with "y" on a terminal, or with --yes.')
    return ExitStatus.OK if approved else ExitStatus.ATTENTION


def _row(id_: str, known: Known | None) -> tuple[str, str, str]:
    slot = known and known.last_slot
    if not slot:
        return id_, "", ""
    return id_, slot.court_id, f"{slot.start.astimezone():%Y-%m-%d %H:%M}–{slot.end.astimezone():%H:%M}"


def _show(rows: list[tuple[str, str, str]]) -> None:
    if rows:
        output.table(f"Withheld deletes and repairs ({len(rows)})", ("booking", "court", "when"), rows)
    else:
        output.line("The last pass withheld no delete and no repair.")


def _is_confirmed(count: int) -> bool:
    """Ask the person at the terminal; nobody there says no."""
    if sys.stdin is None or not sys.stdin.isatty() or sys.stderr is None:
        return False
    sys.stderr.write(f"Let {output.several(count, 'delete')} through? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
