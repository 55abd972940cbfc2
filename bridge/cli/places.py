"""How a club's places are named to people: courts by their names, times in the account's zone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from bridge.config.schema import Config
from bridge.ledger.store import Ledger
from bridge.model import Slot, from_ms, to_ms
from bridge.planning.memory import Memory

_MOMENT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")


@dataclass(frozen=True, slots=True)
class Places:
    """The names of courts by their ids, and the account's time zone; None is that of this computer."""

    courts: Mapping[str, str] = field(default_factory=dict)
    zone: tzinfo | None = None

    @classmethod
    def of(cls, config: Config | None, ledger: Ledger) -> Places:
        """Return what the configuration, where there is a valid one, and the last pass say."""
        rules = reversed(config.courts) if config else ()  # of a court with several rules, the first name counts
        zone = (config and config.launch27.timezone) or Memory.loads(ledger.recall("memory")).zone
        return cls({rule.court_id: rule.name for rule in rules if rule.name}, ZoneInfo(zone) if zone else None)

    def cells(self, slot: Slot | None) -> tuple[str, str]:
        """Return a slot as two cells of a table, court and when; what is not known is left out."""
        if slot is None:
            return "", ""
        end = f"{slot.end.astimezone(self.zone):%H:%M}" if slot.end > slot.start else ""
        return self.courts.get(slot.court_id, slot.court_id), f"{self.at(to_ms(slot.start))}–{end}"

    def told(self, sentence: str) -> str:
        """Return a sentence with courts by their names, and moments as the account's clocks show them."""
        for court_id, name in self.courts.items():
            for written, shown in ((f" ({court_id})", ""), (f"court {court_id}", name), (court_id, name)):
                sentence = sentence.replace(written, shown)
        return _MOMENT.sub(lambda found: self.at(to_ms(datetime.fromisoformat(found[0]))), sentence)

    def at(self, ms: int) -> str:
        """Return a moment as the account's clocks show it, to the minute."""
        return f"{from_ms(ms).astimezone(self.zone):%Y-%m-%d %H:%M}"
