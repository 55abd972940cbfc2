"""``courtbridge withdraw``: deletes in Wingfield what the bridge brought there and what is still to come."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from datetime import UTC, datetime

from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.cli.once import narrator_of, on_signals
from bridge.cli.places import Places
from bridge.config.schema import Config
from bridge.errors import ExitStatus
from bridge.http.loop import run as run_loop
from bridge.ledger.lock import lock
from bridge.ledger.store import Ledger
from bridge.model import Known, to_ms
from bridge.sync.clients import connected
from bridge.sync.narrator import LogNarrator
from bridge.sync.result import Pass
from bridge.sync.withdraw import adopt, withdraw, withdrawable

AGAIN = (
    "The next pass creates them again: leave the service stopped, or first remove the [[courts]] rules that "
    "bring them there."
)


def run(options: Options) -> ExitStatus:
    """Show what would be deleted and, once that is confirmed, delete it; return 1 where the answer was no."""
    options.set_up_log()
    config = options.load_config()
    with ExitStack() as stack:
        stack.enter_context(lock(config.sync.state))
        ledger = stack.enter_context(Ledger.open(config.sync.state, config.identity))
        if not ledger.is_adopted:
            run_loop(_adopt(config, ledger))
        found = withdrawable(ledger.known, options.court and options.court.lower(), _now_ms())
        if not options.json:
            _show(found, Places.of(config, ledger))
        question = f"Delete {output.several(len(found), 'court booking')} in Wingfield?"
        ids = [each.id for each in found]
        if ids and not (options.yes or output.is_confirmed(question)):
            _tell(options, [], ids, 'Nothing was deleted; confirm with "y" on a terminal, or with --yes.')
            return ExitStatus.ATTENTION
        this = run_loop(_withdraw(config, ledger, ids, narrator_of(options, stack)))
        left = [id_ for id_ in ids if ledger.known[id_].is_bridged]
    deleted = [id_ for id_ in ids if id_ not in left]
    _tell(options, deleted, left, f"{output.several(len(deleted), 'court booking')} deleted.")
    if left and not options.json:
        output.line(f"{output.several(len(left), 'court booking')} left; the same call goes on with them.", "red")
        for words in dict.fromkeys(map(str, this.troubles() if this else ())):
            output.line(words, "red")
    return this.status(this.held(), is_stopping=False) if this else ExitStatus.TRY_LATER


def _now_ms() -> int:
    return to_ms(datetime.now(UTC))


async def _adopt(config: Config, ledger: Ledger) -> None:
    async with connected(config) as services:
        await adopt(services.wingfield, ledger)


async def _withdraw(config: Config, ledger: Ledger, ids: list[str], narrator: LogNarrator) -> Pass | None:
    """Return what came of the deletes; None when they had to be cut off after a signal."""
    stop = asyncio.Event()
    async with connected(config) as services:
        deleting = withdraw(ids, config, services.wingfield, ledger, narrator, _now_ms, stop)
        task = asyncio.create_task(deleting)
        on_signals(stop, services, task)
        try:
            return await task
        except asyncio.CancelledError:
            return None


def _show(found: list[Known], places: Places) -> None:
    if found:
        rows = [(each.id, *places.cells(each.places[0])) for each in found]
        output.table(f"Still to come in Wingfield ({len(rows)})", ("booking", "court", "when"), rows, output.SHOWN)
    else:
        output.line("Nothing that Courtbridge brought there is still to come; what is over stays.")


def _tell(options: Options, deleted: list[str], left: list[str], words: str) -> None:
    if options.json:
        output.show_json({"withdrawn": deleted, "left": left})
    elif deleted or left:
        output.line(f"{words} {AGAIN}" if deleted else words)
