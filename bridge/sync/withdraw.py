"""Takes back from Wingfield what was brought there, because a person says so."""

from __future__ import annotations

from collections.abc import Collection

from bridge.planning.situation import Deletion
from bridge.sync.result import Extent, Pass
from bridge.sync.run import Synchronizer

WITHDRAWN = "withdrawn by a person"


async def withdraw(bridge: Synchronizer, ids: Collection[str]) -> Pass:
    """Delete these bookings in Wingfield, and return what came of it.

    A later pass creates again what Launch27 still has. Raises StateError when the ledger cannot be used.
    """
    this = bridge.begin(Extent())
    this.deletions = {id_: Deletion(id_, WITHDRAWN, this.now_ms) for id_ in ids}
    await bridge.plans.make_again(this)
    bridge.narrator.planned(len(this.plan.writes))
    await bridge.execute(this)
    return this
