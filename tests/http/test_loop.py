"""Names are looked up in threads, which are few."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from typing import Any

import pytest

from bridge.http import loop


def test_few_names_are_looked_up_at_once_and_each_once_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    gate = threading.Event()

    def look_up(host: str, *_arguments: Any, **_options: Any) -> str:
        asked.append(host)
        gate.wait(20)
        if host == "8":
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return host

    async def ask() -> tuple[int, list[Any]]:
        running, names = asyncio.get_running_loop(), [str(number) for number in (*range(12), *range(12))]
        asking = asyncio.gather(*(running.getaddrinfo(name, 443) for name in names), return_exceptions=True)
        for _ in range(10):
            await asyncio.sleep(0)  # a few turns of the loop, in which all would begin that may
        at_work = sum(thread.name == "call" for thread in threading.enumerate())
        gate.set()
        return at_work, await asking

    monkeypatch.setattr(loop, "LOOKUPS", 4)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    at_work, found = loop.run(ask())
    assert at_work == 4
    assert sorted(asked, key=int) == [str(number) for number in range(12)]
    assert [type(each) for each in found if each not in asked] == [socket.gaierror] * 2


def test_a_look_up_that_fails_after_everybody_has_given_up_is_not_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    given_up = threading.Event()

    def look_up(*_arguments: Any, **_options: Any) -> None:
        given_up.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    async def ask() -> None:
        running = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(running.getaddrinfo("a.test", 443), 0.01)
        (lookup,) = asyncio.all_tasks() - {asyncio.current_task()}
        given_up.set()
        await asyncio.wait({lookup})

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    loop.run(ask())
    gc.collect()
    assert caplog.messages == []
