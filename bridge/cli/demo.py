"""``courtbridge demo``: a club's Saturday in both services, simulated, and real passes between them.

The same every time: fixed names, a fixed day, a clock that moves only between passes. Everything it keeps is
in a temporary directory, and nothing leaves the computer. At the end it compares what Wingfield has with
what Launch27 says, by rules of its own.
"""

from __future__ import annotations

import asyncio
import tempfile
import textwrap
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bridge import log as logs
from bridge.cli.output import Line, Table, counts, show
from bridge.config.schema import (
    Account,
    Config,
    CourtRule,
    Launch27Config,
    SyncConfig,
    WingfieldConfig,
)
from bridge.config.secrets import Secret
from bridge.errors import ExitStatus
from bridge.ledger.store import Ledger
from bridge.model import Held, HeldSince, Write, isoformat
from bridge.sandbox import Launch27, Sandbox, Wingfield
from bridge.sync.clients import Services, connected
from bridge.sync.narrator import LogNarrator
from bridge.sync.run import PassResult, Synchronizer

ZONE = ZoneInfo("Europe/Berlin")
SATURDAY = date(2026, 6, 13)
COURTS = {number: f"c0000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3, 4)}
RACKETS = 9
_LOGIN = ("club@example.com", "demo")

_BOOKED = (
    ("Anna Weber", 1, 9, 60),
    ("Jonas Klein", 2, 9, 60),
    ("Mia Hoffmann", 3, 9, 90),
    ("Emil Wagner", 1, 10, 60),
    ("Clara Schulz", 2, 10, 120),
    ("Ben Richter", 4, 10, 60),
    ("Lea Neumann", 1, 11, 60),
    ("Noah Braun", 3, 11, 60),
    ("Ida Lorenz", 4, 12, 60),
    ("Felix Hartmann", 2, 14, 60),
    ("Marie Krause", 3, 14, 60),
    ("Oskar Winter", 1, 15, 90),
    ("Greta Sommer", 4, 15, 60),
    ("Leon Vogel", 1, 17, 60),
    ("Nora Seidel", 2, 17, 60),
)
"""Who has booked which court, from which hour, for how many minutes."""


class Club:
    """Both services, and one Saturday's bookings, by the names of those who booked."""

    def __init__(self) -> None:
        self.now = datetime(2026, 6, 12, 16, tzinfo=UTC)
        self.launch27 = Launch27("Demo", str(ZONE), clock=self._seconds)
        self.wingfield = Wingfield(
            courts={id_: f"Court {n}" for n, id_ in COURTS.items()}, clock=self._seconds
        )
        self.launch27.add_account(*_LOGIN)
        for number in COURTS:
            self.launch27.add_service(number, f"Court {number}")
        self.launch27.add_service(RACKETS, "Racket hire")
        self.ids: dict[str, int] = {}
        for booked in _BOOKED:
            self.book(*booked)
        self._book_what_is_odd()

    def _seconds(self) -> float:
        return self.now.timestamp()

    def _book_what_is_odd(self) -> None:
        self.launch27.edit(self.ids["Mia Hoffmann"], services=[*_services(3, 90), {"id": RACKETS}])
        self.book("Paul Krüger", 1, 10, 60)  # Emil Wagner has that court at that time
        self.book("Lena Vogt", 4, 17, 60, email="")
        self.book("Tennis school", 3, 18, 60)
        self.launch27.edit(self.ids["Tennis school"], services=[*_services(3, 60), *_services(4, 60)])
        self.book("Tom Busch", 1, 19, 60)
        self.launch27.edit(self.ids["Tom Busch"], services=[{"id": RACKETS}])

    def book(self, name: str, court: int, hour: int, minutes: int, **fields: Any) -> None:  # noqa: ANN401
        """Book a court on Saturday, in the club's own time."""
        email = name.lower().replace(" ", ".").replace("ü", "ue") + "@example.com"
        self.ids[name] = self.launch27.add_booking(
            name=name,
            service_date=_at(hour),
            services=_services(court, minutes),
            **{"email": email, **fields},
        )

    def move(self, name: str, court: int, hour: int, minutes: int = 60) -> None:
        """Change court, time or length of a booking."""
        self.launch27.edit(self.ids[name], service_date=_at(hour), services=_services(court, minutes))

    def name_of(self, id_: str) -> str:
        """Return who booked."""
        return next((name for name, number in self.ids.items() if str(number) == id_), "")


def _at(hour: int) -> datetime:
    return datetime.combine(SATURDAY, time(hour), ZONE)


def _services(court: int, minutes: int) -> list[dict[str, Any]]:
    return [{"id": court, "name": f"Court {court}", "hourly": {"quantity": 1, "minutes": minutes}}]


# --- what happens at the club, between the passes ---


def _nothing(_club: Club) -> None: ...


def _a_busy_evening(club: Club) -> None:
    club.book("Frieda Lang", 3, 10, 60)
    club.move("Frieda Lang", 3, 16)
    club.move("Ben Richter", 4, 11)
    club.move("Felix Hartmann", 2, 14, 90)
    club.launch27.cancel(club.ids["Lea Neumann"])
    club.launch27.vanish(club.ids["Ida Lorenz"])


def _mended(club: Club) -> None:
    club.move("Leon Vogel", 2, 17)
    club.move("Nora Seidel", 1, 17)
    club.move("Paul Krüger", 1, 11)
    club.launch27.edit(club.ids["Lena Vogt"], email="lena.vogt@example.com")


def _an_empty_answer(club: Club) -> None:
    def is_listing(_method: str, path: str) -> bool:
        return path.endswith("/customer/bookings")

    club.launch27.faults.add("truncate_listing", keep=0, match=is_listing)


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens in Launch27, told in a sentence or two, and then a pass."""

    title: str
    told: str
    happens: Callable[[Club], None]


STEPS = (
    Step(
        "The first pass",
        "Nineteen bookings wait in Launch27, and Wingfield has none. One overlaps another, one names no "
        "player's address, one is for two courts at once: these are held back. One only hires a racket.",
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
        "Leon Vogel and Nora Seidel swap courts: one is taken out, so that the other can move, and put back. "
        "The desk has moved Paul Krüger to a free hour, and Lena Vogt has left her address.",
        _mended,
    ),
    Step(
        "An empty answer",
        "Launch27 lists nothing at all, as if every booking were gone. Each is asked for by its id before "
        "anything is deleted; all are still there, so nothing is.",
        _an_empty_answer,
    ),
)


# --- the passes ---


@dataclass(slots=True)
class _Listener(LogNarrator):
    """Keeps what was written, and whether other bookings are held back than before."""

    writes: list[Write] = field(default_factory=list)
    is_held_new: bool = False

    def wrote(self, write: Write) -> None:
        self.writes.append(write)

    def held_changed(self, began: Sequence[Held], ended: Sequence[HeldSince]) -> None:
        self.is_held_new = bool(began or ended)


def demo() -> ExitStatus:
    """Run the demonstration; return 1 if at its end Wingfield has not what Launch27 says."""
    logs.configure("error")
    with tempfile.TemporaryDirectory(prefix="courtbridge-demo-") as folder:
        return asyncio.run(_demo(Path(folder)))


async def _demo(folder: Path) -> ExitStatus:
    club = Club()
    async with Sandbox(club.launch27, club.wingfield):
        config = _config(club, folder)
        with closing(Ledger.open(config.sync.state, config.identity)) as ledger:
            async with connected(config) as services:
                show(_introduction())
                for number, step in enumerate(STEPS, 1):
                    await _take(step, number, club, services, config, ledger)
    return _verdict(club)


def _config(club: Club, folder: Path) -> Config:
    email, password = _LOGIN
    account = Account(email=email, password=Secret(password))
    wingfield = club.wingfield
    return Config(
        path=folder / "config.toml",
        launch27=Launch27Config(
            base_url=club.launch27.url, accounts=(account,), reads_per_second=1000.0, read_burst=1000
        ),
        wingfield=WingfieldConfig(
            base_url=wingfield.url,
            external_service_id=wingfield.service_id,
            token=Secret(wingfield.token),
        ),
        sync=SyncConfig(state=folder / "courtbridge.db"),
        courts=tuple(
            CourtRule(court_id=id_, name=f"Court {n}", service_ids=frozenset({n}))
            for n, id_ in COURTS.items()
        ),
    )


async def _take(
    step: Step, number: int, club: Club, services: Services, config: Config, ledger: Ledger
) -> None:
    """Let a step happen, run a pass, and show what it did."""
    club.now += timedelta(minutes=1)
    step.happens(club)
    services.new_pass()
    listener = _Listener()
    synchronizer = Synchronizer(
        config,
        services.launch27,
        services.sessions,
        services.wingfield,
        ledger,
        listener,
        clock=lambda: club.now,
        stop=asyncio.Event(),
    )
    result = await synchronizer.run_pass()
    told = map(Line, textwrap.wrap(step.told, 80))
    show([Line(""), Line(f"{number}. {step.title}", "bold"), *told, Line(counts(result.record))])
    if listener.writes:
        show([_done(club, listener.writes, result)])
    if listener.is_held_new:
        show([_held(club, result)] if result.held else [Line("Nobody is held back any more.")])
    if listener.writes:
        show([_court_day(club)])


# --- what is shown ---


def _introduction() -> list[Line]:
    return [
        Line("Courtbridge, with both services simulated on this computer. Nothing leaves it.", "bold"),
        Line(f"A club with four courts, and its bookings for {SATURDAY:%A, %d %B %Y}."),
    ]


def _done(club: Club, writes: Sequence[Write], result: PassResult) -> Table:
    """Return what was written: a ring of moves last and in its order, the others, which have none, by id."""
    planned = [(write.id, write.takes_out) for write in result.planned]

    def place_in_plan(write: Write) -> tuple[int, str]:
        in_ring = write.ring is not None
        return planned.index((write.id, write.takes_out)) + 1 if in_ring else 0, write.id

    rows = [
        (
            "take out" if write.takes_out else write.verb.value,
            write.id,
            club.name_of(write.id),
            *_place(write),
            write.why,
        )
        for write in sorted(writes, key=place_in_plan)
    ]
    columns = ("did", "booking", "name", "court", "when", "why")
    return Table("What the pass did", columns, rows)


def _place(write: Write) -> tuple[str, str]:
    if write.slot is None:
        return "", ""
    return f"Court {_number(write.slot.court_id)}", _hours(write.slot.start, write.slot.end)


def _number(court_id: str) -> int:
    return next(number for number, id_ in COURTS.items() if id_ == court_id)


def _hours(start: datetime, end: datetime) -> str:
    return f"{start.astimezone(ZONE):%H:%M}–{end.astimezone(ZONE):%H:%M}"


def _held(club: Club, result: PassResult) -> Table:
    rows = [(held.id, club.name_of(held.id), held.reason, held.detail) for held in result.held]
    return Table("Held back", ("booking", "name", "reason", "detail"), rows)


def _court_day(club: Club) -> Table:
    """Return the day as Wingfield has it."""
    hours: dict[int, dict[int, str]] = {}
    for id_, stored in sorted(club.wingfield.bookings.items()):
        start, end = (datetime.fromisoformat(stored[key]) for key in ("startDate", "endDate"))
        row = hours.setdefault(start.astimezone(ZONE).hour, {})
        row[_number(stored["courtId"])] = f"{club.name_of(id_)} {_hours(start, end)}"
    rows = [[f"{hour:02}:00", *(hours[hour].get(n, "") for n in COURTS)] for hour in sorted(hours)]
    columns = ("from", *(f"Court {n}" for n in COURTS))
    return Table("Wingfield now", columns, rows)


# --- whether it worked ---

_Truth = dict[str, tuple[str, str, str, tuple[str, ...]]]


def _verdict(club: Club) -> ExitStatus:
    """Compare both services, say how they compare, and return the exit status."""
    wanted, there = expected(club), stored(club)
    if wanted == there:
        refused = sum(entry.status >= 400 for entry in club.wingfield.log)
        show(
            [
                Line(""),
                Line(
                    f"In step: Wingfield has the {len(there)} court bookings of Launch27, as they are there.",
                    "green",
                ),
                Line(f"{len(club.wingfield.log)} requests to Wingfield, {refused} of them refused."),
                Line('Next: copy config.example.toml to config.toml, edit it, and run "courtbridge check".'),
            ]
        )
        return ExitStatus.OK
    differ = sorted(id_ for id_ in wanted.keys() | there.keys() if wanted.get(id_) != there.get(id_))
    show([Line(""), Line(f"NOT in step; these differ: {', '.join(differ)}. This is a bug.", "red")])
    return ExitStatus.ATTENTION


def expected(club: Club) -> _Truth:
    """Return what Wingfield should have: the active bookings of exactly one court."""
    truth: _Truth = {}
    for number in club.launch27.bookings:
        raw = club.launch27.bookings[number]
        own = [service for service in raw["services"] if service["id"] in COURTS]
        if raw["active"] and len(own) == 1:
            start = datetime.fromisoformat(raw["service_date"])
            end = start + timedelta(minutes=own[0]["hourly"]["minutes"])
            truth[str(number)] = (COURTS[own[0]["id"]], isoformat(start), isoformat(end), (raw["email"],))
    return truth


def stored(club: Club) -> _Truth:
    """Return what Wingfield has."""
    return {
        id_: (
            entry["courtId"],
            entry["startDate"],
            entry["endDate"],
            tuple(participant["email"] for participant in entry["participants"]),
        )
        for id_, entry in club.wingfield.bookings.items()
    }
