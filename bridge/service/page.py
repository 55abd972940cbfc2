"""The page of the process: its listener follows the configuration, and waits for a port that is taken."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING

import structlog

from bridge.config.schema import WebConfig

if TYPE_CHECKING:
    from bridge.web.app import Club
    from bridge.web.listener import Listener

AGAIN_SECONDS = 5.0
"""How often a port that is taken is tried again."""

log = structlog.get_logger()


class Page:
    """Listens as ``[web]`` says, for ``clubs`` by name; ``trouble`` says why it does not, "" where all is well."""

    def __init__(self, clubs: Mapping[str, Club | None], *, is_many: bool = False) -> None:
        self.trouble = ""
        self._clubs = clubs
        self._is_many = is_many
        self._wanted: WebConfig | None = None
        self._listener: Listener | None = None
        self._next_try = 0.0

    async def follow(self, wanted: WebConfig | None) -> None:
        """Listen as ``wanted``; do nothing where that is so already, or was tried just now."""
        if wanted != self._wanted:
            await self.close()
            self._wanted, self._next_try = wanted, 0.0
        if wanted is not None and self._listener is None and monotonic() >= self._next_try:
            await self._listen(wanted)

    async def _listen(self, wanted: WebConfig) -> None:
        # Imported here: who has no page does not pay for it.
        from bridge.web.app import make_app
        from bridge.web.listener import Listener

        password = wanted.password.reveal() if wanted.password else None
        listener = Listener(make_app(self._clubs, password, is_many=self._is_many))
        try:
            url = await listener.start(*wanted.address)
        except OSError as error:
            self._put_off(f"the page cannot listen on {wanted.listen}: {error.strerror}")
        else:
            self._listener, self.trouble = listener, ""
            log.info("page_listening", url=url)

    def _put_off(self, trouble: str) -> None:
        """Try again later; say once why."""
        self._next_try = monotonic() + AGAIN_SECONDS
        if trouble != self.trouble:
            log.error("page_unavailable", error=trouble, detail="tried again until the port is free; passes go on")
        self.trouble = trouble

    async def close(self) -> None:
        """Stop listening, at once."""
        listener, self._listener, self.trouble = self._listener, None, ""
        if listener is not None:
            await listener.stop()
