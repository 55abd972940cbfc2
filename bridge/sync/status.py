"""How things stand: what the state says, and the process that has its lock. The object of ``status --json``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from bridge.config.schema import Config
from bridge.errors import ExitStatus
from bridge.launch27.expiry import warnings
from bridge.ledger.history import Event
from bridge.ledger.lock import lock_path
from bridge.ledger.store import PASSES_KEPT, Ledger
from bridge.model import Held, Known, Slot, from_ms, isoformat
from bridge.planning.drift import Mark
from bridge.planning.memory import Memory, Unmapped
from bridge.records import PassRecord, Watermark
from bridge.sync.figures import Figures
from bridge.sync.words import Places, since

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
    complete full pass may be, for one who asked. ``known`` is the ledger's, and may change with it; ``changes`` are
    the last ones, newest first, ``unmapped`` the services of bookings that go to no court. ``figures`` is what the
    process has counted.
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
    places: Places = field(default_factory=Places)
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
        last_ms, patience = self.last_pass_ms, max(3 * self.full_interval, least)
        return last_ms is not None and self.now - from_ms(last_ms) > patience

    @property
    def last_pass_ms(self) -> int | None:
        """When the last pass ended, in milliseconds since 1970; None where there was none."""
        return self.passes[0].started_ms + self.passes[0].duration_ms if self.passes else None

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
            return self.last_pass_ms
        streak = takewhile(lambda each: each.outcome == self.passes[0].outcome, self.passes)
        return min((each.started_ms for each in streak), default=None)

    @property
    def wrong(self) -> list[str]:
        """What is wrong beside the last pass, a sentence each."""
        found = [f"the configuration is wrong: {problem}" for problem in self.problems]
        found += [f"a secret is out of reach here: {problem}" for problem in self.unreached]
        if self.is_stale:
            found.append(f"no pass since {since(self.passes[0].started_ms, self.now)}")
        if self.is_older(self.max_age):
            found.append(f"the last complete full pass is older than {self.max_age}")
        if self.running and self.running.trouble:
            found.append(self.running.trouble)
        return found

    @property
    def error(self) -> str | None:
        """All that is wrong in a sentence; None where at most a booking or a delete needs a person."""
        last = self.last_error if self.passes else "no pass has finished yet"
        return "; ".join([*self.wrong, *filter(None, [last])]) or None

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
    memory = ledger.recall(Memory)
    return Status(
        state,
        ledger.known,
        ledger.held(),
        ledger.watermarks(),
        ledger.passes(PASSES_KEPT),
        now=datetime.now(UTC),
        full_interval=config.sync.full_interval if config else timedelta(),
        last_success_ms=ledger.last_success_ms,
        last_error=ledger.error,
        verified_ms=ledger.recall(Mark).verified_ms or None,
        expiring=warnings(memory.token_ends_ms, datetime.now(UTC)),
        places=Places.of(config, ledger),
        changes=ledger.history(2 * SHOWN),
        unmapped=memory.unmapped,
    )


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
    daemon: dict[str, Any] = {"running": status.running is not None}
    if status.running is not None:
        daemon |= {"pid": status.running.pid, "next_pass_at": status.next_pass and isoformat(status.next_pass)}
    return {
        "outcome": status.outcome,
        "error": status.error,
        "bookings": len(status.bridged),
        "pending": status.pending,
        "held": held_json(status.held),
        "withheld_deletes": len(status.withheld),
        "withheld": list(status.withheld),
        "last_success_at": instant(status.last_success_ms),
        "verified_at": instant(status.verified_ms),
        "daemon": daemon,
        "unmapped_services": [{"id": id_, **each._asdict()} for id_, each in status.unmapped.items()],
        "watermarks": [
            {
                "account": mark.number,
                "listed_at": instant(mark.listed_ms),
                "source_updated_at": instant(mark.source_updated_ms),
            }
            for mark in status.watermarks
        ],
        "passes": [
            {"started_at": instant(each.started_ms), "kind": each.kind, **record_json(each)}
            for each in status.passes[:SHOWN]
        ],
    }


def record_json(record: PassRecord) -> dict[str, Any]:
    """Return how a pass went, as the interface shows it."""
    names = ("outcome", "seen", "created", "updated", "deleted", "unchanged", "ignored", "held", "pending")
    counts = {name: getattr(record, name) for name in names}
    return {**counts, "withheld_deletes": len(record.withheld), "duration_ms": record.duration_ms}


def held_json(held: Iterable[Held]) -> list[dict[str, str | None]]:
    """Return held bookings as the interface shows them."""
    return [
        {"id": entry.id, "reason": entry.reason, "detail": entry.detail, "since": instant(entry.since_ms)}
        for entry in held
    ]


def slot_json(slot: Slot | None) -> dict[str, str | None]:
    """Return a slot as the interface shows it."""
    if slot is None:
        return {"court": None, "start": None, "end": None}
    return {"court": slot.court_id, "start": isoformat(slot.start), "end": isoformat(slot.end)}


def instant(ms: int | None) -> str | None:
    """Return a moment, given in milliseconds since 1970, as the interface shows it; None for none."""
    return None if ms is None else isoformat(from_ms(ms))
