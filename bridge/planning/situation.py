"""All that a plan depends on, and the sentences about bookings that cannot have what they want. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from bridge.model import HOUR_MS, CourtBooking, Held, Known, Reason, Slot, fingerprint, isoformat
from bridge.planning.drift import differences
from bridge.planning.refusals import MEANINGS

REJECTION_LASTS_MS = HOUR_MS
"""What was rejected for its content is not sent again for an hour."""

FOREIGN = ""
"""Stands for the id of a booking that is not ours."""

_TRIED_EVERY_PASS = frozenset({Reason.OVERLAP, "stale_write", "version_conflict"})
"""Rejections that say nothing of the content: what stood in the way may be gone by the next pass."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """A booking that is to leave Wingfield: why, and the moment it was found gone."""

    id: str
    why: str
    found_ms: int


@dataclass(frozen=True, slots=True)
class Situation:
    """What the source wants (``desired``), what the ledger knows, and which deletes may be sent.

    A known booking in neither ``desired`` nor ``deletions`` stays as it is. ``config`` is the fingerprint of
    the configuration. ``stuck`` are bookings that cannot have what they want now, each with the id of what is
    in the way. ``drifted`` are those that somebody else changed in Wingfield.
    """

    desired: Mapping[str, CourtBooking]
    known: Mapping[str, Known]
    deletions: Mapping[str, Deletion]
    config: str
    now_ms: int
    stuck: Mapping[str, str] = field(default_factory=dict)
    drifted: Collection[str] = ()

    def was_rejected(self, booking: CourtBooking) -> bool:
        """Whether Wingfield rejected this very content within the last hour."""
        known = self.known.get(booking.id)
        if known is None or (rejection := known.rejection) is None:
            return False
        is_same = (rejection.fingerprint, rejection.config) == (booking.fingerprint, self.config)
        return is_same and 0 <= self.now_ms - rejection.at_ms < REJECTION_LASTS_MS

    def lasting_rejection(self, booking: CourtBooking) -> Held | None:
        """Return why this content need not be sent again yet; an overlap may be over at any time."""
        known = self.known[booking.id]
        if known.drift is not None:
            return _reported(known, booking) if known.drift.fingerprint == booking.fingerprint else None
        if known.rejection is None or known.unsettled or not self.was_rejected(booking):
            return None
        if (reason := known.rejection.reason) in _TRIED_EVERY_PASS:
            return None
        return Held(booking.id, reason, rejection_detail(reason, booking.slot), slot=booking.slot)


def _reported(known: Known, booking: CourtBooking) -> Held:
    """Return what somebody else changed in Wingfield."""
    if known.slot is None:
        return reported(known.id, "deleted in Wingfield")
    has_others = known.acked_fingerprint != fingerprint(known.slot, booking.participants)
    return reported(known.id, differences(booking.slot, known.slot, has_others=has_others))


def reported(id_: str, words: str) -> Held:
    """Return that drift is only reported; ``words`` say what differs."""
    return Held(id_, Reason.DRIFT, f"{words} by somebody else; courtbridge approve puts it right")


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
