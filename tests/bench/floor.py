"""The least program that sends the same requests: httpx as it comes, no state, no checks.

Takes a JSON object in a file: where the services are, and what to write: ``"all"``, or lists of ids to put
(``puts``) and of pairs to swap (``swaps``: one out, the other over, the first back).
"""

from __future__ import annotations

import asyncio
import functools
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

Json = Any


class Floor:
    def __init__(self, job: Json, launch27: httpx.AsyncClient, wingfield: httpx.AsyncClient) -> None:
        self.job = job
        self.launch27 = launch27
        self.wingfield = wingfield
        self.authorization: dict[str, str] = {}
        self.token = {"authorization": f"Bearer {job['token']}"}
        service = f"{job['wingfield_url']}/api/v1/external-services/{job['service_id']}"
        self.bookings_url = f"{service}/court-bookings"
        self.version_ms = int(datetime.now(UTC).timestamp() * 1000)

    async def ask(self, path: str, **params: Any) -> Json:
        url = self.job["launch27_url"] + path
        return (await self.launch27.get(url, params=params, headers=self.authorization)).json()

    async def log_in(self) -> None:
        credentials = {"email": self.job["email"], "password": self.job["password"]}
        answer = await self.launch27.post(self.job["launch27_url"] + "/login", json=credentials)
        self.authorization = {"authorization": f"Bearer {answer.json()['bearer']}"}
        await self.ask("/booking/services")

    async def listing(self) -> list[Json]:
        today = datetime.now(UTC).date()
        window = {"from": str(today - timedelta(days=1)), "to": str(today + timedelta(days=60)), "sort": "asc"}
        bookings: list[Json] = []

        async def page(offset: int) -> None:
            bookings.extend(await self.ask("/customer/bookings", limit=100, offset=offset, **window))

        await page(0)
        offsets = range(100, self.job["end"] + 1, 100)
        await side_by_side(6, [functools.partial(page, offset) for offset in offsets])
        return bookings

    async def put(self, booking: Json, version_ms: int) -> None:
        (service,) = booking["services"]
        start = datetime.fromisoformat(booking["service_date"])
        body = {
            "courtId": self.job["courts"][service["id"] - 1],
            "startDate": iso(start),
            "endDate": iso(start + timedelta(minutes=service["hourly"]["minutes"])),
            "externalUpdatedAt": iso(datetime.fromtimestamp(version_ms / 1000, UTC)),
            "participants": [{"email": booking["email"]}],
        }
        url = f"{self.bookings_url}/by-external-id/{booking['id']}"
        await self.wingfield.put(url, json=body, headers=self.token)

    async def swap(self, one: Json, other: Json) -> None:
        version = {"externalUpdatedAt": iso(datetime.fromtimestamp(self.version_ms / 1000, UTC))}
        url = f"{self.bookings_url}/by-external-id/{one['id']}"
        await self.wingfield.delete(url, params=version, headers=self.token)
        await self.put(other, self.version_ms)
        await self.put(one, self.version_ms + 1)

    async def run(self) -> None:
        await asyncio.gather(self.ask("/settings"), self.log_in())
        bookings = await self.listing()
        puts, swaps = self.job["puts"], self.job["swaps"]
        if puts == "all":
            await self.wingfield.get(self.bookings_url, params={"limit": 100, "offset": 0}, headers=self.token)
            puts = [booking["id"] for booking in bookings]
        by_id = {booking["id"]: booking for booking in bookings}
        writes = [functools.partial(self.put, by_id[id_], self.version_ms) for id_ in puts]
        writes += [functools.partial(self.swap, by_id[one], by_id[other]) for one, other in swaps]
        await side_by_side(self.job["concurrency"], writes)


def iso(instant: datetime) -> str:
    return instant.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


async def side_by_side(width: int, waiting: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Do one after another, ``width`` at a time."""
    queue = iter(waiting)

    async def work() -> None:
        for each in queue:
            await each()

    await asyncio.gather(*(work() for _ in range(width)))


@asynccontextmanager
async def floor(job: Json) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    async with httpx.AsyncClient() as launch27, httpx.AsyncClient() as wingfield:
        yield Floor(job, launch27, wingfield).run


async def main() -> None:
    async with floor(json.loads(Path(sys.argv[1]).read_text())) as run:
        await run()


if __name__ == "__main__":
    asyncio.run(main())
