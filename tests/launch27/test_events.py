"""Launch27's socket of events: where it is, what is heard, and what may go wrong."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence
from contextlib import aclosing, asynccontextmanager
from time import monotonic

import pytest
from structlog.testing import capture_logs

from bridge.launch27 import events
from bridge.launch27.events import Push, booking_id, is_usable
from bridge.sandbox.pubsub import PubSub
from tests.support.builders import EMAIL, SECOND
from tests.support.club import Club

LOST = "the connection broke off (ConnectionClosedError)"


class Ear:
    """A club's sockets, logged in and listening, with what they hear and what is logged."""

    def __init__(self, club: Club, log: Sequence[MutableMapping[str, object]]) -> None:
        self.club, self.log = club, log
        self.pubsub: PubSub = club.launch27.pubsub
        self.hints: list[str | None] = []
        self.push = Push(club.clients.launch27, club.clients.sessions, self.hints.append)

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not holds():  # noqa: ASYNC110 -- what it waits for has no event
                await asyncio.sleep(0.005)

    async def connected(self) -> None:
        await self.until(lambda: self.push.is_connected and self.pubsub.listeners)
        await asyncio.sleep(0)  # and told

    async def hears(self, number: int) -> None:
        await self.until(lambda: str(number) in self.hints)

    @property
    def told(self) -> list[object]:
        return [line["event"] for line in self.log if str(line["event"]).startswith("push_")]

    @property
    def asked(self) -> int:
        """How often the settings were asked."""
        return sum(entry.path.endswith("/settings") for entry in self.club.launch27.log)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait hardly at all between two tries."""
    monkeypatch.setattr(events, "_wait_seconds", lambda _: 0.01)
    monkeypatch.setattr(events, "SETTLED_SECONDS", 0.01)


@pytest.fixture
async def ear(club: Club, patient: None) -> AsyncIterator[Ear]:
    async with listening(club) as ear:
        yield ear


@pytest.fixture
async def accounts(club: Club) -> None:
    club.accounts = 2


@asynccontextmanager
async def listening(club: Club) -> AsyncIterator[Ear]:
    """Log a club's accounts in and listen."""
    clients = club._connect(club.config)
    for session in clients.sessions:
        await clients.launch27.catalogue(session)
    club.launch27.log.clear()
    with capture_logs() as log:
        ear = Ear(club, log)
        async with aclosing(ear.push):
            yield ear
    await ear.until(lambda: not ear.pubsub.listeners)


# --- what is heard ---


async def test_a_booking_that_is_made_or_changed_is_a_hint(ear: Ear) -> None:
    await ear.connected()
    number = ear.club.book()
    await ear.hears(number)
    ear.hints.clear()
    ear.club.launch27.cancel(number)
    await ear.hears(number)
    assert (ear.told, ear.pubsub.tries, ear.asked) == (["push_connected"], [101], 1)


@pytest.mark.parametrize(
    ("frame", "id_"),
    [
        ('{"event": "booking_updated", "booking_id": 12, "team_ids": []}', "12"),
        ('{"booking_id": "12"}', "12"),
        ('{"booking_id": "0012"}', "12"),
        *((frame, None) for frame in ("", "welcome", "[]", "12", "null", '"booking_id"', "{}", "NaN", "{", "\0")),
        *(
            (f'{{"booking_id": {value}}}', None)
            for value in ("null", "true", "0", "-1", "1.5", '""', '"x"', "{}", "[12]", "9" * 20, "9" * 5000, '"²"')
        ),
        ("[" * 50_000, None),
        ('{"booking_id":' * 5_000, None),
    ],
)
def test_of_a_frame_only_the_booking_counts(frame: str, id_: str | None) -> None:
    assert booking_id(frame.encode()) == id_


async def test_frames_of_any_other_kind_are_ignored(ear: Ear) -> None:
    await ear.connected()
    for frame in ("", "pong", b"\xff\xfe", b'{"booking_id": 7}', "{}", "[" * 60_000):
        ear.pubsub.say(frame)
    ear.pubsub.tell("booking_created", 8)
    await ear.hears(8)
    assert (sorted(ear.hints, key=str), ear.told) == (["7", "8"], ["push_connected"])


async def test_a_frame_that_is_too_long_costs_one_connection(ear: Ear) -> None:
    await ear.connected()
    ear.pubsub.say("x" * 100_000)
    await ear.until(lambda: ear.pubsub.tries == [101, 101])
    await ear.connected()
    ear.pubsub.tell("booking_created", 8)
    await ear.hears(8)


async def test_a_flood_becomes_a_few_hints_and_leaves_the_event_loop_alone(ear: Ear) -> None:
    await ear.connected()
    ear.pubsub.flood(10_000)
    longest = 0.0
    while ear.hints.count(None) < 5:
        began = monotonic()
        await asyncio.sleep(0)
        longest = max(longest, monotonic() - began)
    assert longest < 0.1
    assert len(ear.hints) < 5 * events.MOST_HINTS
    ear.pubsub.flood(0)
    ear.pubsub.tell("booking_created", 8)
    await ear.until(lambda: ear.hints[-1] in {None, "8"})


