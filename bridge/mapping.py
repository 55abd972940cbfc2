"""From a source booking and the rules to what Wingfield should have. Pure: no I/O, no clock.

The order of questions is: readable at all, which court, how long, who. The first that cannot be answered
decides what becomes of the booking.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.addresses import usable_address
from bridge.launch27.fields import contents, folded, texts, words
from bridge.launch27.wire import Service, SourceBooking, Unreadable
from bridge.model import CourtBooking, Held, Reason, Slot, fingerprint
from bridge.planning.memory import DEFAULT_LOCATION, NO_LENGTHS
from bridge.wingfield.hourly import Relations

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from bridge.config.schema import CourtRule, MappingConfig
    from bridge.planning.memory import Memory

_MOST_PARTICIPANTS: Final = 4
_EARLIEST_YEAR: Final = 1990
_LATEST_YEAR: Final = 2200


@lru_cache(maxsize=256)
def _length(minutes: int) -> timedelta:
    return timedelta(minutes=minutes)  # slower than all the arithmetic with it, and mostly the same few


class Names(NamedTuple):
    """What Wingfield knows by itself: players as users, and courts by an id of ours (``externalCourtId``).

    ``by`` is what of a booking that id is: "service", "location", "team", or "field:NAME"; "" where none is.
    """

    relations: Relations
    courts: Mapping[str, str]
    by: str


NO_NAMES: Final = Names(Relations(), {}, "")
"""Wingfield knows nobody by name, and maps no court."""


class Mapper:
    """Maps one account's bookings; everything that does not depend on the booking is worked out once."""

    def __init__(
        self,
        courts: Sequence[CourtRule],
        mapping: MappingConfig,
        memory: Memory,
        zone: ZoneInfo,
        names: Names = NO_NAMES,
    ) -> None:
        self._anywhere = [rule for rule in courts if not rule.service_ids]
        self._named = frozenset[int]().union(*(rule.service_ids for rule in courts))
        self._by_service = {number: [rule for rule in courts if number in rule.service_ids] for number in self._named}
        self._relations = names.relations
        self._mapped = {folded(external_id): court_id for external_id, court_id in names.courts.items()}
        self._by, _, field = names.by.partition(":")
        self._by_field = folded(field) or None
        named = [rule.custom_field for rule in courts if rule.custom_field is not None]
        self._fields = frozenset([*map(folded, named), *filter(None, [self._by_field])])
        self._plain = {
            number: {rule.court_id: set(rule.service_ids)}
            for number, (rule, *more) in self._by_service.items()
            if not (more or self._anywhere or rule.location_ids or rule.team_ids or rule.custom_field)
        }
        self._titles = _titles(courts)
        self._configured = mapping.service_minutes
        self._memory = memory
        self._default = mapping.default_minutes
        self._participant_fields = tuple(dict.fromkeys(map(folded, mapping.participant_fields)))
        self._fallback = usable_address((mapping.fallback_email or "").strip())
        self._zone = zone

    def map(self, booking: SourceBooking | Unreadable) -> CourtBooking | Held:
        """Return what Wingfield should have for the booking, or why it is not bridged."""
        if isinstance(booking, Unreadable):
            return Held(booking.id, Reason.INVALID_BOOKING, booking.detail)
        courts = self._courts(booking)
        start = self._start(booking)
        if len(courts) != 1:
            return self._not_one_court(booking, courts, start)
        ((court_id, ruled),) = courts.items()
        minutes = self._minutes(booking, ruled)
        if isinstance(minutes, str):
            return _held(booking, Reason.NO_DURATION, minutes, Slot(court_id, start, start), ruled)
        try:
            slot = Slot(court_id, start, start + _length(minutes))
        except OverflowError:
            return Held(booking.id, Reason.INVALID_BOOKING, "its end is beyond the calendar")
        addresses = self._addresses(booking)[0]
        if not addresses:
            detail = "it names no usable e-mail address; mapping.fallback_email would stand in for one"
            return _held(booking, Reason.NO_PARTICIPANT, detail, slot, ruled)
        return self._court_booking(booking, slot, addresses)

    def skipped_participants(self, booking: SourceBooking | Unreadable) -> int:
        """Return how many addresses of the booking are unusable and were left out."""
        return 0 if isinstance(booking, Unreadable) else self._addresses(booking)[1]

    def _courts(self, booking: SourceBooking) -> dict[str, set[int]]:
        """Return the courts whose rules match, else those mapped in Wingfield, each with the services that say so."""
        if len(booking.services) == 1 and (plain := self._plain.get(booking.services[0].id)):
            return plain  # nearly always
        candidates = list(self._anywhere)
        for number in booking.service_ids:
            candidates += self._by_service.get(number, ())
        if not candidates and not self._by:
            return {}
        fields = contents(booking, self._fields) if self._fields else {}
        courts: dict[str, set[int]] = {}
        for rule in candidates:
            if _holds(rule, booking, fields):
                courts.setdefault(rule.court_id, set()).update(rule.service_ids)
        return courts or self._mapped_courts(booking, fields)

    def _mapped_courts(self, booking: SourceBooking, fields: Mapping[str, set[str]]) -> dict[str, set[int]]:
        """Return the courts of Wingfield's mappings, each with the services that are mapped to it."""
        by_service = {str(service.id): {service.id} for service in booking.services if self._by == "service"}
        ids: Iterable[object] = {"location": (booking.location_id,), "team": booking.team_ids}.get(self._by, by_service)
        courts: dict[str, set[int]] = {}
        external_ids = fields.get(self._by_field, set()) if self._by_field else texts(ids)
        for each in external_ids & self._mapped.keys():
            courts.setdefault(self._mapped[each], set()).update(by_service.get(each, ()))
        return courts

    def _not_one_court(self, booking: SourceBooking, courts: Mapping[str, set[int]], start: datetime) -> Held:
        if not courts:
            return Held(booking.id, Reason.NO_COURT, "no court booking any more")
        numbers = set(booking.service_ids)
        ruled = numbers & set[int]().union(*courts.values()) or numbers
        titles = ", ".join(sorted(self._titles.get(court_id, court_id) for court_id in courts))
        which = f"services {_listing(ruled)}" if ruled else "no services"
        detail = f"it would go to {len(courts)} courts: {titles} (it has {which})"
        return _held(booking, Reason.AMBIGUOUS_COURT, detail, Slot("", start, start), ruled)

    def _minutes(self, booking: SourceBooking, ruled: set[int]) -> int | str:
        """Return the booking's length in minutes, or the sentence that says what it lacks."""
        if len(booking.services) == 1 and (alone := self._own_minutes(booking.services[0])) is not None:
            return alone  # nearly always
        services = [service for service in booking.services if service.id in (ruled or self._named)]
        # Where no rule says which services are the court, racket hire (no length) is among them.
        every_counts = bool(services)
        services = services or booking.services
        own = [self._own_minutes(service) for service in services]
        if own and None not in own:
            return sum(filter(None, own))
        if (whole := booking.minutes) is not None:
            return whole
        catalogue = self._memory.catalogue(booking.location_id or DEFAULT_LOCATION)
        if catalogue is None:
            return "the catalogue of its location could not be read yet; tried again every minute"
        lengths = [
            known or catalogue.get(service.id, NO_LENGTHS).total(service.parts)
            for known, service in zip(own, services, strict=True)
        ]
        total = sum(filter(None, lengths))
        unknown = lengths.count(None) if every_counts else int(not total)
        if unknown and self._default is None:
            lacking = {service.id for length, service in zip(lengths, services, strict=True) if length is None}
            unnamed = "neither it nor mapping.default_minutes says how long it is"
            remedy = "set mapping.service_minutes or mapping.default_minutes"
            return f"nothing says how long service {_listing(lacking)} takes; {remedy}" if lacking else unnamed
        return total + unknown * (self._default or 0)

    def _own_minutes(self, service: Service) -> int | None:
        configured = self._configured.get(service.id)
        return service.minutes if configured is None else configured

    def _addresses(self, booking: SourceBooking) -> tuple[tuple[str, ...], int]:
        """Return the players' addresses, each once (or none), and how many were unusable."""
        email = booking.email
        if email is not None and not self._participant_fields and (alone := usable_address(email)) is not None:
            return (alone,), 0  # nearly always
        given = () if email is None else (email,)
        usable = [usable_address(word) for word in (*given, *words(booking, self._participant_fields))]
        skipped = usable.count(None)
        found = tuple(dict.fromkeys(filter(None, usable)))
        if not found and self._fallback is not None:
            found = (self._fallback,)
        return found, skipped

    def _court_booking(self, booking: SourceBooking, slot: Slot, addresses: tuple[str, ...]) -> CourtBooking:
        # One user may have several addresses.
        participants = tuple(dict.fromkeys(map(self._relations.participant, addresses)))[:_MOST_PARTICIPANTS]
        addresses = addresses[:_MOST_PARTICIPANTS]
        spare = () if participants == addresses else addresses
        content = fingerprint(slot, participants)
        return CourtBooking(booking.id, slot, participants, self._modified(booking), content, spare)

    def _start(self, booking: SourceBooking) -> datetime:
        """Return the start in UTC, to the millisecond."""
        start = self._instant(booking.service_date)
        below_ms = start.microsecond % 1000
        return start - timedelta(microseconds=below_ms) if below_ms else start

    def _modified(self, booking: SourceBooking) -> datetime | None:
        modified = booking.modified
        if modified is None or not _EARLIEST_YEAR <= modified.year <= _LATEST_YEAR:
            return None
        return self._instant(modified)

    def _instant(self, written: datetime) -> datetime:
        """Return the instant in UTC; without an offset it is wall time in the account's zone.

        A time the clock shows twice is the first of the two, one it skips is read with the offset before.
        """
        if written.tzinfo is None:
            written = written.replace(tzinfo=self._zone)
        return written.astimezone(UTC)


def _holds(rule: CourtRule, booking: SourceBooking, fields: Mapping[str, set[str]]) -> bool:
    """Whether every condition but the services holds; ``fields`` are the contents by field."""
    if rule.location_ids and booking.location_id not in rule.location_ids:
        return False
    if rule.team_ids and rule.team_ids.isdisjoint(booking.team_ids):
        return False
    if rule.custom_field is None:
        return True
    found = fields.get(folded(rule.custom_field), ())
    return any(folded(value) in found for value in rule.custom_values)


def _held(booking: SourceBooking, reason: Reason, detail: str, slot: Slot, ruled: set[int]) -> Held:
    """Return why a booking that wants ``slot`` is held, with the first of its services, of those the rules name."""
    numbers = booking.service_ids
    return Held(booking.id, reason, detail, 0, slot, min(numbers & ruled or numbers, default=None))


def _titles(courts: Sequence[CourtRule]) -> dict[str, str]:
    """Return how to name to people each court that has a name: its first one, with its id."""
    return {court.court_id: f"{court.name} ({court.court_id})" for court in reversed(courts) if court.name}


def _listing(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))
