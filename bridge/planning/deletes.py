"""The rule about deletes, all of it, pure: what may be deleted in Wingfield, and what keeps it.

A bridged booking that is in no listing of this pass:

    what is known                                             what is done
    --------------------------------------------------------  ---------------------------------------------
    its last known end lies before the window's first day     history: not deleted; forgotten after 30 days
    the listing of its account is incomplete (of any account, left alone
    where its own is unknown; of one that is waited for, where
    its own has left the configuration)
    it stands beyond the window, and was looked up today      left alone
    else                                                      looked up by its id, with every account:
      active for one of them                                  kept in sync
      cancelled, says any of them                             deleted
      not found, or no access, for all of them                deleted, if no listing is waited for
      any other answer                                        left alone

A bridged booking that is listed, but is no court booking any more: deleted. So is one that is only looked up
because of a hint, where an account that has it says that it is cancelled; any other answer waits for a full pass.

Then the guard looks at the deletes together. None is sent where they are more than both limits, where a listing
is entirely empty, or while the Launch27 account is frozen; what an edit of the configuration causes is sent only
with a person's word.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from bridge.model import DAY_MS, HOUR_MS, MINUTE_MS, Known
from bridge.planning.reading import Reading
from bridge.records import Watermark

HISTORY_MS = 30 * DAY_MS
"""A booking that is over is forgotten so long after its end: the clock may be wrong by days, and no longer."""
FROZEN = frozenset({"frozen", "sleep"})
"""States of a Launch27 account in which its listings prove nothing. Source: Launch27, ``GET /settings``."""
EMPTY_LISTING_FROM = 3
"""From so many bridged bookings on, an entirely empty listing is not believed."""


class Fate(enum.Enum):
    """What becomes of a known booking that is not listed."""

    FORGET = enum.auto()
    LEAVE = enum.auto()
    LOOK_UP = enum.auto()


def fate(known: Known, reading: Reading, waited: Collection[str], now_ms: int) -> Fate:
    """Return what is done about a known booking that is in no listing (the table above).

    ``waited`` are the accounts that are waited for.
    """
    if is_history(known, reading):
        return Fate.FORGET if known.last_end_ms <= reading.first_ms - HISTORY_MS else Fate.LEAVE
    is_owned = known.account in reading.accounts
    is_read = not waited if known.account else reading.is_complete
    if not (known.account in reading.complete if is_owned else is_read):
        return Fate.LEAVE
    if not known.is_bridged and not known.is_temporarily_deleted:
        return Fate.LEAVE if known.acked_version_ms else Fate.FORGET
    may_be_listed = known.start_ms is None or reading.first_ms <= known.start_ms < reading.end_ms
    is_beyond = known.gone_ms is None and not known.unsettled and not may_be_listed
    return Fate.LEAVE if is_beyond and _is_within(known.looked_up_ms, DAY_MS, now_ms) else Fate.LOOK_UP


def is_history(known: Known, reading: Reading) -> bool:
    """Whether it was over before the window began: it stays as it is, and counts for nothing."""
    return 0 < known.last_end_ms <= reading.first_ms and not known.is_temporarily_deleted


def bridged(known: Iterable[Known], reading: Reading) -> list[Known]:
    """Return what Wingfield has, history left out: so much could be changed or deleted."""
    return [each for each in known if each.is_bridged and not is_history(each, reading)]


def withdrawable(known: Mapping[str, Known], court_id: str | None, now_ms: int) -> list[Known]:
    """Return what may stand in Wingfield and is not over yet, on one court or on all, in the order of time.

    These a person may take back at any time, whatever the source says.
    """
    there = [each for each in known.values() if each.is_bridged and each.last_end_ms > now_ms]
    if court_id:
        there = [each for each in there if court_id.lower() in {slot.court_id for slot in each.places}]
    return sorted(there, key=lambda each: (each.places[0].start, each.id))


def _is_within(moment_ms: int | None, period_ms: int, now_ms: int) -> bool:
    return bool(moment_ms) and 0 <= now_ms - (moment_ms or 0) < period_ms


def accounts_to_ask(known: Known | None, reading: Reading) -> tuple[str, ...]:
    """Return all accounts, the booking's own first: it may have been handed to another one."""
    return tuple(sorted(reading.accounts, key=lambda account: not known or account != known.account))


