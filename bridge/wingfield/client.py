"""Wingfield's Partner API: one method for each endpoint, one exception for each documented error type.

A service's own ``message`` is never kept: it could name people.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar
from urllib.parse import quote

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter
from pydantic.alias_generators import to_camel
from pydantic_core import from_json

from bridge import model
from bridge.config.schema import WingfieldConfig
from bridge.errors import AccessDenied, CredentialsRefused, NotFound, Rejected, Unavailable
from bridge.http.client import Call, Http, Response

if TYPE_CHECKING:
    import httpx

RelationStatus = Literal["ACCEPTED", "PENDING", "REJECTED"]

SERVICE: Final = "Wingfield"
PAGE_SIZE: Final = 100
MOST_PAGES: Final = 10_000
UNEXPECTED: Final = "unexpected_answer"
_TYPE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CREDENTIALS: Final = {
    "scope_permission_denied": "the token lacks a scope; it needs court-booking: write",
    "external_service_access_denied": "wingfield.external_service_id does not belong to this token",
}


# --- What Wingfield refuses ---------------------------------------------------------------------------


class StaleWrite(Rejected):
    """409: ``externalUpdatedAt`` is older than the stored one."""

    reason = "stale_write"
    sentence = "has a newer version of this booking"


class VersionConflict(Rejected):
    """409: the same ``externalUpdatedAt`` was stored with other content."""

    reason = "version_conflict"
    sentence = "has other content under this version"


class CourtBookingOverlap(Rejected):
    """409: another active booking has the court at that time."""

    reason = "court_booking_overlap"
    sentence = "has another booking on this court at that time"


class CourtNotFound(NotFound):
    """404: there is no such court."""

    reason = "court_not_found"
    sentence = 'knows no such court; compare court_id with "courtbridge courts"'


class UserAccessDenied(AccessDenied):
    """403: a participant named by ``userId`` has not accepted this service."""

    reason = "user_access_denied"
    sentence = "a participant has not accepted this service"


class OrganizationAccessDenied(AccessDenied):
    """403: the court's organization has not given this service access."""

    reason = "organization_access_denied"
    sentence = "the court's organization has not given this service access"


class InvalidSchema(Rejected):
    """400: the request breaks the documented shape."""

    reason = "invalid_schema"
    sentence = "does not accept this request's shape"


class InvalidTimeRange(Rejected):
    """400: the end is not after the start."""

    reason = "invalid_time_range"
    sentence = "the end is not after the start"


class InvalidFilterTimeRange(Rejected):
    """400: a listing's ``to`` is not after its ``from``."""

    reason = "invalid_filter_time_range"
    sentence = "the listing's end is not after its start"


class InvalidUpdatedFilterTimeRange(Rejected):
    """400: a listing's ``updatedTo`` is not after its ``updatedFrom``."""

    reason = "invalid_updated_filter_time_range"
    sentence = "the listing's end is not after its start"


class MutuallyExclusiveFieldsViolation(Rejected):
    """400: a participant has both or none of ``userId`` and ``email``."""

    reason = "mutually_exclusive_fields_violation"
    sentence = "a participant is not named in exactly one way"


class DuplicateEntriesProvided(Rejected):
    """400: a participant is there twice."""

    reason = "duplicate_entries_provided"
    sentence = "a participant is there twice"


class ExternalCourtIdAlreadyInUse(Rejected):
    """409: another court has this ``externalCourtId``."""

    reason = "external_court_id_already_in_use"
    sentence = "another court is mapped to this id"


_KNOWN: Final = {
    kind.reason: kind
    for kind in (
        StaleWrite,
        VersionConflict,
        CourtBookingOverlap,
        CourtNotFound,
        UserAccessDenied,
        OrganizationAccessDenied,
        InvalidSchema,
        InvalidTimeRange,
        InvalidFilterTimeRange,
        InvalidUpdatedFilterTimeRange,
        MutuallyExclusiveFieldsViolation,
        DuplicateEntriesProvided,
        ExternalCourtIdAlreadyInUse,
    )
}


