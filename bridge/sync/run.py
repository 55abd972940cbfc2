"""One pass, from the listings of Launch27 to the courts of Wingfield: the whole story on one page.

read      every account's listing, mapped as it comes                   sync/reader.py, directory.py, mapping.py
adopt     with a new ledger only: what Wingfield already has            sync/adoption.py
look up   whatever is bridged and no longer listed, by its id           sync/deletions.py
guard     too many deletes are withheld, mass changes wait              planning/deletes.py, planning/mass.py
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
from bridge.planning import mass
from bridge.planning.memory import Memory
from bridge.planning.planner import make_plan
from bridge.planning.reading import Reading
from bridge.planning.situation import FOREIGN, Situation
from bridge.sync import clock, record, settle
from bridge.sync.adoption import adopt, greet
from bridge.sync.clients import Clients
from bridge.sync.deletions import decide_deletes
from bridge.sync.directory import Directory
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
        self.clients = clients
        self.directory = Directory(clients.wingfield, ledger, config.wingfield)
        self.reader = Reader(clients, self.directory, config, stop)
        self.fingerprint = mapping_fingerprint(config)
        self._clock = clock

    async def run_pass(self, *, allow_mass_delete: bool = False, dry_run: bool = False) -> PassResult:
        """Run one pass and return how it went.

        With ``dry_run`` nothing is written to Wingfield (give a ledger that is a snapshot). Raises
        StateError when the ledger cannot be used; a service's trouble is in the result.
        """
        this = self._begin()
        self.narrator.pass_started()
        if await self._read(this) and await adopt(this, self.clients.wingfield, self.ledger):
            limits, progress = self.config.sync, self.narrator.asking
            await decide_deletes(this, self.reader, self.ledger, limits, progress, is_allowed=allow_mass_delete)
            await self._plan(this)
            if dry_run:
                this.tally.pretend(this.plan.writes)
            else:
                await self._execute(this)
                self.directory.deny(this.denied, this.now_ms)
        result = record.finish(self.ledger, this, self.narrator, is_stopping=self.stop.is_set())
        self.narrator.pass_finished(result)
        return result

    def _begin(self) -> Pass:
        ledger = self.ledger
        watermarks = {mark.account: mark for mark in ledger.watermarks()}
        accounts = tuple(account.key for account in self.config.launch27.accounts)
        reading = Reading(accounts, memory=Memory.loads(ledger.recall("memory")))
        known, held = ledger.known, ledger.held()
        return Pass(self._now_ms(), monotonic(), self.fingerprint, known, held, watermarks, reading)

    def _now_ms(self) -> int:
        return to_ms(self._clock())

    async def _read(self, this: Pass) -> bool:
        """Read every account's listing, mapped as it comes; meanwhile, see whether Wingfield lets us in.

        Returns whether the pass may go on. Where this machine's clock is wrong, nothing that was read counts.
        """
        before = this.reading
        asking = asyncio.create_task(greet(this, self.clients.wingfield))
        try:
            this.reading = await self.reader.read(from_ms(this.now_ms), this.watermarks, this.known, before.memory)
            await asking
        finally:
            asking.cancel()
        if not clock.is_right(this, self.clients):
            this.reading = before
            return False
        for error in this.reading.errors:
            this.note(error)
        for listing in this.reading.listings:
            for id_, count in listing.skipped.items():
                self.narrator.participants_skipped(id_, count)
        return True

    async def _plan(self, this: Pass) -> None:
        """Work out what to write, in which order; a mass change waits for its second sighting."""
        withdrawn = this.reading.no_court & this.deletions.keys()
        this.waiting = mass.waiting(this.reading.desired, withdrawn, this.known, this.bridged, this.config, this.now_ms)
        this.deletions = {id_: each for id_, each in this.deletions.items() if id_ not in this.waiting}
        await self._make_plan(this)
        if await settle.read_back_doubtful(this, self.clients.wingfield, self.ledger):
            await self._make_plan(this)
        this.planned = this.plan.writes
        self.narrator.planned(len(this.planned))

    async def _make_plan(self, this: Pass) -> None:
        """Plan in a thread: thousands of bookings may take seconds. What failed in this pass stays where it is."""
        stuck = dict.fromkeys((*this.tally.rejected, *this.tally.unanswered), FOREIGN)
        desired = {id_: booking for id_, booking in this.reading.desired.items() if id_ not in this.waiting}
        situation = Situation(desired, dict(this.known), this.deletions, this.config, this.now_ms, stuck)
        this.plan = await asyncio.to_thread(make_plan, situation)

    async def _execute(self, this: Pass) -> None:
        """Execute the plan; where a rejection or a cycle has changed what is possible, plan again."""
        concurrency, now_ms = self.config.wingfield.concurrency, self._now_ms
        executor = Executor(
            self.clients.wingfield, self.ledger, self.narrator, this, concurrency, self.fingerprint, now_ms, self.stop
        )
        if this.plan.writes and this.deletions:
            self.ledger.save([entry for entry in this.let_through if entry.id in this.deletions])
        for _ in range(ROUNDS):
            await executor.run(this.plan)
            if not await settle.is_worth_another_round(this, executor):
                return
            this.deletions = {}
            this.tally.not_sent = set()
            await self._make_plan(this)
            if not this.plan.writes:
                return
