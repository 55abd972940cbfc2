"""All that a plan depends on, and the sentences about bookings that cannot have what they want. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.model import CourtBooking, Deletion, Held, Known, Reason, Slot, isoformat
from bridge.planning.refusals import MEANINGS

REJECTION_LASTS_MS = 3_600_000
"""What was rejected for its content is not sent again for an hour."""

FOREIGN = ""
"""Stands for the id of a booking that is not ours."""

_TRIED_EVERY_PASS = frozenset({Reason.OVERLAP, "stale_write", "version_conflict"})
"""Rejections that say nothing of the content: what stood in the way may be gone by the next pass."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What the source wants (``desired``), what the ledger knows, and which deletes may be sent.

    A known booking in neither ``desired`` nor ``deletions`` stays as it is. ``config`` is the fingerprint of
    the configuration. ``stuck`` are bookings that cannot have what they want now, each with the id of what is
    in the way.
    """

    desired: Mapping[str, CourtBooking]
    known: Mapping[str, Known]
    deletions: Mapping[str, Deletion]
    config: str
    now_ms: int
    stuck: Mapping[str, str] = field(default_factory=dict)

    def was_rejected(self, booking: CourtBooking) -> bool:
        """Whether Wingfield rejected this very content within the last hour."""
        known = self.known.get(booking.id)
        rejection = known.rejection if known else None
        return (
            rejection is not None
            and rejection.fingerprint == booking.fingerprint
            and rejection.config == self.config
            and 0 <= self.now_ms - rejection.at_ms < REJECTION_LASTS_MS
        )

    def lasting_rejection(self, booking: CourtBooking) -> Held | None:
        """Return why this content need not be sent again yet; an overlap may be over at any time."""
        known = self.known[booking.id]
        if known.rejection is None or known.rejection.reason in _TRIED_EVERY_PASS or known.unsettled:
            return None
        if not self.was_rejected(booking):
            return None
        reason = known.rejection.reason
        return Held(booking.id, reason, rejection_detail(reason, booking.slot), slot=booking.slot)


def rejection_detail(reason: str, slot: Slot) -> str:
    """Return the bridge's own sentence about a rejection by Wingfield."""
    if reason == Reason.OVERLAP:
        return f"court {slot.court_id} is taken from {isoformat(slot.start)} by a booking that is not ours"
    meaning = MEANINGS.get(reason, "change the booking or the configuration")
    again = "in every pass" if reason in _TRIED_EVERY_PASS else "in an hour"
    where = f"court {slot.court_id} at {isoformat(slot.start)}"
    return f"Wingfield rejected it for {where}: {meaning}; tried again {again}"


def overlap(booking: CourtBooking, blocker: str) -> Held:
    """Return why ``booking`` is held: its place is taken by ``blocker``, an id of ours or ``FOREIGN``."""
    detail = rejection_detail(Reason.OVERLAP, booking.slot)
    if blocker != FOREIGN:
        where = f"court {booking.slot.court_id} is taken from {isoformat(booking.slot.start)}"
        detail = f"{where} by booking {blocker}, which cannot move"
    return Held(booking.id, Reason.OVERLAP, detail, slot=booking.slot)
