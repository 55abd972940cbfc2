"""The job: edit the source, kill a pass, and again; then let one pass run to its end, and look.

A bridge is forked from a server that has everything imported, since an interpreter takes a second to get there.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from bridge.sandbox import Fault, Launch27, Sandbox, Wingfield
from tests.support.builders import COURT_IDS, COURTS, EMAIL, PASSWORD
from tests.support.club import WRITES, is_write, service
from tests.support.configuration import configuration, introduction, write_config

HALF_HOURS = 28
MOST_MOVED = 20
PATIENCE_SECONDS = 60.0
BRIDGES = multiprocessing.get_context("forkserver")
BRIDGES.set_forkserver_preload(["tests.kills.job", "bridge.cli.main", "bridge.cli.once", "bridge.sync.narrator"])


def bridge_once(folder: Path) -> None:
    """Be a bridge for one pass; what it says goes to said.log."""
    from bridge.cli.main import main

    said = os.open(folder / "said.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(said, stream)
    sys.exit(main(["--once", "--json", "--allow-mass-delete", "--config", str(folder / "config.toml")]))


@dataclass(frozen=True)
class Place:
    """A court (1 to 3) from one half hour of the day to another."""

    court: int
    first: int
    end: int

    def overlaps(self, other: Place) -> bool:
        return self.court == other.court and self.first < other.end and other.first < self.end


@dataclass
class Job:
    """A club, a bridge, and a chance; ``counts`` is what happened."""

    chance: random.Random
    folder: Path
    launch27: Launch27
    wingfield: Wingfield
    places: dict[int, Place] = field(default_factory=dict)
    players: dict[int, str] = field(default_factory=dict)
    settled: dict[int, Place] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    usual_seconds: float = 0.3
    morning: datetime = field(
        default_factory=lambda: datetime.now(UTC).replace(hour=6, minute=0, second=0, microsecond=0) + timedelta(days=2)
    )

    # --- the source ---

    def edit(self) -> None:
        """Let some bookings move, change places, come and go; the source stays free of overlaps.

        No more than 20 of them move: a mass change would wait for a minute.
        """
        others = (self.new, self.new, self.cancel, self.other_player)
        for _ in range(self.chance.randint(2, 18)):
            moved = sum(self.places.get(number) != place for number, place in self.settled.items())
            moves = (self.move, self.rotate, self.rotate) if moved <= MOST_MOVED - 6 else ()
            self.chance.choice((*others, *moves))()

    def free_place(self, but: int | None = None) -> Place | None:
        taken = [place for id_, place in self.places.items() if id_ != but]
        for _ in range(30):
            first, length = self.chance.randrange(HALF_HOURS), self.chance.choice([2, 2, 2, 2, 1, 3, 4])
            place = Place(self.chance.randint(1, 3), first, first + length)
            if not any(place.overlaps(other) for other in taken):
                return place
        return None

    def fields(self, place: Place) -> dict[str, Any]:
        start = self.morning + timedelta(minutes=30 * place.first)
        return {"service_date": start, "services": [service(place.court, 30 * (place.end - place.first))]}

    def new(self) -> None:
        place = self.free_place()
        if place is not None:
            player = f"player{self.chance.randint(1, 9)}@example.com"
            number = self.launch27.add_booking(email=player, **self.fields(place))
            self.places[number], self.players[number] = place, player

    def put(self, number: int, place: Place) -> None:
        self.places[number] = place
        self.launch27.edit(number, **self.fields(place))

    def move(self) -> None:
        if self.places:
            number = self.chance.choice(sorted(self.places))
            place = self.free_place(number)
            if place is not None:
                self.put(number, place)

    def rotate(self) -> None:
        """Two to six of one length change places in a cycle."""
        if self.places:
            length = self.chance.choice(sorted({place.end - place.first for place in self.places.values()}))
            same = sorted(n for n, place in self.places.items() if place.end - place.first == length)
            cycle = self.chance.sample(same, min(len(same), self.chance.randint(2, 6)))
            places = [self.places[number] for number in cycle]
            for number, place in zip(cycle, places[1:] + places[:1], strict=True):
                self.put(number, place)

    def cancel(self) -> None:
        if len(self.places) > 3:
            number = self.chance.choice(sorted(self.places))
            del self.places[number], self.players[number]
            self.launch27.cancel(number)

    def other_player(self) -> None:
        if self.places:
            number = self.chance.choice(sorted(self.places))
            self.players[number] = f"player{self.chance.randint(1, 9)}@example.com"
            self.launch27.edit(number, email=self.players[number])

    # --- the bridge ---

    def start(self) -> ForkServerProcess:
        bridge = BRIDGES.Process(target=bridge_once, args=(self.folder,))
        bridge.start()
        return bridge

    def killed_pass(self) -> None:
        """Start a pass and kill it at a random moment, or just when a request hangs or lost its answer."""
        slow = self.chance.choice([0.0, 0.0, 0.003, 0.01])
        self.launch27.delay_seconds = self.wingfield.delay_seconds = slow
        how = self.chance.choice(["any moment", "any moment", "hang", "lose", "half", "before a read"])
        if how == "any moment":
            bridge = self.start()
            bridge.join(self.chance.uniform(0, self.usual_seconds * 1.1 + 60 * slow))
        else:
            fault = self.fault(how)
            bridge = self.start()
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not fault.struck.wait(0.002) and bridge.is_alive() and time.monotonic() < deadline:
                pass
        self.counts[f"killed: {how}" if bridge.is_alive() else "finished before the kill"] += 1
        bridge.kill()
        bridge.join()
        for world in (self.launch27, self.wingfield):
            world.faults.clear()
            world.delay_seconds = 0.0

    def fault(self, how: str) -> Fault:
        if how == "before a read":
            return self.launch27.faults.add("hang", after=self.chance.randrange(6))
        return self.wingfield.faults.add(how, after=self.chance.randrange(7), match=is_write)

    def clear_pass(self) -> None:
        """Let a pass run undisturbed; it has to end with everything in sync."""
        began = time.monotonic()
        bridge = self.start()
        bridge.join(PATIENCE_SECONDS)
        self.usual_seconds = 0.8 * self.usual_seconds + 0.2 * (time.monotonic() - began)
        assert bridge.exitcode == 0, f"exit status {bridge.exitcode}"  # None: it does not end

        # --- a round ---
        self.settled = dict(self.places)

    def round(self) -> None:
        """Edit and kill, once to three times; then one pass, and everything is right."""
        for _ in range(self.chance.choice([1, 1, 2, 3])):
            self.edit()
            self.killed_pass()
        if self.chance.random() < 0.3:
            self.edit()
        self.clear_pass()
        assert self.there() == self.wanted()
        before = len(self.writes())
        self.clear_pass()
        assert len(self.writes()) == before, "a further pass writes"
        self.has_no_rejection()
        self.versions_rise_with_content()
        self.counts["rounds"] += 1

    def wanted(self) -> dict[str, Any]:
        return {
            str(number): {
                "courtId": COURT_IDS[place.court - 1],
                "startDate": self.moment(place.first),
                "endDate": self.moment(place.end),
                "participants": [{"email": self.players[number]}],
            }
            for number, place in self.places.items()
        }

    def moment(self, half_hour: int) -> str:
        return (self.morning + timedelta(minutes=30 * half_hour)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def there(self) -> dict[str, Any]:
        names = ("courtId", "startDate", "endDate", "participants")
        return {id_: {name: stored[name] for name in names} for id_, stored in self.wingfield.bookings.items()}

    def writes(self) -> list[Any]:
        return [entry for entry in self.wingfield.log if entry.method in WRITES]

    def has_no_rejection(self) -> None:
        """No stale version, no conflict; and no overlap, since the source never had one."""
        rejected = {entry.error_type for entry in self.writes() if entry.error_type}
        assert not {each for each in rejected if not each.startswith("fault:")}, rejected

    def versions_rise_with_content(self) -> None:
        last: dict[str | None, tuple[datetime, Any]] = {}
        for entry in self.writes():
            content = dict(entry.body)
            moment = datetime.fromisoformat(content.pop("externalUpdatedAt"))
            before = last.get(entry.id, (datetime.min.replace(tzinfo=UTC), None))
            assert moment > before[0] or (moment, content) == before, f"booking {entry.id}"
            last[entry.id] = moment, content


@contextmanager
def job(folder: Path, seed: int) -> Iterator[Job]:
    """Yield a job between a sandbox in a thread and a nursery of bridges."""
    launch27, wingfield = Launch27(), Wingfield(courts=COURTS)
    launch27.add_account(EMAIL, PASSWORD)
    for number in (1, 2, 3):
        launch27.add_service(number, f"Court {number}")
    with Sandbox.in_thread(launch27, wingfield):
        world = introduction(launch27, wingfield)
        text = configuration(world, launch27=["page_size = 7"], wingfield=["concurrency = 3"])
        write_config(folder / "config.toml", text)
        yield Job(random.Random(seed), folder, launch27, wingfield)
