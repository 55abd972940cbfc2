"""The page of the process: its listener follows the configuration, and waits for a port that is taken."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import structlog

from bridge.config.schema import WebConfig

if TYPE_CHECKING:
    from bridge.web.app import Clubs
    from bridge.web.listener import Listener

AGAIN_SECONDS = 5.0
"""How often a port that is taken is tried again."""

log = structlog.get_logger()


class Page:
    """Listens as ``[web]`` says, for ``clubs``; ``trouble`` says why it does not, "" where all is well."""

    def __init__(self, clubs: Clubs, *, is_many: bool = False) -> None:
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
            self._wanted, self._next_try, self.trouble = wanted, 0.0, ""
        if wanted is None or self._listener is not None or monotonic() < self._next_try:
            return
        self._next_try = monotonic() + AGAIN_SECONDS
        # Imported here: who has no page does not pay for it.
        from bridge.web.app import make_app
        from bridge.web.listener import Listener

        password = wanted.password.reveal() if wanted.password else None
        listener = Listener(make_app(self._clubs, password, is_many=self._is_many))
        before, self.trouble = self.trouble, await listener.start(wanted.listen)
        if not self.trouble:
            self._listener = listener
            log.info("page_listening", listen=wanted.listen)
        elif self.trouble != before:
            log.error("page_unavailable", error=self.trouble, detail="tried again until it works; the passes go on")

    async def close(self) -> None:
        """Stop listening, at once."""
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.stop()
