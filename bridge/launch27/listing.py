"""Reads offset pages of a living list, several side by side, up to its proven end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from bridge.errors import Unavailable
from bridge.launch27.wire import SourceBooking, Unreadable

Bookings = list[SourceBooking | Unreadable]

PAGES_AT_ONCE: Final = 6
MOST_PAGES: Final = 10_000
_STALE_PAGES: Final = 10


@dataclass(frozen=True, slots=True)
class Page:
    """The bookings at ``offset``, and the answer they were read from."""

    offset: int
    bookings: Bookings
    body: bytes

    @property
    def end(self) -> int:
        """The offset behind its last booking."""
        return self.offset + len(self.bookings)

    @property
    def names(self) -> frozenset[str]:
        """The ids; those without any are told apart by the page they came in."""
        names = frozenset(booking.id for booking in self.bookings)
        return names - {""} | {blake2b(self.body, digest_size=16).hexdigest()} if "" in names else names


class Listing:
    """Reads an offset listing side by side, up to its proven end.

    ``frontier`` is how far it was read without a gap. Pages beyond it are asked for at the stride of the
    first page (a server may cap ``limit``), but none that ``expected`` says is not there.
    """

    def __init__(self, read: Callable[[int], Coroutine[Any, Any, Page]], limit: int, expected: int | None) -> None:
        self._read = read
        self._limit = limit
        self._expected = expected
        self._stride = 0
        self._frontier = 0
        self._bold = False
        self._beyond: dict[int, int] = {}  # start and end of what was read behind a gap
        self._empty: set[int] = set()
        self._asked: set[int] = set()
        self._tasks: dict[asyncio.Task[Page], int] = {}
        self._pages = 0
        self._stale = 0
        self._seen: set[str] = set()

    async def pages(self) -> AsyncGenerator[Bookings, None]:
        """Yield the pages as they come; the list is complete when it ends without an exception."""
        try:
            self._ask(0)
            while not self._complete():
                done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in sorted(done, key=self._tasks.__getitem__):
                    page = task.result()
                    del self._tasks[task]
                    self._note(page)
                    if page.bookings:
                        yield page.bookings
                self._ask_on()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _complete(self) -> bool:
        return self._frontier in self._empty and not self._beyond

    def _ask(self, offset: int) -> None:
        self._pages += 1
        if self._pages > MOST_PAGES or self._stale > _STALE_PAGES:
            raise Unavailable("Launch27", "the listing never ends; nothing is concluded from it")
        self._asked.add(offset)
        self._tasks[asyncio.create_task(self._read(offset))] = offset

    def _ask_on(self) -> None:
        """Ask for the page at the frontier, and for as many beyond it as are likely to be there."""
        if self._complete():
            return
        end = min(self._empty, default=None)
        offset = self._frontier
        while len(self._tasks) < PAGES_AT_ONCE and (offset == self._frontier or self._likely(offset, end)):
            if offset not in self._asked:
                self._ask(offset)
            offset = self._next(offset)

    def _likely(self, offset: int, end: int | None) -> bool:
        if not self._bold or (end is not None and offset >= end):
            return False
        return self._expected is None or offset < self._expected

    def _next(self, offset: int) -> int:
        """Return where to go on behind ``offset``: where a page was asked for already."""
        if offset in self._beyond:
            return self._beyond[offset]
        step = offset + self._stride
        return min((asked for asked in self._asked if offset < asked < step), default=step)

    def _note(self, page: Page) -> None:
        if not page.bookings:
            self._empty.add(page.offset)
        else:
            self._weigh(page)
            self._beyond[page.offset] = page.end
        self._advance()

    def _weigh(self, page: Page) -> None:
        """Learn from a page with bookings what further ones are likely to be like."""
        names = page.names
        self._stale = 0 if names - self._seen else self._stale + 1
        self._seen |= names
        size = len(page.bookings)
        if not self._stride:
            self._stride = size
            self._bold = size >= self._limit or self._expected is not None
        elif size >= self._stride:
            self._bold = True
            if self._expected is not None and page.offset >= self._expected:
                self._expected = None

    def _advance(self) -> None:
        """Move the frontier over everything that joins it.

        An empty page with bookings behind it is a list that shrank while it was read: go on behind the gap.
        """
        while self._beyond:
            start = min(self._beyond)
            if start > self._frontier and self._frontier not in self._empty:
                break
            self._frontier = max(self._frontier, self._beyond.pop(start))
        self._asked = {offset for offset in self._asked if offset >= self._frontier}
        self._empty = {offset for offset in self._empty if offset >= self._frontier}
