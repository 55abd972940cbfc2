"""The rule about deletes, all of it, pure: what may be deleted in Wingfield, and what keeps it.

A bridged booking that is in no listing of this pass:

    what is known                                             what is done
    --------------------------------------------------------  ---------------------------------------------
    its last known end lies before the window's first day     history: forgotten, not deleted
    the listing of its account is incomplete (of any account, left alone
    where its own is unknown or has left the configuration)
    it stands beyond the window, and was looked up today      left alone
    else                                                      looked up by its id:
      active                                                  kept in sync
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
from bridge.planning.reading import Reading

DAY_MS = 86_400_000
ANSWER_LASTS_MS = 3_600_000
"""While deletes are withheld, a booking found gone is looked up again once an hour, not in every pass."""
EMPTY_LISTING_FROM = 3
"""From so many bridged bookings on, an entirely empty listing is not believed."""


class Fate(enum.Enum):
    """What becomes of a known booking that is not listed."""

    FORGET = enum.auto()
    LEAVE = enum.auto()
    LOOK_UP = enum.auto()


def fate(known: Known, reading: Reading, now_ms: int) -> Fate:
    """Return what is done about a known booking that is in no listing (the table above)."""
    if known.last_end_ms and known.last_end_ms <= reading.first_ms and not known.is_temporarily_deleted:
        return Fate.FORGET
    owner_is_read = known.account in reading.complete if known.account in reading.accounts else reading.is_complete
    if not owner_is_read:
        return Fate.LEAVE
    if not known.is_bridged and not known.is_temporarily_deleted:
        return Fate.LEAVE if known.acked_version_ms else Fate.FORGET
    if known.gone_ms is None and _is_beyond(known, reading) and _looked_up_within(known, DAY_MS, now_ms):
        return Fate.LEAVE
    return Fate.LOOK_UP


def _is_beyond(known: Known, reading: Reading) -> bool:
    start_ms = known.start_ms
    return start_ms is not None and not known.unsettled and not reading.first_ms <= start_ms < reading.end_ms


def _looked_up_within(known: Known, period_ms: int, now_ms: int) -> bool:
    return known.looked_up_ms is not None and 0 <= now_ms - known.looked_up_ms < period_ms


def accounts_to_ask(known: Known, reading: Reading) -> tuple[str, ...]:
    """Return the accounts that may know this booking: its own, or all, where that is unknown or has left."""
    return (known.account,) if known.account in reading.accounts else reading.accounts


def was_found_gone_lately(known: Known, now_ms: int) -> bool:
    """Whether it was found gone so lately that it need not be looked up only to be withheld again."""
    return known.gone_ms is not None and _looked_up_within(known, ANSWER_LASTS_MS, now_ms)


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
    return bool(known.allowed) or any(lost.slot is None for lost in known.unsettled)
