"""Reads the source: every account's listing, mapped page by page, and single bookings by their id."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Generic, Protocol, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bridge.config.schema import Account, Config
from bridge.errors import CredentialsRefused, Rejected, ServiceError, Unavailable
from bridge.launch27.wire import CatalogueService, Settings, SourceBooking, Unreadable
from bridge.mapping import Mapper
from bridge.model import WITHDRAWING, CourtBooking, Held, Known, NoCourt, Reason, Watermark, to_ms

ASKING_SECONDS = 60.0
"""How long one pass goes on asking for single bookings; who was not asked for is, in the next one."""
_ASKED_AT_ONCE = 6
_LONGEST_ID = 19

Mapped = CourtBooking | Held | NoCourt


class Login(Protocol):
    """One account, and whatever its client keeps of its login."""

    @property
    def account(self) -> Account: ...


L = TypeVar("L", bound=Login)
L_contra = TypeVar("L_contra", bound=Login, contravariant=True)


class Source(Protocol[L_contra]):
    """What is needed of Launch27."""

    async def settings(self) -> Settings: ...
    async def catalogue(self, login: L_contra, /) -> dict[int, CatalogueService]: ...
    async def booking(self, login: L_contra, id_: str, /) -> SourceBooking | Unreadable | None: ...
    def listing(
        self, login: L_contra, first_day: date, last_day: date, /, *, expected: int | None
    ) -> AsyncIterator[Sequence[SourceBooking | Unreadable]]: ...


@dataclass(slots=True)
class AccountReading:
    """One account's listing, as far as it was read; ``count`` is how many items it has when complete."""

    account: Account
    bookings: dict[str, Mapped] = field(default_factory=dict)
    unreadable: list[Held] = field(default_factory=list)
    newest_ms: int | None = None
    skipped_participants: dict[str, int] = field(default_factory=dict)
    items: int = 0
    is_complete: bool = False
    error: ServiceError | None = None


@dataclass(slots=True)
class Reading:
    """What the source says, sorted: ``owners`` has every active booking that was seen, with its account."""

    desired: dict[str, CourtBooking] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    no_court: set[str] = field(default_factory=set)
    unreadable: list[Held] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)
    accounts: list[AccountReading] = field(default_factory=list)
    errors: list[ServiceError] = field(default_factory=list)
    skipped_participants: dict[str, int] = field(default_factory=dict)
    first_ms: int = 0
    end_ms: int = 0

    @property
    def seen(self) -> int:
        """How many active bookings were seen, each once, those without a readable id among them."""
        return len(self.owners) + len(self.unreadable)

    @property
    def complete(self) -> frozenset[str]:
        """The accounts whose listing was read to its end."""
        return frozenset(reading.account.key for reading in self.accounts if reading.is_complete)

    def withdrawn(self) -> dict[str, str]:
        """Return the seen bookings that must not be in Wingfield, each with the reason in words."""
        ambiguous = {id_: held.detail for id_, held in self.held.items() if held.reason in WITHDRAWING}
        return dict.fromkeys(self.no_court, "no court booking any more") | ambiguous

    def add(self, id_: str, mapped: Mapped, account: str) -> None:
        """Take in one booking; what was said of it before counts no more."""
        self.desired.pop(id_, None)
        self.held.pop(id_, None)
        self.no_court.discard(id_)
        self.owners[id_] = account
        match mapped:
            case CourtBooking():
                self.desired[id_] = mapped
            case Held():
                self.held[id_] = mapped
            case NoCourt():
                self.no_court.add(id_)


@dataclass(frozen=True, slots=True)
class Answers:
    """What was said of bookings asked for by id; there was no time to ask for those in none of these."""

    gone: frozenset[str] = frozenset()
    unanswered: frozenset[str] = frozenset()
    active: Mapping[str, tuple[Mapped, str]] = field(default_factory=dict)
    errors: tuple[ServiceError, ...] = ()


