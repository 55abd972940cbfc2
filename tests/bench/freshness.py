"""``python -m tests.bench.freshness``: how long a change takes to reach its court, at Launch27's real rate.

A daemon with the default intervals, against the sandbox with two reads a second (30 at once) and a delay before
every answer. Every few seconds somebody books, moves or cancels an hour of today or tomorrow. Both ways, without and
with push, run for as long; the share is that of all the reads that Launch27 would have allowed meanwhile.
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from bridge.sandbox import Launch27, Sandbox, Wingfield, generate
from bridge.sandbox.wire import instant_text
from tests.bench.processes import ROOT
from tests.bench.world import Worlds
from tests.soak.__main__ import passes_of
from tests.support.configuration import configuration, introduction, write_config

LOOK_SECONDS = 0.01
WHOLE_PASS_SECONDS = 600.0
"""How long the first pass may take: so many bookings are read at the real rate, and written."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is measured: for how long, with a change how often, and under which ``[sync]``."""

    bookings: int = 3000
    seconds: float = 300.0
    every_seconds: float = 3.0
    delay_ms: float = 50.0
    patience_seconds: float = 120.0
    sync: str = ""
    bridge: str = f"{sys.executable} -m bridge"


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds from a change to its court, and how much of the reads was used; ``missed`` changes never came."""

    median: float
    p95: float
    worst: float
    share: float
    changes: int
    missed: int


class Club:
    """A club whose days are not full, and where places in them are."""

    def __init__(self, options: Options) -> None:
        self.launch27 = Launch27(rates=True)
        worlds = Worlds(0)  # its courts and its account
        self.launch27.logins = worlds.launch27.logins
        self.courts, self.wingfield = worlds.courts, Wingfield(courts={court: court for court in worlds.courts})
        self.wingfield.delay_seconds = self.launch27.delay_seconds = options.delay_ms / 1000
        now = datetime.now(ZoneInfo(self.launch27.timezone))
        self.numbers = generate(self.launch27, bookings=options.bookings, courts=40, start=now.date(), days=30)
        self.random = random.Random(options.bookings)
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        midnight = datetime.combine(now.date() + timedelta(days=2), datetime.min.time(), now.tzinfo)
        hours = int((midnight - hour) / timedelta(hours=1))
        places = [(court, hour + timedelta(hours=n)) for court in range(1, 41) for n in range(1, hours)]
        taken = {self._place(number): number for number in self.numbers}
        self.free = [place for place in places if (place[0], _text(place[1])) not in taken]
        self.movable = [taken[place[0], _text(place[1])] for place in places if (place[0], _text(place[1])) in taken]
        self.random.shuffle(self.free)
        self.random.shuffle(self.movable)

    def _place(self, number: int) -> tuple[int, str]:
        raw = self.launch27.bookings[number]
        return raw["services"][0]["id"], raw["service_date"]

    def change(self) -> tuple[str, tuple[str, str] | None]:
        """Let somebody book, move or cancel; return the id, and the court and start it is to have."""
        kind = self.random.choice(["book", "move", "cancel"]) if self.movable else "book"
        if kind == "cancel":
            number = self.movable.pop()
            self.launch27.cancel(number)
            return str(number), None
        court, start = self.free.pop()
        place: dict[str, Any] = {"service_date": start, "services": [court]}
        if kind == "book":
            number = self.launch27.add_booking(email="walker@example.com", minutes=60, **place)
        else:
            number = self.movable.pop()
            self.launch27.edit(number, **place)
        return str(number), (self.courts[court - 1], _text(start))

    def stands(self, id_: str) -> tuple[str, str] | None:
        """Return where Wingfield has a booking: court and start."""
        found = self.wingfield.bookings.get(id_)
        return None if found is None else (found["courtId"], found["startDate"])

    @property
    def reads(self) -> int:
        return sum(entry.method == "GET" for entry in self.launch27.log)


def _text(moment: datetime) -> str:
    return instant_text(round(moment.timestamp() * 1000))


def freshness(options: Options, *, push: bool) -> Figures:
    """Return how long changes took in a daemon that runs for ``seconds`` after its first pass."""
    club = Club(options)
    with (
        Sandbox.in_thread(club.launch27, club.wingfield),
        tempfile.TemporaryDirectory(prefix="courtbridge-bench-") as folder,
        _daemon(club, options, Path(folder), push=push) as alive,
    ):
        _wait(lambda: passes_of(Path(folder, "state.db")) > 0 and alive(), WHOLE_PASS_SECONDS)
        if push:
            _wait(lambda: club.launch27.pubsub.listeners > 0 and alive(), WHOLE_PASS_SECONDS)
        reads, began = club.reads, time.monotonic()
        took, missed = _changes(club, options, alive)
        share = (club.reads - reads) / ((time.monotonic() - began) * 1000 / club.launch27.reads.ttl_ms)
    took.sort()
    worst = took[-1] if took else float("inf")
    p95 = took[-(-95 * len(took) // 100) - 1] if took else worst
    return Figures(median(took or [worst]), p95, worst, share, len(took) + missed, missed)


def _changes(club: Club, options: Options, alive: Callable[[], bool]) -> tuple[list[float], int]:
    """Change something every few seconds; return how long each took, and how many took longer than everything."""
    began = time.monotonic()
    due, took = began, []
    waiting: dict[str, tuple[float, tuple[str, str] | None]] = {}
    while alive() and (now := time.monotonic()) < began + options.seconds + (
        options.patience_seconds if waiting else 0
    ):
        if due <= now < began + options.seconds:
            id_, place = club.change()
            waiting[id_] = now, place
            due += club.random.uniform(0.5, 1.5) * options.every_seconds
        for id_, (since, place) in list(waiting.items()):
            if club.stands(id_) == place:
                took.append(now - since)
                del waiting[id_]
        time.sleep(LOOK_SECONDS)
    return took, len(waiting)


@contextmanager
def _daemon(club: Club, options: Options, folder: Path, *, push: bool) -> Iterator[Callable[[], bool]]:
    """Run the bridge; yield what says whether it still runs, and ends the benchmark where it does not."""
    world = introduction(club.launch27, club.wingfield)
    more = f'[sync]\nstate = "state.db"\n{options.sync}\n[mapping]\ndefault_minutes = 60'
    text = configuration(world, more=[more]).replace("push = false", f"push = {str(push).lower()}")
    lines = [line for line in text.splitlines() if not line.startswith(("reads_per_second", "read_burst"))]
    config, log = write_config(folder / "config.toml", "\n".join(lines)), folder / "stderr"
    command = [*shlex.split(options.bridge), "--config", str(config)]
    with log.open("wb") as errors, subprocess.Popen(command, cwd=ROOT, stderr=errors) as process:

        def alive() -> bool:
            if process.poll() is not None:
                raise SystemExit(f"the daemon ended:\n{log.read_text()[-2000:]}")
            return True

        try:
            yield alive
        finally:
            process.kill()


def _wait(holds: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise SystemExit(f"nothing happened for {seconds:g} s")
        time.sleep(LOOK_SECONDS)


def table(figures: dict[str, Figures]) -> str:
    """Return the figures as a table in Markdown."""
    lines = ["| change → court | median | 95th percentile | worst | share of the reads |", "|---|---|---|---|---|"]
    for name, each in figures.items():
        missed = f", {each.missed} of {each.changes} never" if each.missed else ""
        seconds = f"{each.median:.1f} s | {each.p95:.1f} s | {each.worst:.1f} s{missed}"
        lines.append(f"| {name} | {seconds} | {each.share:.0%} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 when a change never came."""
    plain = Options()
    parser = argparse.ArgumentParser(prog="python -m tests.bench.freshness", description=__doc__)
    parser.add_argument("--bookings", type=int, default=plain.bookings, metavar="N")
    parser.add_argument("--seconds", type=float, default=plain.seconds, help="for how long, each way")
    parser.add_argument("--every-seconds", type=float, default=plain.every_seconds, help="between two changes")
    parser.add_argument("--delay-ms", type=float, default=plain.delay_ms, help="before every answer")
    parser.add_argument("--patience-seconds", type=float, default=plain.patience_seconds, help="after the last change")
    parser.add_argument("--sync", default="", help="other lines of [sync], such as 'interval = \"5s\"'")
    parser.add_argument("--bridge", default=plain.bridge, help="the command that is measured")
    parser.add_argument("--only", choices=("polling", "push"), help="one way only")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    given = vars(parser.parse_args(argv))
    only, as_json = given.pop("only"), given.pop("json")
    names = {"polling": "without push", "push": "with push"}
    ways = [only] if only else list(names)
    figures = {names[way]: freshness(Options(**given), push=way == "push") for way in ways}
    print(json.dumps({name: asdict(each) for name, each in figures.items()}) if as_json else table(figures))
    return int(any(each.missed for each in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
