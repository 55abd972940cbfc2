"""The courts of a day as a grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bridge.sandbox import Sandbox
from tests.cli.calls import SLOT, Run, WriteConfig, book
from tests.support.builders import HOUR

BERLIN = ZoneInfo("Europe/Berlin")
DAY = SLOT.astimezone(BERLIN).replace(hour=0)


def on_the_day(sandbox: Sandbox, hour: int, court: int = 1, **fields: Any) -> int:
    return book(sandbox, (DAY + hour * HOUR - SLOT) // HOUR, court, **fields)


def test_a_day_has_a_column_for_each_court_and_tells_how_bookings_stand(
    run: Run, sandbox: Sandbox, write_config: WriteConfig
) -> None:
    config = write_config(more="[sync]\nmax_delete_count = 0\nmax_delete_fraction = 0.0")
    one, gone = (on_the_day(sandbox, hour) for hour in (9, 11))
    other = on_the_day(sandbox, 9, 2, email="")
    on_the_day(sandbox, 9 + 24)
    run("--once", "--config", config)
    sandbox.launch27.cancel(gone)
    run("--once", "--config", config)
    title, *lines = run("day", f"{DAY:%Y-%m-%d}", "--config", config).out.strip().splitlines()
    assert title == f"{DAY:%A, %Y-%m-%d}"
    assert [" ".join(line.split()) for line in lines] == [
        "from Court 1 Court 2",
        f"09:00 –10:00 {one} –10:00 {other} (held)",
        f"11:00 –12:00 {gone} (withheld)",
    ]


def test_today_is_the_accounts_and_may_be_empty(run: Run, config_file: Path) -> None:
    ran = run("day", "--config", config_file)
    assert ran.code == 0
    assert ran.out.endswith("Nothing is on the courts, as far as the last pass knows.\n")


@pytest.mark.parametrize("text", ["2026-13-01", "tomorrow", "0001-01-01", "9999-12-31", ""])
def test_an_odd_day_is_wrong_usage(run: Run, text: str) -> None:
    ran = run("day", text)
    assert ran.code == 2
    assert f'"{text}" is not a day; write it like 2026-11-20' in ran.err