class Reader(Generic[L]):
    """Reads one source under one configuration."""

    def __init__(self, source: Source[L], logins: Sequence[L], config: Config, stop: asyncio.Event) -> None:
        self._source = source
        self._logins = logins
        self._config = config
        self._stop = stop
        self._mapper = Mapper(config.courts, config.mapping, {}, ZoneInfo("UTC"))

    async def read(
        self, now: datetime, watermarks: Mapping[str, Watermark], known: Mapping[str, Known]
    ) -> Reading:
        """Return all that could be read; what could not is in ``errors``, and its listing incomplete.

        The window lies around ``now``, an aware datetime.
        """
        reading = Reading()
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
            self._listing(login, first_day, last_day, watermarks.get(login.account.key), known)
            for login in self._logins
        )
        for account_reading in await asyncio.gather(*listings):
            _merge(reading, account_reading)
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
            raise Unavailable(
                "Launch27", "GET /settings names no known time zone; set launch27.timezone"
            ) from None

    async def _catalogue(self) -> dict[int, CatalogueService]:
        refused: CredentialsRefused | None = None
        for login in self._logins:
            try:
                return await self._source.catalogue(login)
            except CredentialsRefused as error:
                refused = refused or error
            except Rejected:
                return {}
        raise refused or Unavailable("Launch27", "there is no account to read with")

    def _window(self, today: datetime) -> tuple[date, date]:
        sync = self._config.sync
        return (today - sync.past).date(), (today + sync.future).date()

    async def _listing(
        self,
        login: L,
        first_day: date,
        last_day: date,
        watermark: Watermark | None,
        known: Mapping[str, Known],
    ) -> AccountReading:
        reading = AccountReading(login.account)
        expected = watermark.listed_count if watermark else None
        try:
            async for page in self._source.listing(login, first_day, last_day, expected=expected):
                self._take_page(reading, page, known)
            reading.is_complete = True
        except ServiceError as error:
            reading.error = error
        return reading

    def _take_page(
        self,
        reading: AccountReading,
        page: Sequence[SourceBooking | Unreadable],
        known: Mapping[str, Known],
    ) -> None:
        reading.items += len(page)
        for booking in page:
            if booking.is_forecast or not booking.is_active:
                continue
            if isinstance(booking, Unreadable) and not booking.id:
                reading.unreadable.append(Held("", Reason.INVALID_BOOKING, booking.detail))
                continue
            mapped = reading.bookings[booking.id] = self._mapper.map(booking)
            if isinstance(mapped, CourtBooking):
                self._note(reading, mapped, booking, known.get(mapped.id))

    def _note(
        self,
        reading: AccountReading,
        mapped: CourtBooking,
        booking: SourceBooking | Unreadable,
        known: Known | None,
    ) -> None:
        """Keep the newest source time; for what is new, count the addresses that could not be used."""
        if mapped.source_updated_at is not None:
            reading.newest_ms = max(reading.newest_ms or 0, to_ms(mapped.source_updated_at))
        if known is None or known.seen_fingerprint != mapped.fingerprint:
            skipped = self._mapper.skipped_participants(booking)
            if skipped:
                reading.skipped_participants[mapped.id] = skipped

    async def ask(
        self, questions: Mapping[str, tuple[str, ...]], progress: Callable[[int], None], *, patiently: bool
    ) -> Answers:
        """Ask for bookings by their ids, each with the accounts that may know it, the first first.

        Stops asking after a minute, unless ``patiently``. A booking is gone when every account says so.
        """
        logins = {login.account.key: login for login in self._logins}
        gone: set[str] = set()
        unanswered: set[str] = set()
        active: dict[str, tuple[Mapped, str]] = {}
        errors: list[ServiceError] = []
        waiting = iter(questions.items())
        deadline = None if patiently else asyncio.get_running_loop().time() + ASKING_SECONDS

        async def work() -> None:
            for id_, keys in waiting:
                late = deadline is not None and asyncio.get_running_loop().time() > deadline
                if late or self._stop.is_set():
                    return
                try:
                    found = await self._ask_one(id_, [logins[key] for key in keys])
                except ServiceError as error:
                    errors.append(error)
                    unanswered.add(id_)
                    continue
                if found is None:
                    gone.add(id_)
                else:
                    active[id_] = found
                progress(len(gone) + len(active))

        await asyncio.gather(*(work() for _ in range(min(_ASKED_AT_ONCE, len(questions)))))
        return Answers(frozenset(gone), frozenset(unanswered), active, tuple(errors))

    async def _ask_one(self, id_: str, logins: Iterable[L]) -> tuple[Mapped, str] | None:
        if len(id_) > _LONGEST_ID or id_ != str(int(id_)):
            return None  # "007" is a key of ours that no id of Launch27's can have
        for login in logins:
            booking = await self._source.booking(login, id_)
            if booking is None or not booking.is_active or booking.is_forecast:
                continue
            return self._mapper.map(booking), login.account.key
        return None


def _merge(reading: Reading, account: AccountReading) -> None:
    """Take one account's listing in; what two accounts list is the first one's."""
    reading.accounts.append(account)
    reading.unreadable.extend(account.unreadable)
    reading.skipped_participants.update(account.skipped_participants)
    if account.error is not None:
        reading.errors.append(account.error)
    for id_, mapped in account.bookings.items():
        if id_ not in reading.owners:
            reading.add(id_, mapped, account.account.key)


def _midnight_ms(day: date, zone: ZoneInfo) -> int:
    return to_ms(datetime.combine(day, time(), zone).astimezone(UTC))
