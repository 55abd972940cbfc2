"""A club for tests: both services on loopback, one state file, and a bridge that can die at any step."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from bridge.config.schema import (
    Account,
    Config,
    CourtRule,
    Launch27Config,
    MappingConfig,
    Secret,
    SyncConfig,
    WingfieldConfig,
    account_key,
)
from bridge.errors import BridgeError
from bridge.http.client import Backoff, Http, Timeouts
from bridge.http.ratelimit import RateLimiter
from bridge.launch27.client import Launch27 as Launch27Client
from bridge.launch27.client import Session
from bridge.launch27.wire import Parser
from bridge.ledger.store import Ledger
from bridge.model import Found, Held, HeldSince, Outcome, Stored, Verb, Write, from_ms
from bridge.sandbox import Launch27, Sandbox, Wingfield
from bridge.sync.clients import Services
from bridge.sync.run import PassResult, Synchronizer
from bridge.wingfield.client import Wingfield as WingfieldClient

COURTS = {f"00000000-0000-4000-8000-00000000000{n}": f"Court {n}" for n in (1, 2, 3)}
COURT_IDS = tuple(COURTS)
EMAIL, SECOND = "club@example.com", "second@example.com"
PASSWORD = "correct horse"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

QUICK = Backoff(tries=3, in_all=2.0, first=0.001, longest=0.004, jitter=0.001)
PATIENCE = Timeouts(connect=1.0, read=0.5, write=0.5, total=1.0)


class Crash(BaseException):
    """The process is dead: no code of the bridge may catch this."""


@dataclass
class Fuse:
    """Counts the steps of a process, and kills it at one of them."""

    left: int | None = None

    def step(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Crash


class DyingLedger(Ledger):
    """The real ledger; the process may die before and after each of its transactions."""

    fuse: Fuse
    club: Club

    def record(self, intents: Sequence[Write], outcomes: Sequence[Outcome | Found]) -> None:
        self.fuse.step()
        for write in intents:
            self.club.check_intent(write)
        super().record(intents, outcomes)
        self.fuse.step()

    def adopt(self, bookings: Iterable[Found]) -> None:
        self.fuse.step()
        super().adopt(bookings)
        self.fuse.step()

    def allow(self, ids: Iterable[str]) -> None:
        self.fuse.step()
        super().allow(ids)
        self.fuse.step()

    def asked(self, gone: Iterable[str], others: Iterable[str], now_ms: int) -> None:
        self.fuse.step()
        super().asked(gone, others, now_ms)
        self.fuse.step()

    def finish(self, closing: Any) -> None:
        self.fuse.step()
        super().finish(closing)
        self.fuse.step()


class DyingWingfield:
    """The real client; the process may die before and after each request."""

    def __init__(self, client: WingfieldClient, fuse: Fuse) -> None:
        self._client = client
        self._fuse = fuse

    @property
    def is_down(self) -> bool:
        return self._client.is_down

    async def write(self, write: Write, *, finishing: bool = False) -> None:
        self._fuse.step()
        await self._client.write(write, finishing=finishing)
        self._fuse.step()

    async def read(self, id_: str, *, finishing: bool = False) -> Stored | None:
        self._fuse.step()
        return await self._client.read(id_, finishing=finishing)

    async def list_bookings(self) -> AsyncIterator[Sequence[Stored]]:
        async for page in self._client.list_bookings():
            self._fuse.step()
            yield page


@dataclass
class Recorder:
    """A narrator that remembers."""

    wrote_: list[Write] = field(default_factory=list)
    began: list[Held] = field(default_factory=list)
    ended: list[HeldSince] = field(default_factory=list)
    skipped: list[tuple[str, int]] = field(default_factory=list)
    results: list[PassResult] = field(default_factory=list)

    def pass_started(self) -> None: ...
    def asking(self, answered: int) -> None: ...
    def planned(self, writes: int) -> None: ...

    def wrote(self, write: Write) -> None:
        self.wrote_.append(write)

    def participants_skipped(self, id_: str, count: int) -> None:
        self.skipped.append((id_, count))

    def held_changed(self, began: Sequence[Held], ended: Sequence[HeldSince]) -> None:
        self.began.extend(began)
        self.ended.extend(ended)

    def pass_finished(self, result: PassResult) -> None:
        self.results.append(result)


class Club:
    """Two services, one bridge, and a clock that only moves when told to."""

    def __init__(self, folder: Path, *, modification_times: bool = False, accounts: int = 1) -> None:
        self.now = NOON
        self.launch27 = Launch27(modification_times=modification_times, clock=self._seconds)
        self.wingfield = Wingfield(courts=COURTS, clock=self._seconds)
        for email in (EMAIL, SECOND):
            self.launch27.add_account(email, PASSWORD)
        for number in (1, 2, 3):
            self.launch27.add_service(number, f"Court {number}")
        self.launch27.add_service(9, "Racket hire")
        self.folder = folder
        self.sandbox = Sandbox(self.launch27, self.wingfield)
        self.accounts = accounts
        self.rules = tuple(
            CourtRule(court_id, service_ids=frozenset({number}))
            for number, court_id in enumerate(COURT_IDS, 1)
        )
        self.mapping = MappingConfig(default_minutes=60, participant_fields=("players",))
        self.limits: dict[str, Any] = {"max_delete_count": 1000}
        self.fuse = Fuse()
        self.stop = asyncio.Event()
        self.narrator: Recorder = Recorder()
        self.services: Services | None = None
        self.checking = True
        self.concurrency = 4
        self.emails: tuple[str, ...] = (EMAIL, SECOND)
        self.password = PASSWORD
        self.role = "customer"
        self.timezone: str | None = None
        self.page_size = 10
        self.backoff, self.patience = QUICK, PATIENCE
        self._ledger: DyingLedger | None = None

    def _seconds(self) -> float:
        return self.now.timestamp()

    async def __aenter__(self) -> Self:
        await self.sandbox.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
        await self.sandbox.__aexit__(None, None, None)

    # --- the bridge ---

    @property
    def state(self) -> Path:
        return self.folder / "courtbridge.db"

    @property
    def config(self) -> Config:
        emails = self.emails[: self.accounts]
        accounts = tuple(
            Account(number, email, Secret(self.password), account_key(email))
            for number, email in enumerate(emails, 1)
        )
        return Config(
            path=self.folder / "config.toml",
            launch27=Launch27Config(
                self.launch27.url, accounts, self.role, self.timezone, page_size=self.page_size
            ),
            wingfield=WingfieldConfig(
                self.wingfield.url, self.wingfield.service_id, Secret(self.wingfield.token), self.concurrency
            ),
            sync=SyncConfig(self.state, future=timedelta(days=10), **self.limits),
            mapping=self.mapping,
            courts=self.rules,
        )

    async def close(self) -> None:
        """End the bridge's process, so to speak: its connections and its database are gone."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None
        if self.services is not None:
            await self.services.aclose()
            self.services = None

    def _connect(self, config: Config) -> Services:
        if self.services is None:
            limiter = RateLimiter(100_000.0, 100_000)
            launch27 = Http(
                "Launch27",
                config.launch27.base_url,
                limiter=limiter,
                backoff=self.backoff,
                timeouts=self.patience,
            )
            wingfield = Http(
                "Wingfield", config.wingfield.base_url, backoff=self.backoff, timeouts=self.patience
            )
            self.services = Services(
                Launch27Client(launch27, config.launch27, parser=Parser(config.mapping.updated_at_field)),
                [],
                WingfieldClient(wingfield, config.wingfield, config.mapping.id_prefix),
            )
        known = {session.account.key: session for session in self.services.sessions}
        self.services.sessions = [
            known.get(account.key) or Session(account) for account in config.launch27.accounts
        ]
        self.services.new_pass()
        return self.services

    @property
    def ledger(self) -> DyingLedger:
        if self._ledger is None:
            opened = DyingLedger.open(self.state, self.config.identity)
            assert isinstance(opened, DyingLedger)
            opened.fuse, opened.club = self.fuse, self
            # A process that dies leaves the file as it is; only a power cut would not.
            opened._connection.execute("PRAGMA synchronous = OFF")
            self._ledger = opened
        return self._ledger

    async def run(self, *, allow: bool = False, dry_run: bool = False) -> PassResult:
        """Run one pass of the real bridge. Raises Crash when the fuse burns down."""
        config = self.config
        services = self._connect(config)
        if dry_run:
            with Ledger.snapshot(self.state, config.identity) as snapshot:
                return await self._run(config, services, snapshot, allow=allow, dry_run=True)
        return await self._run(config, services, self.ledger, allow=allow, dry_run=False)

    async def _run(
        self, config: Config, services: Services, ledger: Ledger, *, allow: bool, dry_run: bool
    ) -> PassResult:
        synchronizer = Synchronizer(
            config,
            services.launch27,
            services.sessions,
            DyingWingfield(services.wingfield, self.fuse),
            ledger,
            self.narrator,
            clock=lambda: self.now,
            stop=self.stop,
        )
        try:
            return await synchronizer.run_pass(allow_mass_delete=allow, dry_run=dry_run)
        except (Crash, BridgeError):
            self.fuse.left = None
            await self.close()
            raise

    async def run_and_die(self, step: int) -> bool:
        """Run a pass whose process dies at its ``step``-th step; return whether it did."""
        self.fuse.left = step
        try:
            with suppress(BridgeError):
                await self.run(allow=True)
        except Crash:
            return True
        self.fuse.left = None
        return False

    def lose_state(self) -> None:
        for path in self.folder.glob("courtbridge.db*"):
            path.unlink()

    # --- what is true ---

    def book(self, court: int = 1, hour: float = 24, minutes: int = 60, **fields: Any) -> int:
        """Book a court some hours from now (the hour counts from NOON), and return the id."""
        start = NOON + timedelta(hours=hour)
        services = [{"id": court, "name": f"Court {court}", "hourly": {"quantity": 1, "minutes": minutes}}]
        fields = {"service_date": start, "services": services, "email": "player@example.com", **fields}
        return self.launch27.add_booking(**fields)

    def move(self, number: int, court: int, hour: float, minutes: int = 60) -> None:
        services = [{"id": court, "name": f"Court {court}", "hourly": {"quantity": 1, "minutes": minutes}}]
        self.launch27.edit(number, service_date=NOON + timedelta(hours=hour), services=services)

    def slot_of(self, number: int) -> tuple[str, str] | None:
        """Where Wingfield has a booking: court and start."""
        found = self.wingfield.bookings.get(self.mapping.id_prefix + str(number))
        return None if found is None else (found["courtId"], found["startDate"])

    @property
    def writes(self) -> list[Any]:
        """All writes that reached Wingfield."""
        return [entry for entry in self.wingfield.log if entry[0] in {"PUT", "DELETE"}]

    @property
    def refusals(self) -> list[str]:
        """What Wingfield said no to, or a fault in its place; not what a fault kept from it."""
        return [entry[4] for entry in self.writes if entry[4] and entry[3]]

    def is_alive(self, id_: str) -> bool:
        """Whether the source has it as an active court booking, which nobody may delete."""
        raw = self.launch27.bookings.get(int(id_))
        if (
            id_ != str(int(id_))  # a key such as "007" is made of digits, and no booking's own
            or not isinstance(raw, dict)
            or raw.get("active") is False
            or not isinstance(raw.get("services"), list)
        ):
            return False
        ruled = {number for rule in self.rules for number in rule.service_ids}
        courts = {service["id"] for service in raw["services"]} & ruled
        return len(courts) == 1 and raw["id"] == int(id_) and self.is_visible(id_)

    def is_visible(self, id_: str) -> bool:
        owner = self.launch27._behind[int(id_)].owner
        return owner in self.emails[: self.accounts]

    def check_intent(self, write: Write) -> None:
        """At no time a delete for a booking that is active in the source (but to let a ring pass)."""
        if self.checking and write.verb is Verb.DELETE and not write.takes_out:
            assert not self.is_alive(write.id), f"would delete {write.id}, which is alive: {write.why}"

    def at(self, ms: int) -> datetime:
        return from_ms(ms)

    def tick(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    def limit(self, **limits: Any) -> None:
        self.limits = limits

    def remap(self, **fields: Any) -> None:
        self.mapping = replace(self.mapping, **fields)

    # --- what was said and done ---

    def asked(self, *parts: str) -> list[Any]:
        """The requests to Launch27 whose path ends with these parts, such as ``"bookings", "1001"``."""
        return [entry for entry in self.launch27.log if entry[1].endswith("/" + "/".join(parts))]

    @property
    def logins(self) -> list[Any]:
        return self.asked("login")

    def version(self, number: int) -> str:
        """The version under which Wingfield has a booking."""
        found: str = self.wingfield.bookings[self.mapping.id_prefix + str(number)]["externalUpdatedAt"]
        return found

    def sent_versions(self, number: int) -> list[str]:
        """The versions of all writes of a booking, in the order they came."""
        key = self.mapping.id_prefix + str(number)
        return [entry[5]["externalUpdatedAt"] for entry in self.writes if entry[2] == key]

    def stop_now(self) -> None:
        """What the first SIGTERM does."""
        assert self.services is not None
        self.stop.set()
        self.services.stop()

    async def start_again(self) -> None:
        """After a stop, a new process."""
        await self.close()
        self.stop.clear()


def counts(result: PassResult) -> dict[str, int]:
    """The counts of a pass that are not 0, ``seen`` left out after its sum was checked."""
    record = result.record
    found = {
        name: getattr(record, name)
        for name in ("created", "updated", "deleted", "unchanged", "ignored", "held")
        if getattr(record, name)
    }
    assert record.seen == sum(found.values()) - record.deleted
    if record.withheld:
        found["withheld"] = len(record.withheld)
    return found


def reasons(result: PassResult) -> dict[str, str]:
    """Who is held back, and why."""
    return {held.id: held.reason for held in result.held}
