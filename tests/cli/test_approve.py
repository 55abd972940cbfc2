"""A person's word: asked for on a terminal, taken by the next pass, and remembered."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from bridge.sandbox import Sandbox
from tests.cli.calls import Run, WriteConfig, book, on_a_terminal, process
from tests.support.daemons import Here

GUARD = "[sync]\nmax_delete_count = 0\nmax_delete_fraction = 0.0\n"


@pytest.fixture
def withheld(run: Run, sandbox: Sandbox, write_config: WriteConfig) -> tuple[Path, int]:
    """A configuration under which the delete of a booking was withheld, and its id."""
    config = write_config(more=GUARD)
    number, _ = book(sandbox), book(sandbox, 1)
    run("--once", "--config", config)
    sandbox.launch27.cancel(number)
    assert run("--once", "--config", config).code == 1
    return config, number


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("YES\n", 0), ("n\n", 1), ("\n", 1), ("\x04", 1)])
def test_a_person_at_a_terminal_sees_court_and_time_and_is_asked(
    run: Run, withheld: tuple[Path, int], typed: str, code: int
) -> None:
    config, number = withheld
    ended, shown = on_a_terminal("approve", "--config", config, typed=typed)
    assert ended == code
    assert "Court 1" in shown
    assert "Let 1 delete through? [y/N]" in shown
    assert run("--once", "--json", "--config", config).json["deleted"] == (not code)
    actions = [each["action"] for each in run("history", str(number), "--json", "--config", config).json]
    assert actions == (["create"] if code else ["delete", "approve", "create"])


def test_a_pass_that_could_not_look_again_does_not_hide_what_is_withheld(
    run: Run, sandbox: Sandbox, withheld: tuple[Path, int]
) -> None:
    config, number = withheld
    sandbox.launch27.faults.add("status", status=503, times=None)
    assert run("--once", "--config", config).code == 75
    assert run("approve", "--yes", "--json", "--config", config).json == {"approved": [str(number)]}
    sandbox.launch27.faults.clear()
    assert run("--once", "--json", "--config", config).json["deleted"] == 1
    assert run("approve", "--yes", "--json", "--config", config).code == 1


async def test_sighup_has_the_daemon_take_it_at_once(sandbox: Sandbox, write_config: WriteConfig) -> None:
    config = write_config(more=GUARD + 'interval = "1d"')
    number, _ = book(sandbox), book(sandbox, 1)
    async with Here(config) as here:
        await here.passes(1)
        sandbox.launch27.cancel(number)
        os.kill(os.getpid(), signal.SIGHUP)
        assert "courtbridge approve" in (await here.wait("deletes_withheld"))["detail"]
        approved = await asyncio.to_thread(process, "approve", "--yes", "--json", "--config", config)
        assert approved.json == {"approved": [str(number)]}
        os.kill(os.getpid(), signal.SIGHUP)
        assert (await here.wait("deletes_approved"))["ids"] == [str(number)]
        assert (await here.wait("booking_deleted"))["id"] == str(number)
