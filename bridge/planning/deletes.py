"""The rule about deletes, all of it, pure: what may be deleted in Wingfield, and what keeps it.

A bridged booking that is in no listing of this pass:

    what is known                                             what is done
    --------------------------------------------------------  ---------------------------------------------
    its last known end lies before the window's first day     history: forgotten, not deleted
    the listing of its account is incomplete (of any account, left alone
    where its own is unknown or has left the configuration)
    it stands beyond the window, and was asked for today      left alone
    else                                                      asked for by its id:
      active                                                  kept in step
      cancelled, not found, no access                         deleted
      any other answer                                        left alone

A bridged booking that is listed, but is no court booking any more (no court, or two): deleted.

Then the guard looks at all the deletes together: more than both limits, or an entirely empty listing, and
none of them is sent.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from bridge.model import Known

DAY_MS = 86_400_000
ANSWER_LASTS_MS = 3_600_000
"""While deletes are withheld, who was found gone is asked for again once an hour, not in every pass."""
EMPTY_LISTING_FROM = 3
"""From so many bridged bookings on, an entirely empty listing is not believed."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What this pass read: which accounts' listings are complete, and the window, in milliseconds.

    The window is [first_ms, end_ms). ``is_empty`` when nothing at all was listed, in all accounts together.
    """

    complete: frozenset[str]
    configured: tuple[str, ...]
    first_ms: int
    end_ms: int
    is_empty: bool

    @property
    def is_complete(self) -> bool:
        """Whether every account's listing was read to its end."""
        return self.complete.issuperset(self.configured)


class Fate(enum.Enum):
    """What becomes of a known booking that is not listed."""

    FORGET = enum.auto()
    LEAVE = enum.auto()
    ASK = enum.auto()


def fate(known: Known, listed: Listed, now_ms: int) -> Fate:
    """Return what is done about a known booking that is in no listing (the table above)."""
    if known.last_end_ms and known.last_end_ms <= listed.first_ms and not known.is_taken_out:
        return Fate.FORGET
    owner_is_read = (
        known.account in listed.complete if known.account in listed.configured else listed.is_complete
    )
    if not owner_is_read:
        return Fate.LEAVE
    if not known.is_bridged and not known.is_taken_out:
        return Fate.LEAVE if known.acked_version_ms else Fate.FORGET
    if known.gone_ms is None and _is_beyond(known, listed) and _asked_within(known, DAY_MS, now_ms):
        return Fate.LEAVE
    return Fate.ASK


def _is_beyond(known: Known, listed: Listed) -> bool:
    start_ms = known.start_ms
    return start_ms is not None and not known.unsettled and not listed.first_ms <= start_ms < listed.end_ms


def _asked_within(known: Known, period_ms: int, now_ms: int) -> bool:
    return known.asked_ms is not None and 0 <= now_ms - known.asked_ms < period_ms


def whom_to_ask(known: Known, listed: Listed) -> tuple[str, ...]:
    """Return the accounts that may know this booking: its own, or all, where that is unknown or has left."""
    return (known.account,) if known.account in listed.configured else listed.configured


def was_found_gone_lately(known: Known, now_ms: int) -> bool:
    """Whether it was found gone so lately that it need not be asked for only to be withheld again."""
    return known.gone_ms is not None and _asked_within(known, ANSWER_LASTS_MS, now_ms)


@dataclass(frozen=True, slots=True)
class Guard:
    """The limits of one pass; ``allowed`` when a person lets this one pass through."""

    max_count: int
    max_fraction: float
    allowed: bool = False

    def objection(self, deletes: int, bridged: int, *, listing_is_empty: bool) -> str | None:
        """Return why so many deletes must not be sent, in words; None if they may.

        ``bridged`` is the number of bookings that Wingfield has from us.
        """
        if not deletes or self.allowed:
            return None
        if listing_is_empty and bridged >= EMPTY_LISTING_FROM:
            return f"the listing is entirely empty, and {bridged} bookings are bridged"
        if deletes > self.max_count and deletes > self.max_fraction * bridged:
            limits = f"max_delete_count = {self.max_count} and max_delete_fraction = {self.max_fraction:g}"
            return f"{deletes} of {bridged} bookings are more than both {limits}"
        return None


def decided_before(known: Known) -> bool:
    """Whether its delete passed the guard in an earlier pass, or may have been sent already."""
    return bool(known.allowed) or any(written.slot is None for written in known.unsettled)
