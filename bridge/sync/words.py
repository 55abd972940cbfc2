"""Places and times, as people name them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bridge.config.schema import Config
from bridge.ledger.store import Ledger
from bridge.model import Slot, from_ms, to_ms
from bridge.planning.memory import Memory

_MOMENT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")


def moment(ms: int | None, zone: tzinfo | None = None) -> str:
    """Return a time to the minute, "" where there is none; without a zone in that of this computer."""
    return "" if ms is None else f"{from_ms(ms).astimezone(zone):%Y-%m-%d %H:%M}"


def age(ms: int, now: datetime) -> str:
    """Return how long ago a time was, in words; ``now`` is an aware datetime."""
    seconds = (now - from_ms(ms)).total_seconds()
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return "just now"


def to_no_court(service: int, name: str, bookings: int) -> str:
    """Return how many bookings of a service go to no court."""
    each = "1 booking goes" if bookings == 1 else f"{bookings} bookings go"
    return f"service {service}{', ' * bool(name)}{name}: {each} to no court"


def since(ms: int | None, now: datetime) -> str:
    """Return a time and how long ago it was; "never" where there is none."""
    return "never" if ms is None else f"{moment(ms)} ({age(ms, now)})"


def named_zone(name: str) -> ZoneInfo | None:
    """Return the time zone of this IANA name; None where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


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
        zone = (config and config.launch27.timezone) or ledger.recall(Memory).zone
        return cls(courts, named_zone(zone))

    def name(self, court_id: str) -> str:
        """Return a court's name; its id where it has none."""
        return self.courts.get(court_id) or court_id

    def told(self, sentence: str) -> str:
        """Return a sentence with courts by their names, and moments as the account's clocks show them."""
        for court_id, name in self.courts.items():
            for written, shown in ((f" ({court_id})", ""), (f"court {court_id}", name), (court_id, name)):
                sentence = sentence.replace(written, shown) if name else sentence
        return _MOMENT.sub(lambda found: moment(to_ms(datetime.fromisoformat(found[0])), self.zone), sentence)

    def cells(self, slot: Slot | None) -> tuple[str, str]:
        """Return a slot as two cells of a table, court and when; what is not known is left out."""
        if slot is None:
            return "", ""
        end = f"{slot.end.astimezone(self.zone):%H:%M}" if slot.end > slot.start else ""
        return self.name(slot.court_id), f"{moment(to_ms(slot.start), self.zone)}–{end}"

    def opening(self, day: date, hour: int = 0) -> datetime:
        """Return the moment, in UTC, at which an hour of a day begins there."""
        return datetime.combine(day, time(hour), self.zone).astimezone(UTC)
