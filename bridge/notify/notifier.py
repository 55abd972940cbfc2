"""Tells people of trouble that lasts, after each pass and beside the next one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

from bridge.config.schema import Config, NotifyConfig
from bridge.errors import StateError, Unavailable
from bridge.ledger.store import Ledger
from bridge.log import get_logger
from bridge.model import to_ms
from bridge.notify.channels import beat, channels
from bridge.notify.troubles import Message, Troubles, sentences
from bridge.sync.result import PassResult

_MILLISECOND = timedelta(milliseconds=1)


class Messenger:
    """What is told for one club, and what was; it is remembered in the club's ledger."""

    def __init__(self, config: NotifyConfig, club: str, ledger: Ledger) -> None:
        self._config = config
        self._club = club
        self._ledger = ledger
        self._channels = channels(config)
        self._troubles = ledger.recall(Troubles)
        self._sending: asyncio.Task[None] | None = None
        self._failing: set[str] = set()
        self._pending_beyond = 0

    def pass_finished(self, result: PassResult, rejected: Sequence[str] = ()) -> None:
        """Take note of how a pass went, and send what is due, without waiting for it.

        ``rejected`` are the problems of an edited configuration. What is still being sent from the pass before goes
        first; what is due then is found out with the next pass.
        """
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._tell(result, rejected))

    async def drain(self) -> None:
        """Wait for what is being sent; each channel has its own end."""
        if self._sending is not None:
            await self._sending

    async def aclose(self) -> None:
        """Give up what is being sent: it is due again with the next pass."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    async def _tell(self, result: PassResult, rejected: Sequence[str]) -> None:
        now_ms = to_ms(datetime.now(UTC))
        if result.record.kind == "full":
            self._pending_beyond = result.record.pending
        pending = max(result.record.pending, self._pending_beyond)
        held, withheld = self._ledger.held(), self._ledger.withheld  # a near pass knows only of its own days
        texts = sentences(held, pending, withheld, result.errors, rejected, result.expiring)
        self._remember(self._troubles.now(texts, now_ms))
        after_ms, remind_ms = self._config.after // _MILLISECOND, self._config.remind // _MILLISECOND
        sending: list[Awaitable[object]] = [
            self._send(name, message, now_ms)
            for name in self._channels
            if (message := self._troubles.due(name, texts, now_ms, after_ms, remind_ms))
        ]
        if (url := self._config.heartbeat_url) is not None and result.record.kind == "full":
            sending.append(self._try("heartbeat", beat(url, f"/{int(result.status)}")))
        await asyncio.gather(*sending)

    async def _send(self, name: str, message: Message, now_ms: int) -> None:
        if await self._try(name, self._channels[name](self._club, message)):
            self._remember(self._troubles.told(name, message, now_ms))

    async def _try(self, name: str, sending: Awaitable[None]) -> bool:
        """Return whether it was taken; say once, from its first failure to its next success, that it was not."""
        error = await _complaint(sending)
        if error and name not in self._failing:
            get_logger().warning("notification_failed", channel=name, error=error)
        (self._failing.add if error else self._failing.discard)(name)
        return not error

    def _remember(self, troubles: Troubles) -> None:
        if troubles != self._troubles:
            self._troubles = troubles
            with suppress(StateError):  # the next pass says so; and what is forgotten by a restart is told once more
                self._ledger.remember(troubles)


@asynccontextmanager
async def messenger(config: Config, ledger: Ledger) -> AsyncIterator[Messenger | None]:
    """Yield who tells people of trouble under this configuration, None where nobody is to be told."""
    if config.notify is None:
        yield None
        return
    found = Messenger(config.notify, config.path.stem, ledger)
    try:
        yield found
    finally:
        await found.aclose()


async def test(config: NotifyConfig, club: str) -> dict[str, str]:
    """Send a test message through every configured channel; return what each said, "" where it took it."""
    message = Message("test", (), to_ms(datetime.now(UTC)), "A test message of Courtbridge: nothing is wrong.")
    tries = {name: send(club, message) for name, send in channels(config).items()}
    if config.heartbeat_url is not None:
        tries["heartbeat"] = beat(config.heartbeat_url, "/log")
    return dict(zip(tries, await asyncio.gather(*map(_complaint, tries.values())), strict=True))


async def _complaint(sending: Awaitable[None]) -> str:
    """Return why a channel did not take what is sent; "" where it did."""
    try:
        await sending
    except Unavailable as error:
        return str(error)
    return ""
