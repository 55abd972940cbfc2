"""The sandbox's own page: book, move, cancel, break and mend, in plain forms; both services side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from bridge.sandbox.breakages import BREAKAGES, Breaker
from bridge.sandbox.living import Living
from bridge.sandbox.playground import Place, Playground
from bridge.sandbox.server import Listener, Sandbox

_PORT = 8028
_FOLDER = Path(__file__).with_name("templates")
_REFRESH_SECONDS = 3
_FORGET_SECONDS = 60
_REQUESTS_KEPT = 1000
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
_environment = Environment(
    loader=FileSystemLoader(_FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
)


@dataclass(frozen=True, slots=True)
class Form:
    """What somebody filled in; whatever cannot be read is a ValueError with a sentence."""

    club: Playground
    fields: dict[str, str]

    def text(self, name: str, default: str | None = None) -> str:
        """Return a field; without a ``default`` it must be filled in."""
        value = self.fields.get(name, "").strip() or default
        if value is None:
            raise ValueError(f"Fill in: {name}.")
        return value

    def number(self, name: str, default: str | None = None) -> int:
        """Return a field that is a whole number."""
        text = self.text(name, default)
        if not (text.isascii() and text.isdecimal() and len(text) < 16):
            raise ValueError(f"{name}: “{text}” is not a number.")
        return int(text)

    @property
    def day(self) -> date:
        """The day that is filled in, today where none is."""
        return chosen_day(self.text("day", ""), self.club)

    def place(self) -> Place:
        """Return the court, day, time and length that are filled in."""
        text = self.text("time")
        try:
            start = datetime.combine(self.day, time.fromisoformat(text).replace(tzinfo=None), self.club.zone)
        except ValueError:
            raise ValueError(f"time: “{text}” is not a time; write it like 18:30.") from None
        return self.club.place(self.number("court"), start, self.number("minutes"))


def chosen_day(text: str, club: Playground) -> date:
    """Return the day that was asked for, today where none was; ValueError where ``text`` is not a day near enough."""
    today = club.now.date()
    with suppress(ValueError):
        day = date.fromisoformat(text or today.isoformat())
        if abs(day - today) < timedelta(days=3650):
            return day
    raise ValueError(f"day: “{text}” is not a day; write it like {today}.")


def _book(form: Form) -> None:
    name, email = form.text("name"), form.text("email", "")
    form.club.book(name, email, form.place(), form.text("players", ""))


def _set_players(form: Form) -> None:
    form.club.set_players(form.number("id"), form.text("email", ""), form.text("players", ""))


_ACTIONS: dict[str, Callable[[Form], object]] = {
    "book": _book,
    "move": lambda form: form.club.move(form.number("id"), form.place()),
    "players": _set_players,
    "cancel": lambda form: form.club.cancel(form.number("id")),
    "restore": lambda form: form.club.restore(form.number("id")),
    "hand-book": lambda form: form.club.book_by_hand(form.place()),
    "hand-move": lambda form: form.club.move_by_hand(form.text("id"), form.place()),
    "hand-delete": lambda form: form.club.delete_by_hand(form.text("id")),
}
"""What a form does, by the path it is sent to."""


class Page:
    """The page of one playground, as an application: ``app``."""

    def __init__(self, club: Playground) -> None:
        self._club = club
        self._breaker = Breaker(club)
        self._actions: dict[str, Callable[[Form], object]] = {
            **_ACTIONS,
            "break": lambda form: self._breaker.begin(form.text("what"), form.number("court", "0")),
            "mend": lambda form: self._breaker.mend(form.text("what")),
        }
        self.app = Starlette(
            routes=[
                Route("/", self._show, methods=["GET"]),
                Route("/style.css", self._style, methods=["GET"]),
                Route("/{action}", self._act, methods=["POST"]),
            ]
        )

    async def _style(self, _request: Request) -> Response:
        return FileResponse(_FOLDER / "style.css", headers=_HEADERS)

    async def _show(self, request: Request) -> Response:
        try:
            day, problem = chosen_day(request.query_params.get("day", ""), self._club), ""
        except ValueError as error:
            day, problem = self._club.now.date(), str(error)
        return self._page(day, problem, is_watched="watch" in request.query_params)

    async def _act(self, request: Request) -> Response:
        action = self._actions.get(request.path_params["action"])
        if action is None:
            return Response("Not found", 404)
        body = (await request.body()).decode(errors="replace")
        form, day = Form(self._club, dict(parse_qsl(body))), self._club.now.date()
        try:
            day = form.day
            action(form)
        except ValueError as error:
            return self._page(day, str(error))
        return RedirectResponse(f"/?day={day}", 303)

    def _page(self, day: date, problem: str, *, is_watched: bool = False) -> Response:
        club = self._club
        html = _environment.get_template("page.html").render(
            club=club,
            config=club.configuration,
            day=day,
            pairs=club.day(day),
            problem=problem,
            broken=self._breaker.broken,
            breakages=BREAKAGES,
            step=timedelta(days=1),
            is_watched=is_watched,
        )
        headers = {**_HEADERS, **({"Refresh": str(_REFRESH_SECONDS)} if is_watched else {})}
        return HTMLResponse(html, 400 if problem else 200, headers)


@asynccontextmanager
async def served(
    club: Playground,
    *,
    launch27_port: int = 0,
    wingfield_port: int = 0,
    port: int | None = None,
    living: Living | None = None,
    every_seconds: float = 5.0,
) -> AsyncIterator[str]:
    """Serve both services of a playground and the page; the page's address is what it enters with.

    The page's ``port`` is 8028 if not another, or a free one where that is taken. With ``living``, something happens
    every so many seconds. Raises OSError where a port cannot be had.
    """
    async with Sandbox(club.launch27, club.wingfield, launch27_port=launch27_port, wingfield_port=wingfield_port):
        listener = Listener(Page(club).app)
        address = await _started(listener, port)
        tasks = [asyncio.create_task(_forget(club))]
        if living is not None:
            tasks.append(asyncio.create_task(living.go_on(every_seconds)))
        try:
            yield address
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await listener.stop()


async def _started(listener: Listener, port: int | None) -> str:
    if port is not None:
        return await listener.start(port)
    try:
        return await listener.start(_PORT)
    except OSError:
        return await listener.start()


async def _forget(club: Playground) -> None:
    """Keep the services' logs short: they may run for weeks."""
    while True:
        await asyncio.sleep(_FORGET_SECONDS)
        for service in (club.launch27, club.wingfield):
            del service.log[:-_REQUESTS_KEPT]
