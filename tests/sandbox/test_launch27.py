from __future__ import annotations

import asyncio
import base64
import copy
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

from bridge.sandbox import Fault, Launch27, Sandbox, Wingfield, generate
from bridge.sandbox import __main__ as command

CLUB, DESK, OTHER = "club@example.com", "desk@example.com", "other@example.com"
PASSWORD = "correct horse"
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # unused, and quicker than loading the certificates
NOON = 1_763_640_000.0  # 2025-11-20T12:00:00Z


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(clock: Clock) -> Launch27:
    world = Launch27(clock=clock)
    world.add_account(CLUB, PASSWORD)
    world.add_account(OTHER, PASSWORD)
    world.add_account(DESK, PASSWORD, kind="staff")
    return world


@pytest.fixture
async def sandbox(world: Launch27) -> AsyncIterator[Sandbox]:
    async with Sandbox(world) as sandbox:
        yield sandbox


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=sandbox.launch27.url, verify=TLS, trust_env=False) as http:
        yield http


@pytest.fixture
async def club(http: httpx.AsyncClient) -> Caller:
    return await Caller.log_in(http, CLUB)


@pytest.fixture
async def desk(http: httpx.AsyncClient) -> Caller:
    return await Caller.log_in(http, DESK)


class Caller:
    def __init__(self, http: httpx.AsyncClient, bearer: str) -> None:
        self.http = http
        self.bearer = bearer

    @classmethod
    async def log_in(cls, http: httpx.AsyncClient, email: str) -> Caller:
        answer = await http.post("/login", json={"email": email, "password": PASSWORD})
        return cls(http, answer.json()["bearer"])

    async def get(self, path: str, **query: str | int) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.bearer}"}
        return await self.http.get(path, params=query, headers=headers)

    async def ids(self, path: str = "/customer/bookings", **query: str | int) -> list[int]:
        answer = await self.get(path, **query)
        assert answer.status_code == 200
        return [booking["id"] for booking in answer.json()]


def claims(bearer: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(bearer.split(".")[1] + "=="))


# --- login -------------------------------------------------------------------------------------------


async def log_in(http: httpx.AsyncClient, **body: object) -> int:
    return (await http.post("/login", json={"email": CLUB, "password": PASSWORD} | body)).status_code


async def test_a_login_answers_who_it_is_and_a_bearer_that_carries_its_end(
    http: httpx.AsyncClient, world: Launch27
) -> None:
    world.add_account("new@example.com", "pw", customer_id=77, token_lifetime_seconds=60)
    answer = await http.post("/login", json={"email": "new@example.com", "password": "pw"})
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"id", "email", "type", "first_name", "last_name", "bearer"}
    assert (body["id"], body["email"], body["type"]) == (77, "new@example.com", "Tenant::Customer")
    assert claims(body["bearer"])["exp"] == NOON + 60


async def test_every_login_gives_another_bearer(http: httpx.AsyncClient) -> None:
    first, second = await Caller.log_in(http, CLUB), await Caller.log_in(http, CLUB)
    assert first.bearer != second.bearer
    assert (await first.get("/customer/bookings")).status_code == 200


async def test_a_wrong_password_is_401(http: httpx.AsyncClient) -> None:
    assert await log_in(http, password="wrong") == 401


async def test_an_unknown_account_is_401(http: httpx.AsyncClient) -> None:
    assert await log_in(http, email="nobody@example.com") == 401


async def test_five_wrong_attempts_within_a_minute_lock_the_account_for_five_minutes(
    http: httpx.AsyncClient, clock: Clock
) -> None:
    for _ in range(5):
        assert await log_in(http, password="wrong") == 401
        clock.now += 11
    assert await log_in(http) == 403
    clock.now += 300 - 12
    assert await log_in(http) == 403
    clock.now += 1
    assert await log_in(http) == 200


async def test_five_wrong_attempts_over_more_than_a_minute_lock_nothing(
    http: httpx.AsyncClient, clock: Clock
) -> None:
    for _ in range(5):
        assert await log_in(http, password="wrong") == 401
        clock.now += 16
    assert await log_in(http) == 200


async def test_a_good_login_forgives_the_wrong_ones(http: httpx.AsyncClient) -> None:
    for _ in range(2):
        for _ in range(4):
            assert await log_in(http, password="wrong") == 401
        assert await log_in(http) == 200


