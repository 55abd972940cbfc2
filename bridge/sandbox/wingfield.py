"""Wingfield's Partner API, simulated: court bookings by our ids, courts, mappings and user relations.

Where the documentation is silent the simulation chooses, and says so: a deleted booking's version is
remembered, and a deleted id is free again only for a newer version; participants
in another order are another content; ``from`` and ``to`` pick the bookings that have a moment between
them; a court that is gone takes its bookings with it, which a delete finds out; a connect token can be
claimed once; unknown query keys break the schema.
"""

from __future__ import annotations

import itertools
import time
from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.sandbox import schema
from bridge.sandbox.wire import Clock, Failure, Service, decode, encode, instant_ms, instant_text, json_response

SERVICE_ID = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
BEARER = "tok_ext_v1_sandbox"
FACILITY_ID = "5f0c3a5e-8a52-4d6c-9f5e-1d4d4a0e7b11"
COURTS = {"79ae2927-a9bc-46ed-8f9e-079af32b7616": "Court 1", "2b1e6c1d-3f0a-4a52-8c1b-6a6d1f9f2c02": "Court 2"}
"""The courts a world has when it is not told which."""

_STATUS = {
    "invalid_schema": 400,
    "mutually_exclusive_fields_violation": 400,
    "duplicate_entries_provided": 400,
    "invalid_time_range": 400,
    "invalid_filter_time_range": 400,
    "invalid_updated_filter_time_range": 400,
    "missing_api_token": 401,
    "invalid_api_token": 401,
    "scope_permission_denied": 403,
    "external_service_access_denied": 403,
    "organization_access_denied": 403,
    "user_access_denied": 403,
    "not_found": 404,
    "court_not_found": 404,
    "facility_not_found": 404,
    "court_booking_not_found": 404,
    "court_mapping_not_found": 404,
    "court_booking_overlap": 409,
    "stale_write": 409,
    "version_conflict": 409,
    "external_court_id_already_in_use": 409,
    "connect_token_not_found": 404,
    "connect_token_unusable": 409,
    "external_organization_id_mismatch": 409,
    "external_organization_id_already_in_use": 409,
    "expired_connect_token": 410,
    "malformed_connect_token": 422,
    "rate_limit_exceeded": 429,
    "internal_server_error": 500,
}
"""Every error type, and its status. Source: Wingfield, Errors."""

_ORDINARY = {
    400: "invalid_schema",
    401: "invalid_api_token",
    403: "scope_permission_denied",
    404: "not_found",
    409: "stale_write",
    410: "expired_connect_token",
    422: "malformed_connect_token",
    429: "rate_limit_exceeded",
}
"""The error type of a status that is injected without one."""

CONNECT_TOKEN = "ct_"  # noqa: S105 (a prefix)
"""What a connect token begins with, here."""

_RANKS = {"none": 0, "read": 1, "write": 2}

T = TypeVar("T")

Slot = tuple[int, int, str]
"""Start and end in milliseconds since 1970, and whose."""


def refuse(kind: str, message: str = "", issues: Sequence[schema.Issue] | None = None) -> NoReturn:
    """End the request with one of the documented errors."""
    raise Failure(_error(_STATUS[kind], kind, message, issues))


def _error(status: int, kind: str, message: str = "", issues: Sequence[schema.Issue] | None = None) -> Response:
    error: dict[str, Any] = {"type": kind, "message": message or kind.replace("_", " ").capitalize()}
    if issues is not None:
        error["issues"] = list(issues)
    return json_response({"error": error}, status)


class Occupancy:
    """Who has which court when. No two slots of a court overlap, so they are sorted by both their ends."""

    def __init__(self) -> None:
        self._slots: dict[str, list[Slot]] = {}

    def add(self, court_id: str, slot: Slot) -> None:
        insort(self._slots.setdefault(court_id, []), slot)

    def remove(self, court_id: str, slot: Slot) -> None:
        self._slots[court_id].remove(slot)

    def overlaps(self, court_id: str, start_ms: int, end_ms: int, *, own: str | None) -> bool:
        """Whether somebody else has the court at some moment of [start, end)."""
        slots = self._slots.get(court_id, [])
        place = bisect_right(slots, start_ms, key=lambda slot: slot[1])
        while place < len(slots) and slots[place][0] < end_ms:
            if slots[place][2] != own:
                return True
            place += 1
        return False


