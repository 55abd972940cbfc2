"""Launch27, simulated: its limits, its listings, and a world that can be edited at any depth."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from bridge.sandbox import Launch27
from tests.sandbox.conftest import CUSTOMER, OTHER, Caller, Clock
from tests.support.builders import DOCUMENTED

DAY = "2025-11-21"


def book(world: Launch27, count: int) -> list[int]:
    """Book so many hours of one day, one after another."""
    return [world.add_booking(service_date=f"{DAY}T{hour:02}:00:00Z") for hour in range(count)]


# --- rate limit ---


async def test_every_answer_says_the_limits_and_beyond_them_it_is_429(
    http: httpx.AsyncClient, launch27: Launch27, clock: Clock
) -> None:
    launch27.rates = True
    answers = [await http.get("/settings") for _ in range(31)]
    assert [answer.status_code for answer in answers] == [200] * 30 + [429]
    for answer in (*answers, await http.get("/nowhere"), await http.post("/login")):
        limits = [answer.headers[f"x-rate-limit-{name}"] for name in ("read-limit", "read-ttl")]
        limits += [answer.headers[f"x-rate-limit-{name}"] for name in ("write-limit", "write-ttl")]
        assert limits == ["30", "500", "10", "1000"]
    clock.now += 0.5
    assert (await http.get("/settings")).status_code == 200
    assert (await http.get("/settings")).status_code == 429


# --- settings and catalogue ---


async def test_settings_need_no_login_and_have_the_socket_for_those_logged_in(
    http: httpx.AsyncClient, customer: Caller
) -> None:
    answer = await http.get("/settings")
    assert answer.json() == {"name": "Acme", "timezone": "Europe/Berlin", "status": "active", "sandbox": True}
    assert not [name for name in answer.headers if name.startswith("x-rate-limit")]
    assert (await customer.get("/settings")).json()["pubsub_url"].startswith("ws://127.0.0.1")


async def test_the_catalogue_has_services_with_durations(customer: Caller) -> None:
    customer.world.add_service(7, "Court 7", duration=90)
    services = (await customer.get("/booking/services")).json()
    assert services == customer.world.catalogue
    assert (services[0]["id"], services[0]["name"], services[0]["duration"]) == (7, "Court 7", 90)


async def test_each_location_has_a_catalogue_and_without_one_it_is_the_default_ones(customer: Caller) -> None:
    for location, number in ((None, 7), (3, 8)):
        customer.world.add_service(number, f"Court {number}", location=location)
    for query, numbers in (({}, [7]), ({"location_id": 1}, [7]), ({"location_id": 3}, [8])):
        answer = await customer.get("/booking/services", **query)
        assert [service["id"] for service in answer.json()] == numbers
    assert (await customer.get("/booking/services", location_id=4)).status_code == 404
    assert (await customer.get("/booking/services", location_id="x")).status_code == 422


# --- listings ---


async def test_a_z_may_stand_behind_local_time(customer: Caller) -> None:
    customer.world.wall_dates = True
    late = customer.world.add_booking(service_date=datetime(2025, 11, 21, 22, 30, tzinfo=UTC))
    (booking,) = (await customer.get("/customer/bookings")).json()
    assert booking["service_date"] == "2025-11-21T23:30:00Z"
    assert await customer.ids(**{"from": DAY, "to": DAY}) == [late]


def shape(value: Any) -> Any:
    """Return a type in place of each value."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    return [shape(each) for each in value] if isinstance(value, list) else type(value)


async def test_a_booking_has_its_documented_shape(customer: Caller) -> None:
    customer.world.add_service(1, "Centre Court")
    customer.world.add_booking(service_date="2025-11-21T14:30:00Z", minutes=90)
    (booking,) = (await customer.get("/customer/bookings")).json()
    assert shape(booking) == shape(DOCUMENTED)
    assert (booking["id"], booking["service_date"]) == (1001, "2025-11-21T14:30:00Z")
    (service,) = booking["services"]
    assert (service["name"], service["hourly"]) == ("Centre Court", {"quantity": 1, "minutes": 90})


async def test_from_and_to_are_days_in_the_accounts_zone_and_both_included(customer: Caller) -> None:
    early = customer.world.add_booking(service_date="2025-11-20T22:59:59Z")  # 23:59:59 on the 20th in Berlin
    first = customer.world.add_booking(service_date="2025-11-20T23:00:00Z")
    wall = customer.world.add_booking(service_date="2025-11-21T23:59:00")
    last = customer.world.add_booking(service_date="2025-11-22T23:59:00+01:00")
    late = customer.world.add_booking(service_date="2025-11-22T23:00:00Z")
    window = {"from": "2025-11-21", "to": "2025-11-22"}
    assert await customer.ids(**window, sort="asc") == [first, wall, last]
    assert await customer.ids(**{"from": "2025-11-23"}) == [late]
    assert await customer.ids(to="2025-11-20") == [early]
    assert await customer.ids(**{"from": "2025-11-22", "to": "2025-11-21"}) == []


