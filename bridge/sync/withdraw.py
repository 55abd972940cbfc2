"""Takes back what the bridge brought to Wingfield: deletes that a person asked for, written as a pass writes.

Each is an intent in the ledger before its request leaves. After a kill in the middle, what was deleted is known as
deleted, and what may have been is settled by the next call, or by the next pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from time import monotonic

from bridge.config.schema import Config, mapping_fingerprint
from bridge.ledger.store import Ledger
from bridge.model import Deletion, Known
from bridge.planning.planner import make_plan
from bridge.planning.reading import Reading
from bridge.planning.situation import Situation
from bridge.sync import drift
from bridge.sync.executor import Executor
from bridge.sync.narrator import Narrator
from bridge.sync.result import Pass
from bridge.wingfield.client import Wingfield

WHY = "withdrawn by a person"


def withdrawable(known: Mapping[str, Known], court_id: str | None, now_ms: int) -> list[Known]:
    """Return what is, or may be, in Wingfield and is not over yet: of one court, or of all; the next comes first."""
    there = (each for each in known.values() if each.is_bridged and each.last_end_ms > now_ms)
    concerned = (each for each in there if not court_id or any(slot.court_id == court_id for slot in each.places))
    return sorted(concerned, key=lambda each: (min(slot.start for slot in each.places), each.id))


async def adopt(wingfield: Wingfield, ledger: Ledger) -> None:
    """Take Wingfield's list over into a new ledger, as a first pass does. Raises ServiceError, StateError."""
    found = await drift.read(wingfield, ledger.known)
    ledger.adopt(found.ours.values())


async def withdraw(
    ids: Collection[str],
    config: Config,
    wingfield: Wingfield,
    ledger: Ledger,
    narrator: Narrator,
    now_ms: Callable[[], int],
    stop: asyncio.Event,
) -> Pass:
    """Delete these bookings in Wingfield, and return what came of it. Raises StateError if the ledger fails.

    ``now_ms`` is the clock, in milliseconds since 1970; once ``stop`` is set, nothing new is sent.
    """
    began, content = now_ms(), mapping_fingerprint(config)
    this = Pass(began, monotonic(), content, ledger.known, [], (), {}, Reading(()))
    this.deletions = {id_: Deletion(id_, WHY, began) for id_ in ids}
    this.plan = make_plan(Situation({}, dict(this.known), this.deletions, content, began))
    narrator.planned(len(this.plan.writes))
    await Executor(wingfield, ledger, narrator, this, config.wingfield.concurrency, content, now_ms, stop).run(
        this.plan
    )
    return this