def refusal(response: Response) -> Rejected | CredentialsRefused:
    """Return what a 4xx means. Raises ValueError when it has not the documented shape.

    Source: Wingfield, errors (``{"error": {"type", "message", "issues"?}}``; 401 is always the token's).
    """
    if response.status == 401:
        return CredentialsRefused(SERVICE, "the token was refused; correct wingfield.token")
    type_ = _error_type(response.body)
    if type_ in _CREDENTIALS:
        return CredentialsRefused(SERVICE, _CREDENTIALS[type_])
    if type_ == "rate_limit_exceeded":
        raise ValueError("not now")
    if known := _KNOWN.get(type_):
        return known(SERVICE, f"{known.sentence} ({type_})")
    kind = {403: AccessDenied, 404: NotFound}.get(response.status, Rejected)
    reason = type_ if _TYPE.fullmatch(type_) else UNEXPECTED
    return kind(SERVICE, f"refused with status {response.status} ({reason})", reason=reason)


def _error_type(body: bytes) -> str:
    answer = from_json(body)
    error = answer.get("error") if isinstance(answer, dict) else None
    type_ = error.get("type") if isinstance(error, dict) else None
    if isinstance(type_, str):
        return type_
    raise ValueError("no documented error")


# --- What Wingfield answers ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredBooking:
    """A booking as Wingfield has it, under our key ``external_id``.

    ``participants`` are e-mail addresses, lower case, in Wingfield's order; None when anyone is named
    without one.
    """

    external_id: str
    slot: model.Slot
    version_ms: int
    participants: tuple[str, ...] | None = field(repr=False)

    @property
    def fingerprint(self) -> bytes | None:
        """What :func:`bridge.model.fingerprint` says of this content; None where it cannot be compared."""
        return None if self.participants is None else model.fingerprint(self.slot, self.participants)


@dataclass(frozen=True, slots=True)
class Court:
    """A court of a facility; ``external_court_id`` and its name are the mapping's, None without one."""

    id: str
    name: str
    facility_id: str
    facility_name: str
    external_court_id: str | None
    external_court_name: str | None


@dataclass(frozen=True, slots=True)
class CourtMapping:
    """Which court a partner's own court id stands for."""

    court_id: str
    external_court_id: str
    external_court_name: str


@dataclass(frozen=True, slots=True)
class UserRelation:
    """A user, and whether they accepted this service."""

    user_id: str
    email: str | None = field(repr=False)
    external_user_id: str | None
    status: str


class _Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", hide_input_in_errors=True)


class _Booking(_Wire):
    external_court_booking_id: str
    court_id: str
    start_date: AwareDatetime
    end_date: AwareDatetime
    external_updated_at: AwareDatetime
    participants: Any = None

    def read(self) -> StoredBooking:
        slot = model.Slot(self.court_id, _utc(self.start_date), _utc(self.end_date))
        version_ms = model.to_ms(self.external_updated_at)
        return StoredBooking(
            self.external_court_booking_id, slot, version_ms, _participants(self.participants)
        )


class _Mapped(_Wire):
    external_court_id: str | None = None
    external_court_name: str | None = None


class _Court(_Wire):
    id: str
    name: str | None = None
    facility_id: str | None = None
    facility_name: str | None = None
    mapping: _Mapped | None = None

    def read(self) -> Court:
        mapping = self.mapping or _Mapped()
        return Court(
            self.id,
            self.name or "",
            self.facility_id or "",
            self.facility_name or "",
            mapping.external_court_id,
            mapping.external_court_name,
        )


class _CourtMapping(_Wire):
    court_id: str
    external_court_id: str
    external_court_name: str | None = None

    def read(self) -> CourtMapping:
        return CourtMapping(self.court_id, self.external_court_id, self.external_court_name or "")


class _UserRelation(_Wire):
    user_id: str
    email: str | None = None
    external_user_id: str | None = None
    status: str

    def read(self) -> UserRelation:
        return UserRelation(self.user_id, self.email, self.external_user_id, self.status)


