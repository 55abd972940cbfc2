"""Times, as people read them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bridge.model import from_ms


def moment(ms: int) -> str:
    """Return a time in the zone of this computer, to the minute."""
    return f"{from_ms(ms).astimezone():%Y-%m-%d %H:%M}"


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


def since(ms: int, now: datetime) -> str:
    """Return a time and how long ago it was."""
    return f"{moment(ms)} ({age(ms, now)})"


def named_zone(name: str) -> ZoneInfo | None:
    """Return the time zone of this IANA name; None where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
