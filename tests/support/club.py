"""A club for tests: both services on loopback, one state file, and a bridge that can die at any step."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self

from bridge.config.schema import Account, Config, CourtRule, Launch27Config, MappingConfig, SyncConfig, WingfieldConfig
from bridge.config.secrets import Secret
from bridge.errors import BridgeError, ExitStatus
from bridge.http.client import Backoff, Http, Timeouts
from bridge.http.ratelimit import RateLimiter
from bridge.launch27.client import Launch27 as Launch27Client
from bridge.launch27.client import Session
from bridge.launch27.wire import Parser
from bridge.ledger.entry import Outcome
from bridge.ledger.store import Ledger
from bridge.model import Held, Kind, Stored, Verb, Write, isoformat
from bridge.planning.drift import Finding
from bridge.sandbox import Entry, Launch27, Sandbox, Wingfield
from bridge.sync.clients import Clients
from bridge.sync.narrator import LogNarrator
from bridge.sync.result import Extent, PassResult, Since
from bridge.sync.run import Synchronizer
from bridge.sync.withdraw import WITHDRAWN
from bridge.wingfield.client import Listed
from bridge.wingfield.client import Wingfield as WingfieldClient
from tests.support.builders import COURT_IDS, COURTS, EMAIL, HOUR, NOON, PASSWORD, SECOND, TOKEN

QUICK = Backoff(tries=3, in_all=2.0, first=0.001, longest=0.004, jitter=0.001)
PATIENCE = Timeouts(connect=1.0, read=0.5, write=0.5, total=1.0)
WRITES = frozenset({"PUT", "DELETE"})

Place = tuple[int, float] | tuple[int, float, int]
"""A court (1 to 3), the hours from NOON to its start, and the minutes to its end (60)."""


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

    @contextmanager
    def around(self) -> Iterator[None]:
        """The process may die before and after what is done inside."""
        self.step()
        yield
        self.step()


class DyingLedger(Ledger):
    """The real ledger; the process may die before and after each of its transactions."""

    club: Club

    def record(self, intents: Sequence[Write], outcomes: Sequence[Outcome | Stored], at_ms: int = 0) -> None:
        for write in intents:
            self.club.check_intent(write)
        with self.club.fuse.around():
            super().record(intents, outcomes, at_ms)

    def adopt(self, *args: Any) -> None:
        with self.club.fuse.around():
            super().adopt(*args)

    def save(self, *args: Any) -> None:
        with self.club.fuse.around():
            super().save(*args)

    def finish(self, *args: Any, **more: Any) -> None:
        with self.club.fuse.around():
            super().finish(*args, **more)


class DyingWingfield(WingfieldClient):
    """The real client; the process may die before and after each of its requests."""

    fuse: Fuse

    async def write(self, *args: Any, **more: Any) -> None:
        with self.fuse.around():
            await super().write(*args, **more)

    async def read(self, *args: Any, **more: Any) -> Stored | None:
        with self.fuse.around():
            return await super().read(*args, **more)

    async def list_bookings(
        self, first: int = 100, ahead: float = math.inf
    ) -> AsyncGenerator[tuple[list[Listed], int], None]:
        async with aclosing(super().list_bookings(first, ahead)) as pages:
            async for page in pages:
                self.fuse.step()
                yield page


@dataclass
class Recorder(LogNarrator):
    """A narrator that remembers, and logs nothing."""

    wrote_: list[Write] = field(default_factory=list)
    began: list[Held] = field(default_factory=list)
    ended: list[Held] = field(default_factory=list)
    skipped: list[tuple[str, int]] = field(default_factory=list)
    drift: list[tuple[str, str, str]] = field(default_factory=list)
    results: list[PassResult] = field(default_factory=list)

    def pass_started(self) -> None:
        pass

    def wrote(self, write: Write) -> None:
        self.wrote_.append(write)

    def participants_skipped(self, id_: str, count: int) -> None:
        self.skipped.append((id_, count))

    def drift_found(self, finding: Finding) -> None:
        self.drift.append((finding.kind.value, finding.id, finding.in_words()))

    def held_changed(self, began: Sequence[Held], ended: Sequence[Held]) -> None:
        self.began += began
        self.ended += ended

    def pass_finished(self, result: PassResult) -> None:
        self.results.append(result)


class Club:
    """Two services, one bridge, and a clock that only moves when told to.

    The attributes up to ``page_size`` are the bridge's configuration, which takes effect with the next pass.
    ``tokens`` has those that stand for passwords, by address.
    """

    def __init__(
        self,
        folder: Path,
        *,
        modification_times: bool = False,
        accounts: int = 1,
        emails: tuple[str, ...] = (EMAIL, SECOND),
        password: str = PASSWORD,
        token: str = TOKEN,
        patience: Timeouts = PATIENCE,
        narrator: Callable[[], Recorder] = Recorder,
    ) -> None:
        self.now = NOON
        self.folder = folder
        self.emails, self.accounts, self.password = emails, accounts, password
        self.rules = tuple(
            CourtRule(court_id=court_id, service_ids=frozenset({number}))
            for number, court_id in enumerate(COURT_IDS, 1)
        )
        self.mapping = MappingConfig(default_minutes=60, participant_fields=("players",))
        self.limits: dict[str, Any] = {"max_delete_count": 1000}
        self.directory: dict[str, Any] = {}
        self.role: Literal["customer", "staff"] = "customer"
        self.timezone: str | None = None
        self.service_dates: Literal["utc", "wall"] = "utc"
        self.tokens: dict[str, str] = {}
        self.concurrency = 4
        self.page_size = 10

        self.launch27 = Launch27(modification_times=modification_times, clock=self._seconds)
        self.wingfield = Wingfield(token=token, courts=COURTS, clock=self._seconds)
        self.sandbox = Sandbox(self.launch27, self.wingfield)
        for email in emails:
            self.launch27.add_account(email, password)
        for number in (1, 2, 3):
            self.launch27.add_service(number, f"Court {number}")
        self.launch27.add_service(9, "Racket hire")

        self.backoff, self.patience = QUICK, patience
        self.fuse = Fuse()
        self.stop = asyncio.Event()
        self.narrator = narrator()
        self.services: Clients | None = None
        self._ledger: DyingLedger | None = None
        self._synchronizer: Synchronizer | None = None

    def _seconds(self) -> float:
        return self.now.timestamp()

    async def __aenter__(self) -> Self:
        await self.sandbox.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
        await self.sandbox.__aexit__(None, None, None)

    # --- the bridge is built here, and nowhere else in these tests ---

    @property
    def state(self) -> Path:
        return self.folder / "courtbridge.db"

    @property
    def config(self) -> Config:
        accounts = tuple(
            Account(email=email, token=Secret(self.tokens[email]))
            if email in self.tokens
            else Account(email=email, password=Secret(self.password))
            for email in self.emails[: self.accounts]
        )
        return Config(
            path=self.folder / "config.toml",
            launch27=Launch27Config(
                base_url=self.launch27.url,
                accounts=accounts,
                role=self.role,
                timezone=self.timezone,
                service_dates=self.service_dates,
                page_size=self.page_size,
            ),
            wingfield=WingfieldConfig(
                base_url=self.wingfield.url,
                external_service_id=self.wingfield.service_id,
                token=Secret(self.wingfield.token),
                concurrency=self.concurrency,
                **self.directory,
            ),
            sync=SyncConfig(state=self.state, future=timedelta(days=10), **self.limits),
            mapping=self.mapping,
            courts=self.rules,
        )

    def _connect(self, config: Config) -> Clients:
        if self.services is None:
            quick: dict[str, Any] = {"backoff": self.backoff, "timeouts": self.patience}
            limiter = RateLimiter(100_000.0, 100_000)
            accounts, courts = len(config.launch27.accounts), len({rule.court_id for rule in config.courts})
            launch27 = Http("Launch27", config.launch27.base_url, limiter=limiter, parts=accounts, **quick)
            parser = Parser(config.mapping.updated_at_field, config.launch27.service_dates)
            http = Http("Wingfield", config.wingfield.base_url, parts=courts, **quick)
            wingfield = DyingWingfield(config.wingfield, config.mapping.id_prefix, http=http)
            wingfield.fuse = self.fuse
            self.services = Clients(Launch27Client(config.launch27, parser=parser, http=launch27), [], wingfield)
        known = {session.account.key: session for session in self.services.sessions}
        self.services.sessions = [
            session if (session := known.get(account.key)) and session.account == account else Session(account)
            for account in config.launch27.accounts
        ]
        self.services.new_pass()
        return self.services

    @property
    def clients(self) -> Clients:
        """The clients of the last pass."""
        assert self.services is not None
        return self.services

    @property
    def ledger(self) -> DyingLedger:
        if self._ledger is None:
            opened = DyingLedger.open(self.state, self.config.identity)
            assert isinstance(opened, DyingLedger)
            opened.club = self
            # A process that dies leaves the file as it is; only a power cut would not.
            opened._connection.execute("PRAGMA synchronous = OFF")
            self._ledger = opened
        return self._ledger

    async def close(self) -> None:
        """End the bridge's process, so to speak: its connections and its database are gone."""
        self._synchronizer = None
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None
        if self.services is not None:
            await self.services.aclose()
            self.services = None

    # --- passes ---

    def _bridge(self, config: Config, services: Clients, ledger: Ledger) -> Synchronizer:
        """Return what runs passes: the same as before, as in the daemon, unless the configuration has changed."""
        before = self._synchronizer
        if before is None or (before.config, before.ledger) != (config, ledger):
            self._synchronizer = Synchronizer(
                config, services, ledger, self.narrator, clock=lambda: self.now, stop=self.stop
            )
        assert self._synchronizer is not None
        return self._synchronizer

    async def run(
        self,
        *,
        kind: Kind = "full",
        hinted: Iterable[int] = (),
        allow: bool = False,
        dry_run: bool = False,
        only_hinted: bool = False,
        since: Since | None = None,
    ) -> PassResult:
        """Run one pass of the real bridge. Raises Crash when the fuse burns down."""
        config = self.config
        services = self._connect(config)
        try:
            with Ledger.snapshot(self.state, config.identity) if dry_run else nullcontext(self.ledger) as ledger:
                bridge = self._bridge(config, services, ledger)
                extent = Extent(kind, frozenset(map(str, hinted)), only_hinted, since)
                return await bridge.run_pass(extent, allow_mass_delete=allow, dry_run=dry_run)
        except (Crash, BridgeError):
            self.fuse.left = None
            await self.close()
            raise

    async def expect(
        self,
        *,
        status: ExitStatus | None = None,
        held: int | Mapping[int, str] = 0,
        withheld: int = 0,
        kind: Kind = "full",
        hinted: Iterable[int] = (),
        only_hinted: bool = False,
        allow: bool = False,
        dry_run: bool = False,
        **wanted: int,
    ) -> PassResult:
        """Run a pass that ends with exactly these counts, and return its result.

        ``held`` may name the bookings and their reasons. Unless given, the status is the one that follows
        from the counts of a pass without trouble.
        """
        result = await self.run(kind=kind, hinted=hinted, only_hinted=only_hinted, allow=allow, dry_run=dry_run)
        wanted |= {"held": held if isinstance(held, int) else len(held), "withheld": withheld}
        assert counts(result) == {name: count for name, count in wanted.items() if count}
        if not isinstance(held, int):
            assert reasons(result) == {str(number): reason for number, reason in held.items()}
        usual = ExitStatus.ATTENTION if held or withheld else ExitStatus.OK
        usual = ExitStatus.TRY_LATER if wanted.get("pending") else usual
        assert result.status is (status or usual), result.errors
        return result

    async def try_later(self) -> PassResult:
        """Run a pass that does not get to its end, and return its result."""
        result = await self.run()
        assert result.status is ExitStatus.TRY_LATER
        return result

    async def run_and_die(self, step: int, kind: Kind = "full") -> bool:
        """Run a pass whose process dies at its ``step``-th step; return whether it did."""
        self.fuse.left = step
        try:
            with suppress(BridgeError):
                await self.run(kind=kind, allow=True)
        except Crash:
            return True
        self.fuse.left = None
        return False

    async def lose_state(self) -> None:
        """End the process, and delete its database."""
        await self.close()
        for path in self.folder.glob("courtbridge.db*"):
            path.unlink()

    def clear_faults(self) -> None:
        self.launch27.faults.clear()
        self.wingfield.faults.clear()

    def limit(self, **limits: Any) -> None:
        self.limits = limits

    def remap(self, **fields: Any) -> None:
        self.mapping = self.mapping.model_copy(update=fields)

    def tick(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    # --- what happens at the club ---

    def book(self, court: int = 1, hour: float = 24, minutes: int = 60, **fields: Any) -> int:
        """Book a court some hours from now (the hour counts from NOON), and return the id."""
        place = {"service_date": NOON + hour * HOUR, "services": [service(court, minutes)]}
        return self.launch27.add_booking(**{**place, "email": "player@example.com", **fields})

    def books(self, count: int, hour: int = 24, **fields: Any) -> list[int]:
        """Book so many hours, side by side on the three courts, and return the ids."""
        return [self.book(1 + n % 3, hour + n // 3, **fields) for n in range(count)]

    async def some(self, count: int) -> list[int]:
        """Book so many hours, bridge them, and return the ids."""
        numbers = self.books(count)
        await self.expect(created=count)
        return numbers

    async def one(self) -> int:
        """Book an hour, bridge it, and return its id."""
        return (await self.some(1))[0]

    async def bridged(self, *places: Place) -> list[int]:
        """Book these places, bridge them, forget what was written, and return the ids."""
        numbers = [self.book(*place) for place in places]
        await self.expect(created=len(places))
        self.tick(minutes=1)
        self.wingfield.log.clear()
        return numbers

    def move(self, number: int, court: int, hour: float, minutes: int = 60) -> None:
        place = {"service_date": NOON + hour * HOUR, "services": [service(court, minutes)]}
        self.launch27.edit(number, **place)

    def by_hand(self, number: int, place: Place, *, emails: Iterable[str] = ("player@example.com",)) -> None:
        """Let somebody change a court booking in Wingfield; its version stays."""
        key = self.mapping.id_prefix + str(number)
        (court, start), version = at(place), self.version(number)
        end = isoformat(datetime.fromisoformat(start) + timedelta(minutes=place[2] if len(place) == 3 else 60))
        self.wingfield.store(key, court_id=court, start=start, end=end, updated_at=version, emails=emails)

    def vanish(self, *numbers: int) -> None:
        for number in numbers:
            self.launch27.vanish(number)

    def staff(self) -> None:
        """Let the first account be a member of staff."""
        self.role = "staff"
        self.launch27.add_account(self.emails[0], self.password, kind="staff")

    def stranger(self, court_id: str, hour: float = 24) -> str:
        """Let somebody else have a court for an hour; return a handle."""
        start = NOON + hour * HOUR
        return self.wingfield.add_stranger(court_id, start, start + HOUR)

    def overwrite(self, key: object, court_id: str, hour: float = 24, *, at: datetime, **more: Any) -> None:
        """Let somebody else write an hour under a key of ours, behind the bridge's back."""
        start = NOON + hour * HOUR
        self.wingfield.store(str(key), court_id=court_id, start=start, end=start + HOUR, updated_at=at, **more)

    # --- what is true ---

    def stored(self, number: int) -> dict[str, Any]:
        """What Wingfield has of a booking."""
        return self.wingfield.bookings[self.mapping.id_prefix + str(number)]

    def slot_of(self, number: int) -> tuple[str, str] | None:
        """Where Wingfield has a booking: court and start."""
        found = self.wingfield.bookings.get(self.mapping.id_prefix + str(number))
        return None if found is None else (found["courtId"], found["startDate"])

    def times_of(self, number: int) -> tuple[str, str]:
        return self.stored(number)["startDate"], self.stored(number)["endDate"]

    def players_of(self, number: int) -> list[str]:
        """The users (by id) and the addresses that Wingfield has for a booking."""
        return [next(iter(person.values())) for person in self.stored(number)["participants"]]

    def emails_of(self, number: int) -> list[str]:
        return [person["email"] for person in self.stored(number)["participants"]]

    def version(self, number: int) -> str:
        """The version under which Wingfield has a booking."""
        return str(self.stored(number)["externalUpdatedAt"])

    def is_alive(self, id_: str) -> bool:
        """Whether the source has it as an active court booking, which nobody may delete."""
        raw = self.launch27.bookings.get(int(id_))
        is_own = id_ == str(int(id_))  # a key such as "007" is made of digits, and no booking's own
        if not (is_own and isinstance(raw, dict) and raw.get("active", True) and isinstance(raw.get("services"), list)):
            return False
        ruled = {number for rule in self.rules for number in rule.service_ids}
        courts = {service["id"] for service in raw["services"]} & ruled
        return len(courts) == 1 and raw["id"] == int(id_) and self.is_visible(id_)

    def is_visible(self, id_: str) -> bool:
        return self.launch27._behind[int(id_)].owner in self.emails[: self.accounts]

    def check_intent(self, write: Write) -> None:
        """At no time a delete for a booking that is active in the source (but to let a cycle pass, or by a person)."""
        if write.verb is Verb.DELETE and not write.is_temporary and write.why != WITHDRAWN:
            assert not self.is_alive(write.id), f"would delete {write.id}, which is alive: {write.why}"

    # --- what was sent ---

    @property
    def writes(self) -> list[Entry]:
        """All writes that reached Wingfield."""
        return [entry for entry in self.wingfield.log if entry.method in WRITES]

    def puts(self, number: int) -> int:
        return sum(entry.method == "PUT" and entry.id == str(number) for entry in self.writes)

    @property
    def deletes(self) -> list[str]:
        """The ids of all deletes that reached Wingfield."""
        return [str(entry.id) for entry in self.writes if entry.method == "DELETE"]

    @property
    def rejections(self) -> list[str]:
        """What Wingfield said no to, or a fault in its place; not what a fault kept from it."""
        return [entry.error_type for entry in self.writes if entry.error_type and entry.status]

    def sent_versions(self, number: int) -> list[str]:
        """The versions of all writes of a booking, in the order they came."""
        key = self.mapping.id_prefix + str(number)
        return [entry.body["externalUpdatedAt"] for entry in self.writes if entry.id == key]

    def asked(self, *parts: str) -> list[Entry]:
        """The requests to Launch27 whose path ends with these parts, such as ``"bookings", "1001"``."""
        return [entry for entry in self.launch27.log if entry.path.endswith("/" + "/".join(parts))]

    def look_ups(self, number: int) -> int:
        """How often a booking was looked up by its id."""
        return len(self.asked("bookings", str(number)))

    @property
    def logins(self) -> int:
        return len(self.asked("login"))


def service(number: int, minutes: int) -> dict[str, Any]:
    """A service as a booking names it, with its length."""
    return {"id": number, "name": f"Court {number}", "hourly": {"quantity": 1, "minutes": minutes}}


def at(place: Place) -> tuple[str, str]:
    """A place as :meth:`Club.slot_of` says it."""
    return COURT_IDS[place[0] - 1], isoformat(NOON + place[1] * HOUR)


def keys(numbers: Iterable[int]) -> set[str]:
    return set(map(str, numbers))


def counts(result: PassResult) -> dict[str, int]:
    """The counts of a pass that are not 0, ``seen`` left out after its sum was checked."""
    record = result.record
    names = ("created", "updated", "deleted", "unchanged", "ignored", "held", "pending")
    found = {name: count for name in names if (count := getattr(record, name))}
    assert record.seen == sum(found.values()) - record.deleted
    return found | ({"withheld": len(record.withheld)} if record.withheld else {})


def reasons(result: PassResult) -> dict[str, str]:
    """Which bookings are held, and why."""
    return {held.id: held.reason for held in result.held}


# --- which requests a fault strikes ---

Matcher = Callable[[str, str], bool]


def of(method: str, number: int) -> Matcher:
    """Match the requests about one booking."""
    return lambda asked, path: asked == method and path.endswith(f"/{number}")


def is_write(method: str, _path: str) -> bool:
    return method in WRITES


def is_get(method: str, _path: str) -> bool:
    return method == "GET"


def is_delete(method: str, _path: str) -> bool:
    return method == "DELETE"


def is_listing(_method: str, path: str) -> bool:
    return path.endswith("/bookings")
