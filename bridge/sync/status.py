"""How things stand: what the state says, and the process that has its lock. The object of ``status --json``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from bridge.config.schema import Config
from bridge.errors import ExitStatus
from bridge.launch27.expiry import warnings
from bridge.ledger.history import Event
from bridge.ledger.lock import lock_path
from bridge.ledger.store import PASSES_KEPT, Ledger
from bridge.model import Held, Known, PassRecord, Watermark, from_ms, isoformat, to_ms
from bridge.planning.drift import Mark
from bridge.planning.memory import Memory, Unmapped
from bridge.sync.figures import Figures
from bridge.sync.words import named_zone, since

LONG_PASS = timedelta(minutes=15)
"""So long a pass may be under way before that counts as nothing having run."""
SHOWN = 20
"""How many of the last passes are shown: with near ones, there is nearly always a full one among them."""


class Running(NamedTuple):
    """The process that has the lock of a state, since when, and what a daemon says of itself.

    ``trouble`` is what is wrong with it beside its passes, in a sentence, ``is_hung`` whether these have stopped.
    """

    pid: int
    since: datetime
    next_pass: datetime | None = None
    doing: str = ""
    trouble: str = ""
    is_hung: bool = False

    def __str__(self) -> str:
        return f"process {self.pid}, since {self.since:%Y-%m-%d %H:%M}"


@dataclass(frozen=True, slots=True)
class Status:
    """What the state says at one moment, ``now``.

    ``running`` is the process that has the lock. ``passes`` are all that are kept, newest first. ``problems`` are
    those of the configuration, ``unreached`` of its secrets where no daemon has them, ``expiring`` has a sentence
    for each token near its end, ``error`` is what kept the last pass from its end. ``max_age`` is how old the last
    complete full pass may be, for one who asked. ``known`` is the ledger's, and may change with it; ``courts`` are
    names by id, ``zone`` is the account's, ``changes`` are the last ones, newest first, ``unmapped`` the services of
    bookings that go to no court. ``figures`` is what the process has counted.
    """

    state: Path
    known: Mapping[str, Known]
    held: Sequence[Held]
    watermarks: Sequence[Watermark]
    passes: Sequence[PassRecord]
    now: datetime
    full_interval: timedelta = timedelta()
    running: Running | None = None
    last_success_ms: int | None = None
    last_error: str = ""
    verified_ms: int | None = None
    expiring: Sequence[str] = ()
    problems: Sequence[str] = ()
    unreached: Sequence[str] = ()
    max_age: timedelta | None = None
    courts: Mapping[str, str] = field(default_factory=dict)
    zone: tzinfo = UTC
    changes: Sequence[Event] = ()
    unmapped: Mapping[int, Unmapped] = field(default_factory=dict)
    figures: Figures = field(default_factory=Figures)

    @property
    def bridged(self) -> list[Known]:
        """The bookings that Wingfield has from us, or may have."""
        # A copy: another thread may be writing, and then the ledger changes.
        return [known for known in tuple(self.known.values()) if known.is_bridged]

    @property
    def withheld(self) -> tuple[str, ...]:
        return self.passes[0].withheld if self.passes else ()

    @property
    def pending(self) -> int:
        """How many bookings are pending, by the pass that says how things stand."""
        return self.decisive.pending if self.decisive else 0

    @property
    def decisive(self) -> PassRecord | None:
        """The pass that says how things stand: the last one, or the last full one where only that is not complete."""
        last = self.passes[0] if self.passes else None
        full = next((each for each in self.passes if each.kind == "full"), last)
        return full if last and full and last.is_complete and not full.is_complete else last

    @property
    def is_stale(self) -> bool:
        """Whether the last pass ended three full intervals ago, and none has been under way since."""
        is_under_way = self.running is not None and bool(self.running.doing)
        least = LONG_PASS if is_under_way or not self.full_interval else timedelta()
        return bool(self.passes) and self.now - _end(self.passes[0]) > max(3 * self.full_interval, least)

    @property
    def last_pass_ms(self) -> int | None:
        """When the last pass ended, in milliseconds since 1970; None where there was none."""
        return to_ms(_end(self.passes[0])) if self.passes else None

    @property
    def is_ready(self) -> bool:
        """Whether the last complete full pass is younger than three full intervals and a minute."""
        return not self.is_older(3 * self.full_interval + timedelta(minutes=1))

    def is_older(self, age: timedelta | None) -> bool:
        """Whether the last complete full pass is older than ``age``, if that is anything."""
        last_ms = self.last_success_ms
        return age is not None and (last_ms is None or self.now - from_ms(last_ms) > age)

    @property
    def outcome(self) -> str:
        """The outcome of the last pass, where it still says how things stand."""
        if self.problems:
            return "failed"
        return self.decisive.outcome if self.decisive and not self.is_stale else "incomplete"

    @property
    def since_ms(self) -> int | None:
        """Since when passes have come to the outcome that counts, in milliseconds since 1970; None without a pass."""
        if self.is_stale:
            return to_ms(_end(self.passes[0]))
        streak = takewhile(lambda each: each.outcome == self.passes[0].outcome, self.passes)
        return min((each.started_ms for each in streak), default=None)

    @property
    def error(self) -> str | None:
        """What is wrong, in a sentence; None where at most a booking or a delete needs a person."""
        wrong = [f"the configuration is wrong: {'; '.join(self.problems)}"] if self.problems else []
        if not self.passes:
            wrong.append("no pass has finished yet")
        if self.is_stale:
            wrong.append(f"no pass since {since(self.passes[0].started_ms, self.now)}")
        if self.is_older(self.max_age):
            wrong.append(f"the last complete full pass is older than {self.max_age}")
        wrong += [f"a secret is out of reach here: {each}" for each in self.unreached]
        trouble = self.running.trouble if self.running else ""
        return "; ".join([*wrong, *filter(None, (self.last_error, trouble))]) or None

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
        is_well = self.outcome == "in_sync" and not (self.held or self.withheld or self.is_older(self.max_age))
        return ExitStatus.OK if is_well else ExitStatus.ATTENTION


def read(ledger: Ledger, state: Path, config: Config | None) -> Status:
    """Return what the ledger says, with what ``config`` adds to it. Raises StateError."""
    memory = Memory.loads(ledger.recall("memory"))
    status = Status(
        state,
        ledger.known,
        ledger.held(),
        ledger.watermarks(),
        ledger.passes(PASSES_KEPT),
        now=datetime.now(UTC),
        last_success_ms=ledger.last_success_ms,
        last_error=ledger.error,
        verified_ms=Mark.loads(ledger.recall("mark")).verified_ms or None,
        expiring=warnings(memory.token_ends_ms, datetime.now(UTC)),
        changes=ledger.history(2 * SHOWN),
        unmapped=memory.unmapped,
    )
    if config is None:
        return status
    courts = {rule.court_id: rule.name for rule in reversed(config.courts) if rule.name}
    return replace(
        status,
        full_interval=config.sync.full_interval,
        courts={rule.court_id: courts.get(rule.court_id, "") for rule in config.courts},
        zone=named_zone(config.launch27.timezone or memory.zone) or UTC,
    )


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
    doing, trouble = (str(written.get(name) or "") for name in ("doing", "trouble"))
    return Running(pid, since, next_pass, doing, trouble) if is_locked else None


def status_json(status: Status) -> dict[str, Any]:
    """Return the status as ``status --json`` prints it."""
    daemon: dict[str, Any] = {"running": False}
    if status.running is not None:
        next_pass = status.next_pass and isoformat(status.next_pass)
        daemon = {"running": True, "pid": status.running.pid, "next_pass_at": next_pass}
    return {
        "outcome": status.outcome,
        "error": status.error,
        "bookings": len(status.bridged),
        "pending": status.pending,
        "held": held_json(status.held),
        "withheld_deletes": len(status.withheld),
        "withheld": list(status.withheld),
        "last_success_at": _instant(status.last_success_ms),
        "verified_at": _instant(status.verified_ms),
        "daemon": daemon,
        "unmapped_services": [{"id": id_, **each._asdict()} for id_, each in status.unmapped.items()],
        "watermarks": [
            {
                "account": mark.number,
                "listed_at": _instant(mark.listed_ms),
                "source_updated_at": _instant(mark.source_updated_ms),
            }
            for mark in status.watermarks
        ],
        "passes": [
            {"started_at": _instant(each.started_ms), "kind": each.kind, **record_json(each)}
            for each in status.passes[:SHOWN]
        ],
    }


def record_json(record: PassRecord) -> dict[str, Any]:
    """Return how a pass went, as the interface shows it."""
    names = ("outcome", "seen", "created", "updated", "deleted", "unchanged", "ignored", "held", "pending")
    counts = {name: getattr(record, name) for name in names}
    return {**counts, "withheld_deletes": len(record.withheld), "duration_ms": record.duration_ms}


def held_json(held: Iterable[Held]) -> list[dict[str, str]]:
    """Return held bookings as the interface shows them."""
    return [
        {"id": entry.id, "reason": entry.reason, "detail": entry.detail, "since": isoformat(from_ms(entry.since_ms))}
        for entry in held
    ]


def _instant(ms: int | None) -> str | None:
    return None if ms is None else isoformat(from_ms(ms))
