"""``courtbridge verify``: what Wingfield has, compared with what the ledger says. Writes nothing; needs no lock."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.config.schema import Config
from bridge.errors import ExitStatus
from bridge.ledger.store import Ledger
from bridge.model import Known, to_ms
from bridge.planning.drift import Finding, Kind
from bridge.planning.memory import Memory
from bridge.sync.clients import connected
from bridge.sync.drift import read


async def run(options: Options) -> ExitStatus:
    """Show every difference; return 1 when there is one. Raises ServiceError where Wingfield does not answer."""
    options.set_up_log()
    config = options.load_config()
    before, _ = _ledger(config)
    async with connected(config) as services:
        look = await read(services.wingfield, before)
    known, first_ms = _ledger(config)
    # What a daemon wrote meanwhile is no difference: neither moment is that of the list.
    look.ours = {id_: stored for id_, stored in look.ours.items() if before.get(id_) == known.get(id_)}
    findings = look.compare(known, {}, first_ms)
    checked = len(look.same) + sum(id_ in known for id_ in look.ours) + sum(found.before is None for found in findings)
    if options.json:
        ids = {kind.value: [found.id for found in findings if found.kind is kind] for kind in Kind}
        output.show_json({**ids, "checked": checked})
    else:
        _report(config, findings, checked)
    return ExitStatus.ATTENTION if findings else ExitStatus.OK


def _ledger(config: Config) -> tuple[dict[str, Known], int]:
    """Return what the ledger says now, and when the window begins, in milliseconds since 1970."""
    with Ledger.snapshot(config.sync.state, config.identity) as ledger:
        zone = ZoneInfo(config.launch27.timezone or Memory.loads(ledger.recall("memory")).zone or "UTC")
        first_day = (datetime.now(zone) - config.sync.past).date()
        return dict(ledger.known), to_ms(datetime.combine(first_day, time(), zone).astimezone(UTC))


def _report(config: Config, findings: list[Finding], checked: int) -> None:
    courts = {rule.court_id: rule.name for rule in config.courts if rule.name}
    rows = [(found.kind, found.id, found.in_words(lambda court: courts.get(court, court))) for found in findings]
    output.print_drift("Differences", rows)
    words = f"{output.several(len(findings), 'difference')} found." if findings else "All is as the ledger says."
    output.line(f"{output.several(checked, 'booking')} compared. {words}", "yellow" if findings else "green")
