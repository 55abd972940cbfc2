"""Reads the source: every account's listing, mapped page by page, and single bookings by their id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bridge.config.schema import Config
from bridge.errors import CredentialsRefused, Rejected, ServiceError, Unavailable
from bridge.launch27.client import Absent, Launch27, Session
from bridge.launch27.wire import CatalogueService, SourceBooking, Unreadable
from bridge.mapping import Mapper
from bridge.model import CourtBooking, Held, Known, Reason, Watermark, to_ms
from bridge.planning.reading import Listing, Mapped, Reading

LOOK_UP_SECONDS = 60.0
"""How long one pass goes on looking bookings up; those it did not get to are left for the next one."""
_AT_ONCE = 6
_LONGEST_ID = 19


@dataclass(frozen=True, slots=True)
class LookUps:
    """What was said of bookings looked up by id; there was no time to ask for those in none of these."""

    gone: frozenset[str] = frozenset()
    unanswered: frozenset[str] = frozenset()
    active: Mapping[str, tuple[Mapped, str]] = field(default_factory=dict)
    """What an active booking maps to, and the key of the account that has it."""
    errors: tuple[ServiceError, ...] = ()


class Reader:
    """Reads one source under one configuration."""

    def __init__(self, source: Launch27, sessions: Sequence[Session], config: Config, stop: asyncio.Event) -> None:
        self._source = source
        self._sessions = sessions
        self._config = config
        self._stop = stop
        self._mapper = Mapper(config.courts, config.mapping, {}, ZoneInfo("UTC"))

    async def read(self, now: datetime, watermarks: Mapping[str, Watermark], known: Mapping[str, Known]) -> Reading:
        """Return all that could be read; what could not is in ``errors``, and its listing incomplete.

        The window lies around ``now``, an aware datetime.
        """
        reading = Reading(tuple(account.key for account in self._config.launch27.accounts))
        try:
            zone, catalogue = await self._basics()
        except ServiceError as error:
            reading.errors.append(error)
            return reading
        self._mapper = Mapper(self._config.courts, self._config.mapping, catalogue, zone)
        first_day, last_day = self._window(now.astimezone(zone))
        reading.first_ms = _midnight_ms(first_day, zone)
        reading.end_ms = _midnight_ms(last_day + timedelta(days=1), zone)
        listings = (
            self._listing(session, first_day, last_day, watermarks.get(session.account.key), known)
            for session in self._sessions
        )
        reading.take(await asyncio.gather(*listings))
        return reading

    async def _basics(self) -> tuple[ZoneInfo, dict[int, CatalogueService]]:
        """Return the time zone and the catalogue; the first account that is let in will do."""
        tasks = asyncio.create_task(self._zone()), asyncio.create_task(self._catalogue())
        await asyncio.wait(tasks)
        zone, catalogue = tasks
        for task in tasks:
            task.exception()  # both are taken note of, whichever is raised
        return zone.result(), catalogue.result()

    async def _zone(self) -> ZoneInfo:
        configured = self._config.launch27.timezone
        name = configured or (await self._source.settings()).timezone
        try:
            return ZoneInfo(name or "")
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise Unavailable("Launch27", "GET /settings names no known time zone; set launch27.timezone") from None

    async def _catalogue(self) -> dict[int, CatalogueService]:
        refused: CredentialsRefused | None = None
        for session in self._sessions:
            try:
                return await self._source.catalogue(session)
            except CredentialsRefused as error:
                refused = refused or error
            except Rejected:
                return {}
        raise refused or Unavailable("Launch27", "there is no account to read with")

    def _window(self, today: datetime) -> tuple[date, date]:
        sync = self._config.sync
        return (today - sync.past).date(), (today + sync.future).date()

    async def _listing(
        self, session: Session, first_day: date, last_day: date, watermark: Watermark | None, known: Mapping[str, Known]
    ) -> Listing:
        listing = Listing(session.account.key)
        expected = watermark.listed_count if watermark else None
        try:
            async for page in self._source.listing(session, first_day, last_day, expected=expected):
                self._take_page(listing, page, known)
            listing.is_complete = True
        except ServiceError as error:
            listing.error = error
        return listing

    def _take_page(
        self, listing: Listing, page: Sequence[SourceBooking | Unreadable], known: Mapping[str, Known]
    ) -> None:
        listing.items += len(page)
        for booking in page:
            if booking.is_forecast or not booking.is_active:
                continue
            if isinstance(booking, Unreadable) and not booking.id:
                listing.unreadable.append(Held("", Reason.INVALID_BOOKING, booking.detail))
                continue
            mapped = listing.bookings[booking.id] = self._mapper.map(booking)
            if isinstance(mapped, CourtBooking):
                self._note(listing, mapped, booking, known.get(mapped.id))

    def _note(
        self, listing: Listing, mapped: CourtBooking, booking: SourceBooking | Unreadable, known: Known | None
    ) -> None:
        """Keep the newest source time; for what is new, count the addresses that could not be used."""
        if mapped.source_updated_at is not None:
            listing.newest_ms = max(listing.newest_ms or 0, to_ms(mapped.source_updated_at))
        if known is None or known.seen_fingerprint != mapped.fingerprint:
            skipped = self._mapper.skipped_participants(booking)
            if skipped:
                listing.skipped[mapped.id] = skipped

    async def look_up(
        self, vanished: Mapping[str, tuple[str, ...]], progress: Callable[[int], None], *, patiently: bool
    ) -> LookUps:
        """Look bookings up by their ids, each with the keys of the accounts that may know it.

        Stops asking after a minute, unless ``patiently``. A booking is gone when every account says so.
        """
        sessions = {session.account.key: session for session in self._sessions}
        gone: set[str] = set()
        unanswered: set[str] = set()
        active: dict[str, tuple[Mapped, str]] = {}
        errors: list[ServiceError] = []
        waiting = iter(vanished.items())
        deadline = None if patiently else asyncio.get_running_loop().time() + LOOK_UP_SECONDS

        async def work() -> None:
            for id_, keys in waiting:
                late = deadline is not None and asyncio.get_running_loop().time() > deadline
                if late or self._stop.is_set():
                    return
                try:
                    found = await self._look_up_one(id_, [sessions[key] for key in keys])
                except ServiceError as error:
                    errors.append(error)
                    unanswered.add(id_)
                    continue
                if found is None:
                    gone.add(id_)
                else:
                    active[id_] = found
                progress(len(gone) + len(active))

        await asyncio.gather(*(work() for _ in range(min(_AT_ONCE, len(vanished)))))
        return LookUps(frozenset(gone), frozenset(unanswered), active, tuple(errors))

    async def _look_up_one(self, id_: str, sessions: Iterable[Session]) -> tuple[Mapped, str] | None:
        if len(id_) > _LONGEST_ID or id_ != str(int(id_)):
            return None  # "007" is a key of ours that no id of Launch27's can have
        for session in sessions:
            booking = await self._source.booking(session, id_)
            if isinstance(booking, Absent) or not booking.is_active or booking.is_forecast:
                continue
            return self._mapper.map(booking), session.account.key
        return None


def _midnight_ms(day: date, zone: ZoneInfo) -> int:
    return to_ms(datetime.combine(day, time(), zone).astimezone(UTC))
