"""Finds out where lost answers, rejections and broken cycles have left bookings, so that planning goes on."""

from __future__ import annotations

from bridge.errors import ServiceError
from bridge.ledger.entry import Ending, Outcome
from bridge.ledger.store import Ledger
from bridge.sync.executor import Executor, is_there, nothing
from bridge.sync.result import Pass
from bridge.wingfield.client import Wingfield


async def read_back_doubtful(this: Pass, wingfield: Wingfield, ledger: Ledger) -> bool:
    """Read back the bookings whose last answer is missing and that the plan does not write, as far as it could.

    Otherwise a booking that was perhaps never created would keep others from its place for as long as it is
    held. Returns whether anything was learnt.
    """
    unsettled = [each for each in this.known.values() if each.unsettled]
    concerned = this.read - {write.id for write in this.plan.writes} if unsettled else ()
    doubtful = [each for each in unsettled if each.id in concerned]
    for known in doubtful:
        try:
            stored = await wingfield.read(known.id, court=known.court_id)
        except ServiceError as error:
            this.note(error, known.id)
            this.tally.unanswered.add(known.id)
        else:
            ledger.record([], [stored or nothing(known.id, known.highest_ms)], this.now_ms)
    return bool(doubtful)


async def is_worth_another_round(this: Pass, executor: Executor) -> bool:
    """Whether to plan again: a rejection left writes unsent, or a cycle was broken and something is held.

    What is temporarily deleted must not stay so: then it is found out first where its cycle stands.
    """
    if executor.is_over or executor.wingfield.is_down:
        return False
    if any(known.is_temporarily_deleted for known in this.known.values()):
        return await _read_back_cycles(this, executor)
    broke_a_cycle = any(write.is_temporary for write in this.plan.writes)
    has_changed = executor.was_rejected and this.tally.not_sent
    return bool(has_changed or (broke_a_cycle and this.plan.held)) and not executor.stop.is_set()


async def _read_back_cycles(this: Pass, executor: Executor) -> bool:
    """Read back those of a broken cycle whose answer is missing; return whether all could be."""
    writes = {write.id: write for write in this.plan.writes if not write.is_temporary}
    for id_ in list(this.tally.unanswered):
        if this.known[id_].cycle is None or id_ not in writes:
            continue
        write = writes[id_]
        try:
            stored = await executor.wingfield.read(id_, finishing=True)
        except ServiceError as error:
            this.note(error, id_)
            return False
        if stored is not None and is_there(write, stored) and stored.version_ms == write.version_ms:
            executor.ledger.record([], [Outcome(write, Ending.ACKNOWLEDGED)], this.now_ms)
            this.tally.acknowledged(write)
        else:
            executor.ledger.record([], [stored or nothing(id_, write.version_ms)], this.now_ms)
    return True
