"""Reads the source: every account's listing, mapped page by page, and single bookings by their id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bridge.config.schema import Config
from bridge.errors import ServiceError
from bridge.launch27.client import Absent, Session
from bridge.launch27.listing import Page
from bridge.launch27.wire import SourceBooking, Unreadable
from bridge.mapping import NO_NAMES, Mapper
from bridge.model import CourtBooking, Known, Reason, from_ms, to_ms
from bridge.planning.reading import Listing, Mapped, Reading
from bridge.sync.clients import Clients
from bridge.sync.directory import Directory
from bridge.sync.facts import Facts
from bridge.sync.result import Pass

LOOK_UP_SECONDS = 60.0
"""How long one pass goes on looking bookings up; those it did not get to are left for the next one."""
_AT_ONCE = 6
_LONGEST_ID = 19


@dataclass(slots=True)
class LookUps:
    """What was said of bookings that were looked up by id, by ids.

    ``cancelled`` says an account that has it. ``denied`` means 403 or 404 from every account; ``doubtful`` the
    same, but from one of them in another shape than the API's. There was no time to ask for those in none.
    """

    cancelled: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)
    active: dict[str, tuple[Mapped, str]] = field(default_factory=dict)
    """What an active booking maps to, and the key of the account that has it."""
    errors: list[ServiceError] = field(default_factory=list)

    @property
    def answered(self) -> set[str]:
        """The bookings about which something was learnt."""
        return self.cancelled | self.denied | self.doubtful | self.active.keys()


class Reader:
    """Reads one source under one configuration."""

    def __init__(self, clients: Clients, directory: Directory, config: Config, stop: asyncio.Event) -> None:
        self._source = clients.launch27
        self._sessions = clients.sessions
        self.facts = Facts(clients.launch27, clients.sessions)
        self._directory = directory
        self._config = config
        self._stop = stop
        self._zone = ZoneInfo("UTC")
        self._names = NO_NAMES
        self._basis: object = None
        self._known: Mapping[str, Known] = {}
        self._near_counts: dict[str, int] = {}
        """By account: how many bookings its last near listing had."""
        self._near_pages: dict[bytes, Page] = {}
        """The pages of the last near listings, by their bytes: most come again in the next pass."""
        self._reading = Reading(())
        self._map_anew()

    def _map_anew(self) -> None:
        """See that bookings are mapped by what is believed now; what was mapped otherwise counts no more."""
        basis = (self._reading.memory.catalogues, self._zone, self._names)
        if basis == self._basis:
            return
        self._basis, self._near_pages = basis, {}
        self._mapper = Mapper(self._config.courts, self._config.mapping, self._reading.memory, self._zone, self._names)

    async def read(self, this: Pass) -> Reading:
        """Return all that could be read; what could not is in ``errors``, and its listing incomplete.

        The window lies around now; of it, a near pass reads today and ``sync.near`` more, or ``only_hinted`` bookings,
        which are not read here. What earlier passes believed is in the reading that ``this`` pass has begun with.
        """
        self._reading = reading = Reading(this.reading.accounts, memory=this.reading.memory)
        self._known, is_near, now = this.known, this.kind == "near", from_ms(this.now_ms)
        self.facts.begin(reading, this.now_ms, this.since.facts_ms)
        self._map_anew()
        asking = self._directory.names(this.now_ms, this.since.directory_ms)
        zone, names = await asyncio.gather(self.facts.zone(self._config.launch27.timezone), asking)
        if isinstance(names, ServiceError):
            reading.errors.append(names)
        if zone is None or isinstance(names, ServiceError):
            return reading
        self._zone, self._names = zone, names
        self._map_anew()
        sync, today = self._config.sync, now.astimezone(zone)
        first_day, last_day = (today - sync.past).date(), (today + sync.future).date()
        reading.first_ms = _midnight_ms(first_day, zone)
        reading.end_ms = _midnight_ms(last_day + timedelta(days=1), zone)
        expected = {key: mark.listed_count for key, mark in this.watermarks.items()}
        if is_near:
            first_day = today.date()
            last_day = min(first_day + sync.near, last_day)
            reading.days = _midnight_ms(first_day, zone), _midnight_ms(last_day + timedelta(days=1), zone)
            expected = dict(self._near_counts)
        if this.extent.only_hinted:
            return reading
        pages: dict[bytes, Page] | None = {} if is_near else None
        basis = self._basis
        listings = (
            self._listing(session, first_day, last_day, expected.get(session.account.key), pages)
            for session in self._sessions
        )
        reading.take(await asyncio.gather(*listings))
        if reading.is_complete and not is_near:
            reading.memory = replace(reading.memory, unmapped=reading.unmapped(self.facts.names))
        if pages is not None:
            self._near_pages = pages if basis is self._basis else {}
            self._near_counts = {each.account: each.items for each in reading.listings}
        return reading

    def end(self) -> None:
        """Keep nothing of what was read but what is believed: of many clubs, all wait most of the time."""
        self._reading = Reading(self._reading.accounts, memory=self._reading.memory)
        self.facts.begin(self._reading, 0, 0)

    async def _listing(
        self, session: Session, first_day: date, last_day: date, expected: int | None, pages: dict[bytes, Page] | None
    ) -> Listing:
        listing = Listing(session.account.key)
        try:
            async for page in self._source.listing(
                session, first_day, last_day, expected=expected, before={} if pages is None else self._near_pages
            ):
                await self._learn(page.bookings)
                self._take_page(listing, page)
                if pages is not None:
                    pages[page.body] = page
            listing.is_complete = True
        except ServiceError as error:
            listing.error = error
        return listing

    async def _learn(self, bookings: Sequence[SourceBooking | Unreadable]) -> None:
        """See that the catalogues are known by which these bookings are mapped."""
        if await self.facts.learn(bookings):
            self._map_anew()

    def _take_page(self, listing: Listing, page: Page) -> None:
        listing.items += len(page.bookings)
        if page.mapped is None:
            active = (each for each in page.bookings if each.is_active and not each.is_forecast)
            page.mapped = [(each, self._mapper.map(each)) for each in active]
        for booking, mapped in page.mapped:
            if not mapped.id:
                listing.unreadable.append(mapped)
                continue
            listing.bookings[mapped.id] = mapped
            if isinstance(mapped, CourtBooking):
                self._note_skipped(mapped, booking)
                if mapped.source_updated_at is not None:
                    listing.newest_ms = max(listing.newest_ms or 0, to_ms(mapped.source_updated_at))
            elif mapped.reason == Reason.NO_COURT and isinstance(booking, SourceBooking):
                listing.ignored[mapped.id] = booking.service_ids

    def _note_skipped(self, mapped: CourtBooking, booking: SourceBooking | Unreadable) -> None:
        """For what is new, count the addresses that could not be used."""
        known = self._known.get(mapped.id)
        is_new = known is None or known.seen_fingerprint != mapped.fingerprint
        if is_new and (skipped := self._mapper.skipped_participants(booking)):
            self._reading.skipped[mapped.id] = skipped

    @property
    def near_reads(self) -> int:
        """How many requests the last near listing took: its pages, and an empty one for each account."""
        return len(self._near_pages) + len(self._sessions)

    async def look_up(
        self,
        vanished: Mapping[str, tuple[str, ...]],
        needed: Collection[str],
        progress: Callable[[int], None],
        *,
        patiently: bool,
    ) -> LookUps:
        """Look bookings up by their ids, each with the keys of the accounts that may know it.

        Stops asking after a minute, unless ``patiently``. A booking is gone when every account says so; one
        that is not ``needed`` need not answer.
        """
        found = LookUps()
        waiting = iter(vanished.items())
        deadline = None if patiently else asyncio.get_running_loop().time() + LOOK_UP_SECONDS

        async def work() -> None:
            for id_, keys in waiting:
                late = deadline is not None and asyncio.get_running_loop().time() > deadline
                if late or self._stop.is_set():
                    return
                await self._look_up_one(id_, keys, needed, found)
                progress(len(found.answered))

        await asyncio.gather(*(work() for _ in range(min(_AT_ONCE, len(vanished)))))
        return found

    async def _look_up_one(self, id_: str, keys: Sequence[str], needed: Collection[str], found: LookUps) -> None:
        """Ask every account, the first that has the booking decides; an account without an answer may have it."""
        if len(id_) > _LONGEST_ID or id_ != str(int(id_)):
            found.cancelled.add(id_)  # "007" is a key of ours that no id of Launch27's can have
            return
        sessions = {session.account.key: session for session in self._sessions}
        becomes = found.denied
        for key in keys:
            try:
                booking = await self._source.booking(sessions[key], id_)
            except ServiceError as error:
                found.errors.append(error)
                if key in needed:
                    becomes = found.unanswered
                continue
            if isinstance(booking, Absent):
                if booking is Absent.DOUBTFUL and becomes is found.denied:
                    becomes = found.doubtful
            elif booking.is_active and not booking.is_forecast:
                await self._learn([booking])
                mapped = self._mapper.map(booking)
                found.active[id_] = mapped, key
                if isinstance(mapped, CourtBooking):
                    self._note_skipped(mapped, booking)
                return
            else:
                found.cancelled.add(id_)
                return
        becomes.add(id_)


def _midnight_ms(day: date, zone: ZoneInfo) -> int:
    return to_ms(datetime.combine(day, time(), zone).astimezone(UTC))
