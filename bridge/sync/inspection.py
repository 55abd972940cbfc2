"""Reads what ``check`` and ``courts`` look at: the window's bookings, and the catalogues of their locations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from bridge.config.schema import SyncConfig
from bridge.errors import Rejected
from bridge.launch27.client import Launch27, Session
from bridge.launch27.wire import CatalogueService, SourceBooking, Unreadable
from bridge.planning.memory import DEFAULT_LOCATION

Pages = list[Sequence[SourceBooking | Unreadable]]


async def window(
    source: Launch27, session: Session, sync: SyncConfig, zone: ZoneInfo, *, with_forecasts: bool = False
) -> Pages:
    """Return the pages of an account's bookings in the window around now. Raises ServiceError."""
    now = datetime.now(zone)
    days = (now - sync.past).date(), (now + sync.future).date()
    listing = source.listing(session, *days, expected=None, with_forecasts=with_forecasts)
    return [page.bookings async for page in listing]


def active(pages: Pages) -> dict[str, SourceBooking]:
    """Return the readable bookings of a listing that a pass would look at, by id."""
    return {each.id: each for each in _counting(pages) if isinstance(each, SourceBooking)}


def unreadable(pages: Pages) -> int:
    """Return how many bookings of a listing a pass could not read."""
    return sum(isinstance(each, Unreadable) for each in _counting(pages))


def _counting(pages: Pages) -> Iterator[SourceBooking | Unreadable]:
    return (each for page in pages for each in page if each.is_active and not each.is_forecast)


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
