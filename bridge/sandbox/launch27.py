"""Launch27, simulated: its bookings, accounts, settings and rate limits, and the documented endpoints.

Where the documentation is silent the simulation chooses, and says so: errors other than a log-in's have
``{"message": …}``; a listing without ``limit`` has twenty bookings; a query
that cannot be read is 422.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bridge.sandbox.logins import MONTH_SECONDS, Account, Kind, Logins
from bridge.sandbox.pubsub import PubSub
from bridge.sandbox.query import Bucket, asked_choice, asked_day, asked_number
from bridge.sandbox.watched import Json, Records
from bridge.sandbox.wire import Clock, Failure, Service, decode, encode, instant_text, json_response

_DEFAULT_LIMIT = 20
_FIRST_ID = 1001
_DEFAULT_LOCATION = 1


@dataclass(slots=True)
class _Behind:
    """What the service knows of a booking beside its JSON. ``owner`` None: every customer's."""

    owner: str | None = None
    forecasted: bool = False
    hidden: bool = False
    instant: float = 0.0
    day: date | None = None


@dataclass(frozen=True, slots=True)
class _Query:
    """What a listing is asked for; it is also what the answer is kept under."""

    staff: bool
    owner: str | None
    first: date | None
    last: date | None
    ascending: bool
    completed: bool | None
    forecasted: bool


