"""Many clubs in one process: the troubles of one are nobody else's."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from time import monotonic

import pytest

from bridge.sandbox import Sandbox
from bridge.service import club, clubs
from bridge.sync.result import Extent, PassResult
from bridge.sync.run import Synchronizer
from tests.support.club import WRITES, is_listing
from tests.support.daemons import HereMany
from tests.support.directory import Directory, email_of

WhatHappens = Callable[[], Awaitable[object]]


@pytest.fixture
def two(directory: Directory) -> Directory:
    for name in ("east", "west"):
        directory.add(name, 1)
    return directory


@pytest.fixture
def in_the_west(monkeypatch: pytest.MonkeyPatch) -> Callable[[WhatHappens], None]:
    """Return a function that lets something happen in the passes of the club west, before they begin."""

    def patch(happens: WhatHappens) -> None:
        run_pass = Synchronizer.run_pass

        async def patched(bridge: Synchronizer, *extent: Extent) -> PassResult:
            if bridge.config.path.stem == "west":
                await happens()
            return await run_pass(bridge, *extent)

        monkeypatch.setattr(Synchronizer, "run_pass", patched)

    return patch


async def test_a_bug_in_one_club_is_logged_and_only_that_club_begins_again(
    two: Directory, in_the_west: Callable[[WhatHappens], None]
) -> None:
    async def bug() -> None:
        raise RuntimeError("hunter2")

    in_the_west(bug)
    async with HereMany(two.path) as here:
        await here.wait("club_failed", 3)
        in_the_west_no_more = two.bridged("west")
        two.book("east")
        await here.until(lambda: two.bridged("east") == 2)
    crashes, failures = here.log.of("club_crashed"), here.log.of("club_failed")
    assert {(line["club"], line["exception_type"]) for line in crashes} == {("west", "RuntimeError")}
    assert {line["club"] for line in failures} == {"west"}
    assert [line["again_in_seconds"] for line in failures[:3]] == [0.05, 0.1, 0.2]
    assert in_the_west_no_more == 0
    assert "hunter2" not in str(here.log)


async def test_a_club_that_hangs_is_ended_and_begins_again(
    two: Directory, in_the_west: Callable[[WhatHappens], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = iter([asyncio.Event().wait])

    async def hang() -> None:
        for wait in hangs:
            await wait()

    in_the_west(hang)
    monkeypatch.setattr(club, "HUNG_SECONDS", 2.0)
    async with HereMany(two.path) as here:
        await here.until(lambda: two.bridged("east") == 1)
        assert two.bridged("west") == 0
        await here.wait("club_failed")
        await here.until(lambda: two.bridged("west") == 1)
    (line,) = here.log.of("club_failed")
    assert (line["club"], line["error"]) == ("west", "it hung, or crashed")


@pytest.mark.parametrize("kind", ["hang", "status"])
@pytest.mark.parametrize("service", ["launch27", "wingfield"])
async def test_a_service_that_is_slow_or_refuses_one_club_delays_no_other(
    two: Directory, sandbox: Sandbox, kind: str, service: str
) -> None:
    if service == "launch27":
        fault = sandbox.launch27.faults.add(kind, times=None, part=email_of("west"), match=is_listing)
    else:
        fault = sandbox.wingfield.faults.add(kind, times=None, match=is_write_of_the_west)
    async with HereMany(two.path) as here:
        await here.until(lambda: two.bridged("east") == 1 and fault.hits > 0)
        two.book("east")
        began = monotonic()
        await here.until(lambda: two.bridged("east") == 2)
        assert monotonic() - began < 2.5, "its interval, and a pass"
        assert two.bridged("west") == 0
        fault.release()
        sandbox.launch27.faults.clear()
        sandbox.wingfield.faults.clear()


def is_write_of_the_west(method: str, path: str) -> bool:
    return method in WRITES and "/west-" in path


async def test_a_state_that_another_program_has_delays_no_other_club(two: Directory) -> None:
    async with HereMany(two.path) as here:
        await here.until(lambda: two.bridged("east") == two.bridged("west") == 1)
        with closing(sqlite3.connect(two.path / "west.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await here.wait("pass_incomplete")
            two.book("east")
            began = monotonic()
            await here.until(lambda: two.bridged("east") == 2)
            assert monotonic() - began < 2.5, "its interval, and a pass"
        two.book("west")
        await here.until(lambda: two.bridged("west") == 2)
    assert {line["club"] for line in here.log.of("pass_incomplete")} == {"west"}


async def test_a_signal_ends_them_all_within_five_seconds_whatever_hangs(two: Directory, sandbox: Sandbox) -> None:
    hang = sandbox.wingfield.faults.add("hang", times=None, match=is_write_of_the_west)
    async with HereMany(two.path) as here:
        await here.until(lambda: two.bridged("east") == 1 and hang.hits == 1)
        began = monotonic()
        os.kill(os.getpid(), signal.SIGTERM)
        await here.ended()
        assert monotonic() - began < 5
    hang.release()


async def test_a_club_with_a_new_name_begins_when_it_has_ended_under_the_old_one(
    two: Directory, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clubs, "LAST_ANSWER_SECONDS", 0.5)
    hang = sandbox.wingfield.faults.add("hang", match=is_write_of_the_west)
    async with HereMany(two.path) as here:
        await here.until(lambda: hang.hits == 1)
        two.file("west").rename(two.file("wild-west"))
        await here.until(lambda: two.bridged("west") == 1)
    order = [(line["event"], line["club"]) for line in here.log if line["event"] in {"club_removed", "club_added"}]
    assert order[2:] == [("club_removed", "west"), ("club_added", "wild-west")]
    hang.release()


async def test_a_hangup_reads_all_files_anew(two: Directory) -> None:
    two.add("zoo").write_text("[launch27")
    async with HereMany(two.path) as here:
        await here.wait("config_rejected")
        await here.wait("club_added", 2)
        os.kill(os.getpid(), signal.SIGHUP)
        await here.wait("config_reloaded", 2)
        await here.wait("config_rejected", 2)
    assert {line["club"] for line in here.log.of("config_reloaded")} == {"east", "west"}
    assert {line["club"] for line in here.log.of("config_rejected")} == {"zoo"}
