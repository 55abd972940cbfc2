"""Whether requests to a service may leave: no longer once it is down, nor while the bridge stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from bridge.errors import Unavailable
from bridge.http.failures import Failed


class Closed(Exception):
    """The gate is closed, or was while one waited; it never leaves the package."""


class Gate:
    """Lets requests through while it is open; a stop leaves it open for those that are ``finishing``.

    When it closes, those who wait are woken. What is on the wire goes on.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._down: Failed | None = None
        self._is_stopping = False
        self._waiting: dict[asyncio.Timeout, bool] = {}

    @property
    def is_down(self) -> bool:
        """Whether the service was found down since the last :meth:`reset`."""
        return self._down is not None

    def is_open(self, *, finishing: bool) -> bool:
        """Whether a request may leave."""
        return self._down is None and (finishing or not self._is_stopping)

    def check(self, *, finishing: bool) -> None:
        """Raise Closed where a request may not leave."""
        if not self.is_open(finishing=finishing):
            raise Closed

    def closed(self, *, maybe_applied: bool) -> Unavailable:
        """Return why a request may not leave."""
        words, kind = "not asked: the bridge is stopping", "stopping"
        if self._down is not None:
            words, kind = f"not asked again in this pass, after: {self._down.words}", self._down.kind
        return Unavailable(self._service, words, kind=kind, maybe_applied=maybe_applied)

    def down(self, failure: Failed) -> None:
        """Close, because the service is down."""
        if self._down is None:
            self._down = failure
            self._wake()

    def stop(self) -> None:
        """Close for good, but for what is finishing."""
        self._is_stopping = True
        self._wake()

    def reset(self) -> None:
        """Take the service for up again."""
        self._down = None

    @asynccontextmanager
    async def waiting(self, *, finishing: bool) -> AsyncIterator[asyncio.Timeout]:
        """Wait inside for as long as need be; raises Closed where the gate is, or when it closes."""
        self.check(finishing=finishing)
        try:
            async with asyncio.timeout(None) as patience:
                self._waiting[patience] = finishing
                try:
                    yield patience
                finally:
                    self._waiting.pop(patience, None)
        except TimeoutError:
            raise Closed from None

    @contextmanager
    def not_waiting(self, patience: asyncio.Timeout) -> Iterator[None]:
        """Do something inside :meth:`waiting` that is not to be cut short."""
        finishing = self._waiting.pop(patience, False)
        try:
            yield
        finally:
            self._waiting[patience] = finishing

    def _wake(self) -> None:
        closed = [each for each, finishing in self._waiting.items() if not self.is_open(finishing=finishing)]
        for patience in closed:
            del self._waiting[patience]
            patience.reschedule(0)