W = TypeVar("W", bound=_Wire)
R = TypeVar("R")


class _Page(_Wire, Generic[W]):
    items: list[W]
    total_count: int


_COURTS: Final = TypeAdapter(list[_Court])


def _utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("beyond the years there are") from None


def _participants(raw: object) -> tuple[str, ...] | None:
    if not isinstance(raw, list):
        return None
    emails = [each.get("email") if isinstance(each, dict) else None for each in raw]
    if not all(isinstance(email, str) and email for email in emails):
        return None
    return tuple(str(email).lower() for email in emails)


# --- The endpoints ------------------------------------------------------------------------------------


class Wingfield:
    """Wingfield's court bookings, as one external service.

    All methods raise Unavailable when there is no usable answer (a write may then have been applied or
    not), CredentialsRefused when the token or the service is, and Rejected for a definite no.
    """

    def __init__(self, http: Http, config: WingfieldConfig, id_prefix: str = "") -> None:
        self._prefix = id_prefix
        self.http = http
        self._token = config.token
        self._service = f"/api/v1/external-services/{quote(config.external_service_id, safe='')}"

    @classmethod
    def connect(
        cls,
        config: WingfieldConfig,
        id_prefix: str = "",
        *,
        transport: httpx.AsyncBaseTransport | None = None,
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

    async def write(self, write: model.Write, *, finishing: bool = False) -> None:
        key = self._prefix + write.id
        if write.verb is model.Verb.DELETE or write.slot is None:
            await self.delete(key, write.version_ms, finishing=finishing)
        else:
            s = write.slot
            await self.upsert(
                key,
                court_id=s.court_id,
                start=s.start,
                end=s.end,
                version_ms=write.version_ms,
                participants=write.participants,
                finishing=finishing,
            )

    def _stored(self, b: StoredBooking) -> model.Stored:
        id_ = b.external_id.removeprefix(self._prefix)
        ours = b.external_id == self._prefix + id_ and id_.isascii() and id_.isdigit()
        content = model.fingerprint(b.slot, b.participants if b.participants is not None else ("named user",))
        return model.Stored(id_ if ours else "", b.version_ms, content, b.slot, b.participants)

    async def upsert(
        self,
        external_id: str,
        *,
        court_id: str,
        start: datetime,
        end: datetime,
        version_ms: int,
        participants: Sequence[str],
        finishing: bool = False,
    ) -> None:
        """Create or update a booking; ``finishing`` lets it through while the bridge stops.

        Source: Wingfield, Upsert court booking.
        """

        def check(response: Response) -> None:
            _expect_success(response)
            answer = from_json(response.body)
            if not isinstance(answer, dict) or answer.get("externalCourtBookingId") != external_id:
                raise ValueError("not the booking that was sent")

        body = {
            "courtId": court_id,
            "startDate": model.isoformat(start),
            "endDate": model.isoformat(end),
            "externalUpdatedAt": model.isoformat(model.from_ms(version_ms)),
            "participants": [{"email": email} for email in participants],
        }
        await self.http.request(self._booking("PUT", external_id, json=body, finishing=finishing), check)

    async def delete(self, external_id: str, version_ms: int, *, finishing: bool = False) -> None:
        """Take a booking out; fine, too, when there is none. Source: Wingfield, Delete court booking."""

        def check(response: Response) -> None:
            with suppress(NotFound):
                _expect_success(response)
            if response.is_html:
                raise ValueError("a web page")

        params: dict[str, str | int] = {"externalUpdatedAt": model.isoformat(model.from_ms(version_ms))}
        await self.http.request(
            self._booking("DELETE", external_id, params=params, finishing=finishing), check
        )

    async def read(self, id_: str, *, finishing: bool = False) -> model.Stored | None:
        b = await self._read(self._prefix + id_, finishing=finishing)
        return b and self._stored(b)

    async def _read(self, external_id: str, *, finishing: bool = False) -> StoredBooking | None:
        """Return one booking; None when there is none. Source: Wingfield, Get court booking."""

        def check(response: Response) -> StoredBooking | None:
            if response.status == 404 and not response.is_html:
                return None
            _expect_success(response)
            booking = _Booking.model_validate_json(response.body).read()
            if booking.external_id != external_id:
                raise ValueError("another booking than the one asked for")
            return booking

        return await self.http.request(self._booking("GET", external_id, finishing=finishing), check)

    async def list_bookings(self) -> AsyncGenerator[list[model.Stored], None]:
        """Yield all bookings of the external service, page by page; one can come twice.

        The list is complete when it ends without an exception: raises Unavailable when fewer different
        bookings came than Wingfield's ``totalCount`` names. A booking out of shape is an answer out of
        shape (Unavailable): what is there would be guessed wrong.

        Source: Wingfield, List court bookings (newest ``updatedAt`` first, so that writes meanwhile repeat
        bookings rather than skip them).
        """
        seen: set[str] = set()
        total = 0
        async for bookings, count in self._pages("/court-bookings", _Page[_Booking], _Booking.read):
            total = count
            seen.update(booking.external_id for booking in bookings)
            if bookings:
                yield [self._stored(b) for b in bookings]
        if len(seen) < total:
            raise Unavailable(SERVICE, f"listed {len(seen)} of {total} bookings; the list changed meanwhile")

    async def court(self, id: str) -> Court:  # noqa: A002  # Wingfield's word
        """Return a court; raises NotFound. Source: Wingfield, Get court."""
        call = self._get(f"/api/v1/courts/{quote(id, safe='')}", "/courts/{id}")
        return await self.http.request(call, lambda response: _read(response, _Court).read())

    async def facility_courts(self, id: str) -> list[Court]:  # noqa: A002  # Wingfield's word
        """Return a facility's courts; raises NotFound. Source: Wingfield, List a facility's courts.

        The documentation shows a court, not what it comes in: a bare list and a page are both read.
        """

        def check(response: Response) -> list[Court]:
            _expect_success(response)
            if response.body.lstrip()[:1] == b"[":
                courts = _COURTS.validate_json(response.body)
            else:
                courts = _Page[_Court].model_validate_json(response.body).items
            return [court.read() for court in courts]

        path = f"/api/v1/facilities/{quote(id, safe='')}/courts"
        return await self.http.request(self._get(path, "/facilities/{id}/courts"), check)

    async def court_mappings(self) -> list[CourtMapping]:
        """Return all court mappings. Source: Wingfield, List court mappings."""
        pages = self._pages("/court-mappings", _Page[_CourtMapping], _CourtMapping.read)
        return [mapping async for mappings, _ in pages for mapping in mappings]

    async def user_relations(self, status: RelationStatus) -> list[UserRelation]:
        """Return the users whose relation has this status. Source: Wingfield, List user relations."""
        shape = _Page[_UserRelation]
        pages = self._pages("/user-relations", shape, _UserRelation.read, {"status": status})
        return [relation async for relations, _ in pages for relation in relations]

    async def _pages(
        self,
        path: str,
        shape: type[_Page[W]],
        read: Callable[[W], R],
        params: Mapping[str, str | int] | None = None,
    ) -> AsyncGenerator[tuple[list[R], int], None]:
        """Yield the pages of a list with its ``totalCount``, up to that or to an empty page."""

        def check(response: Response) -> tuple[list[R], int]:
            page = _read(response, shape)
            return [read(item) for item in page.items], page.total_count

        offset = 0
        for _ in range(MOST_PAGES):
            query = {**(params or {}), "limit": PAGE_SIZE, "offset": offset}
            items, total = await self.http.request(self._get(self._service + path, path, query), check)
            yield items, total
            offset += len(items)
            if not items or offset >= total:
                return
        raise Unavailable(SERVICE, f"the list {path} never ends")

    def _booking(
        self,
        method: str,
        external_id: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: object = None,
        finishing: bool = False,
    ) -> Call:
        return Call(
            method,
            f"{self._service}/court-bookings/by-external-id/{quote(external_id, safe='')}",
            "/court-bookings/by-external-id/{id}",
            booking=external_id,
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
