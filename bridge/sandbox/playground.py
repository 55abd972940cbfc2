"""A club to play with: what its players book, and what a hand does in Wingfield, each told in a sentence."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from bridge.sandbox.configuration import configuration
from bridge.sandbox.launch27 import Launch27
from bridge.sandbox.watched import Json
from bridge.sandbox.wingfield import Wingfield

EMAIL, PASSWORD = "club@example.com", "club-secret"
_MOST_PLAYERS = 4
_PLAYERS = "players"
"""The custom field of Launch27 that holds more players' addresses."""
_TABLES = f"""\
[mapping]
participant_fields = ["{_PLAYERS}"]
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A court, by the number of the service that books it, from when and for how long; times are the club's."""

    court: int
    start: datetime
    minutes: int

    @property
    def end(self) -> datetime:
        return (self.start.astimezone(UTC) + timedelta(minutes=self.minutes)).astimezone(self.start.tzinfo)

    def overlaps(self, other: Place) -> bool:
        """Whether both have the court at some moment."""
        return self.court == other.court and self.start < other.end and other.start < self.end

    def __str__(self) -> str:
        return f"Court {self.court}, {self.start:%a %d %b %H:%M}–{self.end:%H:%M}"


@dataclass(frozen=True, slots=True)
class Side:
    """A booking as one of the services has it; ``people`` are addresses, ``name`` is for Launch27 only."""

    place: Place
    people: tuple[str, ...]
    name: str = ""
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Pair:
    """What both services have under one id, as far as they have it."""

    id: str
    launch27: Side | None
    wingfield: Side | None

    @property
    def first_start(self) -> datetime:
        return min(side.place.start for side in (self.launch27, self.wingfield) if side)

    @property
    def standing(self) -> str:
        """How the two compare: "same", "differs", "missing", "extra", "cancelled" or "foreign"."""
        if self.launch27 is None:
            return "extra" if self.id.isdecimal() else "foreign"
        if not self.launch27.is_active:
            return "cancelled" if self.wingfield is None else "extra"
        if self.wingfield is None:
            return "missing"
        one, other = self.launch27, self.wingfield
        return "same" if (one.place, one.people) == (other.place, other.people) else "differs"

    def is_on(self, day: date) -> bool:
        return any(side.place.start.date() == day for side in (self.launch27, self.wingfield) if side)


