"""What the page says: its templates lay out the status. All times are in the account's zone."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bridge.ledger.day import STATES
from bridge.model import from_ms
from bridge.sync.status import SHOWN, Status
from bridge.sync.words import age
from bridge.web.day import draw

_MOST_DAYS = 3650
_TEMPLATES = Path(__file__).with_name("templates")
_environment = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)
_environment.globals.update(states=STATES, shown=SHOWN, step=timedelta(days=1), refresh=30, most=200)


def club_page(status: Status, query: Mapping[str, str], club: str = "") -> str:
    """Return the page of a club; ``query`` may ask for a ``day`` and for no ``refresh``.

    ``club`` is its name where there are several.
    """
    now = status.now.astimezone(status.places.zone)

    def when(instant: datetime | int) -> str:
        """Return the time of a moment (in milliseconds since 1970, where it is a number), its day if not today."""
        local = (from_ms(instant) if isinstance(instant, int) else instant).astimezone(status.places.zone)
        return f"{local:%H:%M}" if local.date() == now.date() else f"{local:%a %-d %b %Y, %H:%M}"

    day = chosen_day(query.get("day", ""), now.date())
    context: dict[str, Any] = {"status": status, "club": club, "now": now, "when": when, "is_odd": day is None}
    context |= {"age": lambda ms: age(ms, status.now), "is_paused": query.get("refresh") == "off"}
    return _environment.get_template("club.html").render(**context, day=draw(status, day or now.date()))


def chosen_day(text: str, today: date) -> date | None:
    """Return the day that was asked for, today where none was, and None where ``text`` is no day near enough."""
    wanted = text or today.isoformat()
    with suppress(ValueError):
        day = date.fromisoformat(wanted)
        if day.isoformat() == wanted and abs(day - today).days < _MOST_DAYS:
            return day
    return None


def overview(statuses: Mapping[str, Status | None]) -> str:
    """Return the page that lists several clubs; None stands for one that could not be started."""
    return _environment.get_template("clubs.html").render(clubs=statuses, is_paused=False)


def style() -> bytes:
    """Return the one style sheet."""
    return (_TEMPLATES / "style.css").read_bytes()
