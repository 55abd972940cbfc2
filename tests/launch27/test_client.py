"""The Launch27 client: logins, listings read to their proven end, and answers that are not the API's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.config.schema import Account, Launch27Config
from bridge.config.secrets import Secret
from bridge.errors import AccessDenied, CredentialsRefused, NotFound, Unavailable
from bridge.http.client import Backoff, Http
from bridge.launch27.client import Absent, Launch27
from bridge.launch27.session import Session
from bridge.launch27.wire import SourceBooking, Unreadable
from bridge.sandbox import Launch27 as SimulatedLaunch27
from bridge.sandbox import Sandbox
from tests.support.answers import again

ADDRESS = "club@example.com"
PASSWORD = "hush-hush"
ACCOUNT = Account(email=ADDRESS, password=Secret(PASSWORD))
FIRST, LAST = date(2026, 11, 19), date(2027, 1, 19)
QUICK = Backoff(first=0.001, longest=0.002, jitter=0.0)
HTML = httpx.Response(404, html="<html>nginx")

Answer = Callable[[httpx.Request], httpx.Response | None]


def booking(number: int) -> dict[str, Any]:
    return {"id": number, "service_date": "2026-11-20T14:30:00Z", "services": [{"id": 1}]}


@dataclass
class World:
    """A small Launch27 in memory; ``special`` may answer instead."""

    bookings: list[Any] = field(default_factory=list)
    cap: int = 100
    special: Answer = lambda _request: None
    login: Answer = lambda _request: None
    ignores_offset: bool = False
    asked: list[httpx.Request] = field(default_factory=list)
    logins: int = 0
    good: set[str] = field(default_factory=set)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        await asyncio.sleep(0)
        path = request.url.path.removeprefix("/latest")
        if path == "/login":
            return self._log_in(request)
        return self.special(request) or self._answer(request, path)

    def _answer(self, request: httpx.Request, path: str) -> httpx.Response:
        if path == "/settings":
            return httpx.Response(200, json={"name": "Acme", "timezone": "Europe/Berlin", "status": "active"})
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.good:
            return httpx.Response(401, json={"error": "who?"})
        if path == "/booking/services":
            return httpx.Response(200, json=[{"id": 1, "name": "Court", "duration": 60}])
        if path.endswith("/bookings"):
            return self._list(request)
        return self._one(path)

    def _log_in(self, request: httpx.Request) -> httpx.Response:
        self.logins += 1
        if (answer := self.login(request)) is not None:
            return answer
        token = f"token-{self.logins}"
        self.good.add(token)
        return httpx.Response(200, json={"id": 1, "bearer": token})

    def _list(self, request: httpx.Request) -> httpx.Response:
        offset = 0 if self.ignores_offset else int(request.url.params["offset"])
        size = min(self.cap, int(request.url.params["limit"]))
        return httpx.Response(200, json=self.bookings[offset : offset + size])

    def _one(self, path: str) -> httpx.Response:
        number = int(path.rpartition("/")[2])
        found = [each for each in self.bookings if each["id"] == number]
        return httpx.Response(200, json=found[0]) if found else httpx.Response(404, json={})

    @property
    def pages(self) -> list[int]:
        """The offsets asked for."""
        return [int(request.url.params["offset"]) for request in self.asked if "offset" in request.url.params]


def connect(world: World, send: Any = None, **config: Any) -> tuple[Launch27, Session]:
    settings = Launch27Config(base_url="https://acme.test/latest", accounts=(ACCOUNT,), **config)
    http = Http("Launch27", settings.base_url, backoff=QUICK, transport=httpx.MockTransport(send or world))
    return Launch27(settings, http=http), Session(ACCOUNT)


async def read(world: World, expected: int | None = None, **config: Any) -> list[str]:
    launch27, session = connect(world, **config)
    pages = launch27.listing(session, FIRST, LAST, expected=expected)
    return [each.id async for page in pages for each in page.bookings]


def numbered(count: int) -> list[Any]:
    return [booking(number) for number in range(1, count + 1)]


def ids(count: int) -> list[str]:
    return [str(number) for number in range(1, count + 1)]


def always(answer: httpx.Response) -> Answer:
    return lambda _request: again(answer)


@contextlib.contextmanager
def refused(match: str) -> Iterator[pytest.ExceptionInfo[CredentialsRefused]]:
    with pytest.raises(CredentialsRefused, match=match) as caught:
        yield caught
    assert ADDRESS not in str(caught.value)
    assert PASSWORD not in str(caught.value)


async def test_one_login_is_enough_for_many_requests_at_once() -> None:
    world = World(numbered(3))
    launch27, session = connect(world)
    await asyncio.gather(*(launch27.booking(session, number) for number in ids(3)))
    await launch27.catalogue(session)
    assert world.logins == 1
    assert json.loads(world.asked[0].content) == {"email": ADDRESS, "password": PASSWORD}


async def test_a_token_that_died_is_replaced_once_for_everybody() -> None:
    world = World(numbered(3))
    launch27, session = connect(world)
    await launch27.catalogue(session)
    world.good.clear()
    found = await asyncio.gather(*(launch27.booking(session, number) for number in ids(3)))
    assert [isinstance(each, SourceBooking) and each.id for each in found] == ids(3)
    assert world.logins == 2


async def test_a_token_refused_right_after_a_login_is_a_refusal_until_the_next_pass() -> None:
    world = World(special=always(httpx.Response(401, json={})))
    launch27, session = connect(world)
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            with refused("account 1: the token is refused right after a login"):
                await launch27.catalogue(session)
    assert world.logins == 2
    assert [line["event"] for line in logs] == ["login_refused"]


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "was refused"), (403, "locked for five minutes .* one-time token"), (422, "not understood")],
)
async def test_a_refused_login_is_tried_once_a_pass(status: int, words: str) -> None:
    world = World(numbered(1), login=always(httpx.Response(status, json={"message": ADDRESS})))
    launch27, session = connect(world)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            with refused(f"account 1: .*{words}"):
                await launch27.booking(session, "1")
    assert world.logins == 1
    assert [(line["event"], line["account"]) for line in logs] == [("login_refused", 1)]
    world.login = lambda _request: None
    session.new_pass()
    assert await launch27.booking(session, "1") is not None


async def test_a_token_in_place_of_a_password_is_used_as_it_is_and_never_logs_in() -> None:
    world = World(numbered(1), good={"own-token"})
    launch27, _ = connect(world)
    session = Session(Account(email=ADDRESS, token=Secret("own-token")))
    for _ in range(2):
        assert isinstance(await launch27.booking(session, "1"), SourceBooking)
        session.new_pass()
    assert (world.logins, session.login_type, session.expires_at) == (0, "", None)
    world.good.clear()
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            with refused("account 1: its token is refused; put a new one") as caught:
                await launch27.booking(session, "1")
    assert "own-token" not in f"{caught} {logs}"
    assert [line["event"] for line in logs] == ["login_refused"]
    world.good.add("own-token")
    session.new_pass()
    assert isinstance(await launch27.booking(session, "1"), SourceBooking)
    assert world.logins == 0


@pytest.mark.parametrize("said", ["Tenant::Customer", "Tenant::Staff", "Tenant::Admin", "Ann", None, 5, [], {}])
async def test_a_login_says_of_what_type_it_is(said: object) -> None:
    world = World(numbered(1), login=always(httpx.Response(200, json={"bearer": "b", "type": said})), good={"b"})
    launch27, session = connect(world)
    await launch27.booking(session, "1")
    assert session.login_type == (said if str(said).startswith("Tenant::") else "")


@pytest.mark.parametrize("status", [403, 422])
async def test_a_login_that_meets_a_web_page_is_neither_refused_nor_tried_again(status: int) -> None:
    world = World(login=always(httpx.Response(status, html="<html>firewall")))
    launch27, session = connect(world)
    with pytest.raises(Unavailable, match="web page"):
        await launch27.catalogue(session)
    assert world.logins == 1


@pytest.mark.parametrize(
    "answer", [{}, [], {"bearer": None}, {"bearer": ""}, {"bearer": "two words"}, {"bearer": "line\nbreak"}]
)
async def test_a_login_without_a_usable_token_is_no_login(answer: Any) -> None:
    launch27, session = connect(World(login=always(httpx.Response(200, json=answer))))
    with pytest.raises(Unavailable, match="not what the API promises"):
        await launch27.catalogue(session)


async def test_a_session_goes_by_its_accounts_number() -> None:
    _, session = connect(World())
    assert str(session) == "account 1"


async def test_settings_need_no_login_and_the_catalogue_does() -> None:
    world = World()
    launch27, session = connect(world)
    assert (await launch27.settings()).timezone == "Europe/Berlin"
    assert world.logins == 0
    assert list(await launch27.catalogue(session)) == [1]
    await launch27.catalogue(session, 3)
    assert [dict(request.url.params) for request in world.asked[-2:]] == [{}, {"location_id": "3"}]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(403, json={}), AccessDenied),
        *((httpx.Response(status, json={}), NotFound) for status in (404, 422)),
        *((httpx.Response(status, html="<html>"), Unavailable) for status in (403, 404)),
    ],
)
async def test_a_catalogue_that_is_not_shown_is_no_fault_of_the_service_but_a_web_page_is(
    answer: httpx.Response, error: type[Exception]
) -> None:
    launch27, session = connect(World(special=always(answer)))
    with pytest.raises(error):
        await launch27.catalogue(session)


@pytest.mark.parametrize("role", ["customer", "staff"])
async def test_a_booking_is_asked_for_by_its_id(role: str) -> None:
    world = World(numbered(2))
    launch27, session = connect(world, role=role)
    found = await launch27.booking(session, "2")
    assert isinstance(found, SourceBooking)
    assert world.asked[-1].url.path == f"/latest/{role}/bookings/2"


async def test_an_odd_booking_is_unreadable() -> None:
    launch27, session = connect(World([{"id": 1, "services": None}]))
    assert isinstance(await launch27.booking(session, "1"), Unreadable)


GONE = [httpx.Response(404, text="{}"), httpx.Response(403, json={"error": "no"})]
PAGES = [HTML, httpx.Response(403, html=""), httpx.Response(404, content=b"  <!doctype html>")]
TEXTS = [httpx.Response(404), *(httpx.Response(404, text=text) for text in (" \n", "Not Found", "[]", '"{}"', "{"))]


@pytest.mark.parametrize(
    ("answer", "absent"),
    [*((each, Absent.CERTAIN) for each in GONE), *((each, Absent.DOUBTFUL) for each in [*PAGES, *TEXTS])],
)
async def test_a_booking_that_is_not_there_is_surely_so_only_in_json(answer: httpx.Response, absent: Absent) -> None:
    world = World(special=always(answer))
    launch27, session = connect(world)
    assert await launch27.booking(session, "9") is absent


OTHERS = [httpx.Response(200, text=text) for text in ("[]", "{}", json.dumps(booking(8)))]


@pytest.mark.parametrize(
    "answer", [httpx.Response(200, html="<html>"), *OTHERS, httpx.Response(400, json={}), httpx.Response(204)]
)
async def test_any_other_answer_says_nothing_about_the_booking(answer: httpx.Response) -> None:
    launch27, session = connect(World(special=always(answer)))
    with pytest.raises(Unavailable):
        await launch27.booking(session, "9")


@pytest.mark.parametrize("other", ["", "1/2", "..", "٣", "1 ", "-1"])
async def test_only_ids_made_of_digits_are_asked_for(other: str) -> None:
    launch27, session = connect(World())
    with pytest.raises(ValueError, match="digits"):
        await launch27.booking(session, other)


async def test_a_listing_asks_for_the_window_oldest_first() -> None:
    world = World(numbered(1))
    await read(world, 1)
    days = {"from": "2026-11-19", "to": "2027-01-19"}
    assert dict(world.asked[1].url.params) == {**days, "limit": "100", "sort": "asc", "offset": "0"}


async def test_staff_listings_leave_forecasts_out() -> None:
    world = World(numbered(1))
    assert await read(world, 1, role="staff") == ["1"]
    assert world.asked[1].url.params["options"] == "exclude_forecasted"


COUNTS, SIZES = st.integers(0, 70), st.integers(1, 12)


@settings(deadline=None, max_examples=60)
@given(count=COUNTS, cap=SIZES, page_size=SIZES)
def test_a_quiet_listing_costs_its_pages_and_one_more(count: int, cap: int, page_size: int) -> None:
    world = World(numbered(count), cap=cap)
    found = asyncio.run(read(world, count, page_size=page_size))
    assert sorted(found, key=int) == ids(count)
    assert len(world.pages) == math.ceil(count / min(cap, page_size)) + 1


@settings(deadline=None, max_examples=60)
@given(count=COUNTS, cap=SIZES, page_size=SIZES, expected=st.none() | st.integers(0, 140))
def test_everything_is_found_whatever_was_expected(count: int, cap: int, page_size: int, expected: int | None) -> None:
    world = World(numbered(count), cap=cap)
    assert set(asyncio.run(read(world, expected, page_size=page_size))) == set(ids(count))
    assert expected is not None or len([offset for offset in world.pages if offset > count]) <= 5


@settings(deadline=None, max_examples=60)
@given(data=st.data(), count=st.integers(1, 40), expected=st.none() | st.integers(0, 60))
def test_short_pages_leave_no_gaps(data: st.DataObject, count: int, expected: int | None) -> None:
    world = World(numbered(count), cap=5)

    def short(request: httpx.Request) -> httpx.Response | None:
        if "offset" not in request.url.params or not world.good:
            return None
        offset = int(request.url.params["offset"])
        size = data.draw(st.integers(1, 5))
        return httpx.Response(200, json=world.bookings[offset : offset + size])

    world.special = short
    assert set(asyncio.run(read(world, expected, page_size=5))) == set(ids(count))
    assert count in world.pages


async def test_several_pages_are_read_side_by_side() -> None:
    world = World(numbered(60), cap=10)
    at_once = 0
    flying = 0

    async def slow(request: httpx.Request) -> httpx.Response:
        nonlocal at_once, flying
        flying += 1
        at_once = max(at_once, flying)
        for _ in range(20):
            await asyncio.sleep(0)
        flying -= 1
        return await world(request)

    assert len(await read(world, 60, send=slow)) == 60
    assert at_once == 5


async def test_a_listing_that_shrinks_while_it_is_read_goes_on_behind_the_gap() -> None:
    world = World(numbered(30), cap=10)

    def shrunk(request: httpx.Request) -> httpx.Response | None:
        offset = request.url.params.get("offset")
        if offset == "10":
            return httpx.Response(200, json=world.bookings[10:15])
        return httpx.Response(200, json=[]) if offset == "15" else None

    world.special = shrunk
    assert set(await read(world, 30)) == set(ids(30)) - {str(number) for number in range(16, 21)}


async def test_a_listing_that_has_grown_a_lot_is_read_side_by_side_again() -> None:
    world = World(numbered(100), cap=10)
    assert len(await read(world, 0)) == 100
    assert len(world.pages) <= 100 / 10 + 1 + 5


async def test_unreadable_bookings_are_handed_on() -> None:
    world = World([booking(1), {"id": None}, 7])
    assert sorted(await read(world)) == ["", "", "1"]


@pytest.mark.parametrize("expected", [None, 10, 10_000])
@pytest.mark.parametrize("content", [numbered(10), [{}] * 10, [*numbered(9), {}]])
async def test_a_server_that_ignores_offset_is_found_out(content: list[Any], expected: int | None) -> None:
    world = World(content, cap=10, ignores_offset=True)
    with pytest.raises(Unavailable, match="the listing never ends"):
        await read(world, expected)
    assert len(world.pages) <= 20


async def test_a_listing_without_end_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.launch27.listing.MOST_PAGES", 50)
    world = World()

    def endless(request: httpx.Request) -> httpx.Response | None:
        offset = request.url.params.get("offset")
        return None if offset is None else httpx.Response(200, json=[booking(int(offset) + 1)])

    world.special = endless
    with pytest.raises(Unavailable, match="the listing never ends"):
        await read(world)
    assert len(world.pages) <= 50


async def test_a_page_that_fails_ends_the_listing_and_the_other_pages() -> None:
    world = World(numbered(60), cap=10)
    world.special = lambda request: HTML if request.url.params.get("offset") == "30" else None
    launch27, session = connect(world)
    with pytest.raises(Unavailable):
        async for _ in launch27.listing(session, FIRST, LAST, expected=60):
            pass
    assert len(asyncio.all_tasks()) == 1


async def test_a_consumer_that_stops_early_leaves_nothing_behind() -> None:
    launch27, session = connect(World(numbered(60), cap=10))
    async with aclosing(launch27.listing(session, FIRST, LAST, expected=60)) as pages:
        async for _ in pages:
            break
        await anext(pages)
    assert len(asyncio.all_tasks()) == 1


async def test_a_role_that_may_not_list_is_a_refusal() -> None:
    world = World(special=always(httpx.Response(403, json={})))
    with refused('account 1 may not read /staff/bookings: launch27.role is "staff"'):
        await read(world, role="staff")


NOT_PROMISED = [httpx.Response(status, html="<html>") for status in (200, 403, 404)]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        *((answer, "not what the API promises") for answer in (*NOT_PROMISED, httpx.Response(200, json={}))),
        (httpx.Response(404, json={}), "answered 404 to /customer/bookings; is launch27.base_url right"),
        (httpx.Response(422, json={}), "answered 422"),
    ],
)
async def test_a_listing_that_is_none_is_unavailable(answer: httpx.Response, words: str) -> None:
    with pytest.raises(Unavailable, match=words):
        await read(World(special=always(answer)))


async def test_against_the_simulated_service() -> None:
    simulated = SimulatedLaunch27(max_page=20, rates=True)
    simulated.add_account(ADDRESS, PASSWORD, kind="staff")
    simulated.add_service(1, "Court 1")
    for day in range(45):
        simulated.add_booking(
            service_date=f"2026-12-{day % 28 + 1:02}T10:00:00Z", services=[1], minutes=60, email=ADDRESS
        )
    async with Sandbox(launch27=simulated) as sandbox:
        config = Launch27Config(base_url=sandbox.launch27.url, accounts=(ACCOUNT,), role="staff")
        launch27, session = Launch27(config), Session(ACCOUNT)
        simulated.faults.add("lose", match=lambda _method, path: path.endswith("/bookings"))
        found = [
            each.id async for page in launch27.listing(session, FIRST, LAST, expected=45) for each in page.bookings
        ]
        simulated.expire_tokens()
        one = await launch27.booking(session, found[0])
        gone = await launch27.booking(session, "999999")
        assert (await launch27.settings()).timezone == "Europe/Berlin"
        await launch27.http.aclose()

    assert len(set(found)) == 45
    assert isinstance(one, SourceBooking)
    assert one.id == found[0]
    assert gone is Absent.CERTAIN
    assert all(entry.status != 429 for entry in simulated.log)
