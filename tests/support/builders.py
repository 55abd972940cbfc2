"""What tests are made of: moments, slots, bookings, writes, and what the ledger knows of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.model import ABSENT, CourtBooking, Known, Slot, Verb, Write, fingerprint, to_ms

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
"""When every test takes place; ``slot`` counts its hours from here."""

EMAIL, SECOND = "club@example.com", "second@example.com"
PASSWORD = "correct-horse-battery"
TOKEN = "tok_ext_v1_sandbox"
PLAYER = ("player@example.com",)
COURTS = {f"00000000-0000-4000-8000-00000000000{n}": f"Court {n}" for n in (1, 2, 3)}
ONE, TWO, THREE = COURT_IDS = tuple(COURTS)

DOCUMENTED: dict[str, Any] = {
    "id": 1,
    "digest": "Nc…c2",
    "service_date": "2019-08-15T14:30:00Z",
    "arrival_window": 0,
    "active": True,
    "completed": False,
    "location": {"id": 1, "name": "Sandbox"},
    "name": "First Last",
    "email": "user@email.com",
    "phone": "…",
    "frequency": {"id": 1, "interval": "o", "name": "One Time"},
    "customer_notes": None,
    "services": [
        {
            "id": 1,
            "name": "…",
            "price": 99.0,
            "extras": None,
            "pricing_parameters": None,
            "hourly": {"quantity": 1, "minutes": 90},
        }
    ],
    "teams": [],
    "custom_fields": [],
    "actions": {"edit": True, "cancel": True},
}
"""The customer's booking of Launch27's documentation."""


def slot(hour: float = 24, court: object = 1, hours: float = 1) -> Slot:
    """Return a slot on ``c1``, ``c2`` …, its start counted in hours from NOON."""
    start = NOON + hour * HOUR
    return Slot(f"c{court}", start, start + hours * HOUR)


def booking(id_: object = 7, place: Slot | None = None, players: Sequence[str] = PLAYER, **fields: Any) -> CourtBooking:
    """Return what Wingfield should have for a booking."""
    place = place or slot()
    whole: dict[str, Any] = {"source_updated_at": None, "fingerprint": fingerprint(place, players), **fields}
    return CourtBooking(str(id_), place, tuple(players), **whole)


def known(
    id_: object = 7, place: Slot | None = None, version_ms: int = 1000, players: Sequence[str] = PLAYER, **fields: Any
) -> Known:
    """Return what the ledger knows of a booking that is in sync at ``place``; ``fields`` change that."""
    place = place or slot()
    content = fingerprint(place, players)
    return Known(
        id=str(id_),
        account="a",
        acked_version_ms=version_ms,
        acked_fingerprint=content,
        court_id=place.court_id,
        start_ms=to_ms(place.start),
        end_ms=to_ms(place.end),
        intended_version_ms=version_ms,
        intended_fingerprint=content,
        seen_fingerprint=content,
        seen_ms=version_ms,
    )._replace(**fields)


def never_sent(id_: object = 7, **fields: Any) -> Known:
    """Return what the ledger knows of a booking that Wingfield never had."""
    nowhere: dict[str, Any] = dict.fromkeys(
        ("acked_version_ms", "court_id", "start_ms", "end_ms", "intended_version_ms")
    )
    absent = dict.fromkeys(("acked_fingerprint", "intended_fingerprint", "seen_fingerprint"), ABSENT)
    return known(id_)._replace(**{**nowhere, **absent, "seen_ms": 0, **fields})


def put(
    id_: object = 7, place: Slot | None = None, version_ms: int = 1000, verb: Verb = Verb.UPDATE, **fields: Any
) -> Write:
    """Return a write that brings a booking to ``place``."""
    place = place or slot()
    whole: dict[str, Any] = {"why": "new", "sighted_ms": 500, **fields}
    return Write(verb, str(id_), place, PLAYER, fingerprint(place, PLAYER), version_ms, **whole)


def delete(id_: object = 7, place: Slot | None = None, version_ms: int = 1000, **fields: Any) -> Write:
    """Return a delete of a booking that stands at ``place``, if that is known."""
    return Write(Verb.DELETE, str(id_), place, (), ABSENT, version_ms, **{"why": "gone", **fields})
