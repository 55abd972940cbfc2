"""How one booking's entry changes: what is intended, and how it ended. Pure.

A write is an intent until its answer comes. An answer settles it and every earlier one of its booking. A
write that was rejected, or never sent, leaves nothing behind in Wingfield.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from bridge.model import ABSENT, CyclePlace, Known, Rejection, Slot, Stored, Verb, Write


class Ending(enum.Enum):
    """How one write ended."""

    ACKNOWLEDGED = enum.auto()
    REJECTED = enum.auto()
    UNANSWERED = enum.auto()
    NOT_SENT = enum.auto()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a write ended, to be stored; ``reason`` is Wingfield's error type, when it was rejected."""

    write: Write
    ending: Ending
    reason: str = ""
    config: str = ""
    at_ms: int = 0


def sighted(id_: str, known: Known | None, content: bytes, now_ms: int) -> Known:
    """Return the entry of a booking whose ``content`` is seen in the source; the first sight counts."""
    if known is None:
        return Known(id_, "", None, ABSENT, None, None, None, None, ABSENT, content, now_ms)
    if known.seen_fingerprint == content:
        return known
    return known._replace(seen_fingerprint=content, seen_ms=now_ms)


def adopted(stored: Stored, slot: Slot) -> Known:
    """Return the entry of a booking that Wingfield has: as acknowledged, and as if just sent."""
    state, (court_id, start_ms, end_ms) = (stored.version_ms, stored.fingerprint), slot.row
    return Known(stored.id, "", *state, court_id, start_ms, end_ms, *state, stored.fingerprint, stored.version_ms)


def found(known: Known | None, stored: Stored, reported: Rejection | None) -> Known | None:
    """Return the entry after Wingfield's list showed ``stored``; None for what is neither there nor known.

    It is looked up anew where it is no longer listed. ``reported`` holds it as it is.
    """
    if known is None:
        known = None if stored.slot is None else adopted(stored, stored.slot)
    else:
        known = read_back(known, stored)._replace(looked_up_ms=None)
    return known and known._replace(rejection=reported)


def approved(known: Known, at_ms: int) -> Known:
    """Return the entry after a person let its delete through, or the repair of what somebody else changed."""
    if known.drift is None:
        return known._replace(allowed_ms=at_ms, is_approved=1)
    is_extra = known.drift.fingerprint == ABSENT
    return known._replace(rejection=None, allowed_ms=at_ms * is_extra, is_approved=int(is_extra))


def intended(known: Known | None, write: Write) -> Known:
    """Return the entry with ``write`` about to be sent."""
    if known is None:
        known = sighted(write.id, None, ABSENT, write.sighted_ms)
    if write.sighted_ms:
        known = known._replace(seen_fingerprint=write.fingerprint, seen_ms=write.sighted_ms)
    others = (lost for lost in known.unsettled if lost.version_ms != write.version_ms)
    first = next((lost.why for lost in known.unsettled if lost.version_ms == write.version_ms), "")
    stored = replace(write.stored, why=first or write.why)  # sent again, it is still the same write
    unsettled = sorted((*others, stored), key=lambda lost: lost.version_ms)
    return known._replace(
        intended_version_ms=write.version_ms, intended_fingerprint=write.fingerprint, unsettled=tuple(unsettled)
    )


def in_cycle(known: Known, cycle: int, slot: Slot, *, is_cut: bool) -> Known:
    """Return the entry of a booking of a cycle that is about to be broken; it stood at ``slot``.

    The cycle is cut at this booking, or (``is_cut`` false) at another.
    """
    return known._replace(cycle=CyclePlace(cycle, slot, is_cut or known.is_temporarily_deleted))


def ended(known: Known, outcome: Outcome) -> Known:
    """Return the entry after a write has ended."""
    write = outcome.write
    match outcome.ending:
        case Ending.ACKNOWLEDGED:
            slot = None if write.verb is Verb.DELETE else write.slot
            known = _acknowledged(known, write.version_ms, write.fingerprint, slot)
            if write.is_temporary:
                return known
            is_detour = write.verb is not Verb.DELETE and not write.sighted_ms
            return _recreated(known if is_detour else known._replace(rejection=None))
        case Ending.UNANSWERED:
            return known
    unsettled = tuple(lost for lost in known.unsettled if lost.version_ms != write.version_ms)
    known = known._replace(unsettled=unsettled)
    if outcome.ending is Ending.REJECTED:
        rejection = Rejection(write.fingerprint, outcome.reason, outcome.config, outcome.at_ms)
        known = known._replace(rejection=rejection, failures=0)
    return _recreated(known) if write.is_temporary else known


def read_back(known: Known, stored: Stored) -> Known:
    """Return the entry after Wingfield was asked what it has: nothing is unsettled any more."""
    known = _acknowledged(known, stored.version_ms, stored.fingerprint, stored.slot)
    known = known._replace(unsettled=())
    return known if stored.slot is None else _recreated(known)


def _acknowledged(known: Known, version_ms: int, content: bytes, slot: Slot | None) -> Known:
    later = tuple(lost for lost in known.unsettled if lost.version_ms > version_ms)
    known = known._replace(failures=0, acked_version_ms=version_ms, acked_fingerprint=content, unsettled=later)
    if slot is None:
        return known  # it keeps its last place, so that it can become history
    court_id, start_ms, end_ms = slot.row
    return known._replace(court_id=court_id, start_ms=start_ms, end_ms=end_ms, allowed_ms=0, is_approved=0)


def _recreated(known: Known) -> Known:
    """Return the entry of a booking that stands in Wingfield again, or never left."""
    if known.cycle is None:
        return known
    return known._replace(cycle=CyclePlace(known.cycle.cycle, known.cycle.slot, is_deleted=False))
