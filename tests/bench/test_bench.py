"""The benchmark measures what it says: the floor does the same work, and the sandbox answers at once."""

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from bridge.sandbox import Sandbox, server
from tests.bench import planning
from tests.bench.__main__ import configured
from tests.bench.figures import Figure
from tests.bench.floor import floor
from tests.bench.world import Worlds


@pytest.fixture
def worlds() -> Iterator[Worlds]:
    worlds = Worlds(40)
    with Sandbox.in_thread(worlds.launch27, worlds.wingfield):
        yield worlds


async def run_floor(worlds: Worlds, **what: Any) -> dict[str, Any]:
    job = {"puts": [], "swaps": [], "concurrency": 2, "end": len(worlds.ids)}
    async with floor({**worlds.introduction(), **job, **what}) as run:
        await run()
    return worlds.stats()


async def test_the_floor_brings_every_booking_over_once(worlds: Worlds) -> None:
    for puts, requests in (("all", 3 + 1 + 1 + 40), ([], 3 + 1)):
        stats = await run_floor(worlds, puts=puts)
        assert (stats["errors"], stats["stored"], stats["requests"]) == ([], 40, requests)
    worlds.clear()
    assert worlds.stats()["stored"] == 0


async def test_the_floor_writes_what_changed_and_swaps_what_swapped(worlds: Worlds) -> None:
    await run_floor(worlds, puts="all")
    changed = worlds.change(0.1)
    stats = await run_floor(worlds, puts=changed)
    assert (stats["requests"], stats["errors"]) == (3 + 1 + len(changed), [])
    pairs = worlds.swap(0.1)
    before = {id_: worlds.wingfield.bookings[str(id_)]["courtId"] for id_ in pairs[0]}
    stats = await run_floor(worlds, swaps=pairs)
    assert (stats["requests"], stats["errors"]) == (3 + 1 + 3 * len(pairs), [])
    one, other = pairs[0]
    assert worlds.wingfield.bookings[str(one)]["courtId"] == before[other]
    assert worlds.wingfield.bookings[str(other)]["courtId"] == before[one]


def test_the_worlds_can_be_told_what_to_do_in_json(worlds: Worlds) -> None:
    worlds.delay(5)
    assert worlds.wingfield.delay_seconds == 0.005
    assert json.loads(json.dumps(worlds.introduction()))["courts"] == worlds.courts
    assert configured(worlds.introduction()).count("[[courts]]") == len(worlds.courts)


def test_the_planner_is_given_cycles() -> None:
    given = planning.situation(400, 40)
    assert planning.seconds(400) > 0
    assert sum(given.desired[id_].slot != known.slot for id_, known in given.known.items()) == 40


def test_a_figure_is_met_up_to_its_limit() -> None:
    figures = (Figure("", 1.5, "×", 1.5), Figure("", 1.51, "×", 1.5), Figure("", 99, "×"))
    assert [figure.is_met for figure in figures] == [True, False, True]


async def test_the_sandbox_sends_its_answers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nagle's algorithm would hold the second half of each answer back for 40 ms.
    without_delay: list[int] = []
    made = server._Protocol.connection_made

    def noted(self: server._Protocol, transport: asyncio.Transport) -> None:
        connection = transport.get_extra_info("socket")
        without_delay.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        made(self, transport)

    monkeypatch.setattr(server._Protocol, "connection_made", noted)
    async with Sandbox() as sandbox, httpx.AsyncClient() as client:
        assert (await client.get(sandbox.launch27.url + "/settings")).status_code == 200
    assert without_delay == [1]