async def test_a_one_time_token_is_wanted_with_403_and_refused_with_401(
    http: httpx.AsyncClient, world: Launch27
) -> None:
    world.add_account(CLUB, PASSWORD, otp="123456")
    assert await log_in(http) == 403
    assert await log_in(http, token="654321") == 401
    assert await log_in(http, token="123456") == 200


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        b"[]",
        b"{}",
        b'{"email":"a@b.co"}',
        b'{"email":1,"password":"x"}',
        b'{"email":"","password":""}',
        b'{"email":"a@b.co","password":"x","token":"12345"}',
        b'{"email":"a@b.co","password":"x","token":123456}',
    ],
)
async def test_a_login_that_breaks_its_schema_is_422(http: httpx.AsyncClient, body: bytes) -> None:
    assert (await http.post("/login", content=body)).status_code == 422


async def test_without_a_bearer_or_with_a_wrong_one_it_is_401(http: httpx.AsyncClient, club: Caller) -> None:
    for headers in ({}, {"Authorization": "Bearer x.y.z"}, {"Authorization": f"Basic {club.bearer}"}):
        for path in ("/customer/bookings", "/customer/bookings/1", "/staff/bookings", "/booking/services"):
            assert (await http.get(path, headers=headers)).status_code == 401


async def test_a_bearer_dies_at_its_end(http: httpx.AsyncClient, world: Launch27, clock: Clock) -> None:
    world.add_account(CLUB, PASSWORD, token_lifetime_seconds=60)
    club = await Caller.log_in(http, CLUB)
    clock.now += 59
    assert (await club.get("/customer/bookings")).status_code == 200
    clock.now += 1
    assert (await club.get("/customer/bookings")).status_code == 401


async def test_tokens_can_die_early(world: Launch27, club: Caller, http: httpx.AsyncClient) -> None:
    world.expire_tokens()
    assert (await club.get("/customer/bookings")).status_code == 401
    assert await log_in(http) == 200


async def test_no_password_is_in_the_log_or_in_an_accounts_repr(
    http: httpx.AsyncClient, world: Launch27
) -> None:
    account = world.add_account(CLUB, PASSWORD)
    await log_in(http)
    assert PASSWORD not in repr(account)
    assert world.log[-1].body is None
    assert world.log[-1] == ("POST", "/latest/login", None, 200, None, None)


# --- rate limit --------------------------------------------------------------------------------------


async def test_every_answer_says_the_limits_and_beyond_them_it_is_429(
    http: httpx.AsyncClient, world: Launch27, clock: Clock
) -> None:
    world.rates = True
    answers = [await http.get("/settings") for _ in range(31)]
    assert [answer.status_code for answer in answers] == [200] * 30 + [429]
    for answer in (*answers, await http.get("/nowhere"), await http.post("/login")):
        assert answer.headers["x-rate-limit-read-limit"] == "30"
        assert answer.headers["x-rate-limit-read-ttl"] == "500"
        assert answer.headers["x-rate-limit-write-limit"] == "10"
        assert answer.headers["x-rate-limit-write-ttl"] == "1000"
    clock.now += 0.5
    assert (await http.get("/settings")).status_code == 200
    assert (await http.get("/settings")).status_code == 429


async def test_reads_and_writes_have_buckets_of_their_own(http: httpx.AsyncClient, world: Launch27) -> None:
    world.rates, world.writes.limit = True, 1
    assert await log_in(http) == 200
    assert await log_in(http) == 429
    assert (await http.get("/settings")).status_code == 200


async def test_without_rates_no_answer_speaks_of_them(http: httpx.AsyncClient) -> None:
    answer = await http.get("/settings")
    assert not [name for name in answer.headers if name.startswith("x-rate-limit")]


# --- settings and catalogue --------------------------------------------------------------------------


async def test_settings_need_no_login_and_name_the_time_zone(http: httpx.AsyncClient) -> None:
    answer = await http.get("/settings")
    assert answer.status_code == 200
    assert answer.json() == {
        "name": "Acme",
        "timezone": "Europe/Berlin",
        "status": "active",
        "sandbox": True,
    }


async def test_settings_have_the_socket_for_those_logged_in(club: Caller) -> None:
    assert (await club.get("/settings")).json()["pubsub_url"].startswith("wss://")


async def test_the_catalogue_has_services_with_durations(club: Caller, world: Launch27) -> None:
    world.add_service(7, "Court 7", duration=90)
    services = (await club.get("/booking/services")).json()
    assert services == world.catalogue
    assert (services[0]["id"], services[0]["name"], services[0]["duration"]) == (7, "Court 7", 90)