@dataclass(frozen=True, slots=True)
class _Stored:
    """A booking as it is kept; times are milliseconds since 1970."""

    wanted: schema.Upsert
    created_ms: int
    updated_ms: int
    encoded: bytes

    def slot(self, external_id: str) -> Slot:
        return self.wanted.start_ms, self.wanted.end_ms, external_id


@dataclass(frozen=True, slots=True)
class Court:
    """A court, and whose."""

    id: str
    name: str
    facility_id: str
    facility_name: str
    system_installed: bool = True


@dataclass(slots=True)
class ConnectToken:
    """What a club gives, to be claimed once; ``state`` says why that cannot be done ("expired", "used").

    ``known_as`` is the only ``externalOrganizationId`` it is good for, None where any is.
    """

    organization_id: str
    known_as: str | None = None
    state: str = ""


class Wingfield(Service):
    """The world of one external service.

    ``bookings`` are the current ones by external id, as the API shows them, for assertions (change them
    with :meth:`store` and :meth:`remove`); ``tombstones`` are the versions of the deleted ones, in
    milliseconds. ``scopes`` may be lowered, courts put into ``denied_courts``. ``organizations`` are the connected
    ones' ids by ``externalOrganizationId``; ``connect_tokens`` are those that clubs have given.
    """

    def __init__(
        self,
        service_id: str = SERVICE_ID,
        token: str = BEARER,
        courts: Mapping[str, str] | None = None,
        *,
        clock: Clock = time.time,
    ) -> None:
        super().__init__(clock)
        self.service_id = service_id.lower()
        self.token = token
        self.scopes = {"user": "write", "organization": "write", "court-booking": "write"}
        self.bookings: dict[str, dict[str, Any]] = {}
        self.tombstones: dict[str, int] = {}
        self.courts: dict[str, Court] = {}
        self.denied_courts: set[str] = set()
        self.mappings: dict[str, dict[str, Any]] = {}
        self.relations: dict[str, dict[str, Any]] = {}
        self.connect_tokens: dict[str, ConnectToken] = {}
        self.organizations: dict[str, str] = {}
        self._stored: dict[str, _Stored] = {}
        self._occupancy = Occupancy()
        self._strangers: dict[str, tuple[str, Slot]] = {}
        self._numbers = itertools.count(1)
        self._ordered: list[str] | None = None
        self._pages: dict[Any, bytes] = {}
        for court_id, name in (COURTS if courts is None else courts).items():
            self.add_court(court_id, name)

    # --- the world, for tests and the demo -------------------------------------------------------------

    def add_court(
        self,
        court_id: str,
        name: str,
        *,
        facility_id: str = FACILITY_ID,
        facility_name: str = "Sandbox Club",
        system_installed: bool = True,
    ) -> None:
        """Build a court, with a camera or without."""
        with self.lock:
            court = Court(court_id.lower(), name, facility_id.lower(), facility_name, system_installed)
            self.courts[court.id] = court

    def map_court(self, court_id: str, external_court_id: str, name: str = "") -> None:
        """Map a court by hand, whatever it was mapped to before."""
        with self.lock:
            mapping = {"courtId": court_id, "externalCourtId": external_court_id, "externalCourtName": name}
            self.mappings[court_id] = {**mapping, "updatedAt": instant_text(self.now_ms)}

    def unmap_court(self, court_id: str) -> None:
        """Take a court's mapping away by hand."""
        with self.lock:
            del self.mappings[court_id]

    def add_stranger(self, court_id: str, start: datetime | str, end: datetime | str) -> str:
        """Let somebody else have a court: never listed, in the way all the same. Return a handle.

        Raise ValueError when the court is taken.
        """
        with self.lock:
            slot = (_ms(start), _ms(end), f"stranger {next(self._numbers)}")
            if self._occupancy.overlaps(court_id, slot[0], slot[1], own=None):
                raise ValueError(f"court {court_id} is taken from {start} to {end}")
            self._occupancy.add(court_id, slot)
            self._strangers[slot[2]] = (court_id, slot)
            return slot[2]

    def remove_stranger(self, handle: str) -> None:
        """Give a stranger's court back."""
        with self.lock:
            self._occupancy.remove(*self._strangers.pop(handle))

    def add_relation(
        self, user_id: str, email: str, *, status: str = "ACCEPTED", external_user_id: str | None = None
    ) -> None:
        """Relate a user to the external service; only an ``ACCEPTED`` one may be a participant."""
        with self.lock:
            self.relations[user_id.lower()] = {
                "userId": user_id.lower(),
                "email": email.lower(),
                "externalUserId": external_user_id,
                "status": status,
                "user": {"id": user_id.lower(), "email": email.lower()},
            }

    def end_relation(self, user_id: str, status: str = "REJECTED") -> None:
        """Let a user take back what was accepted."""
        with self.lock:
            self.relations[user_id.lower()]["status"] = status

    def store(
        self,
        external_id: str,
        *,
        court_id: str,
        start: datetime | str,
        end: datetime | str,
        updated_at: datetime | str,
        emails: Iterable[str] = ("player@example.com",),
        users: Iterable[str] = (),
    ) -> None:
        """Put a booking there as if it had been sent, whatever was there before; no request is logged.

        Raise ValueError when the court is taken.
        """
        with self.lock:
            people = (
                *(schema.Participant(user.lower(), None) for user in users),
                *(schema.Participant(None, email.lower()) for email in emails),
            )
            wanted = schema.Upsert(court_id.lower(), _ms(start), _ms(end), _ms(updated_at), people)
            if self._occupancy.overlaps(wanted.court_id, wanted.start_ms, wanted.end_ms, own=external_id):
                raise ValueError(f"court {court_id} is taken from {start} to {end}")
            self._keep(external_id, wanted)

    def remove(self, external_id: str, *, tombstone: bool = False) -> None:
        """Take a booking away behind the bridge's back."""
        with self.lock:
            version_ms = self._stored[external_id].wanted.version_ms
            self._forget(external_id)
            if tombstone:
                self.tombstones[external_id] = version_ms

    # --- what is kept ----------------------------------------------------------------------------------

    def _keep(self, external_id: str, wanted: schema.Upsert) -> bytes:
        before = self._stored.get(external_id)
        now_ms = self.now_ms
        created_ms = now_ms if before is None else before.created_ms
        if before is not None:
            self._occupancy.remove(before.wanted.court_id, before.slot(external_id))
        shown = self._shown(external_id, wanted, created_ms, now_ms)
        stored = _Stored(wanted, created_ms, now_ms, encode(shown))
        self._occupancy.add(wanted.court_id, stored.slot(external_id))
        self._stored[external_id] = stored
        self.bookings[external_id] = shown
        self.tombstones.pop(external_id, None)
        self._changed()
        return stored.encoded

    def _forget(self, external_id: str) -> None:
        stored = self._stored.pop(external_id)
        self._occupancy.remove(stored.wanted.court_id, stored.slot(external_id))
        del self.bookings[external_id]
        self._changed()

    def _changed(self) -> None:
        self._ordered = None
        self._pages.clear()

    def _shown(self, external_id: str, wanted: schema.Upsert, created_ms: int, updated_ms: int) -> dict[str, Any]:
        return {
            "externalServiceId": self.service_id,
            "externalCourtBookingId": external_id,
            "courtId": wanted.court_id,
            "startDate": instant_text(wanted.start_ms),
            "endDate": instant_text(wanted.end_ms),
            "externalUpdatedAt": instant_text(wanted.version_ms),
            "participants": [participant.as_json() for participant in wanted.participants],
            "createdAt": instant_text(created_ms),
            "updatedAt": instant_text(updated_ms),
        }

    def _order(self) -> list[str]:
        """Return all ids, newest ``updatedAt`` first, then by id."""
        if self._ordered is None:
            stored = self._stored
            self._ordered = sorted(stored, key=lambda each: (-stored[each].updated_ms, each))
        return self._ordered

    # --- the endpoints ---------------------------------------------------------------------------------

    def routes(self) -> Sequence[Route]:
        service = "/api/v1/external-services/{service}"
        booking = service + "/court-bookings/by-external-id/{id:path}"
        mapping = service + "/courts/{court}/mapping"
        return [
            self.route(booking, self._upsert, "PUT"),
            self.route(booking, self._delete, "DELETE"),
            self.route(booking, self._booking, "GET"),
            self.route(service + "/court-bookings", self._listing, "GET"),
            self.route(service + "/court-mappings", self._mapping_listing, "GET"),
            self.route(mapping, self._mapping, "GET"),
            self.route(mapping, self._map, "PUT"),
            self.route(service + "/user-relations", self._relation_listing, "GET"),
            self.route(service + "/organization-relations/claim", self._claim, "POST"),
            self.route("/api/v1/courts/{court}", self._court, "GET"),
            self.route("/api/v1/facilities/{facility}/courts", self._facility, "GET"),
        ]

    def failure(self, status: int) -> Response:
        kind = "internal_server_error" if status >= 500 else _ORDINARY.get(status, "invalid_schema")
        return _error(status, kind)

    def subject(self, path: str) -> str | None:
        return path.partition("/by-external-id/")[2] or None

    def part(self, request: Request, body: bytes) -> str | None:
        stored = self._stored.get(self.subject(request.url.path) or "")
        try:
            return str(decode(body)["courtId"])
        except (LookupError, TypeError, ValueError):
            return stored.wanted.court_id if stored else None

    def shift(self, _request: Request) -> None:
        order = self._order()
        if order:
            self._forget(order[0])

    def admit(self, request: Request) -> None:
        authorization = request.headers.get("authorization")
        if authorization is None:
            refuse("missing_api_token")
        if authorization != f"Bearer {self.token}":
            refuse("invalid_api_token")

    def _allow(self, request: Request, scope: str, access: str) -> None:
        """Refuse a request that the token's scopes or the path's service do not allow."""
        if _RANKS[self.scopes[scope]] < _RANKS[access]:
            refuse("scope_permission_denied")
        service = request.path_params.get("service")
        if service is not None and _path_uuid(service) != self.service_id:
            refuse("external_service_access_denied")

    def _upsert(self, request: Request, body: bytes) -> Response:
        self._allow(request, "court-booking", "write")
        external_id = _external_id(request)
        _query(request, {}, {})
        wanted = _valid(lambda: schema.upsert(body))
        self._check_people(wanted.participants)
        if wanted.end_ms <= wanted.start_ms:
            refuse("invalid_time_range")
        self._check_court(wanted.court_id)
        self._check_relations(wanted.participants)
        stored = self._stored.get(external_id)
        if stored is not None and self._same_version(stored.wanted, wanted):
            return _encoded(stored.encoded)
        self._check_tombstone(external_id, wanted.version_ms)
        if self._occupancy.overlaps(wanted.court_id, wanted.start_ms, wanted.end_ms, own=external_id):
            refuse("court_booking_overlap")
        return _encoded(self._keep(external_id, wanted))

    @staticmethod
    def _check_people(participants: Sequence[schema.Participant]) -> None:
        if any((each.user_id is None) == (each.email is None) for each in participants):
            refuse("mutually_exclusive_fields_violation")
        if len(set(participants)) != len(participants):
            refuse("duplicate_entries_provided")

    def _check_court(self, court_id: str) -> None:
        if court_id not in self.courts:
            refuse("court_not_found")
        if court_id in self.denied_courts:
            refuse("organization_access_denied")

    def _check_relations(self, participants: Sequence[schema.Participant]) -> None:
        for each in participants:
            if each.user_id is not None:
                relation = self.relations.get(each.user_id)
                if relation is None or relation["status"] != "ACCEPTED":
                    refuse("user_access_denied")

    @staticmethod
    def _same_version(before: schema.Upsert, wanted: schema.Upsert) -> bool:
        """Whether this is what is stored; refuse what is older, or equal in version alone."""
        if wanted.version_ms < before.version_ms:
            refuse("stale_write")
        if wanted.version_ms == before.version_ms and wanted != before:
            refuse("version_conflict")
        return wanted == before

    def _check_tombstone(self, external_id: str, version_ms: int) -> None:
        deleted_ms = self.tombstones.get(external_id)
        if deleted_ms is not None and version_ms < deleted_ms:
            refuse("stale_write")
        if deleted_ms is not None and version_ms == deleted_ms:
            refuse("version_conflict")

    def _delete(self, request: Request, _body: bytes) -> Response:
        self._allow(request, "court-booking", "write")
        external_id = _external_id(request)
        version_ms = _query(request, {"externalUpdatedAt": instant_ms}, {})["externalUpdatedAt"]
        stored = self._stored.get(external_id)
        known_ms = self.tombstones.get(external_id) if stored is None else stored.wanted.version_ms
        if known_ms is not None and version_ms < known_ms:
            refuse("stale_write")
        if stored is not None and stored.wanted.court_id in self.denied_courts:
            refuse("organization_access_denied")
        if stored is not None:
            self._forget(external_id)
        if known_ms is not None:
            self.tombstones[external_id] = version_ms
        if stored is not None and stored.wanted.court_id not in self.courts:
            refuse("court_not_found")
        return json_response({})

    def _booking(self, request: Request, _body: bytes) -> Response:
        self._allow(request, "court-booking", "read")
        _query(request, {}, {})
        stored = self._stored.get(_external_id(request))
        if stored is None:
            refuse("court_booking_not_found")
        return _encoded(stored.encoded)

    def _listing(self, request: Request, _body: bytes) -> Response:
        self._allow(request, "court-booking", "read")
        asked = _query(request, {}, {**_PAGING, **_FILTERS})
        _check_range(asked, "from", "to", "invalid_filter_time_range")
        _check_range(asked, "updatedFrom", "updatedTo", "invalid_updated_filter_time_range")
        key = tuple(sorted(asked.items()))
        page = self._pages.get(key)
        if page is None:
            page = self._pages[key] = self._page(asked)
        return _encoded(page)

    def _page(self, asked: Mapping[str, Any]) -> bytes:
        found = self._order()
        tests = [(_TESTS[name], value) for name, value in asked.items() if name in _TESTS]
        if tests:
            found = [each for each in found if all(test(each, self._stored[each], value) for test, value in tests)]
        first = asked.get("offset", 0)
        shown = (self._stored[each].encoded for each in found[first : first + asked.get("limit", 50)])
        return b'{"items":[' + b",".join(shown) + b'],"totalCount":%d}' % len(found)

    def _court(self, request: Request, _body: bytes) -> Response:
        self._allow(request, "organization", "read")
        court_id = _path_uuid(request.path_params["court"])
        self._check_court(court_id)
        return json_response(self._court_shown(self.courts[court_id]))

    def _facility(self, request: Request, _body: bytes) -> Response:
        self._allow(request, "organization", "read")
        facility_id = _path_uuid(request.path_params["facility"])
        asked = _query(request, {}, _PAGING)
        courts = [court for court in self.courts.values() if court.facility_id == facility_id]
        if not courts:
            refuse("facility_not_found")
        if any(court.id in self.denied_courts for court in courts):
            refuse("organization_access_denied")
        return _paged([self._court_shown(court) for court in courts], asked)

    def _court_shown(self, court: Court) -> dict[str, Any]:
        mapping = self.mappings.get(court.id)
        kept = ("externalCourtId", "externalCourtName", "updatedAt")
        return {
            "id": court.id,
            "name": court.name,
            "facilityId": court.facility_id,
            "facilityName": court.facility_name,
            "systemInstalled": court.system_installed,
            "mapping": None if mapping is None else {name: mapping[name] for name in kept},
        }

    def _mapping_listing(self, request: Request, _body: bytes) -> Response:
        self._allow(request, "organization", "read")
        asked = _query(request, {}, {**_PAGING, "externalCourtId": schema.text})
        return _paged(self.mappings.values(), asked)

    def _mapping(self, request: Request, _body: bytes) -> Response:
        self._allow(request, "organization", "read")
        court_id = _path_uuid(request.path_params["court"])
        self._check_court(court_id)
        if court_id not in self.mappings:
            refuse("court_mapping_not_found")
        return json_response(self.mappings[court_id])

    def _map(self, request: Request, body: bytes) -> Response:
        self._allow(request, "organization", "write")
        court_id = _path_uuid(request.path_params["court"])
        required = {"externalCourtId": schema.text, "externalCourtName": schema.text}
        wanted = _valid(lambda: schema.checked(schema.body_object(body), required, {}))
        self._check_court(court_id)
        if any(
            other["externalCourtId"] == wanted["externalCourtId"] and other["courtId"] != court_id
            for other in self.mappings.values()
        ):
            refuse("external_court_id_already_in_use")
        self.mappings[court_id] = {"courtId": court_id, **wanted, "updatedAt": instant_text(self.now_ms)}
        return json_response(self.mappings[court_id])

    def _relation_listing(self, request: Request, _body: bytes) -> Response:
        self._allow(request, "user", "read")
        statuses = schema.one_of("ACCEPTED", "PENDING", "REJECTED")
        asked = _query(request, {}, {**_PAGING, "status": statuses, "externalUserId": schema.text})
        return _paged(self.relations.values(), asked)

    def _claim(self, request: Request, body: bytes) -> Response:
        self._allow(request, "organization", "write")
        required = {"connectToken": schema.text, "externalOrganizationId": schema.text}
        wanted = _valid(lambda: schema.checked(schema.body_object(body), required, {}))
        name = wanted["externalOrganizationId"]
        if not wanted["connectToken"].startswith(CONNECT_TOKEN):
            refuse("malformed_connect_token")
        token = self.connect_tokens.get(wanted["connectToken"])
        if token is None:
            refuse("connect_token_not_found")
        if token.state:
            refuse("expired_connect_token" if token.state == "expired" else "connect_token_unusable")
        if token.known_as not in {None, name}:
            refuse("external_organization_id_mismatch")
        if self.organizations.get(name, token.organization_id) != token.organization_id:
            refuse("external_organization_id_already_in_use")
        token.state = "used"
        self.organizations[name] = token.organization_id
        self.denied_courts.clear()
        return json_response(
            {
                "id": token.organization_id,
                "externalServiceId": self.service_id,
                "organizationId": token.organization_id,
                "externalOrganizationId": name,
            }
        )


