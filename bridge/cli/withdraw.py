"""``courtbridge withdraw``: deletes in Wingfield what the bridge brought there and what is still to come."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from datetime import UTC, datetime

from bridge.cli import output
from bridge.cli.arguments import Options, Usage
from bridge.cli.once import narrator_of
from bridge.cli.stopping import ended_well, until_stopped
from bridge.config.schema import Config
from bridge.errors import ExitStatus
from bridge.http.loop import run as run_loop
from bridge.ledger.lock import lock
from bridge.ledger.store import Ledger
from bridge.model import to_ms
from bridge.planning.deletes import withdrawable
from bridge.sync import drift
from bridge.sync.clients import connected
from bridge.sync.narrator import LogNarrator
from bridge.sync.result import Pass
from bridge.sync.run import Synchronizer
from bridge.sync.withdraw import withdraw
from bridge.sync.words import Places

AGAIN = "The next pass creates them again: leave the service stopped, or first remove the rules that bring them there."


def run(options: Options) -> ExitStatus:
    """Show what would be deleted and, once that is confirmed, delete it; return 1 where the answer was no.

    Raises Usage for a court that neither a rule nor the ledger knows.
    """
    options.set_up_log()
    config, this = options.load_config(), None
    with lock(config.sync.state), Ledger.open(config.sync.state, config.identity) as ledger, ExitStack() as stack:
        if not ledger.is_adopted:
            run_loop(_adopt(config, ledger))
        courts = {slot.court_id for known in ledger.known.values() for slot in known.places}
        if options.court and options.court.lower() not in courts | {rule.court_id for rule in config.courts}:
            raise Usage(f'nothing was ever brought to a court {options.court}; "courtbridge courts" lists the ids')
        found, places = withdrawable(ledger.known, options.court, to_ms(datetime.now(UTC))), Places.of(config, ledger)
        if found and not options.json:
            rows = [(each.id, *places.cells(each.places[0])) for each in found]
            output.table(f"Still to come ({len(rows)})", ("booking", "court", "when"), rows, output.SHOWN)
        question = f"Delete {output.several(len(found), 'court booking')} in Wingfield?"
        is_sure = not found or options.yes or output.is_confirmed(question)
        ids = [each.id for each in found]
        if is_sure:
            this = until_stopped(_withdraw(config, ledger, ids, narrator_of(options, stack)))
        left = [id_ for id_ in ids if ledger.known[id_].is_bridged]
    if options.json:
        output.show_json({"withdrawn": [id_ for id_ in ids if id_ not in left], "left": left})
    elif not is_sure:
        output.line('Nothing was deleted; confirm with "y" on a terminal, or with --yes.')
    else:
        _report(len(ids) - len(left), len(left), this)
    if this is None:
        return ExitStatus.TRY_LATER if is_sure else ExitStatus.ATTENTION
    return this.status(this.held(), is_stopping=False)


def _report(deleted: int, left: int, this: Pass | None) -> None:
    output.line(f"{output.several(deleted, 'court booking')} deleted; what is over stays.{f' {AGAIN}' * (deleted > 0)}")
    if left:
        output.line(f"{output.several(left, 'court booking')} left; run the same command again.", "red")
    for words in dict.fromkeys(map(str, this.troubles() if this else ())):
        output.line(words, "red")


async def _adopt(config: Config, ledger: Ledger) -> None:
    """Take Wingfield's list over into a new ledger, as a first pass does."""
    async with connected(config) as services:
        ledger.adopt((await drift.read(services.wingfield, ledger.known)).ours.values())


async def _withdraw(config: Config, ledger: Ledger, ids: list[str], narrator: LogNarrator) -> Pass | None:
    """Return what came of the deletes; None when they had to be cut off after a signal."""
    stop = asyncio.Event()
    async with connected(config) as services:
        bridge = Synchronizer(config, services, ledger, narrator, clock=lambda: datetime.now(UTC), stop=stop)
        return await ended_well(withdraw(bridge, ids), stop, services)
