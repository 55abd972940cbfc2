"""The club of the demo: both services, one Saturday's bookings, and what happens between the passes.

The same every time: fixed names, a fixed day, a clock that moves only between passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bridge.sandbox import Launch27, Wingfield
from bridge.sandbox.configuration import configuration

ZONE = ZoneInfo("Europe/Berlin")
SATURDAY = date(2026, 6, 13)
COURTS = {number: f"c0000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3, 4)}
RACKETS = 9
EMAIL, PASSWORD = "club@example.com", "demo"

_BOOKED: tuple[tuple[str, int, int, *tuple[int, ...]], ...] = (
    ("Anna Weber", 9, 60, 1),
    ("Jonas Klein", 9, 60, 2),
    ("Mia Hoffmann", 9, 90, 3, RACKETS),
    ("Emil Wagner", 10, 60, 1),
    ("Clara Schulz", 10, 120, 2),
    ("Ben Richter", 10, 60, 4),
    ("Lea Neumann", 11, 60, 1),
    ("Noah Braun", 11, 60, 3),
    ("Ida Lorenz", 12, 60, 4),
    ("Felix Hartmann", 14, 60, 2),
    ("Marie Krause", 14, 60, 3),
    ("Oskar Winter", 15, 90, 1),
    ("Greta Sommer", 15, 60, 4),
    ("Leon Vogel", 17, 60, 1),
    ("Nora Seidel", 17, 60, 2),
    ("Paul Krüger", 10, 60, 1),  # Emil Wagner has that court at that time
    ("Lena Vogt", 17, 60, 4),  # her address is missing
    ("Tennis school", 18, 60, 3, 4),
    ("Tom Busch", 19, 60, RACKETS),
)
"""By whom, from which hour, for how many minutes, and which services: courts by number, and rackets."""


class Club:
    """Both services, and the ids of the bookings by name."""

    def __init__(self) -> None:
        self.now = datetime(2026, 6, 12, 16, tzinfo=UTC)
        self.launch27 = Launch27("Demo", str(ZONE), clock=self._seconds)
        courts = {id_: f"Court {number}" for number, id_ in COURTS.items()}
        self.wingfield = Wingfield(courts=courts, clock=self._seconds)
        self.launch27.add_account(EMAIL, PASSWORD)
        for number in COURTS:
            self.launch27.add_service(number, f"Court {number}")
        self.launch27.add_service(RACKETS, "Racket hire")
        self.ids: dict[str, int] = {}
        for booked in _BOOKED:
            self.book(*booked)
        self.launch27.edit(self.ids["Lena Vogt"], email="")

    def _seconds(self) -> float:
        return self.now.timestamp()

    def book(self, name: str, hour: int, minutes: int, *services: int) -> None:
        """Book services on Saturday, at an hour of the club's own time."""
        self.ids[name] = self.launch27.add_booking(
            name=name,
            email=name.lower().replace(" ", ".").replace("ü", "ue") + "@example.com",
            service_date=_at(hour),
            services=_services(minutes, *services),
        )

    def move(self, name: str, hour: int, minutes: int, court: int) -> None:
        """Change time, length or court of a booking."""
        self.launch27.edit(self.ids[name], service_date=_at(hour), services=_services(minutes, court))

    def write_config(self, path: Path) -> None:
        """Write a configuration under which the club is bridged."""
        path.write_text(configuration(self.launch27, self.wingfield, COURTS, (EMAIL, PASSWORD)))

    def name_of(self, id_: str) -> str:
        """Return by whom it was booked."""
        return next((name for name, number in self.ids.items() if str(number) == id_), "")

    def day(self) -> list[list[str]]:
        """Return the day as Wingfield has it: for each hour in which something begins, the hour and each court."""
        day: dict[int, dict[str, str]] = {}
        for id_, booking in self.wingfield.bookings.items():
            start, end = (datetime.fromisoformat(booking[key]) for key in ("startDate", "endDate"))
            row = day.setdefault(start.astimezone(ZONE).hour, {})
            row[booking["courtId"]] = f"{self.name_of(id_)} {hours(start, end)}"
        return [[f"{hour:02}:00", *(day[hour].get(id_, "") for id_ in COURTS.values())] for hour in sorted(day)]