def waited_for(reading: Reading, watermarks: Mapping[str, Watermark], now_ms: int) -> frozenset[str]:
    """Return the accounts whose incomplete listing might still have a booking that nobody else has.

    A listing that has failed for a day is no longer waited for.
    """
    incomplete = set(reading.accounts) - reading.complete
    since_ms = {account: mark.failing_since_ms for account, mark in watermarks.items()}
    return frozenset(each for each in incomplete if now_ms - (since_ms.get(each) or now_ms) < DAY_MS)


def is_believed(known: Known, now_ms: int) -> bool:
    """Whether "not found" in an odd shape is believed: it was said before, a minute ago or more."""
    return known.doubted_ms is not None and now_ms - known.doubted_ms >= MINUTE_MS


def was_found_gone_lately(known: Known, now_ms: int) -> bool:
    """Whether it was found gone so lately that it need not be looked up only to be withheld again."""
    is_recent = known.gone_ms is not None and _is_within(known.looked_up_ms, HOUR_MS, now_ms)
    return is_recent and not decided_before(known, now_ms)


def decided_before(known: Known, now_ms: int) -> bool:
    """Whether its delete passed the guard within 24 hours, or may have been sent already."""
    return _is_within(known.allowed_ms, DAY_MS, now_ms) or any(lost.slot is None for lost in known.unsettled)


def is_caused_by_an_edit(known: Known, config: str) -> bool:
    """Whether the configuration is another one than that under which the booking was last in sync."""
    return bool(known.config) and known.config != config


@dataclass(frozen=True, slots=True)
class Guard:
    """The limits of one pass; ``is_allowed`` when a person lets this one pass through.

    ``window_ms`` is how long a sent delete counts with those of later passes. ``frozen`` is the state of the
    Launch27 account, where it is one in which nothing is deleted.
    """

    max_count: int
    max_fraction: float
    window_ms: int
    is_allowed: bool = False
    frozen: str = ""

    def objection(
        self, deletes: Iterable[Known], silent: int, known: Iterable[Known], reading: Reading, now_ms: int
    ) -> str | None:
        """Return why these deletes must not be sent, in words; None if they may.

        ``silent`` counts the bookings whose look-up got no answer: each may be a delete, too.
        """
        deletes = list(deletes)
        wanted = sum(not decided_before(each, now_ms) for each in deletes)
        if self.is_allowed or not deletes:
            return None
        if self.frozen:
            return f'the Launch27 account is "{self.frozen}"'
        if not wanted:
            return None
        known = list(known)
        there = bridged(known, reading)
        if empty := self._empty_listing(there, reading):
            return empty
        on_their_way = {each.id for each in deletes if decided_before(each, now_ms)}
        sent = sum(
            each.id in on_their_way or _is_within(each.allowed_ms, self.window_ms, now_ms)
            for each in known
            if not each.is_approved
        )
        count = wanted + silent + sent
        if count > self.max_count and count > self.max_fraction * len(there):
            limits = f"max_delete_count = {self.max_count} and max_delete_fraction = {self.max_fraction:g}"
            parts = ((wanted, "deletes"), (silent, "look-ups without an answer"), (sent, "deletes sent lately"))
            counted = " and ".join(f"{count} {what}" for count, what in parts if count)
            return f"{counted} of {len(there)} bookings are more than both {limits}"
        return None

    def _empty_listing(self, there: list[Known], reading: Reading) -> str | None:
        if reading.listings and not reading.seen and len(there) >= EMPTY_LISTING_FROM:
            return f"the listing is entirely empty, and {len(there)} bookings are bridged"
        for number, account in enumerate(reading.accounts, 1):
            theirs = sum(each.account == account for each in there)
            if account in reading.empty and theirs >= EMPTY_LISTING_FROM:
                return f"the listing of account {number} is entirely empty, and {theirs} bookings of it are bridged"
        return None
