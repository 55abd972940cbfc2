"""Drift, pure: how what Wingfield has differs from what the ledger says, and how far its list is known.

One merge serves a new ledger, a lost or restored state, a hand's edit and another bridge's mistake:

    what the ledger says        what Wingfield has              it is     what becomes of it
    --------------------------  ------------------------------  --------  -----------------------------------
    a write has no answer yet   anything                        no drift  it is settled by reading it back
    acknowledged                nothing                         missing   created again
    acknowledged                another slot, other people, or  changed   adopted if the source wants just this,
                                another version                           else updated, 1 ms above what is there
    deleted, or never heard of  a booking under a key of ours   extra     adopted, or looked up and deleted
    deleted, or never heard of  one that was over before the    no drift  left alone
                                window's first day

What is found is taken over into the ledger, and planning does the rest. Wingfield may name the participants in
another order, or as users: where slot and version are as acknowledged, that is no drift, since Wingfield takes no
other content under the same version. A hand could all the same: then no order of their names is what was sent.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import permutations, product
from operator import attrgetter

from bridge.model import ABSENT, MINUTE_MS, CourtBooking, Known, Slot, Stored, fingerprint, isoformat, to_ms

OVERLAP_MS = MINUTE_MS
"""Wingfield's own clocks may differ by so much: what is listed behind the last look's newest may be newer."""
FOREIGN_MS = 10 * MINUTE_MS
"""A total that somebody else's bookings explain has the whole list read at most so often."""


class Kind(enum.StrEnum):
    """What somebody else did."""

    MISSING = "missing"
    CHANGED = "changed"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Finding:
    """One booking that is not as the ledger says: ``before`` is its entry, ``stored`` what Wingfield has."""

    kind: Kind
    before: Known | None
    stored: Stored

    @property
    def id(self) -> str:
        return self.stored.id

    def in_words(self) -> str:
        """Return what differs."""
        before = self.before and self.before.last_slot
        if self.stored.slot is None or before is None or self.kind is Kind.EXTRA:
            return "deleted in Wingfield" if self.kind is Kind.MISSING else "in Wingfield, and not known here"
        is_other = self.before is not None and self.before.acked_fingerprint != self.stored.fingerprint
        return differences(before, self.stored.slot, has_others=is_other and before == self.stored.slot)


def differences(before: Slot, now: Slot, *, has_others: bool) -> str:
    """Return in words what was changed in Wingfield; ``has_others`` when other people are named, never who."""
    parts = []
    if before.court_id != now.court_id:
        parts.append(f"court changed from {before.court_id} to {now.court_id}")
    for what in ("start", "end"):
        old, new = getattr(before, what), getattr(now, what)
        if old != new:
            parts.append(f"{what} changed from {isoformat(old)} to {isoformat(new)}")
    if has_others:
        parts.append("people changed")
    return f"{', '.join(parts) or 'written again under another version'} in Wingfield"


@dataclass(slots=True)
class Look:
    """What was read of Wingfield's list: ``foreign`` by key, ``ours`` by id; ``total`` is how long the list is.

    Of what is as the ledger says nothing is kept; when all ``is_whole``, ``same`` has the ids. One of ours that is not
    there has no slot.
    """

    is_whole: bool
    total: int = 0
    newest_ms: int = 0
    same: set[str] = field(default_factory=set)
    ours: dict[str, Stored] = field(default_factory=dict)
    foreign: dict[str, Stored] = field(default_factory=dict)

    def take(self, key: str, stored: Stored, known: Mapping[str, Known]) -> None:
        """Take in one court booking; what was read of it later counts."""
        self.newest_ms = max(self.newest_ms, stored.updated_ms)
        before = known.get(stored.id)
        if not stored.id:
            self.foreign[key] = stored
        elif before and (before.acked_fingerprint, before.acked_version_ms) == (stored.fingerprint, stored.version_ms):
            self.ours.pop(before.id, None)
            if self.is_whole:
                self.same.add(before.id)
        else:
            self.ours[stored.id] = stored

    def unlisted(self, known: Mapping[str, Known]) -> list[Known]:
        """Return what the ledger says is there, and this look did not see."""
        others = (entry for id_, entry in known.items() if id_ not in self.same and id_ not in self.ours)
        return [entry for entry in others if entry.acked_fingerprint and not entry.unsettled]

    def compare(self, known: Mapping[str, Known], desired: Mapping[str, CourtBooking], first_ms: int) -> list[Finding]:
        """Return what differs; ``first_ms`` is when the window begins, ``desired`` what the source wants.

        What equals the source's booking, in whatever order its participants are named, has its fingerprint.
        """
        findings = []
        for id_, stored in self.ours.items():
            before, wanted = known.get(id_), desired.get(id_)
            if before is not None and before.unsettled:
                continue
            if wanted is not None and stored.has(wanted.slot, wanted.participants):
                stored = replace(stored, fingerprint=wanted.fingerprint)  # noqa: PLW2901
            if (kind := _kind(before, stored, wanted, first_ms)) is not None:
                findings.append(Finding(kind, before, stored))
        return findings