async def test_both_roots_answer_alike(club: Caller, sandbox: Sandbox, world: Launch27) -> None:
    world.add_booking()
    root = sandbox.launch27.url.removesuffix("/latest")
    assert await club.ids(f"{root}/v1/customer/bookings") == await club.ids() == [1001]


async def test_an_unknown_path_or_method_is_404_in_json(http: httpx.AsyncClient) -> None:
    for answer in (await http.get("/nowhere"), await http.delete("/settings")):
        assert answer.status_code == 404
        assert answer.json()["message"]


# --- listings ----------------------------------------------------------------------------------------


async def test_a_booking_has_its_documented_shape(club: Caller, world: Launch27) -> None:
    world.add_service(1, "Centre Court")
    world.add_booking(service_date="2025-11-21T14:30:00Z", minutes=90)
    (booking,) = (await club.get("/customer/bookings")).json()
    digest = booking.pop("digest")
    assert isinstance(digest, str)
    assert booking == {
        "id": 1001,
        "service_date": "2025-11-21T14:30:00Z",
        "arrival_window": 0,
        "active": True,
        "completed": False,
        "location": {"id": 1, "name": "Sandbox"},
        "name": "Club",
        "email": CLUB,
        "phone": "+49 30 000000",
        "frequency": {"id": 1, "interval": "o", "name": "One Time"},
        "customer_notes": None,
        "services": [
            {
                "id": 1,
                "name": "Centre Court",
                "price": 20.0,
                "extras": None,
                "pricing_parameters": None,
                "hourly": {"quantity": 1, "minutes": 90},
            }
        ],
        "teams": [],
        "custom_fields": [],
        "actions": {"edit": True, "cancel": True},
    }


async def test_no_modification_time_unless_the_account_has_them(
    club: Caller, world: Launch27, clock: Clock
) -> None:
    world.add_booking()
    world.modification_times = True
    second, third = world.add_booking(), world.add_booking(updated_at="2025-01-01T00:00:00Z")
    clock.now += 1.5
    world.edit(second, name="Somebody")
    assert "updated_at" not in world.bookings[1001]
    assert world.bookings[second]["created_at"] == "2025-11-20T12:00:00Z"
    assert world.bookings[second]["updated_at"] == "2025-11-20T12:00:01.500Z"
    assert world.bookings[third]["updated_at"] == "2025-01-01T00:00:00Z"
    assert len(await club.ids()) == 3


async def test_from_and_to_are_days_in_the_accounts_zone_and_both_included(
    club: Caller, world: Launch27
) -> None:
    early = world.add_booking(service_date="2025-11-20T22:59:59Z")  # 23:59:59 on the 20th in Berlin
    first = world.add_booking(service_date="2025-11-20T23:00:00Z")
    wall = world.add_booking(service_date="2025-11-21T23:59:00")
    last = world.add_booking(service_date="2025-11-22T23:59:00+01:00")
    late = world.add_booking(service_date="2025-11-22T23:00:00Z")
    window = {"from": "2025-11-21", "to": "2025-11-22"}
    assert await club.ids(**window, sort="asc") == [first, wall, last]
    assert await club.ids(**{"from": "2025-11-23"}) == [late]
    assert await club.ids(to="2025-11-20") == [early]
    assert await club.ids(**{"from": "2025-11-22", "to": "2025-11-21"}) == []


async def test_the_order_is_by_service_date_and_descending_unless_asked(
    club: Caller, world: Launch27
) -> None:
    middle = world.add_booking(service_date="2025-11-21T11:00:00")  # 10:00Z
    last = world.add_booking(service_date="2025-11-21T10:30:00Z")
    first = world.add_booking(service_date="2025-11-21T09:00:00Z")
    assert await club.ids() == [last, middle, first]
    assert await club.ids(sort="desc") == [last, middle, first]
    assert await club.ids(sort="asc") == [first, middle, last]