# --- where it is ---


@pytest.mark.parametrize(
    ("address", "usable"),
    [
        ("wss://pubsub.l27.co/v1/subscribe?channel=x", True),
        ("wss://pubsub.aws.launch27.com:8443/v1/subscribe?channel=x", True),
        ("WSS://[::1]/x", True),
        ("ws://127.0.0.1:80/x", True),
        ("ws://[::1]:80/x", True),
        ("ws://localhost/x", True),
        ("ws://pubsub.l27.co/v1/subscribe?channel=x", False),
        ("ws://127.0.0.1.example.com/x", False),
        ("ws://10.0.0.1/x", False),
        ("ws://localhost@example.com/x", False),
        ("https://pubsub.l27.co/x", False),
        ("file:///etc/passwd", False),
        ("", False),
        ("wss://", False),
        ("wss:///x", False),
        ("//pubsub.l27.co/x", False),
        ("wss://user:secret@pubsub.l27.co/x", False),
        ("wss://pubsub.l27.co/x#y", False),
        ("wss://pubsub.l27.co:0/x", False),
        ("wss://pubsub.l27.co:99999/x", False),
        ("wss://pubsub.l27.co:x/x", False),
        ("wss://[::1/x", False),
        ("wss://pubsub.l27.co/x y", False),
        ("wss://pubsub.l27.co/x\r\nHost: y", False),
        ("wss://pübsub.l27.co/x", False),
        ("wss://pubsub.l27.co/" + "x" * 5000, False),
    ],
)
def test_an_address_is_used_where_it_keeps_its_secret(address: str, usable: bool) -> None:
    assert is_usable(address) is usable


