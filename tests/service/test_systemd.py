"""What systemd hears."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from bridge.service.systemd import Notifier


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


Make = Callable[..., Notifier]


@pytest.fixture
def make(systemd: socket.socket) -> Iterator[Make]:
    """Return a function that makes a notifier for the fake systemd, with more of an environment."""
    with ExitStack() as made:

        def make_one(**environ: str) -> Notifier:
            notifier = Notifier.from_environ({"NOTIFY_SOCKET": systemd.getsockname(), **environ})
            made.callback(notifier.close)
            return notifier

        yield make_one


def heard(systemd: socket.socket) -> list[str]:
    return systemd.recv(4096).decode().split("\n")


@pytest.mark.parametrize(
    ("say", "lines"),
    [
        (lambda notifier: notifier.ready("in sync"), ["READY=1", "STATUS=in sync"]),
        (lambda notifier: notifier.stopping(), ["STOPPING=1", "STATUS=stopping"]),
        (lambda notifier: notifier.status("one\nSTOPPING=1\ttwo"), ["STATUS=one STOPPING=1 two"]),
    ],
)
def test_a_state_comes_with_its_status_on_one_line(
    systemd: socket.socket, make: Make, say: Callable[[Notifier], None], lines: list[str]
) -> None:
    say(make())
    assert heard(systemd) == lines


def test_reloading_says_when_it_began(systemd: socket.socket, make: Make) -> None:
    before = time.monotonic_ns() // 1000
    make().reloading()
    first, second = heard(systemd)
    assert first == "RELOADING=1"
    name, _, microseconds = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(microseconds) <= time.monotonic_ns() // 1000


def test_the_watchdog_is_told_when_systemd_asks_for_it(systemd: socket.socket, make: Make) -> None:
    notifier = make(WATCHDOG_USEC="3000000", WATCHDOG_PID=str(os.getpid()))
    assert notifier.watchdog_seconds == 3.0
    notifier.alive()
    notifier.alive()
    notifier.status("end")
    assert [heard(systemd), heard(systemd)] == [["WATCHDOG=1"], ["STATUS=end"]]


@pytest.mark.parametrize(
    "environ",
    [{}, {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"}],
)
def test_a_watchdog_that_is_not_for_us_is_left_alone(
    systemd: socket.socket, make: Make, environ: dict[str, str]
) -> None:
    notifier = make(**environ)
    assert notifier.watchdog_seconds is None
    notifier.alive()
    notifier.status("end")
    assert heard(systemd) == ["STATUS=end"]


def test_an_abstract_socket_is_reached() -> None:
    name = f"courtbridge-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name)
        listening.settimeout(5)
        notifier = Notifier("@" + name)
        notifier.status("here")
        notifier.close()
        assert heard(listening) == ["STATUS=here"]


@pytest.mark.parametrize("address", ["", "@", "vsock:2:1234", "relative"])
def test_without_a_socket_nothing_is_said(address: str) -> None:
    notifier = Notifier(address, 1.0)
    notifier.ready("x")
    notifier.alive()
    notifier.flush()
    notifier.close()


def test_nobody_listening_is_no_trouble(tmp_path: Path) -> None:
    notifier = Notifier(str(tmp_path / "gone"))
    notifier.ready("x")
    notifier.close()
    notifier.status("after the end")


def test_a_full_socket_neither_blocks_nor_loses_what_was_last_said(systemd: socket.socket, make: Make) -> None:
    notifier = make()
    while not notifier._unsent:
        notifier.status("x" * 1000)
    notifier.ready("y")
    systemd.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            assert heard(systemd) == ["STATUS=" + "x" * 1000]
    systemd.settimeout(5)
    notifier.flush()
    assert heard(systemd) == ["STATUS=" + "x" * 1000]
    assert heard(systemd) == ["READY=1", "STATUS=y"]
    assert not notifier._unsent