async def test_the_order_is_by_service_date_and_descending_unless_asked(customer: Caller) -> None:
    middle = customer.world.add_booking(service_date="2025-11-21T11:00:00")  # 10:00Z
    last = customer.world.add_booking(service_date="2025-11-21T10:30:00Z")
    first = customer.world.add_booking(service_date="2025-11-21T09:00:00Z")
    assert await customer.ids() == [last, middle, first]
    assert await customer.ids(sort="desc") == [last, middle, first]
    assert await customer.ids(sort="asc") == [first, middle, last]


async def test_a_page_has_limit_and_offset_or_twenty_or_the_cap_and_the_last_is_empty(customer: Caller) -> None:
    ids = book(customer.world, 21)
    assert len(await customer.ids()) == 20
    pages = [await customer.ids(sort="asc", limit=10, offset=offset) for offset in (0, 10, 20, 30)]
    assert pages == [ids[:10], ids[10:20], ids[20:], []]
    customer.world.max_page = 7
    assert [len(await customer.ids(limit=limit)) for limit in (100, 5)] == [7, 5]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "offset=-1", "from=20251121", "to=2025-13-01", "sort=up", "from=2025-W47-1"]
)
async def test_a_query_that_cannot_be_read_is_422(customer: Caller, query: str) -> None:
    name, value = query.split("=")
    assert (await customer.get("/customer/bookings", **{name: value})).status_code == 422


async def test_a_customer_sees_only_their_own_bookings(customer: Caller, http: httpx.AsyncClient) -> None:
    """Another's is 403 by id, and an unknown one 404."""
    mine, theirs = customer.world.add_booking(owner=CUSTOMER), customer.world.add_booking(owner=OTHER)
    other = await Caller.log_in(http, customer.world, OTHER)
    assert (await customer.ids(), await other.ids()) == ([mine], [theirs])
    customer.world.give(mine, OTHER)
    assert await customer.ids() == []
    answers = [await customer.get(f"/customer/bookings/{number}") for number in (mine, 4711)]
    assert [answer.status_code for answer in answers] == [403, 404]


async def test_the_other_role_is_403(customer: Caller, desk: Caller) -> None:
    for caller, path in ((customer, "/staff/bookings"), (desk, "/customer/bookings")):
        assert (await caller.get(path)).status_code == 403
        assert (await caller.get(f"{path}/1")).status_code == 403


async def test_cancelled_vanished_and_hidden_bookings_are_not_listed_and_can_come_back(customer: Caller) -> None:
    world = customer.world
    number = world.add_booking()
    for away, status, active in ((world.cancel, 200, False), (world.vanish, 404, None), (world.hide, 200, True)):
        away(number)
        answer = await customer.get(f"/customer/bookings/{number}")
        assert (await customer.ids(), answer.status_code, answer.json().get("active")) == ([], status, active)
        world.restore(number)
        world.hide(number, hidden=False)
        assert await customer.ids() == [number]


async def test_staff_see_every_customers_bookings_with_user_and_status(desk: Caller) -> None:
    desk.world.add_booking(owner=CUSTOMER, name="Ada Lovelace", service_date="2025-11-21T10:00:00Z")
    done = desk.world.add_booking(owner=OTHER, service_date="2025-11-21T09:00:00Z")
    desk.world.complete(done)
    first, second = (await desk.get("/staff/bookings")).json()
    names = {"first_name": "Ada", "last_name": "Lovelace", "name": "Ada Lovelace"}
    assert first["user"] == {"id": 501, "email": CUSTOMER, **names}
    assert not {"email", "name", "phone"} & first.keys()
    assert (first["booking_status"], second["booking_status"]) == ("assigned", "completed")
    assert (await desk.get(f"/staff/bookings/{done}")).json() == second


async def test_forecasted_bookings_are_in_the_staff_listing_unless_excluded(desk: Caller, customer: Caller) -> None:
    real = customer.world.add_booking(service_date="2025-11-21T09:00:00Z")
    later = customer.world.add_booking(service_date="2025-11-28T09:00:00Z", forecasted=True)
    assert await desk.ids("/staff/bookings") == [later, real]
    assert await desk.ids("/staff/bookings", options="exclude_forecasted") == [real]
    assert await customer.ids() == [real]
    assert (await customer.get(f"/customer/bookings/{later}")).status_code == 404
    customer.world.make_real(later)
    assert await customer.ids() == [later, real]


# --- editing the world ---


async def test_edits_and_raw_changes_at_any_depth_are_seen_by_the_next_listing(customer: Caller) -> None:
    number = customer.world.add_booking(custom_fields=[{"code": "court", "value": "1"}])
    raw = customer.world.bookings[number]

    async def listed() -> Any:
        (booking,) = (await customer.get("/customer/bookings")).json()
        assert booking == raw
        return booking

    customer.world.edit(number, services=[2, 3])
    assert [service["id"] for service in (await listed())["services"]] == [2, 3]
    raw["services"][0]["id"] = 9
    assert (await listed())["services"][0]["id"] == 9
    raw["services"][1]["extras"] = [{"id": 1}]
    raw["services"][1]["extras"][0]["id"] = 2
    assert (await listed())["services"][1]["extras"] == [{"id": 2}]
    raw["services"][0] = {"id": 11}
    raw["services"] += [{"id": 13}]
    assert (await listed())["services"][2] == {"id": 13}
    raw["custom_fields"].clear()
    raw |= {"teams": [{"id": 3}]}
    raw.update(location=None)
    assert (await listed())["teams"] == [{"id": 3}]
