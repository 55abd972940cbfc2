"""What systemd hears."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest

from bridge.service.systemd import Notifier
from tests.support.daemons import FakeSystemd

OURS = str(os.getpid())


@pytest.fixture
def notifier(systemd: FakeSystemd) -> Iterator[Notifier]:
    notifier = Notifier.from_environ({"NOTIFY_SOCKET": str(systemd.path), "WATCHDOG_USEC": "3000000"})
    yield notifier
    notifier.close()


@pytest.mark.parametrize(
    ("say", "message"),
    [
        (lambda notifier: notifier.ready("in sync"), "READY=1\nSTATUS=in sync"),
        (Notifier.stopping, "STOPPING=1\nSTATUS=stopping"),
        (lambda notifier: notifier.status("one\nSTOPPING=1\ttwo"), "STATUS=one STOPPING=1 two"),
    ],
)
def test_a_state_comes_with_its_status_on_one_line(
    systemd: FakeSystemd, notifier: Notifier, say: Callable[[Notifier], None], message: str
) -> None:
    say(notifier)
    assert systemd.hear() == message


def test_reloading_says_when_it_began(systemd: FakeSystemd, notifier: Notifier) -> None:
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    said, microseconds = systemd.hear().rsplit("=", 1)
    assert said == "RELOADING=1\nMONOTONIC_USEC"
    assert before <= int(microseconds) <= time.monotonic_ns() // 1000


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": OURS}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_a_watchdog_that_is_not_for_us_is_left_alone(environ: dict[str, str], seconds: float | None) -> None:
    assert Notifier.from_environ(environ).watchdog_seconds == seconds


def test_the_watchdog_is_told_now_and_then(systemd: FakeSystemd, notifier: Notifier) -> None:
    notifier.alive()
    notifier.alive()
    notifier.watchdog_seconds = None
    notifier.alive()
    notifier.status("end")
    assert systemd.heard_by_now() == ["WATCHDOG=1", "STATUS=end"]


def test_an_abstract_socket_is_reached() -> None:
    with FakeSystemd(f"\0courtbridge-test-{OURS}") as listening:
        notifier = Notifier(f"@courtbridge-test-{OURS}")
        notifier.status("here")
        notifier.close()
        assert listening.hear() == "STATUS=here"


@pytest.mark.parametrize("address", ["", "@", "vsock:2:1234", "relative", "/nobody/listens"])
def test_without_a_socket_nothing_is_said(address: str) -> None:
    notifier = Notifier(address, 1.0)
    notifier.ready("x")
    notifier.alive()
    notifier.flush()
    notifier.close()
    notifier.status("after the end")


def test_a_full_socket_neither_blocks_nor_loses_what_was_last_said(systemd: FakeSystemd, notifier: Notifier) -> None:
    while not notifier._unsent:
        notifier.status("x" * 1000)
    notifier.ready("y")
    assert set(systemd.heard_by_now()) == {"STATUS=" + "x" * 1000}
    notifier.flush()
    assert systemd.heard_by_now() == ["STATUS=" + "x" * 1000, "READY=1\nSTATUS=y"]
    assert not notifier._unsent
