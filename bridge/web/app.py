"""The addresses that are served: a page, health, the status as JSON, metrics. GET and HEAD only."""

from __future__ import annotations

import hmac
from asyncio import sleep
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from bridge.log import get_logger, origin
from bridge.sync.status import Status, status_json
from bridge.web import page
from bridge.web.metrics import render

OPEN = frozenset({"/livez", "/readyz"})
WRONG_SECONDS = 1.0
"""How long a wrong password is thought about; nobody else at its address is listened to meanwhile."""
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
Clubs = Mapping[str, Callable[[], Status] | None]
"""How each club stands, by its name, asked from memory; None for one that could not be started. It may change."""


def make_app(clubs: Clubs, password: str | None, *, is_many: bool = False) -> ASGIApp:
    """Return the application; with ``is_many`` there is a page for each club, and ``/`` lists them."""
    site = _Site(clubs, is_many)
    routes = [
        Route("/", site.front),
        Route("/clubs/{name}", site.club),
        Route("/style.css", site.style),
        Route("/livez", site.livez),
        Route("/readyz", site.readyz),
        Route("/api/status", site.status),
        Route("/metrics", site.metrics),
    ]
    return _Guard(Router(routes, redirect_slashes=False), password)


@dataclass(frozen=True, slots=True)
class _Site:
    """The endpoints. All are coroutines: others would run in threads, beside a pass that changes what they read."""

    clubs: Clubs
    is_many: bool

    def _look(self) -> dict[str, Status | None]:
        return {name: look() if look else None for name, look in self.clubs.items()}

    async def front(self, request: Request) -> Response:
        found = self._look()
        if self.is_many:
            return HTMLResponse(page.overview(found))
        return HTMLResponse(page.club_page(next(filter(None, found.values())), request.query_params))

    async def club(self, request: Request) -> Response:
        name = request.path_params["name"]
        if not self.is_many or not (look := self.clubs.get(name)):
            return PlainTextResponse("Not Found", 404)
        return HTMLResponse(page.club_page(look(), request.query_params, name))

    async def style(self, _: Request) -> Response:
        return Response(page.style(), media_type="text/css", headers={"cache-control": "private, max-age=600"})

    async def livez(self, _: Request) -> Response:
        running = [status.running for status in self._look().values() if status]
        return _health("alive", is_well=not any(process and process.is_hung for process in running))

    async def readyz(self, _: Request) -> Response:
        return _health("ready", is_well=all(status and status.is_ready for status in self._look().values()))

    async def status(self, _: Request) -> Response:
        found = {name: status and status_json(status) for name, status in self._look().items()}
        return JSONResponse({"clubs": found} if self.is_many else next(iter(found.values())))

    async def metrics(self, request: Request) -> Response:
        body, media_type = render(self._look(), request.headers.get("accept", ""))
        return Response(body, headers={"content-type": media_type})


def _health(word: str, *, is_well: bool) -> Response:
    return JSONResponse({"status": word if is_well else f"not {word}"}, 200 if is_well else 503)


class _Guard(BaseHTTPMiddleware):
    """Asks for the password, adds the headers that every answer has, and says what went wrong only in the log."""

    def __init__(self, app: ASGIApp, password: str | None) -> None:
        super().__init__(app)
        self._wanted = b"Basic " + b64encode(f"courtbridge:{password}".encode()) if password else None
        self._punished: set[str] = set()
        """The client addresses that gave a wrong password just now."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Answer a request."""
        try:
            response = await self._refusal(request) or await call_next(request)
        except Exception as error:  # noqa: BLE001 (a bug here must not touch the passes)
            get_logger().error("page_failed", **origin(error))
            response = PlainTextResponse("Internal Server Error", 500)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    async def _refusal(self, request: Request) -> Response | None:
        """Return what to answer instead of the page; None for who may see it."""
        given = request.headers.get("authorization", "").encode()
        address = request.client.host if request.client else ""
        if self._wanted is None or request.scope["path"] in OPEN:
            return None
        if given and address in self._punished:
            return PlainTextResponse("Wrong password just now; wait a second", 429, {"retry-after": "1"})
        if hmac.compare_digest(given, self._wanted):
            return None
        if given:
            self._punished.add(address)
            try:
                await sleep(WRONG_SECONDS)
            finally:
                self._punished.discard(address)
        challenge = {"www-authenticate": 'Basic realm="Courtbridge", charset="UTF-8"'}
        return PlainTextResponse("Password needed", 401, challenge)
