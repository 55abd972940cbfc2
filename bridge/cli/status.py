"""``courtbridge status``: what the state says. Works beside a running daemon, and asks no service."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.errors import ExitStatus
from bridge.ledger.lock import lock_path
from bridge.ledger.store import Ledger
from bridge.model import Held, PassRecord, Watermark, from_ms, isoformat


def run(options: Options) -> ExitStatus:
    """Show the status; return 1 when something needs a person."""
    config = options.load_config(require_courts=False, require_secrets=False)
    state = config.sync.state
    with Ledger.snapshot(state, config.identity) as ledger:
        bookings = sum(known.is_bridged for known in ledger.known.values())
        passes, interval = ledger.passes(10), config.sync.interval
        status = Status(state, bookings, ledger.held(), ledger.watermarks(), passes, interval, running(state))
    if options.json:
        output.show_json(status_json(status))
    else:
        report(status, datetime.now(UTC))
    return status.exit_status


@dataclass(frozen=True, slots=True)
class Status:
    """What the state says at one moment.

    ``bookings`` counts those that Wingfield has from us; ``running`` names the process that has the lock.
    """

    state: Path
    bookings: int
    held: Sequence[Held]
    watermarks: Sequence[Watermark]
    passes: Sequence[PassRecord]
    interval: timedelta
    running: str | None = None

    @property
    def withheld(self) -> tuple[str, ...]:
        """The ids of the deletes that the last pass withheld."""
        return self.passes[0].withheld if self.passes else ()

    @property
    def exit_status(self) -> ExitStatus:
        """Whether something needs a person."""
        is_refused = bool(self.passes) and self.passes[0].outcome == "refused"
        return ExitStatus.ATTENTION if self.held or self.withheld or is_refused else ExitStatus.OK


def running(state: Path, locks: Path = Path("/proc/locks")) -> str | None:
    """Return in words which process has the lock of ``state``; None when none has, or it cannot be known.

    The lock file outlives its process, and trying the lock might turn a starting daemon away: so the
    kernel's own list is read. Source: Linux, proc_locks(5).
    """
    path = lock_path(state)
    try:
        written = json.loads(path.read_bytes())
        pid, since = int(written["pid"]), datetime.fromisoformat(written["since"]).astimezone()
        entry = rf" FLOCK .* {pid} \S+:{path.stat().st_ino} "
        is_locked = re.search(entry, locks.read_text())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return f"process {pid}, since {since:%Y-%m-%d %H:%M}" if is_locked else None


def status_json(status: Status) -> dict[str, Any]:
    """Return the status as ``status --json`` prints it."""
    return {
        "bookings": status.bookings,
        "held": output.held_json(status.held),
        "withheld_deletes": len(status.withheld),
        "watermarks": [
            {
                "account": mark.number,
                "listed_at": _instant(mark.listed_ms),
                "source_updated_at": _instant(mark.source_updated_ms),
            }
            for mark in status.watermarks
        ],
        "passes": [{"started_at": _instant(each.started_ms), **output.record_json(each)} for each in status.passes],
    }


def _instant(ms: int | None) -> str | None:
    return None if ms is None else isoformat(from_ms(ms))


def report(status: Status, now: datetime) -> None:
    """Tell the status."""
    if not status.passes:
        output.line(f"No pass has finished yet (state: {status.state}).")
        output.line(_activity(status, now))
        return
    verdict, style = output.VERDICTS[status.passes[0].outcome]
    output.line(f"Last pass {output.age(status.passes[0].started_ms, now)}: {verdict}", style)
    output.line(f"{output.several(status.bookings, 'booking')} in Wingfield, {len(status.held)} held.")
    output.line(_activity(status, now))
    output.print_held(status.held, now)
    count = output.several(len(status.withheld), "delete")
    advice = "If they really are gone from Launch27: stop the daemon, run "
    advice += '"courtbridge --once --allow-mass-delete", start it again.'
    output.print_withheld(f"The last pass withheld {count}", status.withheld, advice)
    _print_listings(status.watermarks, now)
    _print_passes(status.passes, now)


def _activity(status: Status, now: datetime) -> str:
    if status.running is None:
        return "No bridge is running on this state."
    runs = f"A bridge is running ({status.running})"
    if not status.passes:
        return f"{runs}."
    next_pass = from_ms(status.passes[0].started_ms) + status.interval
    due = "due now" if next_pass <= now else f"at {next_pass.astimezone():%H:%M:%S}"
    return f"{runs}; next pass {due}."


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
    names = ("outcome", "seen", "created", "updated", "deleted", "held")
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