_PAGING: dict[str, schema.Check] = {"offset": schema.count(0), "limit": schema.count(1, 100)}
_FILTERS: dict[str, schema.Check] = {
    "courtId": schema.uuid,
    "externalCourtBookingId": schema.text,
    "from": instant_ms,
    "to": instant_ms,
    "updatedFrom": instant_ms,
    "updatedTo": instant_ms,
    "participantUserId": schema.uuid,
    "participantEmail": schema.email,
}
_TESTS: dict[str, Callable[[str, _Stored, Any], bool]] = {
    "courtId": lambda _, stored, value: stored.wanted.court_id == value,
    "externalCourtBookingId": lambda each, _, value: each == value,
    "from": lambda _, stored, value: stored.wanted.end_ms > value,
    "to": lambda _, stored, value: stored.wanted.start_ms < value,
    "updatedFrom": lambda _, stored, value: stored.updated_ms >= value,
    "updatedTo": lambda _, stored, value: stored.updated_ms <= value,
    "participantUserId": lambda _, stored, value: _has(stored, "user_id", value),
    "participantEmail": lambda _, stored, value: _has(stored, "email", value),
}


def _has(stored: _Stored, name: str, value: str) -> bool:
    return any(getattr(each, name) == value for each in stored.wanted.participants)


