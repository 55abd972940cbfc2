"""One pass, from the listings of Launch27 to the courts of Wingfield: the whole story on one page.

read      every account's listing, mapped as it comes                   sync/reader.py, mapping.py
drift     what somebody else did in Wingfield; at first, all it has     sync/drift.py, planning/drift.py
look up   whatever is bridged and no longer listed, by its id           sync/deletions.py
guard     too many deletes are withheld, mass changes wait              planning/deletes.py, planning/mass.py
plan      what to write, in which order                                 planning/
execute   intent, request, outcome                                      sync/executor.py
settle    what was rejected, or lost its answer, is planned again       sync/settle.py
drift     a look past the writes, or at all; what it finds goes round   sync/drift.py
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
from bridge.planning.drift import Mark
from bridge.planning.memory import Memory
from bridge.planning.planner import make_plan
from bridge.planning.reading import Reading
from bridge.planning.situation import FOREIGN, Situation
from bridge.sync import clock, drift, record, settle
from bridge.sync.clients import Clients
from bridge.sync.deletions import decide_deletes
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
        self.reader = Reader(clients.launch27, clients.sessions, config, stop)
        self.fingerprint = mapping_fingerprint(config)
        self._clock = clock

    async def run_pass(
        self, *, allow_mass_delete: bool = False, dry_run: bool = False, since_ms: int = 0
    ) -> PassResult:
        """Run one pass and return how it went.

        With ``dry_run`` nothing is written to Wingfield (give a ledger that is a snapshot). All of Wingfield's list is
        read where that was last done before ``since_ms`` (since 1970). Raises StateError when the ledger cannot be
        used; a service's trouble is in the result.
        """
        this = self._begin()
        self.narrator.pass_started()
        if await self._read(this):
            await self._write(this, is_allowed=allow_mass_delete, dry_run=dry_run)
            wingfield, limits = self.clients.wingfield, self.config.sync
            if not self.stop.is_set() and await drift.look_after_writes(
                this, wingfield, self.ledger, limits, self.narrator, since_ms
            ):
                await self._write(this, is_allowed=allow_mass_delete, dry_run=dry_run)
        result = record.finish(self.ledger, this, self.narrator, is_stopping=self.stop.is_set())
        self.narrator.pass_finished(result)
        return result

    def _begin(self) -> Pass:
        ledger = self.ledger
        watermarks = {mark.account: mark for mark in ledger.watermarks()}
        accounts = tuple(account.key for account in self.config.launch27.accounts)
        reading = Reading(accounts, memory=Memory.loads(ledger.memory))
        known, held, mark = ledger.known, ledger.held(), Mark.loads(ledger.mark)
        return Pass(self._now_ms(), monotonic(), self.fingerprint, known, held, watermarks, reading, mark=mark)

    def _now_ms(self) -> int:
        return to_ms(self._clock())

    async def _read(self, this: Pass) -> bool:
        """Read every account's listing, mapped as it comes; meanwhile, look at what Wingfield has.

        Returns whether the pass may go on. Where this machine's clock is wrong, nothing that was read counts.
        """
        before, is_adopted = this.reading, self.ledger.is_adopted
        asking = asyncio.create_task(drift.look(this, self.clients.wingfield, whole=not is_adopted))
        try:
            this.reading = await self.reader.read(from_ms(this.now_ms), this.watermarks, this.known, before.memory)
            look = await asking
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
        if look is not None:
            drift.take(this, look, self.ledger, self.config.sync, self.narrator)
        return self.ledger.is_adopted

    async def _write(self, this: Pass, *, is_allowed: bool, dry_run: bool) -> None:
        """Find out what is to be written, and write it."""
        limits, progress = self.config.sync, self.narrator.asking
        await decide_deletes(this, self.reader, self.ledger, limits, progress, is_allowed=is_allowed)
        await self._plan(this)
        if dry_run:
            this.tally.pretend(this.plan.writes)
        else:
            await self._execute(this)

    async def _plan(self, this: Pass) -> None:
        """Work out what to write, in which order; a mass change waits for its second sighting."""
        withdrawn = this.reading.no_court & this.deletions.keys()
        this.waiting = mass.waiting(this.reading.desired, withdrawn, this.known, this.bridged, this.config, this.now_ms)
        done = this.waiting | this.tally.rejected.keys() | this.tally.unanswered
        this.deletions = {id_: each for id_, each in this.deletions.items() if id_ not in done}
        await self._make_plan(this)
        if await settle.read_back_doubtful(this, self.clients.wingfield, self.ledger):
            await self._make_plan(this)
        this.planned = this.plan.writes
        self.narrator.planned(len(this.planned))

    async def _make_plan(self, this: Pass) -> None:
        """Plan in a thread: thousands of bookings may take seconds. What failed in this pass stays where it is."""
        stuck = dict.fromkeys((*this.tally.rejected, *this.tally.unanswered), FOREIGN)
        desired = {id_: booking for id_, booking in this.reading.desired.items() if id_ not in this.waiting}
        drifted = {finding.id for finding in this.drift or ()}
        situation = Situation(desired, dict(this.known), this.deletions, this.config, this.now_ms, stuck, drifted)
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
