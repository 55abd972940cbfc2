"""Launch27's simulated socket of events: what is known of the real one, and its faults."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from time import monotonic

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from bridge.sandbox import Launch27, Sandbox
from tests.support.builders import EMAIL, PASSWORD


@pytest.fixture
async def world() -> AsyncIterator[Launch27]:
    async with Sandbox() as sandbox:
        sandbox.launch27.add_account(EMAIL, PASSWORD)
        yield sandbox.launch27


def address(world: Launch27) -> str:
    return world.pubsub.named(EMAIL, world.address)


async def test_it_welcomes_in_no_json_and_tells_of_bookings(world: Launch27) -> None:
    async with connect(address(world)) as socket:
        assert await socket.recv() == "welcome"
        number = world.add_booking()
        world.cancel(number)
        events = [json.loads(await socket.recv()) for _ in range(2)]
        world.pubsub.say(b"\xff")
        assert await socket.recv() == b"\xff"
    assert [(event["event"], event["booking_id"]) for event in events] == [
        ("booking_created", number),
        ("booking_updated", number),
    ]
    assert events[0].keys() == {
        *("event", "booking_id", "customer_id", "subdomain", "team_ids", "next_recurring", "originator_id")
    }


async def test_another_channel_and_a_refused_one_are_no_sockets(world: Launch27) -> None:
    for uri, status in ((address(world) + "x", 404), (address(world).replace("/v1/", "/v2/"), 404)):
        with pytest.raises(InvalidStatus, match=str(status)):
            await connect(uri)
    world.pubsub.status = 403
    with pytest.raises(InvalidStatus, match="403"):
        await connect(address(world))
    assert world.pubsub.tries == [404, 404, 403]


async def test_it_dies_without_a_word(world: Launch27) -> None:
    async with connect(address(world)) as socket:
        await socket.recv()
        world.pubsub.drop()
        with pytest.raises(ConnectionClosedError, match="no close frame received"):
            await socket.recv()


async def test_a_silent_one_answers_no_ping(world: Launch27) -> None:
    world.pubsub.silent = True
    async with connect(address(world), ping_interval=0.05, ping_timeout=0.05, close_timeout=0.05) as socket:
        with pytest.raises(ConnectionClosedError, match="ping timeout"):
            await socket.recv()


async def test_a_flood_has_so_many_events_a_second_until_it_ends(world: Launch27) -> None:
    async with connect(address(world)) as socket:
        await socket.recv()
        world.pubsub.flood(5000)
        began = monotonic()
        ids = {json.loads(await socket.recv())["booking_id"] for _ in range(1000)}
        assert len(ids) == 1000
        assert 0.1 < monotonic() - began < 5
        world.pubsub.flood(0)
        world.pubsub.say("over")
        while await socket.recv() != "over":
            pass
