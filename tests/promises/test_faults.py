"""Faults: what goes wrong between a request and its answer is tried again, or left for the next pass."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from bridge.config.schema import Config
from bridge.errors import ExitStatus
from bridge.http.client import Backoff, Call, Http, Timeouts
from bridge.sandbox import Fault, Launch27, Wingfield
from tests.support.builders import THREE, TWO
from tests.support.club import Club, Matcher, at, is_delete, is_listing, keys

IMPATIENT = Timeouts(connect=0.2, read=0.2, write=0.2, total=0.4)
BOTH = pytest.mark.parametrize("world", ["launch27", "wingfield"])
pytestmark = pytest.mark.club(patience=IMPATIENT)


# --- where a request can be struck ---

STAGES: dict[str, tuple[str, Matcher]] = {
    "login": ("launch27", lambda _, path: path.endswith("/login")),
    "settings": ("launch27", lambda _, path: path.endswith("/settings")),
    "catalogue": ("launch27", lambda _, path: path.endswith("/booking/services")),
    "listing": ("launch27", is_listing),
    "look-up": ("launch27", lambda _, path: "/customer/bookings/" in path),
    "upsert": ("wingfield", lambda method, _: method == "PUT"),
    "delete": ("wingfield", is_delete),
}
KINDS: dict[str, dict[str, Any]] = {
    "no answer": {"kind": "hang"},
    "trickles": {"kind": "trickle", "interval_seconds": 0.02},
    "reset before": {"kind": "refuse"},
    "reset after": {"kind": "lose"},
    "500": {"kind": "status", "status": 500},
    "500 though applied": {"kind": "status", "status": 500, "applied": True},
    "503": {"kind": "status", "status": 503},
    "429": {"kind": "status", "status": 429},
    "429 with Retry-After": {"kind": "status", "status": 429, "retry_after": "0.01"},
    "503 with a date": {"kind": "status", "status": 503, "retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"},
    "HTML": {"kind": "garbage"},
    "half a body": {"kind": "half"},
    "wrong shape": {"kind": "wrong_shape"},
}
UNRETRIED: dict[str, dict[str, Any]] = {
    "redirect": {"kind": "redirect", "location": "http://127.0.0.1:9/elsewhere"},
    "asks for minutes": {"kind": "status", "status": 503, "retry_after": 600},
}
FEW = ("no answer", "reset after", "503", "HTML")
"""What stands for all of ``KINDS`` where the request is of a kind with others."""
ONCE = [(stage, kind) for stage in STAGES for kind in (KINDS if stage in ("listing", "upsert") else FEW)]
REMEMBERED = ("settings", "catalogue")
"""What they said before is still believed, and so the pass goes on without an answer."""
LASTING = [*ONCE, *((stage, kind) for stage in STAGES for kind in UNRETRIED)]


def strike(club: Club, stage: str, fault: dict[str, Any], **more: Any) -> Fault:
    name, match = STAGES[stage]
    world: Launch27 | Wingfield = getattr(club, name)
    return world.faults.add(**{**fault, "match": match, **more})


async def a_busy_hour(club: Club) -> list[int]:
    """Bridge some bookings; then one moves, one is cancelled, one is new, and login and catalogue are due again."""
    numbers = await club.some(15)
    club.tick(hours=1)
    club.move(numbers[0], 2, 40)
    club.launch27.cancel(numbers[1])
    numbers.append(club.book(3, 41))
    club.launch27.expire_tokens()
    club.wingfield.log.clear()
    return numbers


async def is_right(club: Club, numbers: list[int]) -> None:
    assert set(club.wingfield.bookings) == {str(n) for i, n in enumerate(numbers) if i != 1}
    assert club.slot_of(numbers[0]) == (TWO, "2026-11-22T04:00:00Z")
    assert not {"stale_write", "version_conflict", "court_booking_overlap"} & set(club.rejections)
    writes = len(club.writes)
    await club.expect(unchanged=15)
    assert len(club.writes) == writes


@pytest.mark.parametrize(("stage", "kind"), ONCE)
async def test_what_happens_once_is_overcome_within_the_pass(club: Club, stage: str, kind: str) -> None:
    numbers = await a_busy_hour(club)
    fault = strike(club, stage, KINDS[kind])
    result = await club.expect(created=1, updated=1, deleted=1, unchanged=13)
    assert (fault.hits, result.record.outcome) == (1, "in_sync")
    await is_right(club, numbers)


@pytest.mark.parametrize(("stage", "kind"), LASTING)
async def test_what_lasts_is_left_for_the_next_pass(club: Club, stage: str, kind: str) -> None:
    numbers = await a_busy_hour(club)
    fault = strike(club, stage, {**KINDS, **UNRETRIED}[kind], times=None)
    before = set(club.wingfield.bookings)
    result = await club.run()
    assert fault.hits
    is_believed = stage in REMEMBERED and kind != "asks for minutes"
    outcome = (ExitStatus.OK, "in_sync") if is_believed else (ExitStatus.TRY_LATER, "incomplete")
    assert (result.status, result.record.outcome) == outcome
    if is_believed:
        await is_right(club, numbers)
        return
    assert result.record.deleted == 0 or stage == "upsert"
    if stage in ("login", "listing", *REMEMBERED):
        assert before <= set(club.wingfield.bookings), "a listing that failed deletes nothing"
        assert "DELETE" not in {entry.method for entry in club.writes}
    club.clear_faults()
    assert (await club.run()).status is ExitStatus.OK
    await is_right(club, numbers)


@pytest.mark.parametrize("kind", [*FEW, *UNRETRIED])
async def test_a_list_of_wingfields_that_fails_adopts_nothing(club: Club, kind: str) -> None:
    number = club.book(1, 24)
    fault = club.wingfield.faults.add(**{**KINDS, **UNRETRIED}[kind], times=None)
    await club.try_later()
    assert fault.hits
    assert club.wingfield.bookings == {}
    club.clear_faults()
    await club.expect(created=1)
    assert club.slot_of(number)


# --- connections ---


async def test_a_service_nobody_listens_for_is_down(club: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in await club.some(30):
        club.launch27.edit(number, email="somebody@example.com")
    address = club.wingfield.address
    monkeypatch.setattr(Config, "identity", club.config.identity)
    club.wingfield.address = "http://127.0.0.1:9"
    await club.close()
    began = monotonic()
    result = await club.try_later()
    assert monotonic() - began < 3
    assert "connection refused" in str(result.errors[0])
    await club.close()
    club.wingfield.address = address
    await club.expect(updated=30)


async def test_a_connection_that_is_never_accepted_times_out(club: Club) -> None:
    club.book()
    with ExitStack() as sockets:
        full, *clients = [sockets.enter_context(socket.socket()) for _ in range(5)]
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for client in clients:
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        club.wingfield.address = f"http://127.0.0.1:{full.getsockname()[1]}"
        began = monotonic()
        result = await club.try_later()
    assert "could not connect within 0.2 s" in str(result.errors[0])
    assert monotonic() - began < 3


@BOTH
async def test_a_service_that_is_down_costs_seconds_and_few_requests(club: Club, world: str) -> None:
    """With the patience of every day, and three hundred bookings that wait."""
    numbers = await club.some(300)
    for number in numbers:
        club.launch27.edit(number, email="somebody@example.com")
    await club.close()
    club.backoff, club.patience, club.concurrency = Backoff(), Timeouts(), 8
    service: Launch27 | Wingfield = getattr(club, world)
    service.faults.add("status", times=None, status=503)
    before, began = service.requests, monotonic()
    await club.try_later()
    assert monotonic() - began < 15
    assert service.requests - before <= 9 * 4


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
async def test_a_request_that_was_cancelled_leaves_its_connection_usable(club: Club, *, is_first: bool) -> None:
    """A listing that fails cancels its other pages; so does a time-out. It may be at any step of theirs."""
    call = Call("GET", "/settings", "/settings")
    patience = Timeouts(connect=2, read=2, write=2, total=2)
    for steps in range(40):
        http = Http("Launch27", club.launch27.url, concurrency=1, timeouts=patience, backoff=Backoff(tries=1))
        if not is_first:
            await http.request(call, lambda answer: answer.status)
        cancelled = asyncio.create_task(http.request(call, lambda answer: answer.status))
        for _ in range(steps):
            await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        try:
            assert await http.request(call, lambda answer: answer.status) == 200
        finally:
            await http.aclose()


# --- 429 ---


@BOTH
@pytest.mark.parametrize(("seconds", "obeyed"), [("0.4", True), ("31", False)])
async def test_retry_after_is_obeyed_up_to_half_a_minute(club: Club, world: str, seconds: str, *, obeyed: bool) -> None:
    """Beyond, it is left for the next pass."""
    club.book()
    getattr(club, world).faults.add("status", status=429, retry_after=seconds)
    began = monotonic()
    result = await club.run()
    assert result.status is (ExitStatus.OK if obeyed else ExitStatus.TRY_LATER)
    assert (monotonic() - began >= 0.4) if obeyed else (monotonic() - began < 2)
    await club.expect(created=int(not obeyed), unchanged=int(obeyed))


async def test_a_429_slows_the_whole_client_down(club: Club) -> None:
    for number in await club.some(12):
        club.launch27.edit(number, email="somebody@example.com")
    moments: list[float] = []
    club.wingfield.faults.add("status", status=429, retry_after="0.3", after=2)

    def clock() -> float:
        moments.append(monotonic())
        return club.now.timestamp()

    club.wingfield.clock = clock
    await club.expect(updated=12)
    assert max(later - earlier for earlier, later in pairwise(moments)) >= 0.25


# --- answers ---


@pytest.mark.parametrize("keep", [0, 1, 5])
@pytest.mark.parametrize("after", [0, 1, 2])
async def test_a_truncated_listing_never_deletes(club: Club, keep: int, after: int) -> None:
    """Every page from some point on is cut; in the worst case the listing just looks shorter."""
    numbers = await club.some(25)
    strike(club, "listing", {"kind": "truncate_listing", "keep": keep}, after=after, times=None)
    result = await club.run()
    assert set(club.wingfield.bookings) == keys(numbers)
    assert "DELETE" not in {entry.method for entry in club.writes}
    assert result.status in (ExitStatus.OK, ExitStatus.TRY_LATER)
    club.clear_faults()
    await club.expect(unchanged=25)


@pytest.mark.parametrize("grows", [False, True], ids=["one is cancelled", "one is new"])
async def test_a_listing_that_shifts_while_it_is_read_is_right_in_two_passes(club: Club, *, grows: bool) -> None:
    numbers = await club.some(35)
    shift = strike(club, "listing", {"kind": "shift", "act": (lambda: club.book(3, 23)) if grows else None})
    await club.run()
    assert shift.hits == 1
    assert (await club.run()).status is ExitStatus.OK
    assert set(club.wingfield.bookings) == (keys(club.launch27.bookings) if grows else keys(numbers[1:]))


async def test_settings_that_name_no_time_zone_are_no_answer(club: Club) -> None:
    club.book()
    club.launch27.settings["timezone"] = "Mars/Olympus"
    result = await club.try_later()
    assert "launch27.timezone" in str(result.errors[0])
    assert club.writes == []


@pytest.mark.parametrize("status", [403, 404])
async def test_a_catalogue_that_may_not_be_read_is_done_without(club: Club, status: int) -> None:
    club.book(1, 24)
    strike(club, "catalogue", {"kind": "status", "status": status}, times=None)
    await club.expect(created=1)


@pytest.mark.parametrize("stage", ["listing", "upsert", "delete"])
async def test_an_endless_body_is_not_read_to_its_end(club: Club, stage: str) -> None:
    """And the pass deletes nothing."""
    gone, number = await club.some(2)
    club.launch27.vanish(gone)
    club.move(number, 3, 24)
    await club.close()
    club.patience, club.backoff = Timeouts(connect=1, read=5, write=5, total=30), Backoff(tries=2)
    strike(club, stage, {"kind": "huge", "size_bytes": 33 * 1024 * 1024}, times=None)
    result = await club.try_later()
    assert any("longer than 32 MiB" in str(error) for error in result.errors)
    assert result.record.deleted == (stage == "upsert")
    club.clear_faults()
    assert (await club.run()).status is ExitStatus.OK
    assert club.slot_of(number) == (THREE, "2026-11-21T12:00:00Z")


# --- kills ---


async def test_killed_at_any_step_the_next_pass_ends_where_an_undisturbed_one_would_have(tmp_path: Path) -> None:
    step, died = 0, True
    while died:
        folder = tmp_path / str(step)
        folder.mkdir()
        async with Club(folder) as club:
            numbers = await a_busy_hour(club)
            club.move(numbers[3], 2, 25)
            club.move(numbers[4], 1, 25)
            died = await club.run_and_die(step)
            assert (await club.run()).status is ExitStatus.OK, step
            assert [club.slot_of(number) for number in numbers[3:5]] == [at((2, 25)), at((1, 25))]
            await is_right(club, numbers)
        step += 2
    assert step > 15
