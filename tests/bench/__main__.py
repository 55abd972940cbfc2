"""``python -m tests.bench``: what a pass costs beside the floor, and whether that is within the budget.

The floor and the bridge take turns, so that whatever else the machine does meanwhile strikes both. Medians of
``--rounds`` are shown. Exit status 1 when a figure is over its budget.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import planning
from tests.bench.figures import Figure, table
from tests.bench.inside import quiet_passes
from tests.bench.processes import Cost, World, apart, measure, middle, world
from tests.support.configuration import configuration, write_config

CONCURRENCY = 8
PAGE = 100
MANY = 4
"""Growth is measured with so many times the bookings."""
FLOOR = (sys.executable, "-m", "tests.bench.floor")
STAGES = ("passes", "relations", "delayed", "growth", "planner", "commands")


class Bench:
    """One benchmark: its options, what it found so far, and a folder of its own."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.bookings, self.rounds = options.bookings, options.rounds
        self.delay_ms, self.listing_delay_ms = options.delay_ms, options.listing_delay_ms
        self.bridge, self.folder = shlex.split(options.bridge), folder
        self.config, self.log = folder / "config.toml", folder / "stderr"
        self.costs: dict[str, list[Cost]] = defaultdict(list)
        self.figures: list[Figure] = []

    # --- one run of the bridge or of the floor ---

    def note(self, name: str, cost: Cost) -> Cost:
        """Keep and tell what a run cost."""
        self.costs[name].append(cost)
        seconds = f"cpu {cost.cpu_seconds:6.2f} s  wall {cost.wall_seconds:6.2f} s"
        print(f"{name:36} {seconds}  {cost.requests} requests", file=sys.stderr)
        return cost

    def once(self, name: str, sandbox: World) -> Cost:
        """Run one pass of the bridge; it must end in sync."""
        cost, printed = sandbox.serving([*self.bridge, "--once", "--json", "--config", self.config], self.log)
        if json.loads(printed)["outcome"] != "in_sync":
            raise SystemExit(f"{name}: {printed}{self.log.read_text()[-2000:]}")
        return self.note(name, cost)

    def floor(self, name: str, sandbox: World, **what: Any) -> Cost:
        """Run the floor: the same requests."""
        return self.note(name, sandbox.serving([*FLOOR, self.job(sandbox, **what)], self.log)[0])

    def job(self, sandbox: World, *, end: int | None = None, **what: Any) -> Path:
        """Write down what the floor is to do."""
        job: dict[str, Any] = {"puts": [], "swaps": [], "concurrency": CONCURRENCY, "end": end or self.bookings}
        path = self.folder / "job.json"
        path.write_text(json.dumps({**sandbox.introduction, **job, **what}))
        return path

    def forget(self) -> None:
        """Throw the ledger away."""
        for path in self.folder.glob("state.db*"):
            path.unlink()

    @contextmanager
    def world(self, bookings: int) -> Iterator[World]:
        """Run a sandbox, with a configuration for it and no state yet.

        Byte code is made and files are read before, which no run is to pay for: a few pages, and no writes.
        """
        with world(bookings) as sandbox:
            self.forget()
            write_config(self.config, configured(sandbox.introduction))
            sandbox.serving([*FLOOR, self.job(sandbox, end=0)], self.log)
            sandbox.serving([*self.bridge, "--dry-run", "--config", self.config], self.log)
            yield sandbox

    def over(self, name: str, runs: str, base: str, limit: float | None = None) -> None:
        """Note the median of the ratios of two kinds of runs, CPU over CPU."""
        pairs = zip(self.costs[runs], self.costs[base], strict=False)
        ratio = median(run.cpu_seconds / floor.cpu_seconds for run, floor in pairs)
        self.figure(f"{name}, CPU over the floor", ratio, "×", limit)

    def figure(self, name: str, value: float, unit: str, limit: float | None = None) -> None:
        self.figures.append(Figure(name, value, unit, limit))

    # --- the stages ---

    def passes(self) -> None:
        """First, quiet, a change of 1 %, a swap of 10 %: the floor and the bridge in turn."""
        with self.world(self.bookings) as sandbox:
            for _ in range(self.rounds):
                self._round(sandbox)
            quiet = self.costs["quiet pass"]
            beyond = max(cost.requests - cost.pages for cost in quiet) - 3
            beyond += max(cost.pages for cost in quiet) - -(-self.bookings // PAGE)
            self._inside(sandbox)
        self.over("quiet --once", "quiet pass", "quiet floor", 1.5)
        self.over("first pass", "first pass", "first floor", 1.3)
        self.over("1 % changed", "1 % changed", "1 % floor")
        self.over("10 % swapped", "10 % swapped", "10 % floor")
        # The empty page that ends the listing, and the question that tells whether Wingfield lets us in.
        self.figure("requests in a quiet pass beyond the necessary", beyond, "", 2)

    def _round(self, sandbox: World) -> None:
        sandbox.tell("clear")
        self.floor("first floor", sandbox, puts="all")
        sandbox.tell("clear")
        self.forget()
        self.once("first pass", sandbox)
        self.floor("quiet floor", sandbox)
        self.once("quiet pass", sandbox)
        self.floor("1 % floor", sandbox, puts=sandbox.tell("change", 0.01))
        sandbox.tell("change", 0.01)  # the floor wrote the others, which the bridge would find there
        self.once("1 % changed", sandbox)
        self.floor("10 % floor", sandbox, swaps=sandbox.tell("swap", 0.1))
        sandbox.tell("swap", 0.1)
        self.once("10 % swapped", sandbox)

    def _inside(self, sandbox: World) -> None:
        figures = apart(quiet_passes, self.config, self.job(sandbox), self.rounds)
        ours, theirs, near, look, verification, transactions = figures
        self.figure("quiet pass in a long-lived process, CPU", ours * 1000, "ms")
        self.figure("the floor's, in the same process", theirs * 1000, "ms")
        self.figure("quiet near pass in a long-lived process, CPU", near * 1000, "ms", 15)
        self.figure("ledger transactions in a quiet pass", transactions, "", 1)
        self.figure("of a quiet pass: its one request to Wingfield, and comparing, CPU", look * 1000, "ms", 5)
        self.figure(f"verification of {self.bookings} bookings, CPU", verification, "s", 0.3)

    def relations(self) -> None:
        """As many players as bookings are users: a first pass beside one by address, and a quiet one's requests."""
        with self.world(self.bookings) as sandbox:
            plain = self.config.read_text()
            users = plain.replace("[sync]", "connected_users = true\n[sync]", 1)
            sandbox.tell("relate", self.bookings)
            for _ in range(self.rounds):
                for name, text in (("by address", plain), ("by user id", users)):
                    sandbox.tell("clear")
                    self.forget()
                    write_config(self.config, text)
                    self.once(f"first pass, players {name}", sandbox)
                    self.once(f"quiet pass, players {name}", sandbox)
        pairs = zip(
            self.costs["first pass, players by user id"], self.costs["first pass, players by address"], strict=True
        )
        ratios = [(ours.cpu_seconds / base.cpu_seconds, ours.wall_seconds / base.wall_seconds) for ours, base in pairs]
        name = f"first pass with {self.bookings} relations over one without"
        self.figure(f"{name}, CPU", median(cpu for cpu, _ in ratios), "×", 1.1)
        self.figure(f"{name}, wall", median(wall for _, wall in ratios), "×", 1.1)
        more = [self.costs[f"quiet pass, players {how}"][0].requests for how in ("by user id", "by address")]
        self.figure("requests in a quiet pass for relations", more[0] - more[1], "", 0)

    def delayed(self) -> None:
        """A first pass with a delay before every answer, and a listing with a longer one."""
        with self.world(self.bookings) as sandbox:
            sandbox.tell("delay", self.delay_ms)
            self.floor(f"first floor, {self.delay_ms:g} ms", sandbox, puts="all")
            sandbox.tell("clear")
            ideal = self.bookings * self.delay_ms / 1000 / CONCURRENCY
            wall = self.once(f"first pass, {self.delay_ms:g} ms", sandbox).wall_seconds
            name = f"first pass with {self.delay_ms:g} ms an answer, wall over N × delay / {CONCURRENCY}"
            self.figure(name, wall / ideal, "×", 1.1)
            sandbox.tell("delay", self.listing_delay_ms)
            ideal = self.bookings / PAGE * self.listing_delay_ms / 1000 / 4
            for _ in range(self.rounds):
                self.once(f"quiet pass, {self.listing_delay_ms:g} ms", sandbox)
            wall = middle(self.costs[f"quiet pass, {self.listing_delay_ms:g} ms"]).wall_seconds
            name = f"quiet --once with {self.listing_delay_ms:g} ms an answer, wall over pages × delay / 4"
            self.figure(name, wall / ideal, "×", 1.3)

    def growth(self) -> None:
        """Four times the bookings: CPU of a quiet pass, and the peak of memory."""
        many = MANY * self.bookings
        for bookings in (self.bookings, many):
            with self.world(bookings) as sandbox:
                self.once(f"first pass, {bookings} bookings", sandbox)
                for _ in range(self.rounds):
                    self.once(f"quiet pass, {bookings} bookings", sandbox)
        few, lots = (middle(self.costs[f"quiet pass, {bookings} bookings"]) for bookings in (self.bookings, many))
        growth = lots.cpu_seconds / few.cpu_seconds
        self.figure(f"quiet pass, {many} over {self.bookings} bookings, CPU", growth, "×", 4.2)
        peak = max(cost.peak_mib for name, costs in self.costs.items() if str(many) in name for cost in costs)
        self.figure(f"peak memory at {many} bookings", peak, "MiB", 100)

    def planner(self) -> None:
        """The planner alone, with a tenth of the bookings moving."""
        many = MANY * self.bookings
        sizes = [many // 4, many // 2, many]
        seconds = [median(apart(planning.seconds, size) for _ in range(3 * self.rounds)) for size in sizes]
        self.figure(f"planning {many} bookings, {many // 10} of which cross", seconds[2], "s", 1)
        self.figure(f"planning {many} over {many // 4} bookings (n log n: 4.7)", seconds[2] / seconds[0], "×", 6)

    def commands(self) -> None:
        """``--version``, ``--help`` and ``status`` beside the bare interpreter; wall, in milliseconds."""
        commands: dict[str, list[str | Path]] = {
            "bare interpreter": [sys.executable, "-c", ""],
            "--version": [*self.bridge, "--version"],
            "--help": [*self.bridge, "--help"],
            "status": [*self.bridge, "status", "--config", self.config],
        }
        with self.world(100) as sandbox:
            self.once("first pass, 100 bookings", sandbox)
            for command in commands.values():
                measure(command, self.log)
            for _ in range(max(7, self.rounds)):
                for name, command in commands.items():
                    self.costs[name].append(measure(command, self.log)[0])
        bare = middle(self.costs["bare interpreter"])
        for name, limit in (("--version", 150), ("--help", None), ("status", None)):
            extra = middle(self.costs[name]).wall_seconds - bare.wall_seconds
            self.figure(f"{name}, over the bare interpreter", extra * 1000, "ms", limit)


def configured(world: dict[str, Any]) -> str:
    """Return the bridge's configuration for a sandbox without rate limits."""
    return configuration(
        world,
        launch27=[f"page_size = {PAGE}"],
        wingfield=[f"concurrency = {CONCURRENCY}"],
        more=['[sync]\nstate = "state.db"', "[mapping]\ndefault_minutes = 60"],
    )


def _table(bench: Bench) -> str:
    lines = ["| runs (medians) | CPU s | wall s | peak MiB | requests | sandbox busy |", "|---|---|---|---|---|---|"]
    for name, costs in bench.costs.items():
        cost = middle(costs)
        seconds = f"{cost.cpu_seconds:.2f} | {cost.wall_seconds:.2f}"
        lines.append(f"| {name} | {seconds} | {cost.peak_mib:.0f} | {cost.requests:.0f} | {cost.sandbox_share:.0%} |")
    return "\n".join([*lines, "", *table(bench.figures)])


def main() -> int:
    """Run the benchmark; return 1 when a figure is over its budget."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--bookings", type=int, default=5000, metavar="N")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delay-ms", type=float, default=50, help="before every answer, in the delayed first pass")
    parser.add_argument("--listing-delay-ms", type=float, default=200, help="and in the delayed listing")
    parser.add_argument("--only", action="append", choices=STAGES, help="this stage; may be given several times")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--bridge", default=f"{sys.executable} -m bridge", help="the command that is measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="courtbridge-bench-") as folder:
        bench = Bench(options, Path(folder))
        for stage in options.only or STAGES:
            getattr(bench, stage)()
    if options.json:
        runs = {name: [asdict(cost) for cost in costs] for name, costs in bench.costs.items()}
        print(json.dumps({"runs": runs, "figures": [asdict(figure) for figure in bench.figures]}, indent=1))
    else:
        print(_table(bench))
    return int(not all(figure.is_met for figure in bench.figures))


if __name__ == "__main__":
    sys.exit(main())