class Playground:
    """Both services of one club, and what people do there.

    ``courts`` are the ids of Wingfield's courts by the numbers of Launch27's services; ``tables`` are more of its
    configuration. Times that are given are aware. What is done is noted in the ``journal``, newest first, and ``tell``
    is called with it. Raises ValueError, with a sentence, for what cannot be done.
    """

    def __init__(self, launch27: Launch27, wingfield: Wingfield, *tables: str) -> None:
        self.launch27 = launch27
        self.wingfield = wingfield
        self.zone = ZoneInfo(launch27.timezone)
        self.courts = dict(enumerate(wingfield.courts, 1))
        self.tell: Callable[[str], object] = lambda _: None
        self.journal: deque[tuple[datetime, str]] = deque(maxlen=12)
        self._tables = tables
        self._strangers: dict[str, tuple[str, Place]] = {}
        launch27.add_account(EMAIL, PASSWORD)
        for number, court_id in self.courts.items():
            name = wingfield.courts[court_id].name
            wingfield.map_court(court_id, str(number), name)  # "courtbridge courts" finds courts by these
            if number not in {entry["id"] for entry in launch27.catalogue}:
                launch27.add_service(number, name)

    @property
    def now(self) -> datetime:
        """The time at the club."""
        return datetime.fromtimestamp(self.launch27.clock(), self.zone)

    @property
    def configuration(self) -> str:
        """The ``config.toml`` under which the club is bridged; both services must be listening."""
        return configuration(self.launch27, self.wingfield, self.courts, (EMAIL, PASSWORD), _TABLES, *self._tables)

    def note(self, sentence: str) -> None:
        """Write into the journal what has happened."""
        self.journal.appendleft((self.now, sentence))
        self.tell(sentence)

    def place(self, court: int, start: datetime, minutes: int) -> Place:
        """Return a place on a court of the club."""
        if court not in self.courts:
            raise ValueError(f"There is no Court {court}.")
        if minutes % 30 or not 30 <= minutes <= 1440:  # Source: Launch27, a booking's ``hourly``
            raise ValueError("Courts are booked for 30 to 1440 minutes, in steps of 30.")
        return Place(court, start.astimezone(self.zone), minutes)

    # --- in Launch27 -----------------------------------------------------------------------------------

    def book(self, name: str, email: str, place: Place, players: str = "") -> int:
        """Book a court, and return the booking's id; ``players`` are more addresses, as somebody types them."""
        number = self.launch27.add_booking(
            name=name,
            email=email,
            service_date=place.start,
            services=self._services(place),
            custom_fields=_field(players),
        )
        self.note(f"{name} books {place} (booking {number}).")
        return number

    def move(self, number: int, place: Place) -> None:
        """Give a booking another court, time or length."""
        self._booking(number)
        self.launch27.edit(number, service_date=place.start, services=self._services(place))
        self.note(f"{self._name(number)} moves to {place} (booking {number}).")

    def set_players(self, number: int, email: str, players: str) -> None:
        """Say whose booking it is, and who else plays."""
        self._booking(number)
        self.launch27.edit(number, email=email, custom_fields=_field(players))
        self.note(f"{self._name(number)} names the players (booking {number}).")

    def cancel(self, number: int) -> None:
        """Cancel a booking."""
        self._booking(number)
        self.launch27.cancel(number)
        self.note(f"{self._name(number)} cancels (booking {number}).")

    def restore(self, number: int) -> None:
        """Bring a cancelled booking back."""
        self._booking(number)
        self.launch27.restore(number)
        self.note(f"{self._name(number)} plays after all (booking {number}).")

    def forget_cancelled(self, keep: int) -> None:
        """Take all cancelled bookings but the newest out of Launch27 altogether, so that a club can live for weeks."""
        cancelled = [number for number, raw in self.launch27.bookings.items() if not raw["active"]]
        for number in sorted(cancelled)[:-keep]:
            del self.launch27.bookings[number]

    def _booking(self, number: int) -> dict[str, Any]:
        if number not in self.launch27.bookings:
            raise ValueError(f"Launch27 has no booking {number}.")
        booking: dict[str, Any] = self.launch27.bookings[number]
        return booking

    def _name(self, number: int) -> str:
        return str(self._booking(number)["name"])

    def _services(self, place: Place) -> list[dict[str, Any]]:
        name = self.wingfield.courts[self.courts[place.court]].name
        return [{"id": place.court, "name": name, "hourly": {"quantity": 1, "minutes": place.minutes}}]

    # --- by hand in Wingfield --------------------------------------------------------------------------

    def move_by_hand(self, key: str, place: Place) -> None:
        """Move a court booking behind the bridge's back."""
        booking = self._court_booking(key)
        version, emails = booking["externalUpdatedAt"], _addresses(booking)
        with _taken(place):
            self.wingfield.store(key, **self._slot(place), updated_at=version, emails=emails)
        self.note(f"A hand in Wingfield moves court booking {key} to {place}.")

    def delete_by_hand(self, key: str) -> None:
        """Delete a court booking behind the bridge's back; one of a stranger's goes the same way."""
        if key in self._strangers:
            handle, place = self._strangers.pop(key)
            self.wingfield.remove_stranger(handle)
            self.note(f"A hand in Wingfield frees {place}.")
            return
        self._court_booking(key)
        self.wingfield.remove(key)
        self.note(f"A hand in Wingfield deletes court booking {key}.")

    def book_by_hand(self, place: Place) -> str:
        """Book a court in Wingfield past Launch27, and return a key; no answer of the API shows such a booking."""
        with _taken(place):
            handle = self.wingfield.add_stranger(**self._slot(place))
        key = handle.replace(" ", "-")
        self._strangers[key] = handle, place
        self.note(f"A hand in Wingfield books {place}, past Launch27.")
        return key

    def _slot(self, place: Place) -> dict[str, Any]:
        return {"court_id": self.courts[place.court], "start": place.start, "end": place.end}

    def _court_booking(self, key: str) -> dict[str, Any]:
        if key not in self.wingfield.bookings:
            raise ValueError(f"Wingfield has no court booking {key}.")
        return self.wingfield.bookings[key]

    # --- what there is ---------------------------------------------------------------------------------

    def pairs(self) -> Iterator[Pair]:
        """Yield what both services have, by id."""
        one = {str(number): self._booked(raw) for number, raw in self.launch27.bookings.items()}
        other = {key: self._stands(raw) for key, raw in self.wingfield.bookings.items()}
        other |= {key: Side(place, ()) for key, (_, place) in self._strangers.items()}
        for key in {**one, **other}:
            yield Pair(key, one.get(key), other.get(key))

    def day(self, day: date) -> list[Pair]:
        """Return what either service has on that day, by time."""
        return sorted((pair for pair in self.pairs() if pair.is_on(day)), key=lambda pair: (pair.first_start, pair.id))

    def _booked(self, raw: Json) -> Side:
        service = raw["services"][0]
        start = datetime.fromisoformat(raw["service_date"])
        place = self.place(service["id"], start, service["hourly"]["minutes"])
        return Side(place, _people(raw), raw["name"], raw["active"])

    def _stands(self, raw: Json) -> Side:
        numbers = {court_id: number for number, court_id in self.courts.items()}
        start, end = (datetime.fromisoformat(raw[key]) for key in ("startDate", "endDate"))
        minutes = (end - start) // timedelta(minutes=1)
        return Side(Place(numbers[raw["courtId"]], start.astimezone(self.zone), minutes), _addresses(raw))


def courts(count: int) -> dict[str, str]:
    """Return so many courts for a :class:`Wingfield`: names by id, the same every time."""
    return {str(uuid5(NAMESPACE_URL, f"court/{number}")): f"Court {number}" for number in range(1, count + 1)}


@contextmanager
def _taken(place: Place) -> Iterator[None]:
    """Say that a court is taken as people would."""
    try:
        yield
    except ValueError:
        raise ValueError(f"{place} is taken in Wingfield.") from None


def _field(players: str) -> list[dict[str, Any]]:
    return [{"id": 1, "code": _PLAYERS, "label": "Players", "value": players}] if players else []


def _people(raw: Json) -> tuple[str, ...]:
    """Return the addresses a court booking should have. Source: the rules of the bridge's configuration."""
    more = raw["custom_fields"][0]["value"] if raw["custom_fields"] else ""
    named = [raw["email"], *more.replace(",", " ").replace(";", " ").split()]
    return tuple({address.lower(): None for address in named if "@" in address})[:_MOST_PLAYERS]


def _addresses(raw: Json) -> tuple[str, ...]:
    participants: Collection[dict[str, str]] = raw["participants"]
    return tuple(each.get("email") or each["userId"] for each in participants)
