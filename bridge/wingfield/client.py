"""Wingfield's Partner API: one method for each endpoint the bridge asks."""

from __future__ import annotations

import asyncio
import math
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar
from urllib.parse import quote

from pydantic import ValidationError
from pydantic_core import from_json

from bridge.config.schema import WingfieldConfig
from bridge.errors import AccessDenied, CredentialsRefused, NotFound, Rejected, Unavailable
from bridge.http.client import Call, Http, Params, Response
from bridge.model import Stored, Verb, Write, from_ms, isoformat
from bridge.planning.refusals import MEANINGS, OF_THE_TOKEN
from bridge.wingfield import wire
from bridge.wingfield.wire import Court, CourtMapping, Listed, Page, UserRelation, W, oldest_ms, put_body

__all__ = ["Court", "Listed", "Wingfield", "oldest_ms"]

T = TypeVar("T")

SERVICE: Final = "Wingfield"

PAGE_SIZE: Final = 100
PAGES_AT_ONCE: Final = 8
MOST_PAGES: Final = 10_000

UNEXPECTED: Final = "unexpected_answer"
_TYPE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")

_BY_STATUS: Final = {403: AccessDenied, 404: NotFound}


class Wingfield:
    """Wingfield's court bookings, as one external service.

    A booking is known here by ``id_prefix`` and its Launch27 id; nobody else knows of that key. All methods
    raise Unavailable when there is no usable answer (a write may then have been applied or not),
    CredentialsRefused when the token or the service is, and Rejected for a 4xx. End it with ``http.aclose()``.
    ``courts`` is how many the club has: one that fails alone is not taken for Wingfield being down.
    """

    def __init__(
        self, config: WingfieldConfig, id_prefix: str = "", *, courts: int = 1, http: Http | None = None
    ) -> None:
        concurrency = config.concurrency
        self.http = http or Http(SERVICE, config.base_url, concurrency=concurrency, parts=courts)
        self._token = config.token
        self._service = f"/api/v1/external-services/{quote(config.external_service_id, safe='')}"
        self._id_prefix = id_prefix

    def __repr__(self) -> str:
        return f"Wingfield({self.http!r})"

    @property
    def is_down(self) -> bool:
        """Whether further requests are pointless in this pass."""
        return self.http.is_down

    async def write(self, write: Write, *, finishing: bool = False, patient: bool = True) -> None:
        """Create, update or delete a booking; ``finishing`` lets it through while the bridge stops.

        Without ``patient`` it is tried only once. Any 4xx is a rejection, but for 401, 408 and 429: those outside
        the documented shape have the reason ``refused``.

        Source: Wingfield, Upsert court booking, Delete court booking.
        """
        if write.verb is Verb.DELETE or write.slot is None:
            await self._delete(write, finishing, patient)
            return
        key = self._id_prefix + write.id

        def check(response: Response) -> None:
            _expect_applied(response)
            answer = from_json(response.body)
            if not isinstance(answer, dict) or answer.get("externalCourtBookingId") != key:
                raise ValueError("not the booking that was sent")

        json, call = put_body(write, write.slot), self._booking("PUT", key)
        call = replace(call, json=json, part=write.slot.court_id, finishing=finishing, patient=patient)
        await self.http.request(call, check)

    async def _delete(self, write: Write, finishing: bool, patient: bool) -> None:
        """Delete a booking; it is gone, too, when its court is."""

        def check(response: Response) -> None:
            try:
                _expect_applied(response)
            except NotFound as error:
                if error.reason != "court_not_found":
                    raise
            if response.is_html:
                raise ValueError("a web page")

        params = {"externalUpdatedAt": isoformat(from_ms(write.version_ms))}
        court = write.slot.court_id if write.slot else None
        call = self._booking("DELETE", self._id_prefix + write.id)
        await self.http.request(replace(call, params=params, part=court, finishing=finishing, patient=patient), check)

    async def read(self, id_: str, *, court: str | None = None, finishing: bool = False) -> Stored | None:
        """Return one booking; None when there is none. ``court`` is where it may stand, as far as that is known.

        Source: Wingfield, Get court booking.
        """
        key = self._id_prefix + id_

        def check(response: Response) -> Stored | None:
            if response.status == 404 and not response.is_html:
                return None
            booking = _read(response, wire.WireBooking)
            if booking.external_court_booking_id != key:
                raise ValueError("another booking than the one asked for")
            return booking.stored(self._id_prefix)

        return await self.http.request(replace(self._booking("GET", key), part=court, finishing=finishing), check)

    async def list_bookings(
        self, first: int = PAGE_SIZE, ahead: float = math.inf
    ) -> AsyncGenerator[tuple[list[Listed], int], None]:
        """Yield all bookings of the external service, page by page, each with how many there are in all.

        One can come twice. The ``id`` is "" where the key is not ours. The list is complete when it ends without an
        exception: raises Unavailable when fewer different bookings came than Wingfield's ``totalCount`` names. One of
        ours out of shape is an answer out of shape (Unavailable): what is there would be guessed wrong. A foreign
        one that cannot be read has no slot. ``first`` is the size of the first page, for one who hopes for no second;
        so many bookings as are surely wanted are read ``ahead``, several pages at once.

        Source: Wingfield, List court bookings (newest ``updatedAt`` first: what is written meanwhile moves to the
        front, and is found there when the front is read once more).
        """
        path, read = "/court-bookings", partial(wire.read_listed, id_prefix=self._id_prefix)
        seen: set[str] = set()
        newest_ms = total = 0
        for is_front in (False, True):
            async with aclosing(self._pages(path, read, first=first, ahead=ahead)) as pages:
                async for page, total in pages:
                    newest_ms = newest_ms or max((each.stored.updated_ms for each in page), default=0)
                    seen.update(each.key for each in page)
                    yield page, total
                    if is_front and (len(seen) >= total or oldest_ms(page) < newest_ms):
                        break
            if len(seen) >= total:
                return
        words = f"listed {len(seen)} of {total} bookings; the list changed meanwhile"
        raise Unavailable(SERVICE, words, kind="incomplete list")

    async def court(self, id: str) -> Court:  # noqa: A002  # Wingfield's word
        """Return a court; raises NotFound. Source: Wingfield, Get court."""
        call = self._get(f"/api/v1/courts/{quote(id, safe='')}", "/courts/{id}")
        return await self.http.request(call, lambda response: _read(response, Court))

    async def facility_courts(self, id: str) -> list[Court]:  # noqa: A002  # Wingfield's word
        """Return all of a facility's courts; raises NotFound. Source: Wingfield, List a facility's courts."""
        path = f"/api/v1/facilities/{quote(id, safe='')}/courts"
        return await self._all("/facilities/{id}/courts", Page[Court], path)

    async def court_mappings(self) -> list[CourtMapping]:
        """Return all court mappings. Source: Wingfield, List court mappings."""
        return await self._all("/court-mappings", Page[CourtMapping])

    async def user_relations(self) -> list[UserRelation]:
        """Return the relations of all users who accepted us. Source: Wingfield, List user relations."""
        return await self._all("/user-relations", Page[UserRelation], status="ACCEPTED")

    async def claim(self, token: str, organization: str) -> wire.Claim:
        """Claim a club's connect token; we know the club as ``organization``.

        Source: Wingfield, Claim connect token.
        """
        route = "/organization-relations/claim"
        body = {"connectToken": token, "externalOrganizationId": organization}
        call = Call("POST", self._service + route, route, json=body, bearer=self._token)
        return await self.http.request(call, lambda response: _read(response, wire.Claim))

    async def _all(self, route: str, shape: type[Page[W]], path: str | None = None, **params: str) -> list[W]:
        """Return all items of a list, each once; raises Unavailable where that is fewer than it says."""

        def read(body: bytes) -> tuple[list[W], int]:
            page = shape.model_validate_json(body)
            return page.items, page.total_count

        found, total = dict[W, None](), 0
        async for page, total in self._pages(route, read, path, PAGE_SIZE, math.inf, **params):  # noqa: B007
            found.update(dict.fromkeys(page))
        if len(found) < total:
            words = f"listed {len(found)} of {total} at {route}; the list changed meanwhile"
            raise Unavailable(SERVICE, words, kind="incomplete list")
        return list(found)

    async def _pages(
        self,
        route: str,
        read: Callable[[bytes], tuple[list[T], int]],
        path: str | None = None,
        first: int = PAGE_SIZE,
        ahead: float = math.inf,
        **params: str,
    ) -> AsyncGenerator[tuple[list[T], int], None]:
        """Yield the pages of a list, each with the ``totalCount``, up to that or to an empty page.

        Without a ``path`` it is the external service's own. Pages that begin before ``ahead`` are asked for early.
        """

        def check(response: Response) -> tuple[list[T], int]:
            _expect_success(response)
            return read(response.body)

        def ask(offset: int, limit: int) -> asyncio.Task[tuple[list[T], int]]:
            call = self._get(path or self._service + route, route, {**params, "limit": limit, "offset": offset})
            return asyncio.create_task(self.http.request(call, check))

        offset, limit, before, asked = 0, first, list[T](), deque([ask(0, first)])
        try:
            for _ in range(MOST_PAGES):
                page, total = await asked.popleft()
                yield page, total
                offset += len(page)
                if not page or offset >= total:
                    return
                if page == before:
                    break
                before = page
                if len(page) < limit:  # pages are shorter here: those asked for begin too far behind
                    ahead = 0
                    await _end(asked)
                limit = PAGE_SIZE
                while not asked or (len(asked) < PAGES_AT_ONCE and offset + len(asked) * limit < min(total, ahead)):
                    asked.append(ask(offset + len(asked) * limit, limit))
            raise Unavailable(SERVICE, f"the list {route} never ends")
        finally:
            await _end(asked)

    def _booking(self, method: str, key: str) -> Call:
        route = "/court-bookings/by-external-id/"
        path = f"{self._service}{route}{quote(key, safe='')}"
        return Call(method, path, route + "{id}", key, bearer=self._token)

    def _get(self, path: str, route: str, params: Params = None) -> Call:
        return Call("GET", path, route, params=params, bearer=self._token)


