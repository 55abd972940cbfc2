"""Wingfield's Partner API: one method for each endpoint the bridge asks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from pydantic import TypeAdapter
from pydantic_core import from_json

from bridge.config.schema import WingfieldConfig
from bridge.errors import NotFound, Unavailable
from bridge.http.client import Call, Http, Response
from bridge.model import Stored, Verb, Write
from bridge.wingfield.refusals import SERVICE, refusal
from bridge.wingfield.wire import Court, CourtMapping, Page, W, WireBooking, put_body, version

if TYPE_CHECKING:
    import httpx

__all__ = ["Court", "Wingfield"]

PAGE_SIZE: Final = 100
MOST_PAGES: Final = 10_000
_COURTS: Final = TypeAdapter(list[Court])


class Wingfield:
    """Wingfield's court bookings, as one external service.

    A booking is known here by ``id_prefix`` and its Launch27 id; nobody else knows of that key. All methods
    raise Unavailable when there is no usable answer (a write may then have been applied or not),
    CredentialsRefused when the token or the service is, and Rejected for a 4xx.
    """

    def __init__(self, http: Http, config: WingfieldConfig, id_prefix: str = "") -> None:
        self.http = http
        self._token = config.token
        self._service = f"/api/v1/external-services/{quote(config.external_service_id, safe='')}"
        self._id_prefix = id_prefix

    @classmethod
    def connect(
        cls, config: WingfieldConfig, id_prefix: str = "", *, transport: httpx.AsyncBaseTransport | None = None
    ) -> Wingfield:
        """Return a client with connections of its own; end it with ``await client.http.aclose()``."""
        http = Http(SERVICE, config.base_url, concurrency=config.concurrency, transport=transport)
        return cls(http, config, id_prefix)

    def __repr__(self) -> str:
        return f"Wingfield({self.http!r})"

    @property
    def is_down(self) -> bool:
        """Whether further requests are pointless in this pass."""
        return self.http.is_down

    # --- court bookings ---

    async def write(self, write: Write, *, finishing: bool = False) -> None:
        """Create, update or delete a booking; ``finishing`` lets it through while the bridge stops.

        Source: Wingfield, Upsert court booking, Delete court booking.
        """
        if write.verb is Verb.DELETE or write.slot is None:
            await self._delete(write, finishing=finishing)
            return
        key = self._key(write.id)

        def check(response: Response) -> None:
            _expect_success(response)
            answer = from_json(response.body)
            if not isinstance(answer, dict) or answer.get("externalCourtBookingId") != key:
                raise ValueError("not the booking that was sent")

        call = self._booking("PUT", write.id, json=put_body(write, write.slot), finishing=finishing)
        await self.http.request(call, check)

    async def _delete(self, write: Write, *, finishing: bool) -> None:
        """Delete a booking; fine, too, when there is none."""

        def check(response: Response) -> None:
            with suppress(NotFound):
                _expect_success(response)
            if response.is_html:
                raise ValueError("a web page")

        params = {"externalUpdatedAt": version(write.version_ms)}
        await self.http.request(self._booking("DELETE", write.id, params=params, finishing=finishing), check)

    async def read(self, id_: str, *, finishing: bool = False) -> Stored | None:
        """Return one booking; None when there is none. Source: Wingfield, Get court booking."""
        key = self._key(id_)

        def check(response: Response) -> Stored | None:
            if response.status == 404 and not response.is_html:
                return None
            booking = _read(response, WireBooking)
            if booking.external_court_booking_id != key:
                raise ValueError("another booking than the one asked for")
            return booking.stored(self._id_prefix)

        return await self.http.request(self._booking("GET", id_, finishing=finishing), check)

    async def list_bookings(self) -> AsyncGenerator[list[Stored], None]:
        """Yield all bookings of the external service, page by page; one can come twice.

        The ``id`` is "" where the key is not ours. The list is complete when it ends without an exception:
        raises Unavailable when fewer different bookings came than Wingfield's ``totalCount`` names. A booking
        out of shape is an answer out of shape (Unavailable): what is there would be guessed wrong.

        Source: Wingfield, List court bookings (newest ``updatedAt`` first, so that writes meanwhile repeat
        bookings rather than skip them).
        """
        seen: set[str] = set()
        total = 0
        async for page in self._pages("/court-bookings", Page[WireBooking]):
            total = page.total_count
            seen.update(booking.external_court_booking_id for booking in page.items)
            if page.items:
                yield [booking.stored(self._id_prefix) for booking in page.items]
        if len(seen) < total:
            words = f"listed {len(seen)} of {total} bookings; the list changed meanwhile"
            raise Unavailable(SERVICE, words, kind="incomplete list")

    # --- courts ---

    async def court(self, id: str) -> Court:  # noqa: A002  # Wingfield's word
        """Return a court; raises NotFound. Source: Wingfield, Get court."""
        call = self._get(f"/api/v1/courts/{quote(id, safe='')}", "/courts/{id}")
        return await self.http.request(call, lambda response: _read(response, Court))

    async def facility_courts(self, id: str) -> list[Court]:  # noqa: A002  # Wingfield's word
        """Return a facility's courts; raises NotFound. Source: Wingfield, List a facility's courts.

        The documentation shows a court, not what it comes in: a bare list and a page are both read.
        """

        def check(response: Response) -> list[Court]:
            _expect_success(response)
            if response.body.lstrip()[:1] == b"[":
                return _COURTS.validate_json(response.body)
            return Page[Court].model_validate_json(response.body).items

        path = f"/api/v1/facilities/{quote(id, safe='')}/courts"
        return await self.http.request(self._get(path, "/facilities/{id}/courts"), check)

    async def court_mappings(self) -> list[CourtMapping]:
        """Return all court mappings. Source: Wingfield, List court mappings."""
        pages = self._pages("/court-mappings", Page[CourtMapping])
        return [mapping async for page in pages for mapping in page.items]

    # --- requests ---

    async def _pages(self, path: str, shape: type[Page[W]]) -> AsyncGenerator[Page[W], None]:
        """Yield the pages of a list, up to its ``totalCount`` or to an empty page."""
        offset = 0
        for _ in range(MOST_PAGES):
            call = self._get(self._service + path, path, {"limit": PAGE_SIZE, "offset": offset})
            page = await self.http.request(call, lambda response: _read(response, shape))
            yield page
            offset += len(page.items)
            if not page.items or offset >= page.total_count:
                return
        raise Unavailable(SERVICE, f"the list {path} never ends")

    def _key(self, id_: str) -> str:
        return self._id_prefix + id_

    def _booking(
        self,
        method: str,
        id_: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: object = None,
        finishing: bool = False,
    ) -> Call:
        key = self._key(id_)
        return Call(
            method,
            f"{self._service}/court-bookings/by-external-id/{quote(key, safe='')}",
            "/court-bookings/by-external-id/{id}",
            booking=key,
            params=params,
            json=json,
            bearer=self._token,
            finishing=finishing,
        )

    def _get(self, path: str, route: str, params: Mapping[str, str | int] | None = None) -> Call:
        return Call("GET", path, route, params=params, bearer=self._token)


def _expect_success(response: Response) -> None:
    if response.status >= 400:
        raise refusal(response)


def _read(response: Response, shape: type[W]) -> W:
    _expect_success(response)
    return shape.model_validate_json(response.body)
