"""A child process: reads packed answers, and prints by how many MiB its memory grew at most."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx

from bridge.errors import Unavailable
from bridge.http.client import Backoff, Call, Http
from bridge.sandbox import packed


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def main(mib: int, encodings: list[str]) -> None:
    bomb = b"".join(packed(mib * 1024**2, encodings))

    async def chunks() -> AsyncIterator[bytes]:
        yield bomb

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/small":
            return httpx.Response(200, json={})
        return httpx.Response(200, headers={"content-encoding": ", ".join(encodings)}, content=chunks())

    http = Http("Launch27", "https://acme.test", transport=httpx.MockTransport(answer), backoff=Backoff(tries=1))
    await http.request(Call("GET", "/small", "/small"), lambda response: response.body)
    before = peak_mib()
    bombs = (http.request(Call("GET", f"/{n}", f"/{n}"), lambda response: len(response.body)) for n in range(6))
    for found in await asyncio.gather(*bombs, return_exceptions=True):
        with suppress(Unavailable):
            if isinstance(found, BaseException) or found != mib * 1024**2:
                raise found if isinstance(found, BaseException) else AssertionError(found)
    print(peak_mib() - before)


asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
