"""Reads what ``check`` and ``courts`` look at: the window's bookings, and the catalogues of their locations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from bridge.config.schema import SyncConfig
from bridge.errors import Rejected
from bridge.launch27.client import Launch27, Session
from bridge.launch27.wire import CatalogueService, SourceBooking
from bridge.planning.memory import DEFAULT_LOCATION


@dataclass(slots=True)
class Listed:
    """An account's bookings that a pass would read, by id, how many it could not, and the sizes of all pages."""

    bookings: dict[str, SourceBooking] = field(default_factory=dict)
    unreadable: int = 0
    pages: list[int] = field(default_factory=list)


async def window(
    source: Launch27, session: Session, sync: SyncConfig, zone: ZoneInfo, *, with_forecasts: bool = False
) -> Listed:
    """Return what an account has in the window around now. Raises ServiceError."""
    now, listed = datetime.now(zone), Listed()
    days = (now - sync.past).date(), (now + sync.future).date()
    async for page in source.listing(session, *days, expected=None, with_forecasts=with_forecasts):
        listed.pages.append(len(page.bookings))
        for each in page.bookings:
            if not each.is_active or each.is_forecast:
                continue
            if isinstance(each, SourceBooking):
                listed.bookings[each.id] = each
            else:
                listed.unreadable += 1
    return listed


async def catalogue(
    source: Launch27, session: Session, bookings: Iterable[SourceBooking], more: Iterable[int] = ()
) -> dict[int, CatalogueService] | None:
    """Return the services of every location that the bookings name, of the default one, and of ``more``.

    None where no location has a catalogue to show. Raises Unavailable or CredentialsRefused.
    """
    found = list[dict[int, CatalogueService]]()
    for location in sorted({DEFAULT_LOCATION, *more, *(each.location_id or DEFAULT_LOCATION for each in bookings)}):
        try:
            found.append(await source.catalogue(session, location))
        except Rejected:
            continue
    return {number: service for each in reversed(found) for number, service in each.items()} if found else None