async def test_pages_have_limit_and_offset_and_end_empty(club: Caller, world: Launch27) -> None:
    ids = [world.add_booking(service_date=f"2025-11-21T{hour:02}:00:00Z") for hour in range(5)]
    pages = [await club.ids(sort="asc", limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert pages == [ids[:2], ids[2:4], ids[4:], []]


async def test_a_page_has_twenty_bookings_unless_told(club: Caller, world: Launch27) -> None:
    for _ in range(21):
        world.add_booking()
    assert len(await club.ids()) == 20


async def test_a_page_can_be_capped_below_what_is_asked_for(club: Caller, world: Launch27) -> None:
    for _ in range(9):
        world.add_booking()
    world.max_page = 7
    assert len(await club.ids(limit=100)) == 7
    assert len(await club.ids(limit=100, offset=7)) == 2
    assert len(await club.ids(limit=5)) == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "x"),
        ("offset", "-1"),
        ("from", "20251121"),
        ("to", "2025-13-01"),
        ("sort", "up"),
        ("from", "2025-W47-1"),
    ],
)
async def test_a_query_that_cannot_be_read_is_422(club: Caller, name: str, value: str) -> None:
    assert (await club.get("/customer/bookings", **{name: value})).status_code == 422


async def test_options_choose_completed_ones_and_neither_means_both(club: Caller, world: Launch27) -> None:
    done, open_ = world.add_booking(), world.add_booking()
    world.complete(done)
    assert await club.ids(options="completed") == [done]
    assert await club.ids(options="not_completed") == [open_]
    assert set(await club.ids()) == {done, open_}
    assert set(await club.ids(options="completed, not_completed")) == {done, open_}


async def test_query_looks_for_names_and_addresses(club: Caller, world: Launch27) -> None:
    found = world.add_booking(name="Ada Lovelace")
    world.add_booking(name=None)
    assert await club.ids(query="lovel") == [found]
    assert len(await club.ids(query="CLUB@")) == 2


async def test_a_customer_sees_only_their_own_bookings(
    club: Caller, http: httpx.AsyncClient, world: Launch27
) -> None:
    mine, theirs = world.add_booking(owner=CLUB), world.add_booking(owner=OTHER)
    other = await Caller.log_in(http, OTHER)
    assert await club.ids() == [mine]
    assert await other.ids() == [theirs]


async def test_a_booking_from_before_any_account_is_everybodys(clock: Clock) -> None:
    world = Launch27(clock=clock)
    number = world.add_booking()
    world.add_account(CLUB, PASSWORD)
    async with (
        Sandbox(world) as sandbox,
        httpx.AsyncClient(base_url=sandbox.launch27.url, verify=TLS, trust_env=False) as http,
    ):
        assert await (await Caller.log_in(http, CLUB)).ids() == [number]


async def test_the_other_role_is_403(club: Caller, desk: Caller) -> None:
    assert (await club.get("/staff/bookings")).status_code == 403
    assert (await club.get("/staff/bookings/1")).status_code == 403
    assert (await desk.get("/customer/bookings")).status_code == 403
    assert (await desk.get("/customer/bookings/count")).status_code == 403


async def test_the_count_counts_what_would_be_listed(club: Caller, world: Launch27) -> None:
    for hour in range(3):
        world.add_booking(service_date=f"2025-11-21T1{hour}:00:00Z")
    world.add_booking(service_date="2025-11-25T10:00:00Z")
    assert (await club.get("/customer/bookings/count")).json() == {"count": 4}
    assert (await club.get("/customer/bookings/count", to="2025-11-21", limit=1)).json() == {"count": 3}


async def test_a_cancelled_booking_is_not_listed_and_inactive_by_id_and_can_come_back(
    club: Caller, world: Launch27
) -> None:
    number = world.add_booking()
    world.cancel(number)
    assert await club.ids() == []
    answer = await club.get(f"/customer/bookings/{number}")
    assert (answer.status_code, answer.json()["active"]) == (200, False)
    world.restore(number)
    assert await club.ids() == [number]
    assert (await club.get(f"/customer/bookings/{number}")).json()["active"] is True


async def test_a_vanished_booking_is_nowhere_until_it_is_restored(club: Caller, world: Launch27) -> None:
    number = world.add_booking()
    world.vanish(number)
    assert await club.ids() == []
    assert (await club.get(f"/customer/bookings/{number}")).status_code == 404
    world.restore(number)
    assert await club.ids() == [number]


async def test_a_hidden_booking_is_there_by_id_alone(club: Caller, world: Launch27) -> None:
    number = world.add_booking()
    world.hide(number)
    assert await club.ids() == []
    assert (await club.get(f"/customer/bookings/{number}")).json()["active"] is True
    world.hide(number, hidden=False)
    assert await club.ids() == [number]


