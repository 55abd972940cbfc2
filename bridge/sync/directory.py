"""What Wingfield knows of players and courts: asked for once an hour, remembered in the ledger."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

from bridge.config.schema import WingfieldConfig
from bridge.errors import Rejected, ServiceError, Unavailable
from bridge.ledger.store import Ledger
from bridge.log import get_logger
from bridge.mapping import Names
from bridge.model import MINUTE_MS
from bridge.planning.refusals import SCOPE_MISSING
from bridge.wingfield.client import Wingfield
from bridge.wingfield.hourly import Mappings, Relations

L = TypeVar("L", Relations, Mappings)


class Directory:
    """Players as users and courts by mappings, as far as the configuration wants them."""

    def __init__(self, wingfield: Wingfield, ledger: Ledger, config: WingfieldConfig) -> None:
        self._wingfield, self._ledger, self._config = wingfield, ledger, config

    async def names(self, now_ms: int, since_ms: int) -> Names | ServiceError:
        """Return what is known, asked for since then (since 1970), too; where mappings were never read, why not."""
        relations, courts, http = Relations(), dict[str, str](), self._wingfield.http
        try:
            if self._config.connected_users:
                relations = await self._look(Relations, self._wingfield.user_relations, now_ms, since_ms)
            if self._config.court_mappings:
                mappings = await self._look(Mappings, self._wingfield.court_mappings, now_ms, since_ms)
                courts = mappings.courts or {}
        except ServiceError as error:
            return error
        http.parts = max(http.parts, len(set(courts.values())))
        return Names(relations, courts, self._config.court_mappings or "")

    def deny(self, bookings: Collection[frozenset[str]], now_ms: int) -> None:
        """Take note of the users, by booking, whom Wingfield denied; the relations are read again."""
        if bookings:
            before = self._ledger.recall(Relations)
            denied = (*before.denied, *((now_ms, users) for users in bookings))
            self._ledger.remember(before.model_copy(update={"again_ms": now_ms, "denied": denied}))

    async def _look(self, kind: type[L], ask: Callable[[], Awaitable[list[Any]]], now_ms: int, since_ms: int) -> L:
        """Return a list as it is believed now; one that cannot be read stays as it is, which is said once."""
        before = self._ledger.recall(kind)
        if not before.is_due(now_ms, since_ms):
            return before
        try:
            after = before.heard(await ask(), now_ms)
        except ServiceError as error:
            after = _unread(before, error, now_ms)
        self._ledger.remember(after)
        return after


def _unread(before: L, error: ServiceError, now_ms: int) -> L:
    """Return the same list, to be asked for again in five minutes, or at its hour after a definite no.

    Raises the error where there is nothing to go on with: as Unavailable, since the pass does not get to its end.
    """
    is_definite = isinstance(error, Rejected) or error.kind == SCOPE_MISSING
    if isinstance(before, Mappings) and before.courts is None:
        raise Unavailable(error.service, f"court mappings: {error}") if isinstance(error, Rejected) else error
    if error.kind != before.trouble:
        what = type(before).__name__.lower()
        get_logger().warning(f"{what}_unread", error=str(error), detail=f"the last known {what} count")
    again_ms = 0 if is_definite else now_ms + 5 * MINUTE_MS
    return before.model_copy(update={"asked_ms": now_ms, "again_ms": again_ms, "trouble": error.kind})