@pytest.mark.parametrize("address", ["ws://pubsub.example.com/x", "wss://a:b@c/", "nonsense", "wss://" + "x" * 90_000])
async def test_another_address_is_not_used_and_that_is_said_once(
    club: Club, patient: None, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(events, "ASKED_AGAIN_SECONDS", 0.01)
    club.launch27.pubsub.url = address
    async with listening(club) as ear:
        await ear.until(lambda: ear.asked >= 4)
        assert (ear.told, ear.push.is_connected, ear.pubsub.tries) == (["push_unusable"], False, [])
        ear.pubsub.url = None  # and once there is a good one, that is used
        await ear.connected()
    assert ear.told == ["push_unusable", "push_connected"]


async def test_where_no_address_is_named_nothing_is_tried_or_said(club: Club, patient: None) -> None:
    club.launch27.pubsub.url = ""
    async with listening(club) as ear:
        await ear.until(lambda: ear.asked == 1)
        assert (ear.told, ear.push.is_connected) == ([], False)


@pytest.mark.usefixtures("accounts")
async def test_accounts_with_one_address_share_a_socket(ear: Ear) -> None:
    await ear.connected()
    assert (ear.pubsub.listeners, ear.asked) == (1, 2)


@pytest.mark.usefixtures("accounts", "patient")
async def test_each_different_address_has_its_socket_and_one_that_is_lost_counts(club: Club) -> None:
    club.launch27.pubsub.channels = {EMAIL: "one", SECOND: "two"}
    async with listening(club) as ear:
        await ear.until(lambda: ear.pubsub.listeners == 2)
        await ear.connected()
        ear.pubsub.channels = {EMAIL: "one", SECOND: "three"}
        ear.pubsub.drop()
        await ear.until(lambda: ear.told == ["push_connected", "push_lost", "push_connected"])
        assert ear.pubsub.listeners == 2
        assert 404 in ear.pubsub.tries


async def test_a_settings_question_without_an_answer_is_asked_again(club: Club, patient: None) -> None:
    fault = club.launch27.faults.add("status", status=401, times=3, match=lambda _, path: path.endswith("/settings"))
    async with listening(club) as ear:
        await ear.connected()
    assert (fault.hits, club.logins) == (3, 0)
    assert not club.clients.sessions[0].is_refused


async def test_nobody_logs_in_for_it(club: Club, patient: None) -> None:
    sessions = club._connect(club.config).sessions
    async with aclosing(Push(club.clients.launch27, sessions, print)) as push:
        await asyncio.sleep(0.1)
        assert (club.launch27.log, push.is_connected) == ([], False)


# --- lost, and found again ---


async def test_a_socket_that_dies_is_made_again_and_both_are_said_once(ear: Ear) -> None:
    await ear.connected()
    ear.pubsub.status = 503
    ear.pubsub.drop()
    await ear.until(lambda: len(ear.pubsub.tries) > 5)
    assert (ear.told, ear.push.is_connected) == (["push_connected", "push_lost"], False)
    ear.pubsub.status = None
    await ear.until(lambda: ear.told[-1] == "push_connected")
    ear.pubsub.tell("booking_created", 8)
    await ear.hears(8)
    assert (ear.told, ear.asked) == (["push_connected", "push_lost", "push_connected"], 1)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_where_it_is_refused_the_settings_are_asked_before_each_try(ear: Ear, status: int) -> None:
    await ear.connected()
    ear.pubsub.status = status
    ear.pubsub.drop()
    await ear.until(lambda: ear.pubsub.tries.count(status) > 3)
    assert ear.asked >= ear.pubsub.tries.count(status)
    ear.pubsub.status, ear.pubsub.channel = None, "another"
    await ear.connected()
    await ear.until(lambda: ear.told == ["push_connected", "push_lost", "push_connected"])
    assert [line["error"] for line in ear.log if "error" in line] == [LOST]


async def test_waits_grow_also_where_another_address_is_named_each_time(
    club: Club, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[int] = []
    pubsub = club.launch27.pubsub

    def wait(failures: int) -> float:
        waits.append(failures)
        pubsub.channel = f"channel-{len(waits)}"
        return 0.01

    monkeypatch.setattr(events, "_wait_seconds", wait)
    pubsub.status = 403
    async with listening(club) as ear:
        await ear.until(lambda: len(waits) >= 5)
        assert waits[:5] == [1, 2, 3, 4, 5]
        assert ear.asked >= 5
        assert ear.told == ["push_lost"]


async def test_a_silent_socket_is_noticed(club: Club, patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PING_SECONDS", 0.05)
    club.launch27.pubsub.silent = True
    async with listening(club) as ear:
        await ear.until(lambda: "push_lost" in ear.told)
        ear.pubsub.silent = False
        ear.pubsub.drop()
        await ear.until(lambda: ear.told[-1] == "push_connected")


async def test_a_socket_that_dies_at_once_every_time_is_not_told_every_time(
    club: Club, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_wait_seconds", lambda _: 0.01)
    async with listening(club) as ear:
        for _ in range(8):
            await ear.connected()
            ear.pubsub.drop()
            await ear.until(lambda: not ear.push.is_connected)
    assert ear.told == ["push_connected", "push_lost"] * 2


def test_the_waits_grow_to_a_minute_and_are_never_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len({events._wait_seconds(3) for _ in range(10)}) > 5
    monkeypatch.setattr(random, "uniform", lambda _, high: high)
    assert [events._wait_seconds(n) for n in (1, 2, 3, 6, 7, 8, 5000)] == [1, 2, 4, 32, 60, 60, 60]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 302 Found\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
        b"HTTP/1.1 101 " + b"x" * 100_000,
    ],
)
async def test_a_stranger_ends_no_more_than_a_try_and_a_redirect_leads_nowhere(
    club: Club, patient: None, answer: bytes
) -> None:
    tries = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer.replace(b"%s", club.launch27.pubsub.named(EMAIL, club.launch27.address).encode()))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        club.launch27.pubsub.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
        async with listening(club) as ear:
            await ear.until(lambda: tries > 2)
    assert (ear.told, ear.pubsub.tries) == (["push_lost"], [])


async def test_what_is_said_of_a_loss_has_its_reason(club: Club, patient: None) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        club.launch27.pubsub.url = f"ws://127.0.0.1:{closed.getsockname()[1]}/x"
        async with listening(club) as ear:
            await ear.until(lambda: ear.told)
            assert ear.log[-1]["error"] == "could not connect: connection refused"


# --- its end, and its secret ---


@pytest.mark.parametrize("silent", [False, True])
async def test_it_ends_within_two_seconds(club: Club, silent: bool) -> None:
    club.launch27.pubsub.silent = silent
    async with listening(club) as ear:
        await ear.connected()
        began = monotonic()
        await ear.push.aclose()
        assert monotonic() - began < 2.0
        assert not ear.push.is_connected
        ear.pubsub.drop()


async def test_the_address_is_in_no_log_whatever_happens(
    club: Club, patient: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = club.launch27.pubsub.channel
    async with listening(club) as ear:
        await ear.connected()
        ear.pubsub.status = 403
        ear.pubsub.drop()
        await ear.until(lambda: 403 in ear.pubsub.tries)
        ear.pubsub.url = f"wss://nobody:x@127.0.0.1/{secret}"
        settings = await club.clients.launch27.settings(club.clients.sessions[0])
        assert secret in settings.pubsub_url
    shown = [caplog.text, str(ear.log), repr(settings), repr(ear.push), repr(asyncio.all_tasks())]
    assert not [text for text in shown if secret in text]


async def test_a_proxy_is_asked_as_for_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(Exception, match="proxy"):
            await events._connection("wss://pubsub.test/v1/subscribe?channel=secret")
        request = await asked.get()
    assert request.startswith(b"CONNECT pubsub.test:443 ")
    assert b"secret" not in request
