"""What is known of the Launch27 account: its time zone, its status, and its catalogues.

Each is asked for by the first pass of a process and then once an hour (as the pass is told); once a minute while
another zone waits to be answered again, or a booking names a location or a service that no catalogue had; in every pass
while there is no zone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from bridge.errors import CredentialsRefused, Rejected, ServiceError, Unavailable
from bridge.launch27.client import Launch27, Session
from bridge.launch27.wire import SourceBooking, Unreadable
from bridge.model import MINUTE_MS, to_ms
from bridge.planning.memory import DEFAULT_LOCATION
from bridge.planning.reading import Reading
from bridge.sync.words import named_zone

_SETTINGS = -1
"""Stands for the settings where a location's number stands for its catalogue."""


class Facts:
    """The facts as one pass after another has them: what is due is asked for, what is believed is in its ``reading``.

    When settings and catalogues were last asked for, and answered, is counted in milliseconds since 1970. ``names`` are
    the services'.
    """

    def __init__(self, source: Launch27, sessions: Sequence[Session]) -> None:
        self._source, self._sessions = source, sessions
        self._asked_ms: dict[int, int] = {}
        self._answered_ms: dict[int, int] = {}
        self._troubles: dict[int, ServiceError] = {}
        self._status = ""
        self.names: dict[int, str] = {}
        self._lock = asyncio.Lock()
        self.begin(Reading(()), 0, 0)

    def begin(self, reading: Reading, now_ms: int, since_ms: int) -> None:
        """Go on with the reading of another pass; what was last answered before ``since_ms`` is asked for anew."""
        self._reading, self._now_ms, self._since_ms, self._tried = reading, now_ms, since_ms, set[int]()
        ends_ms = {each.account.number: to_ms(each.expires_at) for each in self._sessions if each.expires_at}
        reading.memory, reading.status = replace(reading.memory, token_ends_ms=ends_ms), self._status

    async def zone(self, configured: str | None) -> ZoneInfo | None:
        """Return the account's time zone; None where nobody ever named one, which is then among the errors."""
        memory = self._reading.memory
        await self._refresh(_SETTINGS, is_known=bool(configured or memory.zone), lacks=bool(memory.candidate))
        zone = named_zone(configured or self._reading.memory.zone)
        if zone is None and not self._reading.errors:
            unnamed = Unavailable("Launch27", "GET /settings names no known time zone; set launch27.timezone")
            self._reading.errors.append(unnamed)
        return zone

    async def look_at_status(self) -> None:
        """Ask for the account's status again, where the answer is older than a minute."""
        await self._refresh(_SETTINGS, is_known=True, lacks=True)

    async def learn(self, bookings: Iterable[SourceBooking | Unreadable]) -> bool:
        """Ask for the catalogues that these bookings need; return whether anything was learnt."""
        named: dict[int, set[int]] = {}
        for booking in bookings:
            if isinstance(booking, SourceBooking):
                services = named.setdefault(booking.location_id or DEFAULT_LOCATION, set())
                services.update(service.id for service in booking.services)
        async with self._lock:
            before = self._reading.memory
            for location, services in named.items():
                known = self._reading.memory.catalogues.get(location)
                lacks = not services.issubset(known or ())
                await self._refresh(location, is_known=known is not None, lacks=lacks)
            return self._reading.memory is not before

    async def _refresh(self, what: int, *, is_known: bool, lacks: bool) -> None:
        """Ask for it if that is due; what went wrong is an error for as long as nothing is known."""
        is_old = not self._since_ms <= self._answered_ms.get(what, -1) <= self._now_ms
        is_due = lacks or not is_known or is_old
        is_vital = what == _SETTINGS and not is_known
        if is_due and what not in self._tried and (is_vital or self._is_minute_over(what)):
            self._tried.add(what)
            self._asked_ms[what] = self._now_ms
            try:
                await (self._ask_settings() if what == _SETTINGS else self._ask_catalogue(what))
                self._answered_ms[what] = self._now_ms
                self._troubles.pop(what, None)
            except ServiceError as error:
                self._troubles[what] = error
        if not is_known and what in self._troubles:
            self._reading.errors.append(self._troubles[what])

    def _is_minute_over(self, what: int) -> bool:
        return what not in self._asked_ms or not 0 <= self._now_ms - self._asked_ms[what] < MINUTE_MS

    async def _ask_settings(self) -> None:
        settings = await self._source.settings()
        self._status = self._reading.status = settings.status
        if named_zone(settings.timezone or "") is not None:
            self._reading.memory = self._reading.memory.heard_zone(settings.timezone or "", self._now_ms)

    async def _ask_catalogue(self, location: int) -> None:
        """Hear a location's catalogue, {} where there is none; the first account that is let in will do."""
        refused: ServiceError = Unavailable("Launch27", "there is no account to read with")
        for session in self._sessions:
            try:
                found = await self._source.catalogue(session, location)
            except Rejected:
                found = {}
            except ServiceError as error:
                if not isinstance(error, CredentialsRefused) and error.kind != "resting":
                    raise
                refused = error
                continue
            self.names.update((id_, service.name) for id_, service in found.items())
            catalogue = {id_: service.lengths for id_, service in found.items()}
            self._reading.memory = self._reading.memory.heard_catalogue(location, catalogue)
            return
        raise refused