class Launch27(Service):
    """The world of one Launch27 tenant.

    ``bookings`` holds the raw JSON by id and may be edited at any depth; ``catalogue`` (the default location's),
    ``catalogues`` (those of others, by location) and ``settings`` are what ``GET /booking/services`` and
    ``GET /settings`` answer. ``max_page`` caps the size of a page. With ``wall_dates`` it writes service dates as
    local time, and a ``Z`` behind it nevertheless.
    ``modification_times`` puts ``created_at`` and ``updated_at`` into bookings. With ``rates`` the
    documented limits hold, in ``reads`` and ``writes``; without, no answer speaks of them. ``pubsub`` is the socket
    on which new and edited bookings are told (not those that vanish, move between accounts or are edited raw).
    """

    base_path = "/latest"

    def __init__(
        self,
        tenant: str = "acme",
        timezone: str = "Europe/Berlin",
        *,
        rates: bool = False,
        modification_times: bool = False,
        max_page: int | None = None,
        clock: Clock = time.time,
    ) -> None:
        super().__init__(clock)
        self.tenant = tenant
        self.timezone = timezone
        self.rates = rates
        self.reads = Bucket(30, 500)
        self.writes = Bucket(10, 1000)
        self.modification_times = modification_times
        self.max_page = max_page
        self.wall_dates = False
        self.catalogue: list[dict[str, Any]] = []
        self.catalogues: dict[int, list[dict[str, Any]]] = {}
        self.settings: dict[str, Any] = {
            "name": tenant.title(),
            "timezone": timezone,
            "status": "active",
            "sandbox": True,
        }
        self.bookings = Records(self._touched)
        self.logins = Logins(clock)
        self.pubsub = PubSub(tenant)
        self._next_id = _FIRST_ID
        self._behind: dict[int, _Behind] = {}
        self._vanished: dict[int, Any] = {}
        self._encoded: dict[tuple[int, bool], bytes] = {}
        self._listings: dict[_Query, list[int]] = {}
        self._pages: dict[tuple[_Query, int, int], bytes] = {}
        self._ordered: list[int] | None = None

    # --- the world, for tests and the demo -------------------------------------------------------------

    def add_account(
        self,
        email: str,
        password: str,
        *,
        kind: Kind = "customer",
        token_lifetime_seconds: float = MONTH_SECONDS,
        two_factor: bool = False,
    ) -> Account:
        """Let somebody log in; ``kind`` decides which listings are theirs to read."""
        with self.lock:
            return self.logins.add(
                email, password, kind=kind, token_lifetime_seconds=token_lifetime_seconds, two_factor=two_factor
            )

    def new_token(self, email: str) -> str:
        """Return a bearer of an account's, as a person copies it out of a browser."""
        with self.lock:
            return self.logins.bearer(email)

    def expire_tokens(self) -> None:
        """Make every bearer given out so far answer 401."""
        with self.lock:
            self.logins.expire()

    def add_service(self, number: int, name: str, *, location: int | None = None, **fields: Json) -> dict[str, Any]:
        """Put a service into a location's catalogue and return its entry; ``fields`` as documented."""
        entry = {"id": number, "name": name, "price": 20.0, "extras": [], "pricing_parameters": [], **fields}
        with self.lock:
            (self.catalogue if location is None else self.catalogues.setdefault(location, [])).append(entry)
        return entry

    def add_booking(
        self,
        *,
        owner: str | None = None,
        forecasted: bool = False,
        minutes: int | None = None,
        services: Json = (1,),
        **fields: Json,
    ) -> int:
        """Book, and return the id.

        ``fields`` are documented ones or any others, taken as given; a datetime becomes text. Services
        given as numbers are written out, the first as an hourly one of ``minutes`` where that is given.
        ``owner`` is an account's address, by default the first customer's.
        """
        with self.lock:
            number = int(fields.pop("id", self._next_id))
            self._next_id = max(self._next_id, number + 1)
            owner = owner or self.logins.first_customer
            self._behind[number] = _Behind(owner=owner, forecasted=forecasted)
            raw = self._blank(number, owner)
            raw["services"] = self._services(services, minutes)
            raw.update(self._written(fields))
            self.bookings[number] = raw
            self.pubsub.tell("booking_created", number)
            return number

    def edit(self, number: int, **fields: Json) -> None:
        """Change fields of a booking; its modification time follows where there are any."""
        with self.lock:
            if self.modification_times:
                fields.setdefault("updated_at", instant_text(self.now_ms))
            if isinstance(fields.get("services"), list | tuple):
                fields["services"] = self._services(fields["services"], None)
            self.bookings[number].update(self._written(fields))
            self.pubsub.tell("booking_updated", number)

    def cancel(self, number: int) -> None:
        """Take a booking out of the listings; by id it is there, with ``active`` false."""
        self.edit(number, active=False)

    def restore(self, number: int) -> None:
        """Bring a cancelled or vanished booking back under its id."""
        with self.lock:
            if number in self._vanished:
                self.bookings[number] = self._vanished.pop(number)
            self.edit(number, active=True)

    def vanish(self, number: int) -> None:
        """Take a booking out of everything: in no listing, and 404 by id."""
        with self.lock:
            self._vanished[number] = self.bookings.pop(number)

    def complete(self, number: int) -> None:
        """Mark a booking as completed."""
        self.edit(number, completed=True)

    def hide(self, number: int, *, hidden: bool = True) -> None:
        """Leave an active booking out of the listings, as a shifted page does; by id it is there."""
        with self.lock:
            self._known(number).hidden = hidden
            self._touched(number)

    def give(self, number: int, owner: str) -> None:
        """Hand a booking to another account: for the first it is no longer listed, and 403 by id."""
        with self.lock:
            self._known(number).owner = owner
            self._touched(number)

    def make_real(self, number: int) -> None:
        """Turn a forecasted booking of a series into a real one."""
        with self.lock:
            self._known(number).forecasted = False
            self._touched(number)

    def _written(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the fields with datetimes as Launch27 writes them: UTC and ``Z``, or wall time without."""
        found = {key: _text(value) if isinstance(value, datetime) else value for key, value in fields.items()}
        date = fields.get("service_date")
        if self.wall_dates and isinstance(date, datetime) and date.tzinfo is not None:
            found["service_date"] = date.astimezone(ZoneInfo(self.timezone)).replace(tzinfo=None).isoformat() + "Z"
        return found

    def _known(self, number: int) -> _Behind:
        return self._behind.setdefault(number, _Behind())

    def _blank(self, number: int, owner: str | None) -> dict[str, Any]:
        now = self.clock()
        email = owner or "player@example.com"
        raw: dict[str, Any] = {
            "id": number,
            "digest": hashlib.blake2b(str(number).encode(), digest_size=10).hexdigest(),
            "service_date": instant_text(int(now // 3600 + 24) * 3_600_000),
            "arrival_window": 0,
            "active": True,
            "completed": False,
            "location": {"id": 1, "name": "Sandbox"},
            "name": email.partition("@")[0].replace(".", " ").title(),
            "email": email,
            "phone": "+49 30 000000",
            "frequency": {"id": 1, "interval": "o", "name": "One Time"},
            "customer_notes": None,
            "services": [],
            "teams": [],
            "custom_fields": [],
            "actions": {"edit": True, "cancel": True},
        }
        if self.modification_times:
            raw["created_at"] = raw["updated_at"] = instant_text(self.now_ms)
        return raw

    def _services(self, services: Json, minutes: int | None) -> Json:
        if not isinstance(services, list | tuple):
            return services
        written = [self._service(each) if isinstance(each, int) else each for each in services]
        if minutes is not None:
            written[0] = {**written[0], "hourly": {"quantity": 1, "minutes": minutes}}
        return written

    def _service(self, number: int) -> dict[str, Any]:
        names = {entry.get("id"): entry.get("name") for entry in self.catalogue}
        name = names.get(number, f"Court {number}")
        return {"id": number, "name": name, "price": 20.0, "extras": None, "pricing_parameters": None}

    # --- listings, kept between edits ------------------------------------------------------------------

    def _touched(self, number: int) -> None:
        with self.lock:
            self._encoded.pop((number, True), None)
            self._encoded.pop((number, False), None)
            self._ordered = None
            if number in self.bookings:
                self._place(self._known(number), self.bookings[number])

    def _order(self) -> list[int]:
        """Return all ids by service date, then id, and forget what was listed before the last edit."""
        if self._ordered is None:
            behind = self._behind
            self._ordered = sorted(self.bookings, key=lambda number: (behind[number].instant, number))
            self._listings.clear()
            self._pages.clear()
        return self._ordered

    def _place(self, behind: _Behind, raw: Json) -> None:
        # A booking whose date was made unreadable stays where it was: the service itself knows the date.
        zone = ZoneInfo(self.timezone)
        try:
            moment = datetime.fromisoformat(raw["service_date"])
            if self.wall_dates and raw["service_date"].endswith("Z"):
                moment = moment.replace(tzinfo=None)
            moment = moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)
        except (LookupError, OverflowError, TypeError, ValueError):
            return
        behind.instant, behind.day = moment.timestamp(), moment.date()

    def _listed(self, query: _Query) -> list[int]:
        order = self._order()
        listed = self._listings.get(query)
        if listed is None:
            listed = [number for number in order if self._matches(number, query)]
            if not query.ascending:
                listed.reverse()
            self._listings[query] = listed
        return listed

    def _matches(self, number: int, query: _Query) -> bool:
        behind, raw = self._behind[number], self.bookings[number]
        if behind.hidden or not _may_see(behind, query) or (behind.forecasted and not query.forecasted):
            return False
        if _flag(raw, "active") is False:
            return False
        if query.completed is not None and query.completed != (_flag(raw, "completed") is True):
            return False
        return _within(behind.day, query)

    def _page(self, query: _Query, offset: int, limit: int) -> bytes:
        listed = self._listed(query)
        page = self._pages.get((query, offset, limit))
        if page is None:
            numbers = listed[offset : offset + limit]
            page = b"[" + b",".join(self._bytes(number, staff=query.staff) for number in numbers) + b"]"
            self._pages[query, offset, limit] = page
        return page

    def _bytes(self, number: int, *, staff: bool) -> bytes:
        encoded = self._encoded.get((number, staff))
        if encoded is None:
            raw = self.bookings[number]
            encoded = encode(self._for_staff(raw) if staff and isinstance(raw, dict) else raw)
            self._encoded[number, staff] = encoded
        return encoded

    @staticmethod
    def _for_staff(raw: dict[str, Any]) -> dict[str, Any]:
        """Return a booking as staff see it. Source: Launch27, Staff."""
        view = {key: value for key, value in raw.items() if key not in {"email", "name", "phone"}}
        name = raw.get("name")
        first, _, last = (name if isinstance(name, str) else "").partition(" ")
        user = {"id": 501, "first_name": first, "last_name": last, "name": name}
        if "email" in raw:
            user["email"] = raw["email"]
        view.setdefault("user", user)
        view.setdefault("booking_status", _status(raw))
        return view

    # --- the endpoints ---------------------------------------------------------------------------------

    def routes(self) -> Sequence[Route]:
        return [
            route
            for base in ("/latest", "/v1")
            for route in (
                self.route(f"{base}/login", self._login, "POST"),
                self.route(f"{base}/settings", self._settings, "GET"),
                self.route(f"{base}/booking/services", self._catalogue, "GET"),
                self.route(f"{base}/customer/bookings", self._customer_listing, "GET"),
                self.route(f"{base}/customer/bookings/{{id:int}}", self._customer_booking, "GET"),
                self.route(f"{base}/staff/bookings", self._staff_listing, "GET"),
                self.route(f"{base}/staff/bookings/{{id:int}}", self._staff_booking, "GET"),
            )
        ]

    async def socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.pubsub(scope, receive, send)

    def failure(self, status: int) -> Response:
        return json_response({"message": f"status {status}"}, status)

    def subject(self, path: str) -> str | None:
        last = path.rpartition("/bookings/")[2]
        return last if last.isdecimal() else None

    def part(self, request: Request, body: bytes) -> str | None:
        account = self.logins.who(request.headers.get("authorization"))
        return account.email if account else _asked_as(body)

    def shift(self, request: Request) -> None:
        listed = self._listed(self._query(request, staff="/staff/" in request.url.path))
        if listed:
            self.cancel(listed[0])

    def admit(self, request: Request) -> None:
        bucket = self.reads if request.method == "GET" else self.writes
        client = request.client.host if request.client else ""
        if self.rates and not bucket.take(client, self.clock()):
            raise Failure(json_response({"message": "Rate limit exceeded."}, 429))

    def finish(self, response: Response) -> None:
        if self.rates:
            for kind, bucket in (("read", self.reads), ("write", self.writes)):
                response.headers[f"x-rate-limit-{kind}-limit"] = str(bucket.limit)
                response.headers[f"x-rate-limit-{kind}-ttl"] = str(bucket.ttl_ms)

    def _login(self, _request: Request, body: bytes) -> Response:
        try:
            sent = decode(body)
        except ValueError:
            sent = None
        return json_response(self.logins.log_in(sent))

    def _settings(self, request: Request, _body: bytes) -> Response:
        settings = dict(self.settings)
        account = self.logins.who(request.headers.get("authorization"))
        if account is not None and (url := self.pubsub.named(account.email, self.address)):
            settings["pubsub_url"] = url
        return json_response(settings)

    def _catalogue(self, request: Request, _body: bytes) -> Response:
        self._account(request)
        location = asked_number(request.query_params, "location_id", _DEFAULT_LOCATION, least=1)
        if location != _DEFAULT_LOCATION and location not in self.catalogues:
            raise Failure(self.failure(404))
        return json_response(self.catalogues.get(location, self.catalogue))

    def _customer_listing(self, request: Request, _body: bytes) -> Response:
        return self._listing(request, staff=False)

    def _staff_listing(self, request: Request, _body: bytes) -> Response:
        return self._listing(request, staff=True)

    def _listing(self, request: Request, *, staff: bool) -> Response:
        query = self._query(request, staff=staff)
        limit = asked_number(request.query_params, "limit", _DEFAULT_LIMIT, least=1)
        offset = asked_number(request.query_params, "offset", 0, least=0)
        limit = limit if self.max_page is None else min(limit, self.max_page)
        return Response(self._page(query, offset, limit), media_type="application/json")

    def _customer_booking(self, request: Request, _body: bytes) -> Response:
        return self._booking(request, staff=False)

    def _staff_booking(self, request: Request, _body: bytes) -> Response:
        return self._booking(request, staff=True)

    def _booking(self, request: Request, *, staff: bool) -> Response:
        account = self._account(request, "staff" if staff else "customer")
        number = request.path_params["id"]
        self._order()
        behind = self._behind.get(number)
        if behind is None or behind.forecasted or number not in self.bookings:
            raise Failure(self.failure(404))
        if not staff and not _owned(behind, account.email):
            raise Failure(json_response({"message": "No access to this booking."}, 403))
        return Response(self._bytes(number, staff=staff), media_type="application/json")

    def _account(self, request: Request, kind: Kind | None = None) -> Account:
        account = self.logins.who(request.headers.get("authorization"))
        if account is None:
            raise Failure(json_response({"message": "Log in first."}, 401))
        if kind is not None and not account.may_be(kind):
            raise Failure(json_response({"message": f"This needs the role {kind}."}, 403))
        return account

    def _query(self, request: Request, *, staff: bool) -> _Query:
        account = self._account(request, "staff" if staff else "customer")
        sent = request.query_params
        options = {option.strip() for option in sent.get("options", "").split(",")}
        completed, not_completed = "completed" in options, "not_completed" in options
        return _Query(
            staff=staff,
            owner=None if staff else account.email,
            first=asked_day(sent, "from"),
            last=asked_day(sent, "to"),
            ascending=asked_choice(sent, "sort", ("desc", "asc")) == "asc",
            completed=None if completed == not_completed else completed,
            forecasted=staff and "exclude_forecasted" not in options,
        )


def _asked_as(body: bytes) -> str | None:
    """Return the address of a login."""
    try:
        return str(decode(body)["email"])
    except (LookupError, TypeError, ValueError):
        return None


def _owned(behind: _Behind, email: str) -> bool:
    return behind.owner is None or behind.owner.casefold() == email.casefold()


def _may_see(behind: _Behind, query: _Query) -> bool:
    return query.owner is None or _owned(behind, query.owner)


def _within(day: date | None, query: _Query) -> bool:
    # A booking whose date never could be read is in every window: nobody may lose it silently.
    if day is None:
        return True
    return (query.first is None or query.first <= day) and (query.last is None or day <= query.last)


def _flag(raw: Json, key: str) -> Json:
    return raw.get(key) if isinstance(raw, dict) else None


def _status(raw: dict[str, Any]) -> str:
    if raw.get("active") is False:
        return "cancelled"
    return "completed" if raw.get("completed") is True else "assigned"


def _text(moment: datetime) -> str:
    if moment.tzinfo is None:
        return moment.isoformat()
    return instant_text(round(moment.astimezone(UTC).timestamp() * 1000))