async def _end(asked: deque[asyncio.Task[T]]) -> None:
    """Ask for none of these any more."""
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    asked.clear()


def _expect_success(response: Response) -> None:
    if response.status >= 400:
        raise _refusal(response)


def _expect_applied(response: Response) -> None:
    """Raise for a 4xx to a write: it was not applied, whoever says so and in whatever words."""
    try:
        _expect_success(response)
    except ValidationError:
        status = response.status
    else:
        return
    raise Rejected(SERVICE, f"rejected with status {status}, and no reason that can be read", reason="refused")


def _read(response: Response, shape: type[W]) -> W:
    _expect_success(response)
    return shape.model_validate_json(response.body)


def _refusal(response: Response) -> Rejected | CredentialsRefused:
    """Return what a 4xx means (401 is always the token's). Raises ValueError where it is of another shape.

    Its own ``message`` is never kept: it could name people.
    """
    if response.status == 401:
        return CredentialsRefused(SERVICE, "the token was refused; correct wingfield.token")
    type_ = wire.Error.model_validate_json(response.body).type
    if type_ in OF_THE_TOKEN:
        return CredentialsRefused(SERVICE, MEANINGS[type_], kind=type_)
    if type_ == "rate_limit_exceeded":
        raise ValueError("not now")
    reason = type_ if _TYPE.fullmatch(type_) else UNEXPECTED
    meaning = MEANINGS.get(reason, f"rejected with status {response.status}")
    return _BY_STATUS.get(response.status, Rejected)(SERVICE, f"{meaning} ({reason})", reason=reason)
