"""Launch27's API: one method for each endpoint the bridge asks.

The shapes of the answers are read in :mod:`bridge.launch27.wire`. Accounts are named by their number,
never by their address.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

from pydantic_core import from_json

from bridge.config.schema import Account, Launch27Config
from bridge.config.secrets import Secret
from bridge.errors import AccessDenied, CredentialsRefused, NotFound, Unavailable
from bridge.http.client import Call, Http, Response
from bridge.http.ratelimit import RateLimiter
from bridge.launch27.wire import CatalogueService, Parser, Settings, SourceBooking, Unreadable

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
Page = list[SourceBooking | Unreadable]

SERVICE: Final = "Launch27"
PAGES_AT_ONCE: Final = 6
MOST_PAGES: Final = 10_000
_STALE_PAGES: Final = 10
_TOKEN = re.compile(r"[\x21-\x7e]+")


class _Expired(Exception):
    """The token was refused (401); it never leaves this module."""


class Session:
    """What is kept of one account's login: the token until it is refused, the refusal until the next pass."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.token: Secret | None = None
        self.refusal: str | None = None
        self.lock = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Session(account={self.account.number})"

    def new_pass(self) -> None:
        """Let a refused login be tried once more."""
        self.refusal = None


class Launch27:
    """Launch27, read only. All methods raise Unavailable when there is no usable answer.

    Those with a session raise CredentialsRefused when the account may not log in or not read.
    """

    def __init__(self, http: Http, config: Launch27Config, *, parser: Parser | None = None) -> None:
        self.http = http
        self._config = config
        self._parser = parser or Parser()

    @classmethod
    def connect(
        cls,
        config: Launch27Config,
        *,
        parser: Parser | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> Launch27:
        """Return a client with connections of its own; end it with ``await client.http.aclose()``."""
        limiter = RateLimiter(config.reads_per_second, config.read_burst)
        http = Http(SERVICE, config.base_url, concurrency=PAGES_AT_ONCE, limiter=limiter, transport=transport)
        return cls(http, config, parser=parser)

    def __repr__(self) -> str:
        return f"Launch27({self.http!r})"

    async def settings(self) -> Settings:
        """Return the tenant's settings. Source: Launch27, ``GET /settings`` (no login needed)."""

        def check(response: Response) -> Settings:
            _expect_200(response, "/settings")
            return self._parser.settings(response.body)

        return await self.http.request(Call("GET", "/settings", "/settings"), check)

    async def catalogue(self, session: Session) -> dict[int, CatalogueService]:
        """Return the services on offer, by id. Source: Launch27, ``GET /booking/services``.

        Raises AccessDenied or NotFound where the account or the tenant has no catalogue to show.
        """
        path = "/booking/services"

        def check(response: Response) -> dict[int, CatalogueService]:
            if response.status == 403:
                _refuse_html(response)
                raise AccessDenied(SERVICE, f"account {session.account.number} may not read {path}")
            if response.status == 404:
                _refuse_html(response)
                raise NotFound(SERVICE, f"there is no {path}")
            _expect_200(response, path)
            return self._parser.catalogue(response.body)

        return await self._request(session, Call("GET", path, path), check)

    async def booking(self, session: Session, id: str) -> SourceBooking | Unreadable | None:  # noqa: A002  # its name
        """Return one booking, cancelled ones included; None when it is gone or not for this account.

        Source: Launch27, ``GET /customer/bookings/:id`` (403: no access to it).
        """
        if not (id.isascii() and id.isdigit()):
            raise ValueError(f"a Launch27 id is made of digits, not {id!r}")
        route = f"/{self._config.role}/bookings"

        def check(response: Response) -> SourceBooking | Unreadable | None:
            if response.status in {403, 404}:
                _refuse_html(response)
                return None
            _expect_200(response, f"{route}/{id}")
            booking = self._parser.booking(response.body)
            if booking.id != id:
                raise ValueError("another booking than the one asked for")
            return booking

        call = Call("GET", f"{route}/{quote(id, safe='')}", f"{route}/{{id}}", booking=id)
        return await self._request(session, call, check)

    def listing(
        self, session: Session, first_day: date, last_day: date, *, expected: int | None
    ) -> AsyncGenerator[Page, None]:
        """Yield the pages of all bookings from ``first_day`` to ``last_day`` (both included), in any order.

        Days are those of the account's time zone. ``expected`` is how many bookings the previous complete
        listing had. Bookings can come twice. The listing is complete when it ends without an exception: it
        was read up to an empty page, right behind the last booking received.

        Source: Launch27, ``GET /customer/bookings``; ``exclude_forecasted`` is *seen* with staff logins.
        """
        params: dict[str, str | int] = {
            "from": first_day.isoformat(),
            "to": last_day.isoformat(),
            "limit": self._config.page_size,
            "sort": "asc",
        }
        if self._config.role == "staff":
            params["options"] = "exclude_forecasted"
        read = functools.partial(self._page, session, params)
        return _Pages(read, self._config.page_size, expected).read()

    async def _page(self, session: Session, params: Mapping[str, str | int], offset: int) -> _Page:
        path = f"/{self._config.role}/bookings"

        def check(response: Response) -> _Page:
            if response.status == 403:
                _refuse_html(response)
                role = self._config.role
                raise CredentialsRefused(
                    SERVICE,
                    f'account {session.account.number} may not read {path}: launch27.role is "{role}", '
                    f"and the login has another; correct the role or the account",
                )
            _expect_200(response, path)
            bookings = self._parser.listing(response.body)
            return _Page(offset, bookings, _names(bookings, response.body))

        return await self._request(
            session, Call("GET", path, path, params={**params, "offset": offset}), check
        )

    async def _request(self, session: Session, call: Call, check: Callable[[Response], T]) -> T:
        """Ask with the session's token; a token that is refused is replaced once."""

        def checked(response: Response) -> T:
            if response.status == 401:
                raise _Expired
            return check(response)

        token = await self._token(session, refused=None)
        try:
            return await self.http.request(_with(call, token), checked)
        except _Expired:
            pass
        token = await self._token(session, refused=token)
        try:
            return await self.http.request(_with(call, token), checked)
        except _Expired:
            pass
        session.token = None
        number = session.account.number
        raise _refused(session, f"account {number}: the token is refused right after a login ({call.route})")

    async def _token(self, session: Session, *, refused: Secret | None) -> Secret:
        """Return the session's token, logging in where there is none but the refused one."""
        async with session.lock:
            if session.refusal is not None:
                raise CredentialsRefused(SERVICE, session.refusal)
            if session.token is None or session.token is refused:
                session.token = None
                session.token = await self._log_in(session)
            return session.token

    async def _log_in(self, session: Session) -> Secret:
        """Return a new token. Source: Launch27, ``POST /login``."""
        account = session.account
        credentials = {"email": account.email, "password": account.password.reveal()}
        call = Call("POST", "/login", "/login", json=credentials)
        return await self.http.request(call, functools.partial(_read_login, session))


def _with(call: Call, token: Secret) -> Call:
    return Call(call.method, call.path, call.route, booking=call.booking, params=call.params, bearer=token)


def _refused(session: Session, sentence: str) -> CredentialsRefused:
    """Return what to raise now, and for every other call of this pass."""
    import structlog

    session.refusal = sentence
    structlog.get_logger().error("login_refused", account=session.account.number, error=sentence)
    return CredentialsRefused(SERVICE, sentence)


def _read_login(session: Session, response: Response) -> Secret:
    """Return the token of a login's answer.

    Source: Launch27, ``POST /login`` (401 refused; 403 locked for five minutes, or a one-time token is
    wanted; 422 schema).
    """
    number = session.account.number
    refusals = {
        401: f"account {number}: the e-mail address or the password was refused; correct launch27.accounts",
        403: (
            f"account {number}: the login is locked for five minutes (five wrong attempts within a minute), "
            "or it wants a one-time token: use an account without two-factor login"
        ),
        422: f"account {number}: the login was not understood; is the e-mail address complete?",
    }
    if response.status in refusals:
        if response.is_html and response.status != 401:
            # Not a ValueError: a login that may have been refused is not tried again.
            raise Unavailable(SERVICE, f"answered the login with a web page (status {response.status})")
        raise _refused(session, refusals[response.status])
    _expect_200(response, "/login")
    answer = from_json(response.body)
    token = answer.get("bearer") if isinstance(answer, dict) else None
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise ValueError("no token")
    return Secret(token)


def _expect_200(response: Response, path: str) -> None:
    """Raise Unavailable for a definite status that has no meaning here, ValueError for a web page."""
    if response.status >= 400:
        _refuse_html(response)
        raise Unavailable(SERVICE, f"answered {response.status} to {path}; is launch27.base_url right?")
    if response.status not in {200, 201}:
        raise ValueError("a status nobody documented")


def _refuse_html(response: Response) -> None:
    """Raise ValueError for a 4xx that comes from a proxy or a portal rather than from the API."""
    if response.is_html:
        raise ValueError("a web page")


@dataclass(frozen=True, slots=True)
class _Page:
    offset: int
    bookings: Page
    names: frozenset[str]

    @property
    def end(self) -> int:
        return self.offset + len(self.bookings)


def _names(bookings: Page, body: bytes) -> frozenset[str]:
    """Return the ids of a page; those without any are told apart by the page they came in."""
    names = frozenset(booking.id for booking in bookings)
    return names - {""} | {blake2b(body, digest_size=16).hexdigest()} if "" in names else names


class _Pages:
    """Reads an offset listing side by side, up to its proven end.

    ``frontier`` is how far it was read without a gap. Pages beyond it are asked for at the stride of the
    first page (a server may cap ``limit``), but none that ``expected`` says is not there.
    """

    def __init__(
        self, read: Callable[[int], Coroutine[Any, Any, _Page]], limit: int, expected: int | None
    ) -> None:
        self._read = read
        self._limit = limit
        self._expected = expected
        self._stride = 0
        self._frontier = 0
        self._bold = False
        self._beyond: dict[int, int] = {}  # start and end of what was read behind a gap
        self._empty: set[int] = set()
        self._asked: set[int] = set()
        self._tasks: dict[asyncio.Task[_Page], int] = {}
        self._pages = 0
        self._stale = 0
        self._seen: set[str] = set()

    async def read(self) -> AsyncGenerator[Page, None]:
        try:
            self._ask(0)
            while not self._complete():
                done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in sorted(done, key=self._tasks.__getitem__):
                    page = task.result()
                    del self._tasks[task]
                    self._note(page)
                    if page.bookings:
                        yield page.bookings
                self._ask_on()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _complete(self) -> bool:
        return self._frontier in self._empty and not self._beyond

    def _ask(self, offset: int) -> None:
        self._pages += 1
        if self._pages > MOST_PAGES or self._stale > _STALE_PAGES:
            raise Unavailable(SERVICE, "the listing never ends; nothing is concluded from it")
        self._asked.add(offset)
        self._tasks[asyncio.create_task(self._read(offset))] = offset

    def _ask_on(self) -> None:
        """Ask for the page at the frontier, and for as many beyond it as are likely to be there."""
        if self._complete():
            return
        end = min(self._empty, default=None)
        offset = self._frontier
        while len(self._tasks) < PAGES_AT_ONCE and (offset == self._frontier or self._likely(offset, end)):
            if offset not in self._asked:
                self._ask(offset)
            offset = self._next(offset)

    def _likely(self, offset: int, end: int | None) -> bool:
        if not self._bold or (end is not None and offset >= end):
            return False
        return self._expected is None or offset < self._expected

    def _next(self, offset: int) -> int:
        """Return where to go on behind ``offset``: in step with what was asked for already."""
        if offset in self._beyond:
            return self._beyond[offset]
        step = offset + self._stride
        return min((asked for asked in self._asked if offset < asked < step), default=step)

    def _note(self, page: _Page) -> None:
        if not page.bookings:
            self._empty.add(page.offset)
        else:
            self._weigh(page)
            self._beyond[page.offset] = page.end
        self._advance()

    def _weigh(self, page: _Page) -> None:
        """Learn from a page with bookings what further ones are likely to be like."""
        self._stale = 0 if page.names - self._seen else self._stale + 1
        self._seen |= page.names
        size = len(page.bookings)
        if not self._stride:
            self._stride = size
            self._bold = size >= self._limit or self._expected is not None
        elif size >= self._stride:
            self._bold = True
            if self._expected is not None and page.offset >= self._expected:
                self._expected = None

    def _advance(self) -> None:
        """Move the frontier over everything that joins it.

        An empty page with bookings behind it is a list that shrank while it was read: go on behind the gap.
        """
        while self._beyond:
            start = min(self._beyond)
            if start > self._frontier and self._frontier not in self._empty:
                break
            self._frontier = max(self._frontier, self._beyond.pop(start))
        self._asked = {offset for offset in self._asked if offset >= self._frontier}
        self._empty = {offset for offset in self._empty if offset >= self._frontier}
