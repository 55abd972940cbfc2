"""The rule about mass changes, pure: what an odd answer may have moved waits for the second sighting."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bridge.model import ABSENT, MINUTE_MS, CourtBooking, Known
from bridge.planning.deletes import is_caused_by_an_edit

MANY = 20


def waiting(
    desired: Mapping[str, CourtBooking],
    withdrawn: Collection[str],
    known: Mapping[str, Known],
    bridged: int,
    config: str,
    now_ms: int,
    before: Collection[str] = (),
) -> set[str]:
    """Return the bookings whose change waits: none, unless more than 20 and more than half of all change.

    ``bridged`` is how many there are. Changes are moves, other lengths, and court bookings that are none any more;
    what an edit of the configuration causes is no change of the source, and never waits. What was wanted a minute
    ago, and is wanted still, is done. Those that waited ``before`` wait in any case: a near pass sees not all of them.
    """
    wanted = {id_: booking.fingerprint for id_, booking in desired.items() if _moves(booking, known.get(id_))}
    wanted.update((id_, ABSENT) for id_ in withdrawn)
    wanted = {id_: content for id_, content in wanted.items() if not is_caused_by_an_edit(known[id_], config)}
    if len(wanted) <= MANY or 2 * len(wanted) <= bridged:
        wanted = {id_: content for id_, content in wanted.items() if id_ in before}
    seen = {id_ for id_, content in wanted.items() if known[id_].seen_fingerprint == content}
    return {id_ for id_ in wanted if id_ not in seen or 0 <= now_ms - known[id_].seen_ms < MINUTE_MS}


def _moves(booking: CourtBooking, known: Known | None) -> bool:
    if known is None or known.acked_fingerprint == booking.fingerprint:
        return False  # nearly always, and slots take time to make
    return known.slot is not None and known.slot != booking.slot