async def test_somebody_elses_booking_is_403_and_an_unknown_one_404(club: Caller, world: Launch27) -> None:
    number = world.add_booking()
    world.give(number, OTHER)
    assert await club.ids() == []
    assert (await club.get(f"/customer/bookings/{number}")).status_code == 403
    assert (await club.get("/customer/bookings/4711")).status_code == 404


async def test_staff_see_every_customers_bookings_with_user_and_status(desk: Caller, world: Launch27) -> None:
    world.add_booking(owner=CLUB, name="Ada Lovelace", service_date="2025-11-21T10:00:00Z")
    done = world.add_booking(owner=OTHER, service_date="2025-11-21T09:00:00Z")
    world.complete(done)
    first, second = (await desk.get("/staff/bookings")).json()
    assert first["user"] == {
        "id": 501,
        "email": CLUB,
        "first_name": "Ada",
        "last_name": "Lovelace",
        "name": "Ada Lovelace",
    }
    assert not {"email", "name", "phone"} & first.keys()
    assert (first["booking_status"], second["booking_status"]) == ("assigned", "completed")
    assert (await desk.get(f"/staff/bookings/{done}")).json() == second


async def test_staff_can_list_the_cancelled_ones_with_the_moment(
    desk: Caller, world: Launch27, clock: Clock
) -> None:
    kept, gone = world.add_booking(), world.add_booking()
    clock.now += 60
    world.cancel(gone)
    assert await desk.ids("/staff/bookings") == [kept]
    (booking,) = (await desk.get("/staff/bookings", filter="cancelled")).json()
    assert (booking["id"], booking["booking_status"]) == (gone, "cancelled")
    assert booking["cancellation"] == {"date": "2025-11-20T12:01:00Z"}


async def test_a_staff_view_of_a_malformed_booking_is_malformed_too(desk: Caller, world: Launch27) -> None:
    nameless, odd = world.add_booking(name=None), world.add_booking(user=None, active=False)
    del world.bookings[nameless]["email"]
    seen = {each["id"]: each for each in (await desk.get("/staff/bookings")).json()}
    assert seen[nameless]["user"] == {"id": 501, "first_name": "", "last_name": "", "name": None}
    by_id = (await desk.get(f"/staff/bookings/{odd}")).json()
    assert by_id["user"] is None
    assert "cancellation" not in by_id


async def test_forecasted_bookings_are_in_the_staff_listing_unless_excluded(
    desk: Caller, club: Caller, world: Launch27
) -> None:
    real = world.add_booking(service_date="2025-11-21T09:00:00Z")
    later = world.add_booking(service_date="2025-11-28T09:00:00Z", forecasted=True)
    assert await desk.ids("/staff/bookings") == [later, real]
    assert await desk.ids("/staff/bookings", options="exclude_forecasted") == [real]
    assert await club.ids() == [real]
    assert (await club.get(f"/customer/bookings/{later}")).status_code == 404
    world.make_real(later)
    assert await club.ids() == [later, real]


# --- editing the world -------------------------------------------------------------------------------


async def test_an_edit_is_seen_by_the_next_listing(club: Caller, world: Launch27) -> None:
    first = world.add_booking(service_date="2025-11-21T10:00:00Z")
    second = world.add_booking(service_date="2025-11-21T11:00:00Z")
    assert await club.ids() == [second, first]
    world.edit(first, service_date="2025-11-21T12:00:00Z", services=[2, 3])
    listed = (await club.get("/customer/bookings")).json()
    assert [each["id"] for each in listed] == [first, second]
    assert [service["id"] for service in listed[0]["services"]] == [2, 3]


async def test_raw_changes_at_any_depth_are_seen_by_the_next_listing(club: Caller, world: Launch27) -> None:
    number = world.add_booking(custom_fields=[{"code": "court", "value": "1"}])
    raw = world.bookings[number]

    async def listed() -> Any:
        (booking,) = (await club.get("/customer/bookings")).json()
        assert booking == raw
        return booking

    await listed()
    raw["services"][0]["id"] = 9
    assert (await listed())["services"][0]["id"] == 9
    raw["services"].append({"id": 10})
    await listed()
    raw["services"][1]["extras"] = [{"id": 1}]
    raw["services"][1]["extras"][0]["id"] = 2
    assert (await listed())["services"][1]["extras"] == [{"id": 2}]
    raw["services"][0] = {"id": 11}
    raw["services"][0]["id"] = 12
    assert (await listed())["services"][0]["id"] == 12
    raw["services"] += [{"id": 13}]
    assert (await listed())["services"][2] == {"id": 13}
    raw["custom_fields"].clear()
    raw |= {"teams": [{"id": 3}]}
    raw.update(location=None)
    assert (await listed())["teams"] == [{"id": 3}]


