"""The addresses that are served: a page, health, the status as JSON, metrics. GET and HEAD only."""

from __future__ import annotations

import base64
import hmac
from asyncio import sleep
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from traceback import extract_tb
from typing import Protocol

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.sync.status import status_json
from bridge.sync.view import View
from bridge.web import page
from bridge.web.metrics import render

USER = "courtbridge"
OPEN = frozenset({"/livez", "/readyz"})
WRONG_SECONDS = 1.0
"""After each wrong password the next one from the same address waits for so long."""
LONGEST_WAIT_SECONDS = 10.0
_MOST_ADDRESSES = 1000
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class Club(Protocol):
    """What is shown of a club."""

    @property
    def is_hung(self) -> bool:
        """Whether its passes have stopped turning."""

    def view(self) -> View:
        """Return how things stand now, from memory."""


def make_app(clubs: Mapping[str, Club | None], password: str | None, *, is_many: bool = False) -> ASGIApp:
    """Return the application for ``clubs`` by name, which may change; None stands for one that could not be started.

    With ``is_many`` there is a page for each, and ``/`` lists them.
    """
    site = _Site(clubs, is_many=is_many)
    pages = [Route("/", site.overview), Route("/clubs/{name}", site.club)] if is_many else [Route("/", site.only)]
    routes = [
        *pages,
        Route("/style.css", site.style),
        Route("/livez", site.livez),
        Route("/readyz", site.readyz),
        Route("/api/status", site.status),
        Route("/metrics", site.metrics),
    ]
    return _Guard(Router(routes, redirect_slashes=False), password)


class _Site:
    """The endpoints. All are coroutines: others would run in threads, beside a pass that changes what they read."""

    def __init__(self, clubs: Mapping[str, Club | None], *, is_many: bool) -> None:
        self._clubs = clubs
        self._is_many = is_many

    def _views(self) -> dict[str, View | None]:
        return {name: club.view() if club else None for name, club in self._clubs.items()}

    async def only(self, request: Request) -> Response:
        (view,) = self._views().values()
        return HTMLResponse(page.club_page(view, request.query_params)) if view else _not_found()

    async def overview(self, _request: Request) -> Response:
        return HTMLResponse(page.overview(self._views()))

    async def club(self, request: Request) -> Response:
        name = request.path_params["name"]
        club = self._clubs.get(name)
        return HTMLResponse(page.club_page(club.view(), request.query_params, name)) if club else _not_found()

    async def style(self, _request: Request) -> Response:
        return Response(page.style(), media_type="text/css", headers={"cache-control": "private, max-age=600"})

    async def livez(self, _request: Request) -> Response:
        is_hung = any(club and club.is_hung for club in self._clubs.values())
        return JSONResponse({"status": "hung" if is_hung else "alive"}, 503 if is_hung else 200)

    async def readyz(self, _request: Request) -> Response:
        is_ready = all(view and view.status.is_ready for view in self._views().values())
        return JSONResponse({"status": "ready" if is_ready else "not ready"}, 200 if is_ready else 503)

    async def status(self, _request: Request) -> Response:
        found = {name: status_json(view.status) if view else None for name, view in self._views().items()}
        return JSONResponse({"clubs": found} if self._is_many else next(iter(found.values())))

    async def metrics(self, request: Request) -> Response:
        views = {name: view for name, view in self._views().items() if view}
        body, media_type = render(views, request.headers.get("accept", ""))
        return Response(body, headers={"content-type": media_type})


def _not_found() -> Response:
    return PlainTextResponse("Not Found", 404)


class _Guard:
    """Asks for the password, adds the headers that every answer has, and says what went wrong only in the log."""

    def __init__(self, app: ASGIApp, password: str | None) -> None:
        self._app = app
        self._wanted = f"{USER}:{password}".encode() if password else None
        self._next_try: dict[str, float] = {}
        """By client address: when its next password is looked at, in seconds of the monotonic clock."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        app = await self._refusal(Request(scope)) or self._app
        try:
            await app(scope, receive, send_with_headers)
        except Exception as error:  # noqa: BLE001 (a bug here must not touch the passes)
            # Without its message, which could hold anything.
            at = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in extract_tb(error.__traceback__)[-3:]]
            structlog.get_logger().error("page_failed", exception_type=type(error).__name__, at=at)
            await PlainTextResponse("Internal Server Error", 500)(scope, receive, send_with_headers)

    async def _refusal(self, request: Request) -> Response | None:
        """Return what to answer instead of the page; None for who may see it."""
        if self._wanted is None or request.scope["path"] in OPEN:
            return None
        given = request.headers.get("authorization", "")
        challenge = {"www-authenticate": 'Basic realm="Courtbridge", charset="UTF-8"'}
        if not given:
            return PlainTextResponse("Password needed", 401, challenge)
        address, now = request.client.host if request.client else "", monotonic()
        wait_seconds = self._next_try.get(address, now) - now
        if wait_seconds > LONGEST_WAIT_SECONDS:
            return PlainTextResponse("Too many wrong passwords", 429, {"retry-after": f"{wait_seconds:.0f}"})
        if wait_seconds > 0:
            self._next_try[address] += WRONG_SECONDS
            await sleep(wait_seconds)
        if _is_same(given, self._wanted):
            self._next_try.pop(address, None)
            return None
        if len(self._next_try) >= _MOST_ADDRESSES:
            self._next_try.clear()
        self._next_try[address] = max(self._next_try.get(address, 0.0), monotonic() + WRONG_SECONDS)
        return PlainTextResponse("Wrong password", 401, challenge)


def _is_same(authorization: str, wanted: bytes) -> bool:
    scheme, _, encoded = authorization.partition(" ")
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except ValueError:
        given = b""
    return hmac.compare_digest(given, wanted) and scheme.lower() == "basic"
