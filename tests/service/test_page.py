"""The page of a running daemon: it follows the configuration, and is never in the way of a pass."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import monotonic

import httpx
import pytest

from bridge.sandbox import Sandbox
from bridge.service import page
from tests.support.club import is_write
from tests.support.daemons import Here, Process, book

Write = Callable[..., Path]


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def with_page(port: int, more: str = "") -> str:
    return f'[sync]\ninterval = "1s"\n[web]\nlisten = "127.0.0.1:{port}"\n{more}'


async def ask(port: int, path: str, **options: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://127.0.0.1:{port}{path}", headers=options)


async def test_the_page_is_there_with_the_daemon_and_tells_what_it_did(sandbox: Sandbox, write_config: Write) -> None:
    port = free_port()
    book(sandbox, 2)
    sandbox.wingfield.faults.add("status", times=1, status=422, match=is_write)
    async with Here(write_config(more=with_page(port))) as here:
        await here.passes(1)
        await here.until(lambda: here.club.look().passes != ())
        status = (await ask(port, "/api/status")).json()
        assert status["passes"][-1]["created"] == 1
        assert status["daemon"]["running"] is True
        assert len(status["held"]) == 1
        assert "Court 1" in (await ask(port, "/")).text
        assert (await ask(port, "/readyz")).status_code == 200
        metrics = (await ask(port, "/metrics")).text
        for line in (
            'courtbridge_writes_total{action="create",result="ok"} 1.0',
            'courtbridge_writes_total{action="create",result="rejected"} 1.0',
            'courtbridge_requests_total{service="wingfield",status="422"} 1.0',
            'courtbridge_bookings{state="held"} 1.0',
        ):
            assert line in metrics
    with pytest.raises(httpx.ConnectError):
        await ask(port, "/livez")


async def test_an_edit_starts_moves_and_ends_the_page_and_counters_go_on(sandbox: Sandbox, write_config: Write) -> None:
    one, two = free_port(), free_port()
    config = write_config(more='[sync]\ninterval = "1s"\n')
    plain = config.read_text()
    async with Here(config) as here:
        await here.passes(1)
        config.write_text(f'{plain}\n[web]\nlisten = "127.0.0.1:{one}"\n')
        await here.wait("page_listening")
        assert (await ask(one, "/livez")).status_code == 200
        before = sandbox.launch27.requests
        config.write_text(f'{plain}\n[web]\nlisten = "127.0.0.1:{two}"\n')
        await here.wait("page_listening", 2)
        requests = (await ask(two, "/metrics")).text.split('service="launch27",status="200"} ')[1].split("\n")[0]
        assert float(requests) > before
        with pytest.raises(httpx.ConnectError):
            await ask(one, "/livez")
        config.write_text(f'{plain}\n[web]\nlisten = "0.0.0.0:{two}"\n')
        await here.wait("config_rejected")
        assert (await ask(two, "/api/status")).json()["outcome"] == "failed"
        config.write_text(plain)
        await here.wait("config_reloaded", 3)
        await here.until(lambda: here.club.config.web is None)
    assert "password" in str(here.log.of("config_rejected"))


async def test_a_port_that_is_taken_is_said_and_the_page_comes_when_it_is_free(
    monkeypatch: pytest.MonkeyPatch, write_config: Write
) -> None:
    monkeypatch.setattr(page, "AGAIN_SECONDS", 0.1)
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        async with Here(write_config(more=with_page(port))) as here:
            line = await here.wait("page_unavailable")
            assert f"127.0.0.1:{port}" in line["error"]
            await here.passes(2)
            assert f"127.0.0.1:{port}: Address already in use" in here.club.status
            assert len(here.log.of("page_unavailable")) == 1
            taken.close()
            await here.wait("page_listening")
            assert (await ask(port, "/livez")).status_code == 200
            await here.until(lambda: "listen" not in here.club.status)


async def test_the_page_shows_a_pass_under_way_and_does_not_wait_for_it(sandbox: Sandbox, write_config: Write) -> None:
    port = free_port()
    book(sandbox, 3)
    hang = sandbox.wingfield.faults.add("hang", match=is_write)
    async with Here(write_config(more=with_page(port))) as here:
        await here.until(lambda: hang.hits == 1)
        assert "Waiting for the first pass" in (await ask(port, "/")).text
        assert (await ask(port, "/readyz")).status_code == 503
        hang.release()
        await here.passes(1)


async def test_passes_go_on_under_two_hundred_idle_connections(sandbox: Sandbox, write_config: Write) -> None:
    port = free_port()
    async with Here(write_config(more=with_page(port))) as here:
        await here.wait("page_listening")
        streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        before = len(here.ledger.passes(1000))
        await here.passes(before + 3)
        assert (await ask(port, "/")).status_code == 200
        for _, writer in streams:
            writer.close()


def test_a_real_daemon_ends_at_once_with_open_connections(write_config: Write) -> None:
    port = free_port()
    with Process(write_config(more=with_page(port))) as process:
        process.wait("page_listening")
        with (
            socket.create_connection(("127.0.0.1", port)) as idle,
            socket.create_connection(("127.0.0.1", port)) as half,
        ):
            half.sendall(b"GET / HTTP/1.1\r\n")
            began = monotonic()
            process.popen.terminate()
            assert process.ended() == 0
            assert monotonic() - began < 3
            assert idle.recv(1) == b""


@pytest.mark.parametrize("listen", ["0.0.0.0:8027", "[::]:8027", "192.168.1.5:80"])
def test_nobody_listens_for_others_without_a_password(write_config: Write, listen: str) -> None:
    with Process(write_config(more=f'[web]\nlisten = "{listen}"\n')) as process:
        assert process.ended() == 78
    assert "web.password" in str(process.log)
