"""How a club's places are named to people: courts by their names, times in the account's zone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, tzinfo

from bridge.config.schema import Config
from bridge.ledger.store import Ledger
from bridge.model import Slot, from_ms, to_ms
from bridge.planning.memory import Memory
from bridge.sync.words import named_zone


@dataclass(frozen=True, slots=True)
class Places:
    """The courts of the rules by their ids, "" for one without a name, and the account's time zone.

    Without a zone it is that of this computer.
    """

    courts: Mapping[str, str] = field(default_factory=dict)
    zone: tzinfo | None = None

    @classmethod
    def of(cls, config: Config | None, ledger: Ledger) -> Places:
        """Return what the configuration, where there is a valid one, and the last pass say."""
        courts = dict[str, str]()
        for rule in config.courts if config else ():
            courts[rule.court_id] = courts.get(rule.court_id) or rule.name
        zone = (config and config.launch27.timezone) or Memory.loads(ledger.recall("memory")).zone
        return cls(courts, named_zone(zone))

    def name(self, court_id: str) -> str:
        """Return a court's name; its id where it has none."""
        return self.courts.get(court_id) or court_id

    def cells(self, slot: Slot | None) -> tuple[str, str]:
        """Return a slot as two cells of a table, court and when; what is not known is left out."""
        if slot is None:
            return "", ""
        end = f"{slot.end.astimezone(self.zone):%H:%M}" if slot.end > slot.start else ""
        return self.name(slot.court_id), f"{self.at(to_ms(slot.start))}–{end}"

    def at(self, ms: int) -> str:
        """Return a moment as the account's clocks show it, to the minute."""
        return f"{from_ms(ms).astimezone(self.zone):%Y-%m-%d %H:%M}"

    def opening(self, day: date, hour: int = 0) -> datetime:
        """Return the moment, in UTC, at which an hour of a day begins there."""
        return datetime.combine(day, time(hour), self.zone).astimezone(UTC)
