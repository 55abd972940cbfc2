"""Plans what a pass writes; a near pass leaves to a full one what it cannot decide alone.

The plan itself is made in ``planning/``, in a thread: thousands of bookings may take seconds.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bridge.ledger.store import Ledger
from bridge.planning import mass, near
from bridge.planning.planner import make_plan
from bridge.planning.situation import FOREIGN, Situation
from bridge.sync import settle
from bridge.sync.result import Pass
from bridge.wingfield.client import Wingfield


class Plans:
    """Makes the plans of one pass after another. It remembers what waited, and what was left to full passes."""

    def __init__(self, wingfield: Wingfield, ledger: Ledger) -> None:
        self._wingfield, self._ledger = wingfield, ledger
        self._waiting: set[str] = set()
        self._left: set[near.Content] = set()

    async def make(self, this: Pass) -> None:
        """Work out what to write, in which order; a mass change waits for its second sighting."""
        withdrawn = this.reading.no_court & this.deletions.keys()
        before = self._waiting if this.kind == "near" else set[str]()
        this.waiting = mass.waiting(
            this.reading.desired, withdrawn, this.known, this.bridged, this.config, this.now_ms, before
        )
        self._waiting = this.waiting | (before - this.reading.owners.keys())
        this.needs_full |= this.kind == "near" and not this.deletions.keys() >= {*this.approved}
        done = this.waiting | this.tally.rejected.keys() | this.tally.unanswered
        this.deletions = {id_: each for id_, each in this.deletions.items() if id_ not in done}
        await self.make_again(this)
        if await settle.read_back_doubtful(this, self._wingfield, self._ledger):
            await self.make_again(this)
        this.planned = this.plan.writes

    async def make_again(self, this: Pass) -> None:
        """Plan by what is known now. What failed in this pass stays where it is."""
        stuck = dict.fromkeys((*this.tally.rejected, *this.tally.unanswered), FOREIGN)
        out = this.waiting | (self._leave_unread(this) if this.kind == "near" else set())
        desired = {id_: booking for id_, booking in this.reading.desired.items() if id_ not in out}
        drifted = {finding.id for finding in this.drift or ()}
        situation = Situation(desired, dict(this.known), this.deletions, this.config, this.now_ms, stuck, drifted)
        this.plan = await asyncio.to_thread(make_plan, situation)
        if this.kind == "near":
            self._leave_blocked(this)

    def leaves_something(self, this: Pass) -> bool:
        """Whether the pass leaves to a longer one what no pass has left before."""
        return not this.left <= self._left

    def end(self, this: Pass) -> None:
        """Find out whether the pass leaves something new to a full one."""
        this.needs_full |= self.leaves_something(this)
        self._left |= this.left

    def _leave_unread(self, this: Pass) -> set[str]:
        """Leave to a full pass what is unfinished and not read; return the bookings of cycles that this concerns."""
        read = this.read
        in_cycles = near.of_open_cycles(this.known, this.reading.desired.keys() | this.deletions.keys())
        unfinished = {id_ for id_, known in this.known.items() if known.unsettled and id_ not in read}
        this.left.update(near.content_of(this.known[id_]) for id_ in unfinished | in_cycles)
        this.undecided = in_cycles & this.reading.desired.keys()
        return in_cycles

    def _leave_blocked(self, this: Pass) -> None:
        """Leave to a full pass what is blocked by a booking that may want to move; what stays blocked then is held."""
        read = this.read - this.undecided
        for id_, other in near.blocked_by_unread(this.plan.blocked, read).items():
            content = (id_, this.reading.desired[id_].fingerprint, *near.content_of(this.known[other]))
            this.left.add(content)
            if content not in self._left:
                this.undecided.add(id_)
        this.plan = replace(this.plan, held=tuple(each for each in this.plan.held if each.id not in this.undecided))
