"""The words of the domain. Everything here is frozen, and nothing here does I/O or asks for the time.

Instants are timezone-aware datetimes in UTC. A *version* is what Wingfield calls ``externalUpdatedAt``; it is kept as
whole milliseconds since 1970 (``…_ms``), because the rule about versions is counted in milliseconds.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Literal, NamedTuple

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
Kind = Literal["full", "near"]  # a pass reads the whole window, or only the next days of it

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LAST_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND


def to_ms(instant: datetime) -> int:
    """Return whole milliseconds since 1970 of an aware datetime, rounded down."""
    return (instant - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """Return the UTC datetime of milliseconds since 1970; the last there is for all that lies beyond it.

    Nothing can be written above a version of the year 9999: Wingfield then says ``version_conflict``.
    """
    return _EPOCH + timedelta(milliseconds=min(milliseconds, _LAST_MS))


def isoformat(instant: datetime) -> str:
    """Return e.g. ``2026-11-20T09:00:00Z``; milliseconds only where there are any."""
    text = instant.astimezone(UTC).replace(tzinfo=None)
    return text.isoformat(timespec="milliseconds" if text.microsecond else "seconds") + "Z"


class Reason(enum.StrEnum):
    """Why the bridge itself holds a booking. Wingfield's own error types stand beside these.

    ``NO_COURT`` holds nothing: such a booking is no court booking, and is counted as ignored.
    """

    INVALID_BOOKING = "invalid_booking"
    NO_COURT = "no_court"
    NO_DURATION = "no_duration"
    NO_PARTICIPANT = "no_participant"
    AMBIGUOUS_COURT = "ambiguous_court"
    OVERLAP = "court_booking_overlap"
    NO_ANSWER = "no_answer"
    DRIFT = "drift"


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

    @classmethod
    def of_row(cls, court_id: str | None, start_ms: int | None, end_ms: int | None) -> Slot | None:
        """Return the slot of the three columns it is stored in; None unless all are known."""
        if court_id is None or start_ms is None or end_ms is None:
            return None
        return cls(court_id, from_ms(start_ms), from_ms(end_ms))

    @property
    def row(self) -> tuple[str, int, int]:
        """The three columns it is stored in: the court's id, and milliseconds since 1970."""
        return self.court_id, to_ms(self.start), to_ms(self.end)


