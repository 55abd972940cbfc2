"""The words of the domain. Everything here is frozen, and nothing here does I/O or asks for the time.

Instants are timezone-aware :class:`~datetime.datetime` in UTC. A *version* is what Wingfield calls
``externalUpdatedAt``; it is kept as whole milliseconds since 1970 (``…_ms``), because the rule about
versions is counted in milliseconds.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_ms(instant: datetime) -> int:
    """Return whole milliseconds since 1970 of an aware datetime, rounded down."""
    return (instant - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """Return the UTC datetime of milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def isoformat(instant: datetime) -> str:
    """Return e.g. ``2026-11-20T09:00:00Z``; milliseconds only where there are any."""
    text = instant.astimezone(UTC).replace(tzinfo=None)
    return text.isoformat(timespec="milliseconds" if text.microsecond else "seconds") + "Z"


class Reason(enum.StrEnum):
    """Why the bridge itself holds a booking back. Wingfield's own error types stand beside these."""

    INVALID_BOOKING = "invalid_booking"
    NO_DURATION = "no_duration"
    NO_PARTICIPANT = "no_participant"
    AMBIGUOUS_COURT = "ambiguous_court"
    OVERLAP = "court_booking_overlap"


WITHDRAWING = frozenset({Reason.AMBIGUOUS_COURT})
"""Reasons to hold a booking back that also take it out of Wingfield."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One court for the half-open interval [start, end), in UTC."""

    court_id: str
    start: datetime
    end: datetime

    def overlaps(self, other: Slot) -> bool:
        """Whether both want the court at some moment; touching ends do not count.

        Source: Wingfield, Upsert court booking ("court_booking_overlap").
        """
        return self.court_id == other.court_id and self.start < other.end and other.start < self.end

    def __str__(self) -> str:
        return f"{self.court_id} {isoformat(self.start)}/{isoformat(self.end)}"


def fingerprint(slot: Slot, participants: Iterable[str]) -> bytes:
    """Return 16 bytes that differ when what Wingfield is sent differs (the version left out)."""
    start, end = to_ms(slot.start), to_ms(slot.end)
    text = "\n".join((slot.court_id, str(start), str(end), *participants))
    return blake2b(text.encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class CourtBooking:
    """What Wingfield should have for one Launch27 booking.

    ``id`` is the Launch27 id; ``participants`` are one to four e-mail addresses;
    ``source_updated_at`` is the source's modification time in UTC, where it has one.
    """

    id: str
    slot: Slot
    participants: tuple[str, ...]
    source_updated_at: datetime | None
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """A booking that is held back, and why; ``detail`` is the bridge's own sentence."""

    id: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class NoCourt:
    """A booking that is no court booking; nothing is wrong with it."""

    id: str
