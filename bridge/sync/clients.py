"""Both services, connected as the configuration says; kept for as long as that configuration is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bridge.config.schema import Config
from bridge.launch27.client import Launch27, Session
from bridge.launch27.wire import Parser
from bridge.wingfield.client import Wingfield


@dataclass(slots=True)
class Clients:
    """The two clients, and one session for each Launch27 account."""

    launch27: Launch27
    sessions: list[Session]
    wingfield: Wingfield

    @property
    def heard_at(self) -> float:
        """The last sign of life of either client, in seconds of the monotonic clock."""
        return max(self.launch27.http.heard_at, self.wingfield.http.heard_at)

    @property
    def is_away(self) -> bool:
        """Whether a service was found down, and answered nothing in this pass."""
        return any(http.is_down and not http.has_answered for http in (self.launch27.http, self.wingfield.http))

    def new_pass(self) -> None:
        """Ask again what was down or refused in the pass before."""
        for session in self.sessions:
            session.new_pass()
        for http in (self.launch27.http, self.wingfield.http):
            http.reset()

    def stop(self) -> None:
        """Start no further request, but for those that finish a cycle of moves."""
        for http in (self.launch27.http, self.wingfield.http):
            http.stop()

    async def rest(self) -> None:
        """Keep no more connections than a quiet pass needs."""
        await asyncio.gather(self.launch27.http.rest(), self.wingfield.http.rest())

    async def aclose(self) -> None:
        await asyncio.gather(self.launch27.http.aclose(), self.wingfield.http.aclose())


@asynccontextmanager
async def connected(config: Config, earlier: Iterable[Session] = ()) -> AsyncIterator[Clients]:
    """Yield the clients of ``config``; logins of ``earlier`` sessions to the same account are kept."""
    parser = Parser(config.mapping.updated_at_field, config.launch27.service_dates)
    clients = Clients(
        Launch27(config.launch27, parser=parser),
        [Session(account) for account in config.launch27.accounts],
        Wingfield(config.wingfield, config.mapping.id_prefix, courts=len({rule.court_id for rule in config.courts})),
    )
    tokens = {session.account: session.token for session in earlier}
    for session in clients.sessions:
        session.token = tokens.get(session.account)
    try:
        yield clients
    finally:
        await clients.aclose()
