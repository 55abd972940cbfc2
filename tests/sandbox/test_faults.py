"""Faults: what each kind does to a request, and which requests it strikes."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from bridge.sandbox import Fault, Signal, Wingfield
from tests.sandbox.conftest import Caller, Partner, kind
from tests.sandbox.test_wingfield import OK, at, fill


def outcomes(world: Wingfield) -> list[tuple[int, str | None]]:
    return [(entry.status, entry.error_type) for entry in world.log]


def test_fault_kinds_are_checked() -> None:
    with pytest.raises(ValueError, match="'explode' is no kind of fault; there are: answer, bomb, change, "):
        Fault("explode")


@pytest.mark.parametrize(
    ("fault", "error", "outcome"),
    [
        ("refuse", httpx.ReadError, (0, "fault:refuse")),
        ("lose", httpx.RemoteProtocolError, (200, None)),
        ("half", httpx.RemoteProtocolError, (200, None)),
    ],
)
async def test_a_refused_connection_applies_nothing_and_a_lost_or_half_an_answer_does(
    partner: Partner, fault: str, error: type[Exception], outcome: tuple[int, str | None]
) -> None:
    partner.world.faults.add(fault)
    with pytest.raises(error):
        await partner.put("1")
    assert len(partner.world.bookings) == (outcome == OK)
    assert outcomes(partner.world) == [outcome]
    assert kind(await partner.put("1")) == OK


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, "internal_server_error"),
        (502, "internal_server_error"),
        (429, "rate_limit_exceeded"),
        (418, "invalid_schema"),
    ],
)
async def test_an_injected_status_is_not_applied(partner: Partner, status: int, error: str) -> None:
    partner.world.faults.add("status", status=status)
    assert kind(await partner.put("1")) == (status, error)
    assert partner.world.bookings == {}
    assert outcomes(partner.world) == [(status, "fault:status")]


async def test_an_injected_status_may_come_after_the_request_was_applied(partner: Partner) -> None:
    partner.world.faults.add("status", status=503, applied=True, retry_after="Fri, 21 Nov 2025 12:00:00 GMT")
    answer = await partner.put("1")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "Fri, 21 Nov 2025 12:00:00 GMT")
    assert list(partner.world.bookings) == ["1"]
    assert outcomes(partner.world) == [(200, None)]


async def test_an_injected_status_has_the_services_own_body(customer: Caller) -> None:
    customer.world.faults.add("status", status=429, retry_after=2)
    answer = await customer.get("/customer/bookings")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert answer.json() == {"message": "status 429"}


async def test_garbage_is_a_page_of_html_and_nothing_is_applied(partner: Partner) -> None:
    partner.world.faults.add("garbage")
    answer = await partner.put("1")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.text.startswith("<!doctype html>")
    assert partner.world.bookings == {}


async def test_a_redirect_goes_where_it_is_told(partner: Partner) -> None:
    partner.world.faults.add("redirect", location="http://elsewhere.invalid/")
    answer = await partner.put("1")
    assert (answer.status_code, answer.headers["location"]) == (302, "http://elsewhere.invalid/")
    assert partner.world.bookings == {}


async def test_a_list_comes_as_an_object_and_an_object_as_a_list(customer: Caller) -> None:
    number = customer.world.add_booking()
    customer.world.faults.add("wrong_shape", times=2)
    assert list((await customer.get("/customer/bookings")).json()) == ["items"]
    assert (await customer.get(f"/customer/bookings/{number}")).json()[0]["id"] == number


async def test_a_hanging_request_is_applied_and_answered_when_released(partner: Partner) -> None:
    fault = partner.world.faults.add("hang")
    writing = asyncio.create_task(partner.put("1"))
    await fault.struck.reached()
    assert partner.world.bookings == {}
    fault.release()
    assert kind(await writing) == OK
    assert outcomes(partner.world) == [(0, "fault:hang"), (200, None)]


async def test_a_hanging_request_whose_client_goes_is_never_applied(partner: Partner) -> None:
    fault = partner.world.faults.add("hang")
    writing = asyncio.create_task(partner.put("1"))
    await fault.struck.reached()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert kind(await partner.put("2")) == OK
    assert list(partner.world.bookings) == ["2"]


async def test_a_huge_body_is_streamed_and_may_be_left(partner: Partner) -> None:
    partner.world.faults.add("huge", times=2, size_bytes=200_000)
    whole = await partner.get("/court-bookings")
    assert len(whole.content) > 200_000
    assert whole.json()["totalCount"] == 0
    partner.world.faults.clear()
    partner.world.faults.add("huge", size_bytes=1 << 40)
    url = f"{partner.service}/court-bookings"
    async with partner.http.stream("GET", url, headers=partner.headers) as answer:
        assert "content-length" not in answer.headers
        async for chunk in answer.aiter_bytes():
            assert chunk.isspace()
            break
    assert kind(await partner.get("/court-bookings")) == OK


async def test_a_trickle_outlives_every_time_out_but_the_total(partner: Partner) -> None:
    partner.world.faults.add("trickle", interval_seconds=0.001)
    url = f"{partner.service}/court-bookings"
    async with partner.http.stream("GET", url, headers=partner.headers, timeout=5) as answer:
        seen = 0
        async for chunk in answer.aiter_bytes():
            assert chunk.isspace()
            seen += len(chunk)
            if seen > 3:
                break
    fault = partner.world.faults.add("trickle", interval_seconds=60)
    reading = asyncio.create_task(partner.get("/court-bookings"))
    await fault.struck.reached()
    fault.release()
    assert (await reading).json() == {"items": [], "totalCount": 0}


# --- on a listing ---


async def test_a_truncated_listing_loses_its_tail_or_ends_early(customer: Caller) -> None:
    for _ in range(4):
        customer.world.add_booking()
    customer.world.faults.add("truncate_listing")
    assert len(await customer.ids()) == 2
    customer.world.faults.add("truncate_listing", keep=0)
    assert await customer.ids() == []
    customer.world.faults.add("truncate_listing")
    assert (await customer.get("/customer/bookings/1001")).json()["id"] == 1001
    assert len(await customer.ids()) == 4


async def test_a_truncated_listing_keeps_its_total(partner: Partner) -> None:
    fill(partner.world, 4)
    partner.world.faults.add("truncate_listing", keep=1)
    answer = (await partner.get("/court-bookings")).json()
    assert (len(answer["items"]), answer["totalCount"]) == (1, 4)


async def test_a_listing_shifts_between_two_pages_and_skips_one(customer: Caller) -> None:
    ids = [customer.world.add_booking(service_date=f"2025-11-21T{hour:02}:00:00Z") for hour in range(6)]
    fault = customer.world.faults.add("shift")
    pages = [await customer.ids(sort="asc", limit=2, offset=offset) for offset in (0, 2, 4)]
    assert pages == [ids[:2], ids[3:5], ids[5:]]
    assert customer.world.bookings[ids[0]]["active"] is False
    assert fault.spent


async def test_a_shift_may_be_anything(customer: Caller) -> None:
    numbers = [customer.world.add_booking(), customer.world.add_booking()]
    customer.world.faults.add("shift", act=lambda: customer.world.vanish(numbers[0]))
    await customer.ids(offset=1)
    assert list(customer.world.bookings) == numbers[1:]


async def test_an_empty_listing_has_nothing_to_shift(customer: Caller) -> None:
    customer.world.faults.add("shift")
    assert await customer.ids(offset=1) == []


async def test_a_listing_shifts_between_two_pages(partner: Partner) -> None:
    fill(partner.world, 4)
    partner.world.faults.add("shift")
    pages = [await partner.listed(limit=2, offset=offset) for offset in (0, 2)]
    assert pages == [["000", "001"], ["003"]]
    for number in ("001", "002", "003"):
        partner.world.remove(number)
    partner.world.faults.add("shift")
    assert await partner.listed(offset=1) == []


# --- which requests ---


async def test_faults_match_wait_and_are_spent(partner: Partner) -> None:
    fault = partner.world.faults.add("status", times=2, after=1, match=lambda method, _: method == "PUT")
    statuses = []
    for number in range(4):
        statuses.append(
            (await partner.put(str(number), startDate=at(10 + number), endDate=at(11 + number))).status_code
        )
        assert kind(await partner.get("/court-bookings")) == OK
    assert statuses == [200, 500, 500, 200]
    assert (fault.hits, fault.spent, partner.world.faults.pending) == (2, True, [])


async def test_a_fault_without_times_never_ends_until_cleared(partner: Partner) -> None:
    partner.world.faults.add("status", times=None)
    assert [(await partner.get("/court-bookings")).status_code for _ in range(3)] == [500] * 3
    partner.world.faults.clear()
    assert kind(await partner.get("/court-bookings")) == OK


async def test_two_faults_for_one_request_strike_one_after_the_other(partner: Partner) -> None:
    partner.world.faults.add("status", status=500)
    partner.world.faults.add("status", status=502)
    assert [(await partner.get("/court-bookings")).status_code for _ in range(3)] == [500, 502, 200]


async def test_a_signal_outlives_the_loop_that_waited_for_it() -> None:
    signal = Signal()

    def wait_in_a_loop_that_ends() -> None:
        async def wait() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(signal.reached(), 0.001)

        asyncio.run(wait())

    await asyncio.to_thread(wait_in_a_loop_that_ends)
    signal.set()
    assert signal.is_set()
    assert signal.wait(0)
    await signal.reached()