async def test_malformed_bookings_are_still_served(club: Caller, world: Launch27) -> None:
    numbers = [world.add_booking(service_date=f"2025-11-21T1{n}:00:00Z") for n in range(4)]
    del world.bookings[numbers[0]]["id"]
    world.bookings[numbers[1]]["services"] = None
    world.bookings[numbers[2]]["service_date"] = "rubbish"
    world.bookings[numbers[3]] = "no booking at all"
    window = {"from": "2025-11-21", "to": "2025-11-21"}
    listed = (await club.get("/customer/bookings", **window, sort="asc")).json()
    assert "id" not in listed[0]
    assert listed[1]["services"] is None
    assert listed[2]["service_date"] == "rubbish"
    assert listed[3] == "no booking at all"
    assert await club.ids(**{"from": "2025-11-22"}) == []


async def test_a_booking_whose_date_never_could_be_read_is_in_every_window(
    club: Caller, world: Launch27
) -> None:
    number = world.add_booking(service_date=None)
    assert await club.ids(**{"from": "2030-01-01", "to": "2030-01-01"}) == [number]


async def test_raw_bookings_can_be_put_in_taken_out_and_copied(club: Caller, world: Launch27) -> None:
    number = world.add_booking()
    twin = copy.deepcopy(world.bookings[number])
    services = copy.deepcopy(world.bookings[number]["services"])
    assert type(twin) is dict
    assert type(services) is list
    twin["id"] = 5
    world.bookings[5] = twin
    world.bookings.pop(number)
    assert await club.ids() == [5]
    assert list(world.bookings) == [5]
    assert 5 in world.bookings


def test_ids_are_counted_up_from_the_highest_and_may_be_chosen(world: Launch27) -> None:
    assert [world.add_booking(), world.add_booking(id=2000), world.add_booking()] == [1001, 2000, 2001]


def test_datetimes_are_written_as_the_service_writes_them(world: Launch27) -> None:
    berlin = datetime(2025, 11, 21, 10, tzinfo=timezone(timedelta(hours=1)))
    assert world.bookings[world.add_booking(service_date=berlin)]["service_date"] == "2025-11-21T09:00:00Z"
    wall = datetime(2025, 11, 21, 10)  # noqa: DTZ001 - wall time has no zone
    assert world.bookings[world.add_booking(service_date=wall)]["service_date"] == "2025-11-21T10:00:00"


def test_services_are_taken_as_given(world: Launch27) -> None:
    assert world.bookings[world.add_booking(services=None)]["services"] is None
    assert world.bookings[world.add_booking(services=[{"id": 3}])]["services"] == [{"id": 3}]


def test_a_world_that_is_not_listening_has_no_url(world: Launch27) -> None:
    with pytest.raises(RuntimeError, match="Launch27 is not listening"):
        _ = world.url


# --- faults on a listing -----------------------------------------------------------------------------


async def test_a_truncated_listing_loses_its_tail_or_ends_early(club: Caller, world: Launch27) -> None:
    for _ in range(4):
        world.add_booking()
    world.faults.add("truncate_listing")
    assert len(await club.ids()) == 2
    world.faults.add("truncate_listing", keep=0)
    assert await club.ids() == []
    world.faults.add("truncate_listing")
    assert (await club.get("/customer/bookings/1001")).json()["id"] == 1001
    assert len(await club.ids()) == 4


async def test_a_listing_shifts_between_two_pages_and_skips_one(club: Caller, world: Launch27) -> None:
    ids = [world.add_booking(service_date=f"2025-11-21T{hour:02}:00:00Z") for hour in range(6)]
    fault = world.faults.add("shift")
    pages = [await club.ids(sort="asc", limit=2, offset=offset) for offset in (0, 2, 4)]
    assert pages == [ids[:2], ids[3:5], ids[5:]]
    assert world.bookings[ids[0]]["active"] is False
    assert fault.spent


async def test_a_shift_may_be_anything(club: Caller, world: Launch27) -> None:
    numbers = [world.add_booking(), world.add_booking()]
    world.faults.add("shift", act=lambda: world.vanish(numbers[0]))
    await club.ids(offset=1)
    assert list(world.bookings) == numbers[1:]


