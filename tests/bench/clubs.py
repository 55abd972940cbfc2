"""``python -m tests.bench.clubs``: what many clubs in one process cost, on simulated services in another.

The daemon has a core of its own, as far as other work on the machine leaves it that. Exit status 1 when a figure is
over its budget.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from statistics import median

from tests.bench.figures import Figure, table
from tests.bench.observed import Daemon
from tests.bench.services import services

STAGES = {"many": (200, 250, 60.0), "thousand": (1000, 50, 300.0), "limited": (20, 50, 600.0)}
"""How many clubs, how many bookings each, and for how many seconds they are watched."""


def tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def many(clubs: int, bookings: int, seconds: float) -> Iterator[Figure]:
    """Write all bookings, then begin again: memory, the start, and what near passes cost."""
    name = f"{clubs} clubs of {bookings}"
    with services(clubs, bookings) as world:
        with Daemon(world.directory) as daemon:
            wall, cpu = daemon.first_passes(clubs)
            peak, served = daemon.mib(), world.ask()[2]
            tell(f"{name}, all written: {wall:.1f} s (CPU {cpu:.1f} s, services {served:.1f} s), {peak:.0f} MiB")
        with Daemon(world.directory) as daemon:
            wall, cpu = daemon.first_passes(clubs)
            waited = daemon.waited_seconds
            tell(f"  begun again: {wall:.1f} s (CPU {cpu:.1f} s, {waited:.0f} s behind others), {daemon.mib():.0f} MiB")
            time.sleep(5)
            before, count = daemon.cpu_seconds, len(daemon.passes)
            time.sleep(seconds)
            after, passes = daemon.cpu_seconds, daemon.passes[count:]
            yield Figure(f"{name}: memory while all is written, at most", peak, "MiB", 300)
            yield Figure(f"{name}: memory after a start, at most", daemon.mib(), "MiB", 300)
            tell(f"  now {daemon.mib('VmRSS'):.0f} MiB; {_in_words(daemon, count)}")
    each = 1000 * (after - before) / max(len(passes), 1)
    yield Figure(f"{name}: a quiet pass, CPU of the whole process", each, "ms", 8)
    yield Figure(f"{name}: start to the first pass of the last", wall, "s", 30)


def thousand(clubs: int, bookings: int, seconds: float) -> Iterator[Figure]:
    """Show how late passes begin with so many clubs, near ones and full ones."""
    name = f"{clubs} clubs of {bookings}"
    with services(clubs, bookings, are_written=True) as world, Daemon(world.directory) as daemon:
        wall, cpu = daemon.first_passes(clubs)
        tell(f"{name}, all adopted: {wall:.1f} s (CPU {cpu:.1f} s), {daemon.mib():.0f} MiB")
        before, served, count = daemon.cpu_seconds, world.ask()[2], len(daemon.passes)
        daemon.held_up, waited = 0.0, daemon.waited_seconds
        time.sleep(seconds)
        waited = (daemon.waited_seconds - waited) / seconds
        busy, served = (daemon.cpu_seconds - before) / seconds, (world.ask()[2] - served) / seconds
        each = 1000 * busy * seconds / max(len(daemon.passes) - count, 1)
        share = f"{busy:.0%} ({each:.1f} ms a pass), {waited:.0%} behind others, services {served:.0%}"
        tell(f"  then busy {share}; {daemon.mib():.0f} MiB")
        tell(f"  {_in_words(daemon, count)}")
        worst = max(each.late for each in daemon.passes[count:])
    yield Figure(f"{name}: longest delay of a pass that is due", worst, "s", 2)


def _in_words(daemon: Daemon, count: int) -> str:
    """Return how the passes went, but for the first so many."""
    passes = daemon.passes[count:]
    full = sum(each.kind == "full" for each in passes)
    late, long = ([getattr(each, name) for each in passes] or [0.0] for name in ("late", "seconds"))
    return (
        f"{len(passes)} passes, {full} of them full; late {median(late):.3f} s, at most {max(late):.2f}; long "
        f"{median(long):.3f} s, at most {max(long):.2f}; event loop held up for {daemon.held_up:.2f} s at most"
    )


def limited(clubs: int, bookings: int, seconds: float) -> Iterator[Figure]:
    """Show how clubs behind one real rate limit fare: 429s, and how long a change takes to its court."""
    name = f"{clubs} clubs behind one rate limit"
    with services(clubs, bookings, rates=True) as world, Daemon(world.directory) as daemon:
        wall, _ = daemon.first_passes(clubs)
        tell(f"{name}: first passes in {wall:.0f} s")
        end, number = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            refused, delays, _ = world.ask(number % clubs if time.monotonic() < end - 60 else None)
            number += 7
            time.sleep(5)
        tell(f"  {len(delays)} changes, median {median(delays):.0f} s")
    yield Figure(f"{name}: 429s in {seconds:.0f} s and the start", refused, "", 3)
    yield Figure(f"{name}: worst change → court", max(delays), "s", 60)


def main() -> int:
    """Measure what is asked for; return 1 when a figure is over its budget."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.clubs", description=__doc__)
    parser.add_argument("what", nargs="*", choices=[*STAGES, []], help="all by default")
    parser.add_argument("--clubs", type=int)
    parser.add_argument("--bookings", type=int, metavar="N", help="of each club")
    parser.add_argument("--seconds", type=float, help="how long to watch")
    options = parser.parse_args()
    figures: list[Figure] = []
    for name in options.what or STAGES:
        clubs, bookings, seconds = STAGES[name]
        asked = options.clubs or clubs, options.bookings or bookings, options.seconds or seconds
        figures += {"many": many, "thousand": thousand, "limited": limited}[name](*asked)
    print("\n".join(table(figures)))
    return int(not all(figure.is_met for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
