"""Launch27's accounts: who may log in, and what a wrong password costs."""

from __future__ import annotations

import base64
import json

import httpx
import pytest

from bridge.sandbox import Launch27
from tests.sandbox.conftest import CUSTOMER, NOON, PASSWORD, Caller, Clock


async def log_in(http: httpx.AsyncClient, **body: object) -> int:
    return (await http.post("/login", json={"email": CUSTOMER, "password": PASSWORD} | body)).status_code


async def test_a_login_answers_whose_it_is_and_a_bearer_that_carries_its_end(
    http: httpx.AsyncClient, launch27: Launch27
) -> None:
    launch27.add_account("new@example.com", "pw", token_lifetime_seconds=60)
    answer = await http.post("/login", json={"email": "new@example.com", "password": "pw"})
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"id", "email", "type", "first_name", "last_name", "bearer"}
    assert (body["id"], body["email"], body["type"]) == (504, "new@example.com", "Tenant::Customer")
    claims = json.loads(base64.urlsafe_b64decode(body["bearer"].split(".")[1] + "=="))
    assert claims["exp"] == NOON + 60


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


@pytest.mark.parametrize(("attempts", "seconds"), [(4, 0), (5, 16)], ids=["four", "five in more than a minute"])
async def test_a_good_login_forgives_the_wrong_ones(
    http: httpx.AsyncClient, clock: Clock, attempts: int, seconds: int
) -> None:
    for _ in range(2):
        for _ in range(attempts):
            assert await log_in(http, password="wrong") == 401
            clock.now += seconds
        assert await log_in(http) == 200
    assert await log_in(http, email="nobody@example.com") == 401


@pytest.mark.parametrize(
    "body",
    [b"no json", b"[]", b"{}", b'{"email":"a@b.co"}', b'{"email":"","password":""}']
    + [b'{"email":"a@b.co","password":"x","token":%s}' % token for token in (b'"12345"', b"123456")],
)
async def test_a_login_that_breaks_its_schema_is_422(http: httpx.AsyncClient, body: bytes) -> None:
    assert (await http.post("/login", content=body)).status_code == 422


async def test_without_a_bearer_or_with_a_wrong_one_it_is_401(http: httpx.AsyncClient, customer: Caller) -> None:
    for headers in ({}, {"Authorization": "Bearer x.y.z"}, {"Authorization": f"Basic {customer.bearer}"}):
        for path in ("/customer/bookings", "/customer/bookings/1", "/staff/bookings", "/booking/services"):
            assert (await http.get(path, headers=headers)).status_code == 401


async def test_a_bearer_dies_at_its_end(http: httpx.AsyncClient, launch27: Launch27, clock: Clock) -> None:
    launch27.add_account(CUSTOMER, PASSWORD, token_lifetime_seconds=60)
    customer = await Caller.log_in(http, launch27)
    clock.now += 59
    assert (await customer.get("/customer/bookings")).status_code == 200
    clock.now += 1
    assert (await customer.get("/customer/bookings")).status_code == 401


async def test_no_password_is_in_the_log_or_in_an_accounts_repr(http: httpx.AsyncClient, launch27: Launch27) -> None:
    account = launch27.add_account(CUSTOMER, PASSWORD)
    await log_in(http)
    assert PASSWORD not in repr(account)
    assert launch27.log[-1].body is None
    assert launch27.log[-1] == ("POST", "/latest/login", None, 200, None, None)


async def test_two_factors_want_a_one_time_token_and_a_copied_bearer_needs_none(
    http: httpx.AsyncClient, launch27: Launch27
) -> None:
    launch27.add_account(CUSTOMER, PASSWORD, two_factor=True)
    assert [await log_in(http), await log_in(http, token="123456"), await log_in(http, password="x")] == [403, 200, 401]
    caller = Caller(http, launch27, launch27.new_token(CUSTOMER))
    assert (await caller.get("/customer/bookings")).status_code == 200


async def test_an_admin_reads_what_staff_read(http: httpx.AsyncClient, launch27: Launch27) -> None:
    launch27.add_account("admin@example.com", PASSWORD, kind="admin")
    answer = await http.post("/login", json={"email": "admin@example.com", "password": PASSWORD})
    assert answer.json()["type"] == "Tenant::Admin"
    caller = Caller(http, launch27, answer.json()["bearer"])
    paths = ("/staff/bookings", "/customer/bookings")
    assert [(await caller.get(path)).status_code for path in paths] == [200, 403]
