"""The courts of some hours as a picture: which booking is on which court, and how it stands. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple

from bridge.model import Held, Known, Slot, to_ms

STATES = ("in_sync", "pending", "held", "withheld")


class Bar(NamedTuple):
    """A booking on a court, in UTC; where nothing says how long it is, it ends where it starts.

    ``state`` is one of STATES.
    """

    start: datetime
    end: datetime
    id: str
    state: str


def bars(
    known: Iterable[Known], held: Collection[Held], withheld: Collection[str], first: datetime, last: datetime
) -> dict[str, list[Bar]]:
    """Return, by court id, what is on the courts between two moments, in the order of the starts.

    A held booking is both where it stands and where it wants to; one that wants no court that is known is under "".
    """
    held_ids = {each.id for each in held}
    first_ms, last_ms, found = to_ms(first), to_ms(last), list[tuple[Slot, str, str]]()
    for each in known:
        # Whether it may stand there at all is found out without making a slot of each.
        is_near = each.start_ms is not None and each.start_ms < last_ms and (each.end_ms or 0) >= first_ms
        if each.unsettled or is_near:
            found += [(slot, each.id, state(each, held_ids, withheld)) for slot in each.places]
    found += [(each.slot, each.id, "held") for each in held if each.slot is not None]
    courts: dict[str, set[Bar]] = {}
    for slot, id_, how in found:
        if slot.start < last and (slot.end > first or slot.start >= first):
            courts.setdefault(slot.court_id, set()).add(Bar(slot.start, slot.end, id_, how))
    return {court_id: sorted(courts[court_id]) for court_id in sorted(courts)}


def state(known: Known, held: Collection[str], withheld: Collection[str]) -> str:
    """Return how a booking that is bridged stands, as one of STATES; ``held`` and ``withheld`` are ids."""
    if known.id in withheld:
        return "withheld"
    if known.id in held:
        return "held"
    is_in_sync = known.gone_ms is None and known.stands_as(known.seen_fingerprint)
    return "in_sync" if is_in_sync else "pending"
