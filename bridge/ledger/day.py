"""How each court booking stands, and which of them the courts have at a time. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

from bridge.model import Known, Slot, to_ms

STATES = ("in_sync", "pending", "held", "withheld")


def state(known: Known, held: Collection[str], withheld: Collection[str]) -> str:
    """Return how a booking that is bridged stands, as one of STATES; ``held`` and ``withheld`` are ids."""
    if known.id in withheld:
        return "withheld"
    if known.id in held:
        return "held"
    is_pending = known.unsettled or known.failures or known.gone_ms or known.seen_fingerprint != known.acked_fingerprint
    return "pending" if is_pending else "in_sync"


def standing(known: Iterable[Known], first: datetime, end: datetime) -> Iterator[tuple[Known, Slot]]:
    """Yield what stands in Wingfield, or may, at some moment of [first, end), with its slot."""
    first_ms, end_ms = to_ms(first), to_ms(end)
    for each in known:
        is_there = each.start_ms and each.end_ms and each.start_ms < end_ms and each.end_ms > first_ms
        slot = each.places[-1] if (is_there or each.unsettled) and each.places else None
        if slot and slot.start < end and slot.end > first:
            yield each, slot
