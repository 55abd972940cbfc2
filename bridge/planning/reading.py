"""What the source says, sorted: the bookings that were read, and how far. Plain data; no I/O, no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bridge.errors import ServiceError
from bridge.model import CourtBooking, Held, Reason
from bridge.planning.memory import Memory, Unmapped

Mapped = CourtBooking | Held


@dataclass(slots=True)
class Listing:
    """One account's listing, as far as it was read; ``account`` is its key.

    ``items`` counts what came, forecasts and repeats included. ``newest_ms`` is the newest modification time
    in it, in milliseconds since 1970. ``ignored`` has the services of each booking that goes to no court.
    """

    account: str
    bookings: dict[str, Mapped] = field(default_factory=dict)
    unreadable: list[Held] = field(default_factory=list)
    newest_ms: int | None = None
    ignored: dict[str, frozenset[int]] = field(default_factory=dict)
    items: int = 0
    error: ServiceError | None = None
    is_complete: bool = False


@dataclass(slots=True)
class Reading:
    """All accounts' listings of one window, [first_ms, end_ms) in milliseconds since 1970.

    ``days`` is, in the same way, the part of it that a near pass is about; None where that is all.
    ``memory`` is what is believed of the Launch27 account, ``status`` what it said of itself.
    ``accounts`` are the keys of the configured accounts. ``owners`` has every active booking that was seen,
    with its account's key; each is either ``desired`` or ``held``. What has no readable id is ``unreadable``.
    ``skipped`` counts the unusable addresses of new bookings, by id.
    """

    accounts: tuple[str, ...]
    first_ms: int = 0
    end_ms: int = 0
    listings: Sequence[Listing] = ()
    days: tuple[int, int] | None = None
    memory: Memory = field(default_factory=Memory)
    status: str = ""
    errors: list[ServiceError] = field(default_factory=list)
    desired: dict[str, CourtBooking] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    unreadable: list[Held] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)

    def take(self, listings: Sequence[Listing]) -> None:
        """Take in all listings; what two accounts list is the first one's."""
        self.listings = listings
        for listing in listings:
            self.unreadable.extend(listing.unreadable)
            if listing.error is not None:
                self.errors.append(listing.error)
            for id_, mapped in listing.bookings.items():
                if id_ not in self.owners:
                    self.add(mapped, listing.account)

    def add(self, mapped: Mapped, account: str) -> None:
        """Take in one booking; what was said of it before counts no more."""
        self.desired.pop(mapped.id, None)
        self.held.pop(mapped.id, None)
        self.owners[mapped.id] = account
        if isinstance(mapped, CourtBooking):
            self.desired[mapped.id] = mapped
        else:
            self.held[mapped.id] = mapped

    @property
    def seen(self) -> int:
        """How many active bookings were seen, each once, those without a readable id among them."""
        return len(self.owners) + len(self.unreadable)

    @property
    def complete(self) -> frozenset[str]:
        """The accounts whose listing was read to its end."""
        return frozenset(listing.account for listing in self.listings if listing.is_complete)

    @property
    def is_complete(self) -> bool:
        """Whether every account's listing was read to its end."""
        return self.complete.issuperset(self.accounts)

    def unmapped(self, names: Mapping[int, str]) -> dict[int, Unmapped]:
        """Return the services of the bookings that go to no court, with their ``names``."""
        ignored = {id_: services for each in self.listings for id_, services in each.ignored.items()}
        counted = Counter(number for id_ in ignored.keys() & self.no_court for number in ignored[id_])
        return {number: Unmapped(names.get(number, ""), counted[number]) for number in sorted(counted)}

    @property
    def empty(self) -> frozenset[str]:
        """The accounts whose complete listing has no active booking at all."""
        return frozenset(
            each.account for each in self.listings if each.is_complete and not each.bookings and not each.unreadable
        )

    @property
    def no_court(self) -> set[str]:
        """The bookings that are no court bookings."""
        return {id_ for id_, held in self.held.items() if held.reason == Reason.NO_COURT}
