"""How each court booking stands, and which of them a day's courts have. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from bridge.model import Known, Slot, to_ms

STATES = ("in_sync", "pending", "held", "withheld")


class Bar(NamedTuple):
    """A booking at its court: its Launch27 id, its slot, and one of STATES."""

    id: str
    slot: Slot
    state: str


def state(known: Known, held: Collection[str], withheld: Collection[str]) -> str:
    """Return how a bridged booking stands; ``held`` and ``withheld`` are ids."""
    if known.id in withheld:
        return "withheld"
    if known.id in held:
        return "held"
    is_pending = known.unsettled or known.failures or known.gone_ms or known.seen_fingerprint != known.acked_fingerprint
    return "pending" if is_pending else "in_sync"


def bars(
    known: Iterable[Known], held: Collection[str], withheld: Collection[str], first: datetime, end: datetime
) -> Iterator[Bar]:
    """Yield what stands in Wingfield, or may, at some moment of [first, end); both are aware datetimes."""
    first_ms, end_ms = to_ms(first), to_ms(end)
    for each in known:
        if not each.unsettled and not (
            each.start_ms and each.end_ms and each.start_ms < end_ms and each.end_ms > first_ms
        ):
            continue
        slot = each.places[-1] if each.places else None
        if slot and slot.start < end and slot.end > first:
            yield Bar(each.id, slot, state(each, held, withheld))
