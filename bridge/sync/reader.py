"""Reads the source: every account's listing, mapped page by page, and single bookings by their id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bridge.config.schema import Config
from bridge.errors import CredentialsRefused, Rejected, ServiceError, Unavailable
from bridge.launch27.client import Absent, Session
from bridge.launch27.wire import Settings, SourceBooking, Unreadable
from bridge.mapping import Mapper
from bridge.model import CourtBooking, Held, Known, Reason, Watermark, to_ms
from bridge.planning.memory import Memory
from bridge.planning.reading import Listing, Mapped, Reading
from bridge.sync.clients import Clients
from bridge.sync.directory import Directory

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

    @property
    def asked(self) -> set[str]:
        """The bookings that were asked for."""
        return self.answered | self.unanswered


class Reader:
    """Reads one source under one configuration."""

    def __init__(self, clients: Clients, directory: Directory, config: Config, stop: asyncio.Event) -> None:
        self._source = clients.launch27
        self._sessions = clients.sessions
        self._directory = directory
        self._config = config
        self._stop = stop
        self._mapper = Mapper(config.courts, config.mapping, {}, ZoneInfo("UTC"))

    async def read(
        self, now: datetime, watermarks: Mapping[str, Watermark], known: Mapping[str, Known], memory: Memory
    ) -> Reading:
        """Return all that could be read; what could not is in ``errors``, and its listing incomplete.

        The window lies around ``now``, an aware datetime. ``memory`` is what earlier passes believed.
        """
        reading = Reading(tuple(account.key for account in self._config.launch27.accounts))
        asked = self._settings(), self._minutes(), self._directory.names(to_ms(now))
        settings, minutes, names = await asyncio.gather(*asked)
        zone = self._believe(reading, memory, settings, minutes, to_ms(now))
        if isinstance(names, ServiceError):
            reading.errors.append(names)
            return reading
        if zone is None or reading.memory.catalogue is None:
            return reading
        self._mapper = Mapper(self._config.courts, self._config.mapping, reading.memory.catalogue, zone, names)
        first_day, last_day = self._window(now.astimezone(zone))
        reading.first_ms = _midnight_ms(first_day, zone)
        reading.end_ms = _midnight_ms(last_day + timedelta(days=1), zone)
        listings = (
            self._listing(session, first_day, last_day, watermarks.get(session.account.key), known)
            for session in self._sessions
        )
        reading.take(await asyncio.gather(*listings))
        return reading

    def _believe(
        self,
        reading: Reading,
        memory: Memory,
        settings: Settings | ServiceError,
        minutes: dict[int, int] | ServiceError,
        now_ms: int,
    ) -> ZoneInfo | None:
        """Note what is believed now; return the account's time zone, None where nobody ever named one."""
        if isinstance(settings, Settings):
            reading.status = settings.status
            if _zone(settings.timezone or "") is not None:
                memory = memory.heard_zone(settings.timezone or "", now_ms)
        if not isinstance(minutes, ServiceError):
            memory = memory.heard_catalogue(minutes)
        elif memory.catalogue is None:
            reading.errors.append(minutes)
        reading.memory = memory
        zone = _zone(self._config.launch27.timezone or memory.zone)
        if zone is None:
            unnamed = Unavailable("Launch27", "GET /settings names no known time zone; set launch27.timezone")
            reading.errors.append(unnamed if isinstance(settings, Settings) else settings)
        return zone

    async def _settings(self) -> Settings | ServiceError:
        try:
            return await self._source.settings()
        except ServiceError as error:
            return error

    async def _minutes(self) -> dict[int, int] | ServiceError:
        """Return the lengths in the catalogue, by service; the first account that is let in will do."""
        refused: ServiceError = Unavailable("Launch27", "there is no account to read with")
        for session in self._sessions:
            try:
                catalogue = await self._source.catalogue(session)
            except Rejected:
                return {}
            except CredentialsRefused as error:
                refused = error
            except ServiceError as error:
                return error
            else:
                return {number: found.minutes for number, found in catalogue.items() if found.minutes is not None}
        return refused

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
                found.active[id_] = self._mapper.map(booking), key
                return
            else:
                found.cancelled.add(id_)
                return
        becomes.add(id_)


def _midnight_ms(day: date, zone: ZoneInfo) -> int:
    return to_ms(datetime.combine(day, time(), zone).astimezone(UTC))


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