async def test_an_empty_listing_has_nothing_to_shift(club: Caller, world: Launch27) -> None:
    world.faults.add("shift")
    assert await club.ids(offset=1) == []


async def test_a_list_comes_as_an_object_and_an_object_as_a_list(club: Caller, world: Launch27) -> None:
    number = world.add_booking()
    world.faults.add("wrong_shape", times=2)
    assert list((await club.get("/customer/bookings")).json()) == ["items"]
    assert (await club.get(f"/customer/bookings/{number}")).json()[0]["id"] == number


async def test_an_injected_status_has_the_services_own_body(club: Caller, world: Launch27) -> None:
    world.faults.add("status", status=429, retry_after=2)
    answer = await club.get("/customer/bookings")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert answer.json() == {"message": "status 429"}


# --- generated worlds --------------------------------------------------------------------------------


async def test_generated_bookings_never_overlap_and_stay_in_their_days(world: Launch27) -> None:
    ids = generate(world, bookings=96, courts=2, start=date(2025, 10, 25), days=2)
    taken = {
        (each["services"][0]["id"], each["service_date"]) for each in map(world.bookings.get, ids) if each
    }
    assert len(taken) == len(ids) == 96
    assert {service for service, _ in taken} == {1, 2} == {entry["id"] for entry in world.catalogue}
    assert min(start for _, start in taken) == "2025-10-24T22:00:00Z"
    assert max(start for _, start in taken) == "2025-10-26T21:00:00Z"


async def test_generated_worlds_are_the_same_every_time(clock: Clock) -> None:
    first, second = Launch27(clock=clock), Launch27(clock=clock)
    for world in (first, second):
        generate(world, bookings=10, courts=3, start=date(2025, 11, 21), days=2, services_by_court={3: 7})
    assert dict(first.bookings) == dict(second.bookings)
    assert [entry["id"] for entry in first.catalogue] == [1, 2, 7]
    generate(first, bookings=1, courts=1, start=date(2025, 12, 21), days=1)
    assert len(first.catalogue) == 3


def test_more_bookings_than_hours_are_refused(world: Launch27) -> None:
    with pytest.raises(ValueError, match="25 bookings do not fit on 1 courts in 1 days"):
        generate(world, bookings=25, courts=1, start=date(2025, 11, 21), days=1)


# --- the servers -------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_busy_port_is_an_oserror_and_leaves_nothing_behind() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        sandbox = Sandbox(wingfield_port=holder.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            async with sandbox:
                pass
    with pytest.raises(RuntimeError, match="not listening"):
        _ = sandbox.launch27.url


async def test_the_ports_can_be_chosen() -> None:
    port = free_port()
    async with Sandbox(launch27_port=port) as sandbox:
        assert sandbox.launch27.url == f"http://127.0.0.1:{port}/latest"


async def test_stopping_ends_open_connections_and_hanging_requests(world: Launch27) -> None:
    async with httpx.AsyncClient(verify=TLS, trust_env=False) as http:
        async with Sandbox(world) as sandbox:
            url = sandbox.launch27.url
            await http.get(f"{url}/settings")
            fault = world.faults.add("hang")
            hanging = asyncio.create_task(http.get(f"{url}/settings"))
            await fault.struck.reached()
        with pytest.raises(httpx.RemoteProtocolError):
            await hanging
        with pytest.raises(httpx.ConnectError):
            await http.get(f"{url}/settings")


def test_a_sandbox_in_a_thread_is_edited_from_outside(world: Launch27) -> None:
    with Sandbox.in_thread(world) as sandbox, httpx.Client(verify=TLS, trust_env=False) as http:
        assert http.get(f"{sandbox.launch27.url}/settings").json()["name"] == "Acme"
        world.settings["name"] = "Other"
        assert http.get(f"{sandbox.launch27.url}/settings").json()["name"] == "Other"
    assert not [each for each in threading.enumerate() if each.name.startswith("sandbox")]


def test_a_fault_in_a_thread_is_awaited_and_released_from_outside(world: Launch27) -> None:
    with Sandbox.in_thread(world) as sandbox, httpx.Client(verify=TLS, trust_env=False) as http:
        fault = world.faults.add("hang")
        answers: list[int] = []
        url = f"{sandbox.launch27.url}/settings"
        caller = threading.Thread(target=lambda: answers.append(http.get(url).status_code))
        caller.start()
        assert fault.struck.wait(10)
        fault.release()
        caller.join(10)
        assert answers == [200]


