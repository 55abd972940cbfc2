"""All that is shown of a club at one moment, from memory: no service is asked, and no pass is waited for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bridge.config.schema import Config
from bridge.ledger.store import Ledger
from bridge.model import Known
from bridge.planning.memory import Memory
from bridge.sync.figures import Figures
from bridge.sync.status import SHOWN, Running, Status, full_interval, read


@dataclass(frozen=True, slots=True)
class View:
    """What a page, metrics and health are made of.

    ``courts`` are names by id, in the order of the configuration; ``zone`` is the account's. ``changes`` are the last
    writes, newest first, as ``history --json`` has them.
    """

    status: Status
    known: Sequence[Known]
    courts: Mapping[str, str]
    zone: tzinfo
    figures: Figures
    changes: Sequence[Mapping[str, Any]] = ()


class Viewer:
    """Keeps what the ledger said after the last pass.

    While a pass runs, another thread may be writing to the ledger: only what is known in memory is looked at then.
    """

    def __init__(self, config: Config, ledger: Ledger, figures: Figures) -> None:
        self._ledger = ledger
        self._figures = figures
        self.refresh(config)

    def refresh(self, config: Config) -> None:
        """Read the ledger, between two passes. Raises StateError."""
        ledger, sync = self._ledger, config.sync
        self._status = read(ledger, sync.state, sync.interval, full_interval(config), now=datetime.now(UTC))
        self._changes = last_changes(ledger)
        self._zone = Memory.loads(ledger.memory).zone

    def view(self, config: Config, running: Running, problems: Sequence[str]) -> View:
        """Return what is to be seen now under ``config``; ``problems`` are those of an edit of it."""
        known = tuple(self._ledger.known.values())
        status = replace(
            self._status,
            bookings=sum(each.is_bridged for each in known),
            interval=config.sync.interval,
            running=running,
            now=datetime.now(UTC),
            full_interval=full_interval(config),
            problems=problems,
        )
        courts: dict[str, str] = {}
        for rule in config.courts:
            courts[rule.court_id] = courts.get(rule.court_id) or rule.name
        zone = _zone(config.launch27.timezone or self._zone)
        return View(status, known, courts, zone, self._figures, self._changes)


def last_changes(ledger: Ledger) -> Sequence[Mapping[str, Any]]:
    """Return the last writes, newest first."""
    history = getattr(ledger, "history", None)
    return history(limit=2 * SHOWN) if history else ()


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC
