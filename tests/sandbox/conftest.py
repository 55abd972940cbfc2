"""Both services in the running event loop, a clock that only moves when told to, and their clients."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from bridge.sandbox import Launch27, Sandbox, Wingfield

CUSTOMER, OTHER, DESK = "club@example.com", "other@example.com", "desk@example.com"
PASSWORD = "correct horse"
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # unused, and quicker than loading the certificates
NOON = 1_763_640_000.0  # 2025-11-20T12:00:00Z


class Clock:
    now = NOON

    def __call__(self) -> float:
        return self.now


class Caller:
    """An account of Launch27 that is logged in."""

    def __init__(self, http: httpx.AsyncClient, world: Launch27, bearer: str) -> None:
        self.http, self.world, self.bearer = http, world, bearer

    @classmethod
    async def log_in(cls, http: httpx.AsyncClient, world: Launch27, email: str = CUSTOMER) -> Caller:
        answer = await http.post("/login", json={"email": email, "password": PASSWORD})
        return cls(http, world, answer.json()["bearer"])

    async def get(self, path: str, **query: str | int) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.bearer}"}
        return await self.http.get(path, params=query, headers=headers)

    async def ids(self, path: str = "/customer/bookings", **query: str | int) -> list[int]:
        answer = await self.get(path, **query)
        assert answer.status_code == 200
        return [booking["id"] for booking in answer.json()]


def wanted(**changes: Any) -> dict[str, Any]:
    """Return the body of an upsert."""
    return {
        "courtId": "79ae2927-a9bc-46ed-8f9e-079af32b7616",
        "startDate": "2025-11-21T10:00:00Z",
        "endDate": "2025-11-21T11:00:00Z",
        "externalUpdatedAt": "2025-11-20T08:00:00Z",
        "participants": [{"email": "a@b.co"}],
    } | changes


class Partner:
    """What a partner of Wingfield does, with its token."""

    def __init__(self, http: httpx.AsyncClient, world: Wingfield) -> None:
        self.http, self.world = http, world
        self.headers = {"Authorization": f"Bearer {world.token}"}
        self.service = f"/api/v1/external-services/{world.service_id}"

    async def put(self, external_id: str, body: object = None, **changes: Any) -> httpx.Response:
        path = f"{self.service}/court-bookings/by-external-id/{external_id}"
        content = wanted(**changes) if body is None else body
        return await self.http.put(path, json=content, headers=self.headers)

    async def delete(self, external_id: str, version: str | None) -> httpx.Response:
        path = f"{self.service}/court-bookings/by-external-id/{external_id}"
        query = {} if version is None else {"externalUpdatedAt": version}
        return await self.http.delete(path, params=query, headers=self.headers)

    async def get(self, path: str, **query: str | int) -> httpx.Response:
        return await self.http.get(self.service + path, params=query, headers=self.headers)

    async def post(self, path: str, body: object) -> httpx.Response:
        return await self.http.post(self.service + path, json=body, headers=self.headers)

    async def bare(self, path: str) -> httpx.Response:
        """Get what does not belong to the external service."""
        return await self.http.get(f"/api/v1{path}", headers=self.headers)

    async def map_court(self, court_id: str, **body: object) -> httpx.Response:
        path = f"{self.service}/courts/{court_id}/mapping"
        return await self.http.put(path, json=body, headers=self.headers)

    async def listed(self, **query: str | int) -> list[str]:
        answer = await self.get("/court-bookings", **query)
        assert answer.status_code == 200, answer.text
        return [item["externalCourtBookingId"] for item in answer.json()["items"]]


def kind(answer: httpx.Response) -> tuple[int, str | None]:
    """Return status and error type; the shape of every error is checked on the way."""
    if answer.status_code == 200:
        return 200, None
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) - {"issues"} == {"type", "message"}
    assert isinstance(error["message"], str)
    return answer.status_code, error["type"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def sandbox(clock: Clock) -> AsyncIterator[Sandbox]:
    launch27 = Launch27(clock=clock)
    for email in (CUSTOMER, OTHER):
        launch27.add_account(email, PASSWORD)
    launch27.add_account(DESK, PASSWORD, kind="staff")
    async with Sandbox(launch27, Wingfield(clock=clock)) as sandbox:
        yield sandbox


@pytest.fixture
def launch27(sandbox: Sandbox) -> Launch27:
    return sandbox.launch27


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    """A client of Launch27 that is not logged in."""
    async with httpx.AsyncClient(base_url=sandbox.launch27.url, verify=TLS, trust_env=False) as http:
        yield http


@pytest.fixture
async def customer(http: httpx.AsyncClient, launch27: Launch27) -> Caller:
    return await Caller.log_in(http, launch27)


@pytest.fixture
async def desk(http: httpx.AsyncClient, launch27: Launch27) -> Caller:
    return await Caller.log_in(http, launch27, DESK)


@pytest.fixture
async def partner(sandbox: Sandbox) -> AsyncIterator[Partner]:
    async with httpx.AsyncClient(base_url=sandbox.wingfield.url, verify=TLS, trust_env=False) as http:
        yield Partner(http, sandbox.wingfield)
