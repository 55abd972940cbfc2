"""The page in a real browser, at three widths, in the light and in the dark, by keyboard."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
import pytest_asyncio

from bridge.sync.words import Places
from tests.support.builders import COURTS
from tests.support.views import Shown, busy, served

if TYPE_CHECKING:
    from playwright.async_api import Browser, ConsoleMessage, Request

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason='needs a browser: "apt install chromium"'),
    pytest.mark.asyncio(loop_scope="module"),  # one browser for all of them: it takes seconds to start
]
DAY = "/?day=2026-11-20"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    api = pytest.importorskip("playwright.async_api", reason="playwright is in the extra [dev]")
    async with api.async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        await launched.close()


def _note_complaint(complaints: list[str], message: ConsoleMessage) -> None:
    complaints.append(message.text)


def _note_request(asked: list[str], request: Request) -> None:
    asked.append(request.url)


SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.mark.parametrize("width", [360, 768, 1280])
async def test_the_page_fits_is_dark_at_night_and_shows_what_is_held(
    browser: Browser, width: int, tmp_path: Path
) -> None:
    long = {"long": "Center-Court-mit-Donaudampfschifffahrtsgesellschaft " * 2}
    shown = busy(places=Places({**COURTS, **long}, busy().places.zone))
    async with served({"config": Shown(shown)}) as client:
        papers = []
        for scheme in SCHEMES:
            page = await browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            complaints, asked = list[str](), list[str]()
            page.on("console", partial(_note_complaint, complaints))
            page.on("request", partial(_note_request, asked))
            await page.goto(f"{client.base_url}{DAY}")
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            for words in ("Needs a person", "Move one of the two bookings."):
                assert await page.get_by_text(words).first.is_visible()
            bars = page.locator("svg.booking")
            assert await bars.count() == 4
            for index in range(4):
                box = await bars.nth(index).bounding_box()
                assert box is not None
                assert 0 <= box["x"] < box["x"] + box["width"] <= width
            looks = "bars => new Set(bars.map(b => getComputedStyle(b.querySelector('.box')).fill)).size"
            assert await bars.evaluate_all(looks) == 4
            papers.append(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert complaints == []
            assert all(url.startswith((str(client.base_url), "data:")) for url in asked)
            await page.screenshot(path=tmp_path / f"{width}-{scheme}.png", full_page=True)
            await page.close()
        assert papers[0] != papers[1]


async def test_every_link_is_reached_by_keyboard_and_its_focus_is_seen(browser: Browser) -> None:
    async with served({"config": Shown(busy())}) as client:
        page = await browser.new_page()
        await page.goto(f"{client.base_url}{DAY}")
        reached = []
        for _ in range(6):
            await page.keyboard.press("Tab")
            reached.append(await page.evaluate("document.activeElement.textContent.trim()"))
            assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert reached[:5] == ["To the content", "Courtbridge", "Stop that", "2 held", "1 delete withheld"]
        await page.close()


async def test_a_refresh_keeps_the_place(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge.web import page as pages

    monkeypatch.setitem(pages._environment.globals, "refresh", 1)
    club = Shown(busy())
    async with served({"config": club}) as client:
        page = await browser.new_page(viewport={"width": 360, "height": 500})
        await page.goto(f"{client.base_url}{DAY}")
        await page.evaluate("scrollTo(0, 700)")
        club.shown = busy(held=())
        await page.get_by_text("Nothing is held.").wait_for()
        await page.wait_for_function("scrollY === 700")
        assert page.url.endswith(DAY)
        await page.close()
