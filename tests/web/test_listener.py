"""The listener under clients that mean no good: bounded, and there for the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest

from bridge.web import listener
from tests.support.views import Shown, served, status

Address = tuple[str, int]


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with served({"config": Shown(status())}) as client:
        yield client


def address(client: httpx.AsyncClient) -> Address:
    return client.base_url.host, client.base_url.port or 0


async def is_ended(reader: asyncio.StreamReader) -> bool:
    """Wait for the end of a connection."""
    with suppress(ConnectionError):
        async with asyncio.timeout(10):
            await reader.read(-1)
    return True


async def test_two_hundred_idle_connections_keep_nobody_out(client: httpx.AsyncClient) -> None:
    streams = [await asyncio.open_connection(*address(client)) for _ in range(200)]
    ends = {asyncio.create_task(is_ended(reader)) for reader, _ in streams}
    assert (await client.get("/")).status_code == 200
    while len(ends) >= listener.MOST_CONNECTIONS:
        _, ends = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    assert len(ends) == listener.MOST_CONNECTIONS - 1  # the other one is the client's
    for _, writer in streams:
        writer.close()
    await asyncio.gather(*ends)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\nslow"])
async def test_a_slow_client_is_left_alone(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(listener, "PATIENCE_SECONDS", 0.1)
    async with served({"config": Shown(status())}) as client:
        reader, writer = await asyncio.open_connection(*address(client))
        writer.write(sent)
        assert await is_ended(reader)
        writer.close()


async def test_ten_megabytes_of_headers_are_not_read(client: httpx.AsyncClient) -> None:
    reader, writer = await asyncio.open_connection(*address(client))
    sent = 0
    with suppress(ConnectionError):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n")
        for n in range(1000):
            writer.write(b"X-%d: %s\r\n" % (n, b"x" * 10_000))
            await writer.drain()
            sent += 10_000
    assert sent < 10_000_000
    assert await is_ended(reader)
    writer.close()
    assert (await client.get("/livez")).status_code == 200


@pytest.mark.parametrize("sent", [b"\x16\x03\x01 TLS\r\n\r\n", b"GET /\r\n\r\n"])
async def test_what_is_no_request_is_answered_and_ended(client: httpx.AsyncClient, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection(*address(client))
    writer.write(sent)
    assert (await reader.readline()).startswith(b"HTTP/1.1 400")
    assert await is_ended(reader)
    writer.close()


async def test_a_port_that_is_taken_is_an_error_and_no_end() -> None:
    async with served({"config": Shown(status())}) as client:
        host, port = address(client)
        other = listener.Listener(lambda *_: None)  # type: ignore[arg-type]
        assert await other.start(f"{host}:{port}") == f"the page cannot listen on {host}:{port}: Address already in use"
