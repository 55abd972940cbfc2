"""What the page says: the words and figures that its templates lay out. All times are in the account's zone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bridge.ledger.day import STATES
from bridge.model import from_ms
from bridge.sync.remedies import remedy
from bridge.sync.status import SHOWN, Status, kind
from bridge.sync.view import View
from bridge.sync.words import age
from bridge.web.day import chosen_day, draw

REFRESH_SECONDS = 30
MOST_ROWS = 200
"""Rows of a table; ``courtbridge status --json`` has all."""

_VERDICTS = {
    "in_sync": ("good", "In sync"),
    "attention": ("warn", "Needs a person"),
    "incomplete": ("bad", "Not in sync"),
    "refused": ("bad", "Credentials refused"),
    "failed": ("bad", "Configuration wrong"),
}
_STATE_WORDS = {state: state.replace("_", " ") for state in STATES}
_TEMPLATES = Path(__file__).with_name("templates")
_environment = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)
_environment.globals.update(remedy=remedy, words=_STATE_WORDS, kind=kind, refresh=REFRESH_SECONDS, most=MOST_ROWS)


def verdict(status: Status) -> tuple[str, str]:
    """Return a colour ("good", "warn", "bad", "wait") and a word or two for how things stand."""
    if not status.passes and not status.problems:
        return "wait", "Waiting for the first pass"
    return _VERDICTS[status.outcome]


def club_page(view: View, query: Mapping[str, str], club: str = "") -> str:
    """Return the page of a club; ``query`` may ask for a ``day`` and for no ``refresh``.

    ``club`` is its name where there are several.
    """
    status, zone = view.status, view.zone
    today = status.now.astimezone(zone).date()
    day, is_day = chosen_day(query.get("day"), today)
    colour, word = verdict(status)
    return _environment.get_template("club.html").render(
        status=status,
        colour=colour,
        word=word,
        club=club,
        is_day=is_day,
        is_paused=query.get("refresh") == "off",
        today=today,
        step=timedelta(days=1),
        day=draw(view, day),
        drift=view.figures.drift,
        passes=status.passes[:SHOWN],
        changes=view.changes,
        courts=view.courts,
        zone=zone,
        at=lambda ms: _moment(from_ms(ms), zone, status.now),
        when=lambda text: _moment(datetime.fromisoformat(text), zone, status.now),
        age=lambda ms: age(ms, status.now),
    )


def overview(views: Mapping[str, View | None]) -> str:
    """Return the page that lists several clubs; None stands for one that could not be started."""
    clubs = {name: (*verdict(view.status), view.status) if view else None for name, view in views.items()}
    return _environment.get_template("clubs.html").render(clubs=clubs, is_paused=False)


def style() -> bytes:
    """Return the one style sheet."""
    return (_TEMPLATES / "style.css").read_bytes()


def _moment(instant: datetime, zone: tzinfo, now: datetime) -> str:
    """Return the time of a moment, with its day where that is not today."""
    local = instant.astimezone(zone)
    return f"{local:%H:%M}" if local.date() == now.astimezone(zone).date() else f"{local:%a %-d %b %Y, %H:%M}"
