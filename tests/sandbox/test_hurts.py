"""The faults that hurt a club: what each does to an answer, and whose requests it strikes."""

from __future__ import annotations

import time
import zlib
from email.utils import parsedate_to_datetime

import httpx
import pytest

from bridge.sandbox import Launch27, Sandbox, later, packed
from tests.sandbox.conftest import PASSWORD, Caller, Partner


async def test_an_answer_can_be_anything_and_is_not_applied(partner: Partner) -> None:
    partner.world.faults.add("answer", status=404, body=b"no Route matched", headers={"Content-Type": "text/plain"})
    answer = await partner.put("1")
    assert (answer.status_code, answer.text) == (404, "no Route matched")
    assert partner.world.bookings == {}


async def test_an_answer_can_be_anything_though_it_was_applied(partner: Partner) -> None:
    partner.world.faults.add("answer", status=400, applied=True)
    assert (await partner.put("1")).status_code == 400
    assert list(partner.world.bookings) == ["1"]


async def test_headers_take_the_place_of_the_answers_own(customer: Caller) -> None:
    customer.world.faults.add("headers", headers={"Date": "yesterday", "x-rate-limit-read-ttl": "NaN"})
    answer = await customer.get("/settings")
    assert answer.headers.get_list("date") == ["yesterday"]
    assert answer.headers["x-rate-limit-read-ttl"] == "NaN"


async def test_an_answer_can_be_changed(customer: Caller) -> None:
    customer.world.faults.add("change", change=lambda settings: {**settings, "timezone": "America/New_York"})
    zones = [(await customer.get("/settings")).json()["timezone"] for _ in range(2)]
    assert zones == ["America/New_York", customer.world.timezone]


async def test_everything_can_be_an_hour_later_once(customer: Caller) -> None:
    customer.world.add_booking(service_date="2026-11-20T23:30:00Z")
    customer.world.add_booking(service_date="2026-11-21T09:00:00")
    customer.world.faults.add("change", change=later(hours=1))
    dates = [{each["service_date"] for each in (await customer.get("/customer/bookings")).json()} for _ in range(2)]
    assert dates[0] == {"2026-11-21T00:30:00Z", "2026-11-21T10:00:00"}
    assert dates[1] == {"2026-11-20T23:30:00Z", "2026-11-21T09:00:00"}


@pytest.mark.parametrize("age", [None, 90])
async def test_a_service_may_have_a_clock_of_its_own(customer: Caller, age: int | None) -> None:
    customer.world.date_skew_seconds, customer.world.age_seconds = 86_400.0, age
    answer = await customer.get("/settings")
    ahead = (
        parsedate_to_datetime(answer.headers["date"]).timestamp() + float(answer.headers.get("age", 0)) - time.time()
    )
    assert abs(ahead - 86_400) < 5
    assert answer.headers.get("age") == (None if age is None else "90")


async def test_a_fault_may_strike_one_account_only(http: httpx.AsyncClient, launch27: Launch27) -> None:
    launch27.add_account("Second@example.com", PASSWORD)
    launch27.faults.add("status", times=None, status=500, part="second@example.com")
    login = {"email": "second@example.com", "password": PASSWORD}
    assert (await http.post(f"{launch27.url}/login", json=login)).status_code == 500
    launch27.faults.clear()
    caller = await Caller.log_in(http, launch27, "second@example.com")
    launch27.add_account("third@example.com", PASSWORD)
    launch27.faults.add("status", times=None, status=500, part="third@example.com")
    assert (await caller.get("/customer/bookings")).status_code == 200


async def test_a_fault_may_strike_one_court_only(sandbox: Sandbox, partner: Partner) -> None:
    one, two = sandbox.wingfield.courts
    await partner.put("1", courtId=one)
    await partner.put("2", courtId=two)
    partner.world.faults.add("status", times=None, status=500, part=one.upper())
    for id_, court, status in (("1", one, 500), ("2", two, 200)):
        assert (await partner.put(id_, courtId=court)).status_code == status
        assert (await partner.delete(id_, "2030-01-01T00:00:00Z")).status_code == status
    assert set(partner.world.bookings) == {"1"}


async def test_a_bomb_is_small_and_holds_much(partner: Partner) -> None:
    partner.world.faults.add("bomb", size_bytes=4 * 1024**2, encodings=("deflate",))
    assert len((await partner.get("/court-bookings")).content) == 4 * 1024**2


def test_what_is_packed_twice_is_smaller_still() -> None:
    once, twice = (b"".join(packed(64 * 1024**2, encodings)) for encodings in (("gzip",), ("gzip", "gzip")))
    assert len(twice) < 2000
    assert zlib.decompress(twice, 31) == once
