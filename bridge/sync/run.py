"""One pass, from the listings of Launch27 to the courts of Wingfield: the whole story on one page.

read      every account's listing, mapped as it comes                   sync/reader.py, mapping.py
adopt     with a new ledger only: what Wingfield already has            sync/adoption.py
look up   whatever is bridged and no longer listed, by its id           sync/deletions.py
guard     too many deletes are withheld                                 planning/deletes.py
plan      what to write, in which order                                 planning/
execute   intent, request, outcome                                      sync/executor.py
settle    what was rejected, or lost its answer, is planned again       sync/settle.py
record    watermarks, what is held, the counts: one transaction         sync/record.py, ledger/
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from time import monotonic

from bridge.config.schema import Config, mapping_fingerprint
from bridge.ledger.store import Ledger
from bridge.model import from_ms, to_ms
from bridge.planning.deletes import Guard
from bridge.planning.planner import make_plan
from bridge.planning.reading import Reading
from bridge.planning.situation import FOREIGN, Situation
from bridge.sync import record, settle
from bridge.sync.adoption import adopt
from bridge.sync.clients import Clients
from bridge.sync.deletions import Deletions
from bridge.sync.executor import Executor
from bridge.sync.narrator import Narrator
from bridge.sync.reader import Reader
from bridge.sync.result import Pass, PassResult

ROUNDS = 4
"""How often a pass may plan; the second time nearly always ends it."""


class Synchronizer:
    """Runs passes between Launch27 and Wingfield, one at a time. ``clock`` returns an aware datetime."""

    def __init__(
        self,
        config: Config,
        clients: Clients,
        ledger: Ledger,
        narrator: Narrator,
        *,
        clock: Callable[[], datetime],
        stop: asyncio.Event,
    ) -> None:
        self.config, self.ledger, self.narrator, self.stop = config, ledger, narrator, stop
        self.wingfield = clients.wingfield
        self.reader = Reader(clients.launch27, clients.sessions, config, stop)
        self.fingerprint = mapping_fingerprint(config)
        self._clock = clock

    async def run_pass(self, *, allow_mass_delete: bool = False, dry_run: bool = False) -> PassResult:
        """Run one pass and return how it went.

        With ``dry_run`` nothing is written to Wingfield (give a ledger that is a snapshot). Raises
        StateError when the ledger cannot be used; a service's trouble is in the result.
        """
        this = self._begin()
        self.narrator.pass_started()
        await self._read(this)
        if await adopt(this, self.wingfield, self.ledger):
            await self._decide_deletes(this, allowed=allow_mass_delete)
            await self._plan(this)
            if dry_run:
                this.tally.pretend(this.plan.writes)
            else:
                await self._execute(this)
        accounts, is_stopping = self.config.launch27.accounts, self.stop.is_set()
        result = record.finish(self.ledger, this, accounts, self.narrator, is_stopping=is_stopping)
        self.narrator.pass_finished(result)
        return result

    def _begin(self) -> Pass:
        ledger = self.ledger
        watermarks = {mark.account: mark for mark in ledger.watermarks()}
        accounts = tuple(account.key for account in self.config.launch27.accounts)
        return Pass(self._now_ms(), monotonic(), ledger.known, ledger.held(), watermarks, Reading(accounts))

    def _now_ms(self) -> int:
        return to_ms(self._clock())

    async def _read(self, this: Pass) -> None:
        """Read every account's listing, mapped as it comes."""
        this.reading = await self.reader.read(from_ms(this.now_ms), this.watermarks, this.known)
        for error in this.reading.errors:
            this.note(error)
        for listing in this.reading.listings:
            for id_, count in listing.skipped.items():
                self.narrator.participants_skipped(id_, count)

    async def _decide_deletes(self, this: Pass, *, allowed: bool) -> None:
        """Look up by id what is listed no more, and let the guard judge the deletes."""
        if this.reading.listings:
            limits = self.config.sync
            guard = Guard(limits.max_delete_count, limits.max_delete_fraction, allowed)
            await Deletions(this, self.reader, self.ledger, guard, self.narrator.asking).decide()

    async def _plan(self, this: Pass) -> None:
        """Work out what to write, in which order."""
        this.plan = make_plan(self._situation(this))
        if await settle.read_back_doubtful(this, self.wingfield, self.ledger):
            this.plan = make_plan(self._situation(this))
        this.planned = this.plan.writes
        self.narrator.planned(len(this.planned))

    def _situation(self, this: Pass) -> Situation:
        """Return what the next plan depends on; what failed in this pass stays where it is."""
        stuck = dict.fromkeys((*this.tally.rejected, *this.tally.unanswered), FOREIGN)
        return Situation(this.reading.desired, dict(this.known), this.deletions, self.fingerprint, this.now_ms, stuck)

    async def _execute(self, this: Pass) -> None:
        """Execute the plan; where a rejection or a cycle has changed what is possible, plan again."""
        concurrency, now_ms = self.config.wingfield.concurrency, self._now_ms
        executor = Executor(
            self.wingfield, self.ledger, self.narrator, this, concurrency, self.fingerprint, now_ms, self.stop
        )
        if this.plan.writes and this.deletions:
            self.ledger.save([this.known[id_]._replace(allowed=1) for id_ in this.deletions])
        for _ in range(ROUNDS):
            await executor.run(this.plan)
            if not await settle.is_worth_another_round(this, executor):
                return
            this.deletions = {}
            this.tally.not_sent = set()
            this.plan = make_plan(self._situation(this))
            if not this.plan.writes:
                return
