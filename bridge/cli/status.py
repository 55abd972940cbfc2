"""``courtbridge status``: what the state says. Works beside a running daemon, and asks no service."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.cli.places import Places
from bridge.config.loading import find_state
from bridge.config.paths import is_there
from bridge.errors import ConfigError, ExitStatus
from bridge.launch27.expiry import warnings
from bridge.ledger.lock import lock_path
from bridge.ledger.store import Ledger
from bridge.model import Held, PassRecord, Watermark, from_ms, isoformat
from bridge.planning.drift import Mark
from bridge.planning.memory import Memory

LEAST_STALE = timedelta(minutes=15)
"""A daemon that waits for a service that is away runs a pass at least so often."""
PASSES_SHOWN = 20
"""With near ones, so many that there is nearly always a full one among them."""


class Running(NamedTuple):
    """The process that has the lock of a state, since when, and what a daemon says of itself."""

    pid: int
    since: datetime
    next_pass: datetime | None = None
    doing: str = ""

    def __str__(self) -> str:
        return f"process {self.pid}, since {self.since:%Y-%m-%d %H:%M}"


@dataclass(frozen=True, slots=True)
class Status:
    """What the state says at one moment, ``now``.

    ``bookings`` counts those that Wingfield has from us; ``running`` is the process that has the lock.
    ``problems`` are those of the configuration, ``error`` is what kept the last pass from its end,
    ``expiring`` has a sentence for each token that is near its end.
    """

    state: Path
    bookings: int
    held: Sequence[Held]
    watermarks: Sequence[Watermark]
    passes: Sequence[PassRecord]
    full_interval: timedelta
    running: Running | None
    now: datetime
    last_success_ms: int | None = None
    last_error: str = ""
    verified_ms: int | None = None
    problems: Sequence[str] = ()
    expiring: Sequence[str] = ()

    @property
    def withheld(self) -> tuple[str, ...]:
        """The ids of the deletes that the last pass withheld."""
        return self.passes[0].withheld if self.passes else ()

    @property
    def is_stale(self) -> bool:
        """Whether the last pass ended three full intervals ago, and at least a quarter of an hour."""
        return bool(self.passes) and self.now - _end(self.passes[0]) > max(3 * self.full_interval, LEAST_STALE)

    @property
    def decisive(self) -> PassRecord | None:
        """The pass that says how things stand: the last one, or the last full one where only that is not complete."""
        last = self.passes[0] if self.passes else None
        full = next((each for each in self.passes if each.kind == "full"), last)
        return full if last and full and last.is_complete and not full.is_complete else last

    @property
    def outcome(self) -> str:
        """The outcome of the last pass, where it still says how things stand."""
        if self.problems:
            return "failed"
        return self.decisive.outcome if self.decisive and not self.is_stale else "incomplete"

    @property
    def error(self) -> str | None:
        """What is wrong, in a sentence; None where at most a booking or a delete needs a person."""
        wrong = [f"the configuration is wrong: {'; '.join(self.problems)}"] if self.problems else []
        if not self.passes:
            wrong.append("no pass has finished yet")
        if self.is_stale:
            wrong.append(f"no pass since {output.since(self.passes[0].started_ms, self.now)}")
        if self.last_error:
            wrong.append(self.last_error)
        return "; ".join(wrong) or None

    @property
    def next_pass(self) -> datetime | None:
        """When the daemon begins its next pass, as it says; None where none runs, or it is late."""
        found = self.running and self.running.next_pass
        return found if found and found > self.now else None

    @property
    def exit_status(self) -> ExitStatus:
        """Whether something needs a person."""
        if self.problems:
            return ExitStatus.CONFIG
        is_well = self.outcome == "in_sync" and not self.held and not self.withheld
        return ExitStatus.OK if is_well else ExitStatus.ATTENTION


def run(options: Options) -> ExitStatus:
    """Show the status; return 1 when something needs a person, 78 under a wrong configuration."""
    status, places = _read(options)
    if options.json:
        output.show_json(status_json(status))
    else:
        report(status, places)
    return status.exit_status


def _read(options: Options) -> tuple[Status, Places]:
    """Return what the state says, whatever is wrong with the configuration. Raises BridgeError where there is none."""
    path, problems, config, identity, full_interval = options.find_config(), [], None, None, timedelta()
    try:
        config = options.load_config(require_secrets=False)
        state, identity, full_interval = config.sync.state, config.identity, config.sync.full_interval
    except ConfigError as error:
        state, problems = find_state(path, os.environ), list(map(str, error.problems))
        if not is_there(state):
            raise
    with Ledger.snapshot(state, identity) as ledger:
        status = Status(
            state,
            bookings=sum(known.is_bridged for known in ledger.known.values()),
            held=ledger.held(),
            watermarks=ledger.watermarks(),
            passes=ledger.passes(PASSES_SHOWN),
            full_interval=full_interval,
            running=running(state),
            now=datetime.now(UTC),
            last_success_ms=ledger.last_success_ms,
            last_error=ledger.error,
            verified_ms=Mark.loads(ledger.recall("mark")).verified_ms or None,
            problems=problems,
            expiring=warnings(Memory.loads(ledger.recall("memory")).token_ends_ms, datetime.now(UTC)),
        )
        return status, Places.of(config, ledger)


def _end(record: PassRecord) -> datetime:
    return from_ms(record.started_ms + record.duration_ms)


def running(state: Path, locks: Path = Path("/proc/locks")) -> Running | None:
    """Return which process has the lock of ``state``; None when none has, or it cannot be known.

    The lock file outlives its process, and trying the lock might turn a starting daemon away: so the
    kernel's own list is read. Source: Linux, proc_locks(5).
    """
    try:
        path = lock_path(state)
        written = json.loads(path.read_bytes())
        pid, since = int(written["pid"]), datetime.fromisoformat(written["since"]).astimezone()
        entry = rf" FLOCK .* {pid} \S+:{path.stat().st_ino} "
        is_locked = re.search(entry, locks.read_text())
        next_pass = written.get("next_pass_at") and datetime.fromisoformat(written["next_pass_at"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None
    return Running(pid, since, next_pass, str(written.get("doing", ""))) if is_locked else None


def status_json(status: Status) -> dict[str, Any]:
    """Return the status as ``status --json`` prints it."""
    daemon: dict[str, Any] = {"running": False}
    if status.running is not None:
        next_pass = status.next_pass and isoformat(status.next_pass)
        daemon = {"running": True, "pid": status.running.pid, "next_pass_at": next_pass}
    return {
        "outcome": status.outcome,
        "error": status.error,
        "bookings": status.bookings,
        "pending": status.decisive.pending if status.decisive else 0,
        "held": output.held_json(status.held),
        "withheld_deletes": len(status.withheld),
        "withheld": list(status.withheld),
        "last_success_at": _instant(status.last_success_ms),
        "verified_at": _instant(status.verified_ms),
        "daemon": daemon,
        "unmapped_services": [],
        "watermarks": [
            {
                "account": mark.number,
                "listed_at": _instant(mark.listed_ms),
                "source_updated_at": _instant(mark.source_updated_ms),
            }
            for mark in status.watermarks
        ],
        "passes": [
            {"started_at": _instant(each.started_ms), "kind": each.kind, **output.record_json(each)}
            for each in status.passes
        ],
    }


def _instant(ms: int | None) -> str | None:
    return None if ms is None else isoformat(from_ms(ms))


def report(status: Status, places: Places) -> None:
    """Tell the status, what is wrong first."""
    now = status.now
    for problem in status.problems:
        output.line(f"The configuration is wrong: {problem}", "red")
    if status.is_stale:
        output.line(f"Nothing has run since {output.since(status.passes[0].started_ms, now)}.", "red")
    if last := status.decisive:
        style = output.VERDICTS[last.outcome][1]
        output.line(f"Last pass {output.age(last.started_ms, now)}: {last.in_words(status.last_error)}.", style)
    else:
        output.line(f"No pass has finished yet (state: {status.state}).", "yellow")
    output.line(f"{output.several(status.bookings, 'booking')} in Wingfield, {len(status.held)} held.")
    output.line(_activity(status))
    for warning in status.expiring:
        output.line(f"Launch27 {warning}.", "yellow")
    if not status.passes:
        return
    if status.last_success_ms is None:
        output.line("No full pass was ever complete.")
    elif status.decisive and not status.decisive.is_complete:
        output.line(f"Last complete full pass: {output.since(status.last_success_ms, now)}.")
    if status.verified_ms is not None:
        output.line(f"Wingfield's whole list was last read {output.since(status.verified_ms, now)}.")
    output.print_held(status.held, places, now)
    count = output.several(len(status.withheld), "delete")
    advice = "If they really are gone from Launch27, let them through: courtbridge approve"
    output.print_withheld(f"The last pass withheld {count}", status.withheld, advice)
    _print_listings(status.watermarks, now)
    _print_passes(status.passes, now)


def _activity(status: Status) -> str:
    if status.running is None:
        return "No bridge is running on this state."
    runs = f"A bridge is running ({status.running})"
    if status.running.doing:
        return f"{runs}; a pass is under way: {status.running.doing}."
    if status.next_pass is None:
        return f"{runs}."
    return f"{runs}; next pass at {status.next_pass.astimezone():%H:%M:%S}."


def _print_listings(watermarks: Sequence[Watermark], now: datetime) -> None:
    rows = [
        (
            mark.number,
            "never" if mark.listed_ms is None else output.since(mark.listed_ms, now),
            mark.listed_count,
            None if mark.source_updated_ms is None else output.moment(mark.source_updated_ms),
        )
        for mark in watermarks
    ]
    output.table("Listings", ("account", "last complete", "bookings", "newest change"), rows)


def _print_passes(passes: Sequence[PassRecord], now: datetime) -> None:
    names = ("kind", "outcome", "seen", "created", "updated", "deleted", "held", "pending")
    rows = [
        (
            output.since(record.started_ms, now),
            *(getattr(record, name) for name in names),
            len(record.withheld),
            f"{record.duration_ms} ms",
        )
        for record in passes
    ]
    output.table("Last passes", ("started", *names, "withheld", "took"), rows)
