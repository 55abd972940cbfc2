"""The rule about near passes, pure: what one that reads only some days leaves to a full one.

A booking that is listed or looked up is treated as in a full pass. Of any other:

    it stands, and may stand, only in the days read   vanished: what becomes of it is decided as in a full pass
    anything else                                     it stays where the ledger says, and keeps its court

What such a booking keeps a near pass from deciding is left to a full pass, which follows at once: a place that it
has and another one wants, a cycle of which it is a part, its own write without an answer, its approved delete. It
follows once for each content: what it could not change either is no reason for the next. A near pass that looks only
at hinted bookings has read no day, and lists the near ones itself where it would leave anything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bridge.model import Known, to_ms
from bridge.planning.planner import broken_cycles

Content = tuple[str | bytes, ...]
"""Tells apart what was left to a full pass: ids, and the contents that they have or want."""


def in_days(known: Mapping[str, Known], days: tuple[int, int] | None) -> set[str]:
    """Return the bookings that stand, or may stand, nowhere but in ``days``: a listing of these would have them."""
    first_ms, end_ms = days or (0, 0)
    return {
        id_
        for id_, each in known.items()
        if (each.start_ms is None or first_ms <= each.start_ms < end_ms)
        and (each.unsettled or each.start_ms is not None)
        and all(first_ms <= to_ms(lost.slot.start) < end_ms for lost in each.unsettled if lost.slot)
    }


def of_open_cycles(known: Mapping[str, Known], read: Collection[str]) -> set[str]:
    """Return the bookings of every broken cycle of which not all are ``read``."""
    cycles = broken_cycles(known)
    return {id_ for members in cycles if not all(each in read for each in members) for id_ in members}


def blocked_by_unread(blocked: Mapping[str, str], read: Collection[str]) -> dict[str, str]:
    """Return those ``blocked``, at first or second hand, by a booking of ours that is not ``read``; with its id."""
    found = {}
    for id_ in blocked:
        passed, other = {id_}, blocked[id_]
        while other in blocked and other not in passed:
            passed.add(other)
            other = blocked[other]
        if other and other not in read and other not in passed:
            found[id_] = other
    return found


def content_of(known: Known) -> Content:
    """Return what tells apart all that a booking is, or may be, in Wingfield."""
    return known.id, known.acked_fingerprint, *(lost.fingerprint for lost in known.unsettled)