def _ms(moment: datetime | str) -> int:
    if isinstance(moment, datetime):
        return instant_ms(moment.astimezone(UTC).isoformat())
    return instant_ms(moment)


def _encoded(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _valid(read: Callable[[], T]) -> T:
    try:
        return read()
    except schema.SchemaError as error:
        refuse("invalid_schema", issues=error.issues)


def _query(
    request: Request, required: Mapping[str, schema.Check], optional: Mapping[str, schema.Check]
) -> dict[str, Any]:
    return _valid(lambda: schema.checked(dict(request.query_params), required, optional))


def _path_uuid(value: str) -> str:
    return str(_valid(lambda: schema.checked({"id": value}, {"id": schema.uuid}, {}))["id"])


def _external_id(request: Request) -> str:
    sent = {"id": request.path_params["id"]}
    return str(_valid(lambda: schema.checked(sent, {"id": schema.text}, {}))["id"])


def _check_range(asked: Mapping[str, Any], first: str, last: str, kind: str) -> None:
    if first in asked and last in asked and asked[last] <= asked[first]:
        refuse(kind)


def _paged(items: Iterable[Mapping[str, Any]], asked: Mapping[str, Any]) -> Response:
    filters = {name: value for name, value in asked.items() if name not in _PAGING}
    found = [item for item in items if all(item[name] == value for name, value in filters.items())]
    first = asked.get("offset", 0)
    page = found[first : first + asked.get("limit", 50)]
    return json_response({"items": page, "totalCount": len(found)})
