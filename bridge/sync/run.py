"""One pass, from the listings of Launch27 to the courts of Wingfield: the whole story on one page.

read      every account's listing, mapped as it comes                   sync/reader.py, directory.py, mapping.py
drift     what somebody else did in Wingfield; at first, all it has     sync/drift.py, planning/drift.py
look up   whatever is bridged and no longer listed, by its id           sync/deletions.py
guard     too many deletes are withheld, mass changes wait              planning/deletes.py, planning/mass.py
plan      what to write, in which order                                 sync/plan.py, planning/
execute   intent, request, outcome                                      sync/executor.py
settle    what was rejected, or lost its answer, is planned again       sync/settle.py
drift     a look past the writes, or at all; what it finds goes round   sync/drift.py
record    watermarks, what is held, the counts: one transaction         sync/record.py, ledger/
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from time import monotonic

from bridge.config.schema import Config, mapping_fingerprint
from bridge.ledger.store import Ledger
from bridge.model import to_ms
from bridge.planning import near
from bridge.planning.drift import Mark
from bridge.planning.memory import Memory
from bridge.planning.reading import Reading
from bridge.sync import clock, drift, record, settle
from bridge.sync.clients import Clients
from bridge.sync.deletions import decide_deletes, keep_withheld
from bridge.sync.directory import Directory
from bridge.sync.executor import Executor
from bridge.sync.narrator import LogNarrator
from bridge.sync.plan import Plans
from bridge.sync.reader import Reader
from bridge.sync.result import Extent, Pass, PassResult

EVERYTHING = Extent()
ROUNDS = 4  # How often a pass may plan; the second time nearly always ends it.


class Synchronizer:
    """Runs passes between Launch27 and Wingfield, one at a time. ``clock`` returns an aware datetime."""

    def __init__(
        self,
        config: Config,
        clients: Clients,
        ledger: Ledger,
        narrator: LogNarrator,
        *,
        clock: Callable[[], datetime],
        stop: asyncio.Event,
    ) -> None:
        self.config, self.clients, self.ledger, self.narrator, self.stop = config, clients, ledger, narrator, stop
        self.directory = Directory(clients.wingfield, ledger, config.wingfield)
        self.reader = Reader(clients, self.directory, config, stop)
        self.fingerprint = mapping_fingerprint(config)
        self._now_ms: Callable[[], int] = lambda: to_ms(clock())
        self.plans = Plans(clients.wingfield, ledger)

    async def run_pass(
        self, extent: Extent = EVERYTHING, *, allow_mass_delete: bool = False, dry_run: bool = False
    ) -> PassResult:
        """Run one pass and return how it went.

        With a new ledger every pass is full; one that is to read only hinted bookings lists after all where these leave
        something open. With ``dry_run`` nothing is written to Wingfield (give a ledger that is a snapshot). Raises
        StateError when the ledger cannot be used; a service's trouble is in the result.
        """
        self.narrator.pass_started()
        this = await self._prepare(self.begin(extent), is_allowed=allow_mass_delete)
        if this.extent.only_hinted and (this.troubles() or this.not_asked or self.plans.leaves_something(this)):
            longer, longer.reading.memory = self.begin(replace(extent, only_hinted=False)), this.reading.memory
            this = await self._prepare(longer, is_allowed=allow_mass_delete)
        await self._write(this, dry_run=dry_run)
        how = self.clients.wingfield, self.ledger, self.config.sync, self.narrator
        if not self.stop.is_set() and await drift.look_after_writes(this, *how):
            await self._plan(this, is_allowed=allow_mass_delete)
            await self._write(this, dry_run=dry_run)
        for id_, count in this.reading.skipped.items():
            self.narrator.participants_skipped(id_, count)
        keep_withheld(this)
        self.plans.end(this)
        self.reader.end()
        result = record.finish(self.ledger, this, self.narrator, is_stopping=self.stop.is_set())
        self.narrator.pass_finished(result)
        return result

    def begin(self, extent: Extent) -> Pass:
        """Return a pass that has read nothing yet; with a new ledger it is full."""
        ledger, began = self.ledger, (self._now_ms(), monotonic(), self.fingerprint)
        watermarks = {mark.account: mark for mark in ledger.watermarks()}
        accounts = tuple(account.key for account in self.config.launch27.accounts)
        reading, mark, held = Reading(accounts, memory=ledger.recall(Memory)), ledger.recall(Mark), ledger.held()
        extent = extent if ledger.is_adopted else replace(extent, kind="full", only_hinted=False)
        return Pass(*began, ledger.known, held, ledger.withheld, watermarks, reading, extent, mark=mark)

    async def _prepare(self, this: Pass, *, is_allowed: bool) -> Pass:
        """Read and, where the pass may go on, plan what to write."""
        if await self._read(this):
            await self._plan(this, is_allowed=is_allowed)
        return this

    async def _read(self, this: Pass) -> bool:
        """Read every account's listing, mapped as it comes; a full pass meanwhile looks at what Wingfield has.

        Returns whether the pass may go on. Where this machine's clock is wrong, nothing that was read counts.
        """
        before, is_near = this.reading, this.kind == "near"
        looking = asyncio.create_task(drift.look(this, self.clients.wingfield, whole=not self.ledger.is_adopted))
        try:
            this.reading = await self.reader.read(this)
            look = await looking
        finally:
            looking.cancel()
        if not clock.is_right(this, self.clients):
            this.reading = before
            return False
        this.scope = near.in_days(this.known, this.reading.days) if is_near else this.known.keys()
        for error in this.reading.errors:
            this.note(error)
        if look is not None:
            drift.take(this, look, self.ledger, self.config.sync, self.narrator)
        return self.ledger.is_adopted

    async def _plan(self, this: Pass, *, is_allowed: bool) -> None:
        limits, progress = self.config.sync, self.narrator.asking
        await decide_deletes(this, self.reader, self.ledger, limits, progress, is_allowed=is_allowed)
        await self.plans.make(this)

    async def _write(self, this: Pass, *, dry_run: bool) -> None:
        self.narrator.planned(len(this.planned))
        if dry_run:
            for write in this.plan.writes:
                this.tally.acknowledged(write)
        else:
            await self.execute(this)
            self.directory.deny(this.denied, this.now_ms)

    async def execute(self, this: Pass) -> None:
        """Execute the plan; where a rejection or a cycle has changed what is possible, plan again."""
        how = self.config.wingfield.concurrency, self.fingerprint, self._now_ms, self.stop
        executor = Executor(self.clients.wingfield, self.ledger, self.narrator, this, *how)
        if this.deletions:
            self.ledger.save([entry for entry in this.let_through if entry.id in this.deletions])
        for _ in range(ROUNDS):
            if not this.plan.writes:
                return
            await executor.run(this.plan)
            if not await settle.is_worth_another_round(this, executor):
                return
            this.deletions = {}
            this.tally.not_sent = set()
            await self.plans.make_again(this)
