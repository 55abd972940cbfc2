"""Faults: what each kind does to a request, and which requests it strikes."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from bridge.sandbox import Wingfield
from tests.sandbox.conftest import Caller, Partner, kind
from tests.sandbox.test_wingfield import OK, at, fill


def outcomes(world: Wingfield) -> list[tuple[int, str | None]]:
    return [(entry.status, entry.error_type) for entry in world.log]


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
    ("status", "error"), [(500, "internal_server_error"), (429, "rate_limit_exceeded"), (418, "invalid_schema")]
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


# --- on a listing ---


async def test_a_truncated_listing_loses_its_tail_or_ends_early(customer: Caller) -> None:
    for _ in range(4):
        customer.world.add_booking()
    customer.world.faults.add("truncate_listing")
    assert len(await customer.ids()) == 2
    customer.world.faults.add("truncate_listing", keep=0)
    assert await customer.ids() == []
    assert len(await customer.ids()) == 4


async def test_a_listing_shifts_between_two_pages_and_skips_one(customer: Caller) -> None:
    ids = [customer.world.add_booking(service_date=f"2025-11-21T{hour:02}:00:00Z") for hour in range(6)]
    fault = customer.world.faults.add("shift")
    pages = [await customer.ids(sort="asc", limit=2, offset=offset) for offset in (0, 2, 4)]
    assert pages == [ids[:2], ids[3:5], ids[5:]]
    assert customer.world.bookings[ids[0]]["active"] is False
    assert fault.spent


async def test_a_listing_shifts_between_two_pages(partner: Partner) -> None:
    fill(partner.world, 4)
    partner.world.faults.add("shift")
    pages = [await partner.listed(limit=2, offset=offset) for offset in (0, 2)]
    assert pages == [["000", "001"], ["003"]]


# --- which requests ---


async def test_faults_match_wait_and_are_spent(partner: Partner) -> None:
    fault = partner.world.faults.add("status", times=2, after=1, match=lambda method, _: method == "PUT")
    answers = []
    for hour in range(10, 14):
        answers.append((await partner.put(str(hour), startDate=at(hour), endDate=at(hour + 1))).status_code)
        assert kind(await partner.get("/court-bookings")) == OK
    assert answers == [200, 500, 500, 200]
    assert (fault.hits, fault.spent, partner.world.faults.pending) == (2, True, [])
