"""Launch27's API: one method for each endpoint the bridge asks.

The shapes of the answers are read in :mod:`bridge.launch27.wire`. Accounts are named by their number,
never by their address.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, Mapping
from datetime import date
from functools import partial
from typing import Final

from bridge.config.schema import Launch27Config
from bridge.errors import AccessDenied, CredentialsRefused, NotFound
from bridge.http.client import Call, Http, Params, Response
from bridge.http.ratelimit import RateLimiter, shared_budget
from bridge.launch27.listing import PAGES_AT_ONCE, Listing, Page
from bridge.launch27.session import Session, read_200
from bridge.launch27.wire import CatalogueService, Parser, Settings, SourceBooking, Unreadable, is_object
from bridge.planning.memory import DEFAULT_LOCATION

__all__ = ["Absent", "Launch27", "Session"]

SERVICE: Final = "Launch27"


class Absent(enum.Enum):
    """How a 403 or 404 says that a booking is gone, or not for this account.

    ``CERTAIN``: in JSON, as Launch27 does. ``DOUBTFUL``: in any other shape, as a gateway might; to be believed
    only when it is said again later.
    """

    CERTAIN = enum.auto()
    DOUBTFUL = enum.auto()


class Launch27:
    """Launch27, read only. All methods raise Unavailable when there is no usable answer.

    Those with a session raise CredentialsRefused when the account may not log in or not read. End it with
    ``http.aclose()``.
    """

    def __init__(self, config: Launch27Config, *, parser: Parser | None = None, http: Http | None = None) -> None:
        if http is None:
            budget = shared_budget(config.hostname)  # of all clubs in this process
            limiter = RateLimiter(config.reads_per_second, config.read_burst, budget=budget)
            parts = len(config.accounts)
            http = Http(SERVICE, config.base_url, concurrency=PAGES_AT_ONCE, limiter=limiter, parts=parts)
        self.http = http
        self._config = config
        self._bookings = f"/{config.role}/bookings"
        self._parser = parser or Parser()

    async def settings(self, session: Session | None = None) -> Settings:
        """Return the tenant's settings; asked with a session's token, also where events are told.

        Source: Launch27, ``GET /settings`` (no login needed, and none made).
        """
        call = Call("GET", "/settings", "/settings", bearer=session.token if session else None)
        return await self.http.request(call, partial(read_200, call.path, self._parser.settings))

    async def catalogue(self, session: Session, location: int = DEFAULT_LOCATION) -> dict[int, CatalogueService]:
        """Return the services on offer at a location, by id. Source: Launch27, ``GET /booking/services``.

        Raises AccessDenied or NotFound where the account or the tenant has no catalogue to show.
        """
        path = "/booking/services"
        absent = NotFound(SERVICE, f"there is no {path}" + f" of location {location}" * (location != DEFAULT_LOCATION))
        errors = {403: AccessDenied(SERVICE, f"{session} may not read {path}"), 404: absent, 422: absent}
        params: Params = {} if location == DEFAULT_LOCATION else {"location_id": location}
        check = partial(read_200, path, self._parser.catalogue, errors=errors)
        return await session.request(self.http, Call("GET", path, path, params=params), check)

    async def booking(self, session: Session, id: str) -> SourceBooking | Unreadable | Absent:  # noqa: A002  # its name
        """Return one booking, cancelled ones included; Absent when it is gone or not for this account.

        Source: Launch27, ``GET /customer/bookings/:id`` (403: no access to it).
        """
        if not (id.isascii() and id.isdigit()):
            raise ValueError(f"a Launch27 id is made of digits, not {id!r}")

        def read(body: bytes) -> SourceBooking | Unreadable:
            booking = self._parser.booking(body)
            if booking.id != id:
                raise ValueError("another booking than the one asked for")
            return booking

        path = f"{self._bookings}/{id}"

        def check(response: Response) -> SourceBooking | Unreadable | Absent:
            if response.status in {403, 404}:
                return Absent.CERTAIN if is_object(response.body) else Absent.DOUBTFUL
            return read_200(path, read, response)

        call = Call("GET", path, f"{self._bookings}/{{id}}", booking=id)
        return await session.request(self.http, call, check)

    def listing(
        self,
        session: Session,
        first_day: date,
        last_day: date,
        *,
        expected: int | None,
        before: Mapping[bytes, Page] = {},
        with_forecasts: bool = False,
    ) -> AsyncGenerator[Page, None]:
        """Yield the pages of bookings from ``first_day`` to ``last_day`` (both included, in the account's time zone).

        ``expected`` is how many the previous complete listing had; ``before`` has pages of it, by their bytes:
        one that comes again is the same object. Staff listings leave forecasts out, unless ``with_forecasts``. Bookings
        can come twice. The listing is complete when it ends without an exception: at an empty page, right behind the
        last booking received.

        Source: Launch27, ``GET /customer/bookings``; ``exclude_forecasted`` is *seen* with staff logins.
        """
        path = self._bookings
        days: dict[str, str | int] = {"from": first_day.isoformat(), "to": last_day.isoformat()}
        options = {"options": "exclude_forecasted"} if self._config.role == "staff" and not with_forecasts else {}
        params = {**days, "limit": self._config.page_size, "sort": "asc", **options}

        wrong_role = CredentialsRefused(
            SERVICE,
            f'{session} may not read {path}: launch27.role is "{self._config.role}", '
            "and the login has another; correct the role or the account",
        )

        def page(body: bytes) -> Page:
            return before.get(body) or Page(self._parser.listing(body), body)

        check = partial(read_200, path, page, errors={403: wrong_role})

        async def read(offset: int) -> Page:
            return await session.request(self.http, Call("GET", path, path, params={**params, "offset": offset}), check)

        return Listing(read, self._config.page_size, expected).pages()