def test_a_busy_port_is_an_oserror_in_a_thread_too() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        with pytest.raises(OSError, match="in use"), Sandbox.in_thread(launch27_port=holder.getsockname()[1]):
            pass


async def test_garbage_on_the_socket_is_400_and_silent(
    sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    port = int(sandbox.launch27.url.split(":")[2].split("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"this is no HTTP\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 400")
    writer.close()
    await writer.wait_closed()
    assert capfd.readouterr() == ("", "")


async def test_a_client_that_leaves_in_the_middle_of_its_body_changes_nothing(
    sandbox: Sandbox, http: httpx.AsyncClient, world: Launch27
) -> None:
    port = int(sandbox.launch27.url.split(":")[2].split("/")[0])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /latest/login HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await http.get("/settings")
    assert [entry.path for entry in world.log] == ["/latest/settings"]


async def test_every_answer_can_be_delayed(club: Caller, world: Launch27) -> None:
    world.delay_seconds = 0.02
    loop = asyncio.get_running_loop()
    before = loop.time()
    await club.ids()
    assert loop.time() - before >= 0.02


# --- the process -------------------------------------------------------------------------------------


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bridge.sandbox", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_process_introduces_itself_serves_and_counts_until_sigterm() -> None:
    with start("--bookings", "3", "--courts", "2", "--delay-ms", "1", "--rates") as process:
        assert process.stdout is not None
        hello = json.loads(process.stdout.readline())
        with httpx.Client(verify=TLS, trust_env=False, base_url=hello["launch27_url"]) as http:
            login = {"email": hello["email"], "password": hello["password"]}
            answer = http.post("/login", json=login)
            assert answer.headers["x-rate-limit-read-limit"] == "30"
            headers = {"Authorization": f"Bearer {answer.json()['bearer']}"}
            assert len(http.get("/customer/bookings", headers=headers).json()) == 3
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, "")
        bye = json.loads(out)
        assert (bye["requests"], bye["launch27_requests"], bye["wingfield_requests"]) == (2, 2, 0)
        assert bye["cpu_seconds"] > 0
    assert len(hello["courts"]) == 2
    assert hello["services"] == [1, 2]


def test_a_process_stops_when_its_standard_input_ends() -> None:
    with start() as process:
        assert process.stdout is not None
        process.stdout.readline()
        out, _ = process.communicate(timeout=20)  # closes the pipe
        assert json.loads(out)["requests"] == 0
        assert process.returncode == 0


def test_a_process_stops_by_itself_after_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--max-seconds", "0", "--bookings", "2", "--start", "2025-11-21"]) == 0
    hello, bye = map(json.loads, capsys.readouterr().out.splitlines())
    assert hello["wingfield_url"].startswith("http://127.0.0.1:")
    assert bye["requests"] == 0


def test_a_process_says_why_it_cannot_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--bookings", "100", "--courts", "1", "--days", "1"]) == 1
    assert capsys.readouterr().err == "sandbox: 100 bookings do not fit on 1 courts in 1 days\n"


async def test_only_the_end_of_a_pipe_stops() -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    reading, writing = os.pipe()
    command._watch_input(loop, stop, reading)
    os.write(writing, b"still here")
    await asyncio.sleep(0)
    assert not stop.is_set()
    os.close(writing)
    await stop.wait()
    os.close(reading)
    stop = asyncio.Event()
    command._watch_input(loop, stop, reading)  # closed: nothing to watch
    with open(os.devnull) as nothing:  # noqa: ASYNC230, PTH123 - the null device does not block
        command._watch_input(loop, stop, nothing.fileno())
    assert not stop.is_set()


async def test_the_end_of_the_parent_stops() -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    command._watch_parent(loop, stop, os.getppid())
    assert not stop.is_set()
    command._watch_parent(loop, stop, -1)
    assert stop.is_set()


def test_fault_kinds_are_checked() -> None:
    with pytest.raises(ValueError, match="'explode' is no kind of fault; there are: garbage, half, "):
        Fault("explode")


def test_the_default_worlds_need_nothing() -> None:
    sandbox = Sandbox()
    assert isinstance(sandbox.wingfield, Wingfield)
    assert datetime.fromtimestamp(sandbox.launch27.clock(), UTC).year >= 2025
