"""Reads offset pages of a living list, several side by side, up to its proven end."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bridge.errors import Unavailable
from bridge.launch27.wire import SourceBooking, Unreadable

PAGES_AT_ONCE: Final = 6
MOST_PAGES: Final = 10_000
_STALE_PAGES: Final = 10


@dataclass(slots=True)
class Page:
    """The bookings of a page, and the answer they were read from; ``mapped`` is what its reader makes of it."""

    bookings: Sequence[SourceBooking | Unreadable]
    body: bytes
    mapped: Any = None


class Listing:
    """Reads a listing's pages at ``limit`` bookings each; ``read`` returns the page at an offset.

    Pages are taken in the order of their offsets. ``frontier`` is how far the list was read without a gap;
    it has ended when the page there is empty, unless one behind it, read already, is not: a list that shrank.
    Pages before ``hope`` are read ahead of it, at the stride of the first one (a server may cap ``limit``).
    """

    def __init__(self, read: Callable[[int], Coroutine[Any, Any, Page]], limit: int, expected: int | None) -> None:
        self._read = read
        self._stride = limit
        self._expected = expected or 0
        self._hope: float = self._expected
        self._frontier = 0
        self._has_ended = False
        self._asked: dict[int, asyncio.Task[Page]] = {}
        self._ahead = 0
        self._pages = 0
        self._stale = 0
        self._seen: set[str | int] = set()

    async def pages(self) -> AsyncGenerator[Page, None]:
        """Yield the pages; the list is complete when it ends without an exception."""
        try:
            self._ask(0)
            while offsets := [each for each, task in self._asked.items() if not self._has_ended or task.done()]:
                offset = min(offsets)
                page = await self._asked[offset]
                del self._asked[offset]
                self._note(offset, page)
                if not self._has_ended:
                    self._ask_on()
                if page.bookings:
                    yield page
        finally:
            for task in self._asked.values():
                task.cancel()
            await asyncio.gather(*self._asked.values(), return_exceptions=True)

    def _note(self, offset: int, page: Page) -> None:
        size = len(page.bookings)
        if size:
            self._has_ended = False
            # Bookings without an id are told apart by the page they came in.
            names = {booking.id or hash(page.body) for booking in page.bookings}
            self._stale = 0 if names - self._seen else self._stale + 1
            self._seen |= names
        elif offset == self._frontier:
            self._has_ended = True
        if size < self._stride:
            self._hope = self._expected
        elif offset >= self._expected:
            self._hope = math.inf
        if not self._frontier:
            self._stride = size
        self._frontier = max(self._frontier, offset + size)

    def _ask_on(self) -> None:
        """Ask for the page at the frontier, and ahead of it for those that are likely to be there."""
        if min(self._asked, default=math.inf) > self._frontier:
            self._ask(self._frontier)
            self._ahead = max(self._ahead, self._frontier + self._stride)
        self._ahead = max(self._ahead, self._frontier)
        while len(self._asked) < PAGES_AT_ONCE and self._ahead < self._hope:
            self._ask(self._ahead)
            self._ahead += self._stride

    def _ask(self, offset: int) -> None:
        self._pages += 1
        if self._pages > MOST_PAGES or self._stale > _STALE_PAGES:
            raise Unavailable("Launch27", "the listing never ends; nothing is concluded from it")
        self._asked[offset] = asyncio.create_task(self._read(offset))
