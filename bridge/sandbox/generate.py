"""A world full of bookings, the same every time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bridge.sandbox.launch27 import Launch27

_HOURS = 24
_OPENS_AT = 8


def generate(
    launch27: Launch27,
    *,
    bookings: int,
    courts: int,
    start: date,
    days: int,
    services_by_court: Mapping[int, int] | None = None,
) -> list[int]:
    """Book ``bookings`` hours, none of which overlap, and return their ids.

    They are dealt out over ``courts`` (numbered from 1) and the ``days`` from ``start`` on in the tenant's
    time zone, the first of each day at 8:00. A court is one service of the catalogue, by default the one
    with its number. Raise ValueError when there are not enough hours.
    """
    if bookings > courts * days * _HOURS:
        raise ValueError(f"{bookings} bookings do not fit on {courts} courts in {days} days")
    services = {court: court for court in range(1, courts + 1)} | dict(services_by_court or {})
    known = {entry.get("id") for entry in launch27.catalogue}
    for court, service in services.items():
        if service not in known:
            launch27.add_service(service, f"Court {court}")
    midnight = datetime.combine(start, time(), ZoneInfo(launch27.timezone)).astimezone(UTC)
    return [
        launch27.add_booking(
            service_date=midnight + timedelta(days=day, hours=hour),
            services=[services[court]],
            minutes=60,
            email=f"player{number % 997}@example.com",
            name=f"Player {number % 997}",
        )
        for number, (court, day, hour) in enumerate(_places(bookings, courts, days))
    ]


def _places(bookings: int, courts: int, days: int) -> list[tuple[int, int, int]]:
    """Return court, day and hour of each booking, court by court first, then day by day."""
    return [
        (number % courts + 1, number // courts % days, (_OPENS_AT + number // (courts * days)) % _HOURS)
        for number in range(bookings)
    ]