def _kind(before: Known | None, stored: Stored, wanted: CourtBooking | None, first_ms: int) -> Kind | None:
    if before is None or not before.acked_fingerprint:
        is_left = stored.slot is not None and to_ms(stored.slot.end) > first_ms
        return Kind.EXTRA if is_left else None
    if stored.slot is None:
        return Kind.MISSING
    if stored.version_ms != before.acked_version_ms or stored.slot != before.slot:
        return Kind.CHANGED
    is_in_sync = wanted is None or wanted.fingerprint == before.acked_fingerprint
    return Kind.CHANGED if is_in_sync and _has_others(before, stored) else None


def _has_others(before: Known, stored: Stored) -> bool:
    """Whether other people are named than were sent, in whatever order, and by whichever of their names."""
    if stored.participants is None or stored.slot is None or stored.fingerprint == before.acked_fingerprint:
        return False
    people = product(*(each.split(" ") for each in stored.participants))
    orders = (order for names in people for order in permutations(names))
    return all(fingerprint(stored.slot, order) != before.acked_fingerprint for order in orders)


@dataclass(frozen=True, slots=True)
class Mark:
    """How far Wingfield's list is known.

    ``newest_ms`` is the newest change seen in it (Wingfield's time), ``others`` how many bookings it has beside those
    of the ledger, ``verified_ms`` when all of it was last read, and ``foreign_ms`` when that was only because of
    somebody else's bookings (this machine's time). All in milliseconds since 1970.
    """

    newest_ms: int = 0
    others: int = 0
    verified_ms: int = 0
    foreign_ms: int = 0

    def goes_on(self, page: Collection[Stored], oldest_ms: int, known: Mapping[str, Known]) -> bool:
        """Whether a look reads on behind ``page``, whose oldest change is ``oldest_ms``.

        It does while all is newer than the last look, or as new as the newest of that (changed since at that very
        moment, perhaps), and, because of clocks, a little further while there is news.
        """
        if not self.verified_ms or not oldest_ms:
            return False
        if oldest_ms >= self.newest_ms:
            return True
        ours = ((known.get(stored.id), stored.version_ms) for stored in page if stored.id)
        has_news = any(each is None or each.acked_version_ms != version_ms for each, version_ms in ours)
        return has_news and oldest_ms > self.newest_ms - OVERLAP_MS

    def after(self, look: Look, known: Mapping[str, Known], now_ms: int) -> Mark:
        """Return the mark after ``look`` was taken over into ``known``."""
        there = {id_ for id_ in look.ours if (each := known.get(id_)) and (each.acked_fingerprint or each.unsettled)}
        unknown = (each for id_, each in look.ours.items() if each.slot and id_ not in there)
        others = (*look.foreign.values(), *unknown)
        if look.is_whole:
            return replace(self, newest_ms=look.newest_ms, others=len(others), verified_ms=now_ms)
        new = sum(stored.created_ms > self.newest_ms for stored in others)
        return replace(self, newest_ms=max(look.newest_ms, self.newest_ms), others=self.others + new)

    def fits(self, total: int, known: Mapping[str, Known]) -> bool:
        """Whether the list is as long as it should be; writes without an answer may have changed it or not."""
        acked = list(map(attrgetter("acked_fingerprint"), known.values()))
        perhaps = [entry.acked_fingerprint for entry in known.values() if entry.unsettled]
        surely = len(acked) - acked.count(ABSENT) - (len(perhaps) - perhaps.count(ABSENT))
        return 0 <= total - self.others - surely <= len(perhaps)

    def is_due(self, now_ms: int, interval_ms: int, since_ms: int, *, fits: bool) -> bool:
        """Whether the whole list is to be read: every ``interval_ms``, once after ``since_ms``, and where in doubt."""
        if self.verified_ms < since_ms or not 0 <= now_ms - self.verified_ms < interval_ms:
            return True
        return not fits and not 0 <= now_ms - self.foreign_ms < FOREIGN_MS


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """Return how many there are of each kind."""
    found = [finding.kind for finding in findings]
    return {kind.value: found.count(kind) for kind in Kind}
