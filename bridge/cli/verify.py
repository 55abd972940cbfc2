"""``courtbridge verify``: what Wingfield has, compared with what the ledger says. Writes nothing; needs no lock."""

from __future__ import annotations

from datetime import datetime

from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.config.schema import Config
from bridge.errors import ExitStatus
from bridge.ledger.store import Ledger
from bridge.model import Known, to_ms
from bridge.planning.drift import Kind
from bridge.sync.clients import connected
from bridge.sync.drift import read
from bridge.sync.words import Places


async def run(options: Options) -> ExitStatus:
    """Show every difference; return 1 when there is one. Raises ServiceError where Wingfield does not answer."""
    options.set_up_log()
    config = options.load_config()
    before, _ = _ledger(config)
    async with connected(config) as services:
        look = await read(services.wingfield, before)
    known, places = _ledger(config)
    first_day = (datetime.now(places.zone) - config.sync.past).date()
    # What a daemon wrote meanwhile is no difference: neither moment is that of the list.
    look.ours = {id_: stored for id_, stored in look.ours.items() if before.get(id_) == known.get(id_)}
    findings = look.compare(known, {}, to_ms(places.opening(first_day)))
    checked = len(look.same) + sum(id_ in known for id_ in look.ours) + sum(found.before is None for found in findings)
    if options.json:
        ids = {kind.value: [found.id for found in findings if found.kind is kind] for kind in Kind}
        output.show_json({**ids, "checked": checked})
    else:
        output.print_drift("Differences", findings, places)
        words = f"{output.several(len(findings), 'difference')} found." if findings else "All is as the ledger says."
        output.line(f"{output.several(checked, 'booking')} compared. {words}", "yellow" if findings else "green")
    return ExitStatus.ATTENTION if findings else ExitStatus.OK


def _ledger(config: Config) -> tuple[dict[str, Known], Places]:
    """Return what the ledger says now."""
    with Ledger.snapshot(config.sync.state, config.identity) as ledger:
        return dict(ledger.known), Places.of(config, ledger)