def hours(start: datetime, end: datetime) -> str:
    """Return from when to when, in the club's own time."""
    return f"{start.astimezone(ZONE):%H:%M}–{end.astimezone(ZONE):%H:%M}"


def _at(hour: int) -> datetime:
    return datetime.combine(SATURDAY, time(hour), ZONE)


def _services(minutes: int, *numbers: int) -> list[dict[str, Any]]:
    hourly = {"quantity": 1, "minutes": minutes}
    return [
        {"id": RACKETS} if number == RACKETS else {"id": number, "name": f"Court {number}", "hourly": hourly}
        for number in numbers
    ]


# --- what happens at the club, between the passes ---


def _nothing(_club: Club) -> None: ...


def _a_busy_evening(club: Club) -> None:
    club.book("Frieda Lang", 16, 60, 3)
    club.move("Ben Richter", 11, 60, 4)
    club.move("Felix Hartmann", 14, 90, 2)
    club.launch27.cancel(club.ids["Lea Neumann"])
    club.launch27.vanish(club.ids["Ida Lorenz"])


def _a_swap(club: Club) -> None:
    club.move("Leon Vogel", 17, 60, 2)
    club.move("Nora Seidel", 17, 60, 1)
    club.move("Paul Krüger", 11, 60, 1)
    club.launch27.edit(club.ids["Lena Vogt"], email="lena.vogt@example.com")


def _an_empty_answer(club: Club) -> None:
    def is_listing(_method: str, path: str) -> bool:
        return path.endswith("/customer/bookings")

    club.launch27.faults.add("truncate_listing", keep=0, match=is_listing)


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens in Launch27 before a pass, told in a sentence or two."""

    title: str
    told: str
    happens: Callable[[Club], None]


STEPS = (
    Step(
        "The first pass",
        "Nineteen bookings wait in Launch27, and Wingfield has none. One overlaps another, one names no "
        "player's address, one is for two courts at once: these are held. One only hires a racket.",
        _nothing,
    ),
    Step("Nothing has changed", "So nothing is written.", _nothing),
    Step(
        "A busy evening",
        "Frieda Lang books, Ben Richter comes an hour later, Felix Hartmann stays for longer. Lea Neumann "
        "cancels, and Ida Lorenz's booking vanishes from Launch27 altogether.",
        _a_busy_evening,
    ),
    Step(
        "Two change places",
        "Leon Vogel and Nora Seidel swap courts: one booking is temporarily deleted, so that the other can "
        "move, and recreated. The desk has moved Paul Krüger to a free hour, and Lena Vogt has left her "
        "address.",
        _a_swap,
    ),
    Step(
        "An empty answer",
        "Launch27 lists nothing at all, as if every booking were gone. Each is looked up by its id before "
        "anything is deleted; all are still there, so nothing is.",
        _an_empty_answer,
    ),
)


# --- what must come out ---

_COMPARED = ("courtId", "startDate", "endDate", "participants")


def expected(club: Club) -> dict[str, dict[str, Any]]:
    """Return what Wingfield should have: the active bookings of exactly one court."""
    wanted = {}
    for number, raw in club.launch27.bookings.items():
        own = [service for service in raw["services"] if service["id"] in COURTS]
        if raw["active"] and len(own) == 1:
            start = datetime.fromisoformat(raw["service_date"])
            end = start + timedelta(minutes=own[0]["hourly"]["minutes"])
            content = (COURTS[own[0]["id"]], _text(start), _text(end), [{"email": raw["email"]}])
            wanted[str(number)] = dict(zip(_COMPARED, content, strict=True))
    return wanted


def differing(club: Club) -> list[str]:
    """Return the ids of the bookings that Wingfield has not as it should."""
    wanted = expected(club)
    there = {id_: {key: entry[key] for key in _COMPARED} for id_, entry in club.wingfield.bookings.items()}
    return sorted(id_ for id_ in wanted.keys() | there.keys() if wanted.get(id_) != there.get(id_))


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
