"""Makes the pictures in ``docs/pictures/`` anew: ``.venv/bin/python .ci/pictures.py``. Needs Chromium.

The terminal is that of a real run of the demo, the page the real one over a made-up day.
"""

from __future__ import annotations

import asyncio
import os
import pty
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Literal

CHECKOUT = Path(__file__).parents[1]
sys.path.insert(0, str(CHECKOUT))

from playwright.async_api import async_playwright  # noqa: E402 (the checkout's modules are found only now)
from rich.console import Console  # noqa: E402
from rich.text import Text  # noqa: E402

from bridge.model import Known  # noqa: E402
from tests.support.builders import COURTS  # noqa: E402
from tests.support.views import Shown, at, busy, served  # noqa: E402

PICTURES = CHECKOUT / "docs" / "pictures"
COLUMNS = 120
BEGIN = "4. Two change places"
"""The demo is longer than a picture may be: this is where the picture of it begins."""
NAMES = ("Centre court", "Garden court", "Hall")
HOURS = ((-5, -4, -1.5, 4, 5), (-4.5, -2, 4.5, 5.5), (-5, -3.5, -1, 0.5, 3, 5))
"""When each court has further bookings of an hour, counted from noon."""
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def on_a_terminal(*command: str) -> str:
    """Run a command on a terminal of ``COLUMNS``; return what it shows there."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    with subprocess.Popen(command, cwd=CHECKOUT, env=environ, stdout=theirs) as running:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # EIO: the command has ended
            while chunk := os.read(ours, 65536):
                shown += chunk
    if running.returncode:
        sys.exit(f"{' '.join(command)}: {running.returncode}")
    return shown.decode().replace("\r\n", "\n")


def terminal() -> None:
    """Draw the end of the demo."""
    lines = on_a_terminal(sys.executable, "-m", "bridge", "demo").splitlines()
    begin = next(number for number, line in enumerate(lines) if BEGIN in line)
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text("$ courtbridge demo\n…\n") + Text.from_ansi("\n".join(lines[begin:])))
    drawn = console.export_svg(title="courtbridge demo", unique_id="demo")
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # a picture asks no stranger for a font
    lines = [line.rstrip() for line in drawn.splitlines() if line.strip()]
    (PICTURES / "demo.svg").write_text("\n".join(lines) + "\n")


def day() -> tuple[Known, ...]:
    """Return the further bookings of the day."""
    numbers = count(2001)
    return tuple(at(next(numbers), court, hour) for court, hours in zip(COURTS, HOURS, strict=True) for hour in hours)


async def page() -> None:
    """Photograph the page, light and dark."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    begin = busy()
    known = {each.id: each for each in (*begin.known.values(), *day())}
    courts = dict(zip(COURTS, NAMES, strict=True))
    shown = replace(begin, known=known, courts=courts, held=begin.held[:1])
    async with served({"config": Shown(shown)}) as client, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme in SCHEMES:
            tab = await browser.new_page(viewport={"width": 960, "height": 560}, color_scheme=scheme)
            await tab.goto(f"{client.base_url}/?day=2026-11-20")
            await tab.screenshot(path=PICTURES / f"page-{scheme}.png")
        await browser.close()


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    terminal()
    asyncio.run(page())
