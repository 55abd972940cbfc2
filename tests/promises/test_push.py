"""Push: what Launch27 says on its socket is only ever a hint to look, and its address is a secret."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from unittest.mock import Mock, patch

import pytest

from bridge.launch27 import events
from bridge.sandbox import Sandbox
from tests.support.builders import EMAIL
from tests.support.daemons import Here, Process, book

Write = Callable[..., Path]
PUSH = {"push = false": "push = true"}
RARELY = '[sync]\ninterval = "5m"\n'
"""Nothing but a hint leads to a second pass."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_wait_seconds", lambda _: 0.02)


@pytest.fixture
def config(write_config: Write, quick: None) -> Path:
    return write_config(PUSH, more=RARELY)


def logins(sandbox: Sandbox) -> int:
    return sum(entry.path.endswith("/login") for entry in sandbox.launch27.log)


async def connected(here: Here, sandbox: Sandbox) -> None:
    """Wait until both sides know of the socket, and the first pass is over."""
    await here.until(lambda: here.club.is_push_connected and sandbox.launch27.pubsub.listeners == 1)
    await here.passes(1)


async def test_a_change_is_written_within_a_second_of_its_event(sandbox: Sandbox, config: Path) -> None:
    async with Here(config) as here:
        await connected(here, sandbox)
        began = monotonic()
        (number,) = book(sandbox)
        await here.until(lambda: str(number) in sandbox.wingfield.bookings)
        assert monotonic() - began < 2.0
        await here.passes(2)
        sandbox.launch27.cancel(number)
        await here.wait("booking_deleted")
    assert [line["event"] for line in here.log if "push" in line["event"]] == ["push_connected"]


async def test_at_launch27s_real_rate_hinted_bookings_are_looked_up_without_a_listing(
    sandbox: Sandbox, config: Path
) -> None:
    sandbox.launch27.rates = True  # two reads a second
    sandbox.launch27.max_page = 1
    book(sandbox, 3)
    async with Here(config) as here:
        await connected(here, sandbox)
        here.club.hint(None)
        await here.passes(2)
        sandbox.launch27.log.clear()
        (number,) = book(sandbox, first_hour=30)
        sandbox.launch27.pubsub.tell("booking_updated", 10**9)
        await here.passes(3)
    assert sorted(entry.id or "" for entry in sandbox.launch27.log) == sorted([str(number), str(10**9)])
    assert str(number) in sandbox.wingfield.bookings


async def test_a_lost_socket_is_said_once_and_found_again(sandbox: Sandbox, config: Path) -> None:
    pubsub = sandbox.launch27.pubsub
    async with Here(config) as here:
        await connected(here, sandbox)
        pubsub.status = 403
        pubsub.drop()
        await here.until(lambda: pubsub.tries.count(403) > 3)
        assert not here.club.is_push_connected
        pubsub.status = None
        await connected(here, sandbox)
        (number,) = book(sandbox)
        await here.until(lambda: str(number) in sandbox.wingfield.bookings)
    assert len(here.log.of("push_lost")) == 1


async def test_push_false_asks_nothing_and_an_edit_takes_effect(sandbox: Sandbox, write_config: Write) -> None:
    pubsub = sandbox.launch27.pubsub
    async with Here(write_config(more=RARELY)) as here:
        await here.passes(1)
        settings = sum(entry.path.endswith("/settings") for entry in sandbox.launch27.log)
        assert (settings, pubsub.tries, here.club.is_push_connected) == (1, [], False)
        here.edit("push = false", "push = true")
        await here.until(lambda: here.club.is_push_connected)
        here.edit("push = true", "push = false")
        await here.until(lambda: not (pubsub.listeners or here.club.is_push_connected))


async def test_a_refused_password_is_not_tried_for_it(sandbox: Sandbox, config: Path) -> None:
    sandbox.launch27.add_account(EMAIL, "another one")
    async with Here(config) as here:
        await here.wait("login_refused")
        tried = logins(sandbox)
        await here.passes(1)
    assert (logins(sandbox), tried, sandbox.launch27.pubsub.tries) == (1, 1, [])


async def test_events_do_not_have_a_refused_password_tried_again(sandbox: Sandbox, write_config: Write) -> None:
    async with Here(write_config(PUSH, more='[sync]\ninterval = "1s"\n')) as here:
        await connected(here, sandbox)
        sandbox.launch27.add_account(EMAIL, "another one")
        sandbox.launch27.expire_tokens()
        await here.wait("login_refused")
        tried, hints = logins(sandbox), Mock(wraps=here.club.hint)
        with patch.object(here.club._push, "_hint", hints):
            book(sandbox)
            await here.until(lambda: hints.called)
        await asyncio.sleep(0.1)  # in which a pass would have begun
    assert logins(sandbox) == tried == 2


async def test_bookings_that_do_not_exist_write_nothing(sandbox: Sandbox, config: Path) -> None:
    (number,) = book(sandbox)
    async with Here(config) as here:
        await connected(here, sandbox)
        for lie in (10**9, 10**18, number + 1):
            sandbox.launch27.pubsub.tell("booking_updated", lie)
        await here.passes(2)
        (second,) = book(sandbox, first_hour=30)
        await here.until(lambda: str(second) in sandbox.wingfield.bookings)
    assert sorted(sandbox.wingfield.bookings) == [str(number), str(second)]
    assert not [line for line in here.log if line.get("level") in {"warning", "error"}]


@pytest.mark.parametrize("trouble", ["flood", "silence"])
def test_whatever_the_socket_does_the_daemon_ends_in_time_and_the_address_is_in_no_line(
    sandbox: Sandbox, write_config: Write, trouble: str
) -> None:
    pubsub = sandbox.launch27.pubsub
    pubsub.silent = trouble == "silence"
    if trouble == "flood":
        pubsub.flood(10_000)
    book(sandbox)
    with Process(write_config(PUSH, more=RARELY), "--log-level", "debug") as process:
        process.wait("push_connected")
        process.wait("booking_created")
        began = monotonic()
        process.popen.send_signal(signal.SIGTERM)
        assert process.ended() == 0
        assert monotonic() - began < 5.0
    assert pubsub.channel not in str(process.log)
    assert "subscribe" not in str(process.log)