def fingerprint(slot: Slot, participants: Iterable[str]) -> bytes:
    """Return 16 bytes that differ when what Wingfield is sent differs (the version left out)."""
    text = "\n".join((*map(str, slot.row), *participants))
    return blake2b(text.encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class CourtBooking:
    """What Wingfield should have for one Launch27 booking.

    ``id`` is the Launch27 id; ``participants`` are one to four e-mail addresses or users ("user:" and the id);
    ``source_updated_at`` is the source's modification time in UTC, where it has one. ``addresses`` is what they
    are without users, for when Wingfield denies one; empty where no user is named.
    """

    id: str
    slot: Slot
    participants: tuple[str, ...] = field(repr=False)
    source_updated_at: datetime | None
    fingerprint: bytes
    addresses: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Held:
    """A booking that is not bridged, and why; ``detail`` is the bridge's own sentence.

    ``since_ms`` is when that began, in milliseconds since 1970; 0 where nobody has looked it up yet. ``slot`` is where
    it wants to stand, as far as that is known: without a court it is "", without a length it ends where it starts.
    """

    id: str
    reason: str
    detail: str
    since_ms: int = 0
    slot: Slot | None = None
    service_id: int | None = None


ABSENT = b""  # the fingerprint of a booking that Wingfield does not have (any more)


@dataclass(frozen=True, slots=True)
class Stored:
    """One state of a booking in Wingfield: as it was read there, or as a lost write may have left it.

    ``id`` is the Launch27 id, "" for a court booking whose key is not ours. Nothing is there when ``slot`` is
    None; ``fingerprint`` is then ``ABSENT``. ``participants`` are named as in a ``CourtBooking``, in Wingfield's
    order, by both names where there are two (with a space between); None where they are not known. ``why`` is that of
    the lost write. The last two are Wingfield's own times, 0 where it did not say.
    """

    id: str
    version_ms: int
    fingerprint: bytes
    slot: Slot | None
    participants: tuple[str, ...] | None = field(default=None, repr=False)
    why: str = ""
    updated_ms: int = field(default=0, compare=False)
    created_ms: int = field(default=0, compare=False)

    def has(self, slot: Slot, participants: Iterable[str]) -> bool:
        """Whether it has this content, in whatever order the participants are named."""
        if self.participants is None or self.slot != slot:
            return False
        found, wanted = [each.split() for each in self.participants], set(participants)
        return len(found) == len(wanted) and all(any(each in names for names in found) for each in wanted)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Content that is not sent: Wingfield rejected it lately, or (``drift``) what is there instead is only reported."""

    fingerprint: bytes
    reason: str
    config: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class CyclePlace:
    """Where a booking stood before a cycle of moves was cut, and whether it is the one deleted for that."""

    cycle: int
    slot: Slot
    is_deleted: bool


class Known(NamedTuple):
    """What the ledger knows of one booking: one row of it, in the order of its columns.

    ``acked_*`` is what Wingfield last answered, ``intended_*`` what was last sent or is about to be.
    They differ while an answer is missing, and after a rejection. ``court_id`` to ``end_ms`` are its last
    acknowledged slot; a deleted booking keeps them, so that it can become history.

    ``gone_ms`` is when it was found gone, ``doubted_ms`` when it was first said to be in an odd shape, and
    ``looked_up_ms`` when it was last asked for. ``allowed_ms`` is when its delete passed the guard (0: never),
    ``is_approved`` whether by a person's word. ``failures`` counts the passes in a row in which its write got
    no answer. ``config`` is the fingerprint of the configuration under which it was last in sync.
    """

    id: str
    account: str
    acked_version_ms: int | None
    acked_fingerprint: bytes
    court_id: str | None
    start_ms: int | None
    end_ms: int | None
    intended_version_ms: int | None
    intended_fingerprint: bytes
    seen_fingerprint: bytes
    seen_ms: int
    gone_ms: int | None = None
    looked_up_ms: int | None = None
    doubted_ms: int | None = None
    allowed_ms: int = 0
    is_approved: int = 0
    failures: int = 0
    config: str = ""
    unsettled: tuple[Stored, ...] = ()
    rejection: Rejection | None = None
    cycle: CyclePlace | None = None

    @property
    def highest_ms(self) -> int:
        """The highest version that Wingfield has, or may have, for this booking; 0 for none."""
        return max(self.acked_version_ms or 0, self.intended_version_ms or 0)

    @property
    def slot(self) -> Slot | None:
        """The slot it stands at, as far as Wingfield has answered."""
        return self.last_slot if self.acked_fingerprint else None

    @property
    def last_slot(self) -> Slot | None:
        """The last slot that Wingfield acknowledged, also when it was deleted since."""
        return Slot.of_row(self.court_id, self.start_ms, self.end_ms)

    @property
    def places(self) -> tuple[Slot, ...]:
        """Every slot it may stand at: the acknowledged one, and those whose answer is missing."""
        if not self.unsettled:
            slot = self.slot
            return () if slot is None else (slot,)
        slots = (self.slot, *(lost.slot for lost in self.unsettled))
        return tuple(dict.fromkeys(slot for slot in slots if slot is not None))

    @property
    def is_bridged(self) -> bool:
        return bool(self.acked_fingerprint) or any(lost.slot for lost in self.unsettled)

    @property
    def is_temporarily_deleted(self) -> bool:
        return self.cycle is not None and self.cycle.is_deleted

    @property
    def last_end_ms(self) -> int:
        """The latest end it is known by, in milliseconds since 1970; 0 when it never had one."""
        if not self.unsettled:
            return self.end_ms or 0
        ends = [to_ms(lost.slot.end) for lost in self.unsettled if lost.slot]
        return max([self.end_ms or 0, *ends])

    @property
    def drift(self) -> Rejection | None:
        """What somebody else changed in Wingfield, where that is reported and not repaired."""
        return self.rejection if self.rejection and self.rejection.reason == Reason.DRIFT else None

    def stands_as(self, content: bytes) -> bool:
        return self.acked_fingerprint == content and not self.unsettled


class Verb(enum.StrEnum):
    """What a write does in Wingfield."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Write:
    """One request to Wingfield, planned.

    ``slot`` is where the booking shall stand; for a delete, where it stood (if that is known).
    ``after`` are the indices, in the plan, of the writes that must have succeeded before.
    ``cycle`` is set for the writes of a cycle of moves; ``is_temporary`` marks the delete that breaks it,
    and ``places`` then are the old places of all of the cycle, to be remembered with that delete.
    ``sighted_ms`` is when this content was first seen in the source; 0 where it is not the source's.
    """

    verb: Verb
    id: str
    slot: Slot | None
    participants: tuple[str, ...] = field(repr=False)
    fingerprint: bytes
    version_ms: int
    why: str
    after: tuple[int, ...] = ()
    cycle: int | None = None
    is_temporary: bool = False
    places: tuple[tuple[str, Slot], ...] = ()
    sighted_ms: int = 0

    @property
    def stored(self) -> Stored:
        """The state this write leads to, if it is applied."""
        slot = None if self.verb is Verb.DELETE else self.slot
        return Stored(self.id, self.version_ms, self.fingerprint, slot, why=self.why)
