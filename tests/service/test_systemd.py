"""What systemd hears."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bridge.service.systemd import Notifier
from tests.support.daemons import FakeSystemd

Make = Callable[..., Notifier]


@pytest.fixture
def make(systemd: FakeSystemd) -> Iterator[Make]:
    """Return a function that makes a notifier for the fake systemd, with more of an environment."""
    with ExitStack() as made:

        def make_one(**environ: str) -> Notifier:
            notifier = Notifier.from_environ({"NOTIFY_SOCKET": str(systemd.path), **environ})
            made.callback(notifier.close)
            return notifier

        yield make_one


@pytest.mark.parametrize(
    ("say", "message"),
    [
        (lambda notifier: notifier.ready("in sync"), "READY=1\nSTATUS=in sync"),
        (Notifier.stopping, "STOPPING=1\nSTATUS=stopping"),
        (lambda notifier: notifier.status("one\nSTOPPING=1\ttwo"), "STATUS=one STOPPING=1 two"),
    ],
)
def test_a_state_comes_with_its_status_on_one_line(
    systemd: FakeSystemd, make: Make, say: Callable[[Notifier], None], message: str
) -> None:
    say(make())
    assert systemd.hear() == message


def test_reloading_says_when_it_began(systemd: FakeSystemd, make: Make) -> None:
    before = time.monotonic_ns() // 1000
    make().reloading()
    said, microseconds = systemd.hear().rsplit("=", 1)
    assert said == "RELOADING=1\nMONOTONIC_USEC"
    assert before <= int(microseconds) <= time.monotonic_ns() // 1000


def test_the_watchdog_is_told_when_systemd_asks_for_it(systemd: FakeSystemd, make: Make) -> None:
    notifier = make(WATCHDOG_USEC="3000000", WATCHDOG_PID=str(os.getpid()))
    assert notifier.watchdog_seconds == 3.0
    notifier.alive()
    notifier.alive()
    notifier.status("end")
    assert systemd.heard_by_now() == ["WATCHDOG=1", "STATUS=end"]


@pytest.mark.parametrize(
    "environ",
    [{}, {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"}],
)
def test_a_watchdog_that_is_not_for_us_is_left_alone(systemd: FakeSystemd, make: Make, environ: dict[str, str]) -> None:
    notifier = make(**environ)
    assert notifier.watchdog_seconds is None
    notifier.alive()
    notifier.status("end")
    assert systemd.heard_by_now() == ["STATUS=end"]


def test_an_abstract_socket_is_reached() -> None:
    name = f"courtbridge-test-{os.getpid()}"
    with FakeSystemd(f"\0{name}") as listening:
        notifier = Notifier("@" + name)
        notifier.status("here")
        notifier.close()
        assert listening.hear() == "STATUS=here"


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


def test_a_full_socket_neither_blocks_nor_loses_what_was_last_said(systemd: FakeSystemd, make: Make) -> None:
    notifier = make()
    while not notifier._unsent:
        notifier.status("x" * 1000)
    notifier.ready("y")
    assert set(systemd.heard_by_now()) == {"STATUS=" + "x" * 1000}
    notifier.flush()
    assert systemd.heard_by_now() == ["STATUS=" + "x" * 1000, "READY=1\nSTATUS=y"]
    assert not notifier._unsent
