"""``courtbridge check``: asks both services, and looks at the state, for whatever would stop a pass.

Nothing is written, so the right to write is not proved: a token that may only read passes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from zoneinfo import available_timezones

from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.cli.rehearse import rehearse
from bridge.config.paths import is_there
from bridge.config.schema import Config
from bridge.errors import BridgeError, ConfigError, CredentialsRefused, ExitStatus, NotFound, Problem, Rejected, worst
from bridge.launch27.client import Session
from bridge.launch27.expiry import warnings
from bridge.launch27.wire import Settings
from bridge.ledger.store import Ledger
from bridge.model import to_ms
from bridge.sync.clients import Clients, connected


def run(options: Options) -> ExitStatus:
    """Check everything, list what was found, and return the status of the worst problem."""
    options.set_up_log()
    if options.rehearse is not None:
        return rehearse(options, options.rehearse)
    findings = Findings()
    try:
        asyncio.run(_look(options.load_config(), findings))
    except ConfigError as error:
        for problem in error.problems:
            findings.wrong(problem.place, problem.message, error.exit_status)
    if options.json:
        lists = {"warnings": findings.warnings, "checked": findings.checked}
        problems = [asdict(problem) for problem, _ in findings.problems]
        output.show_json({"ok": not problems, "problems": problems, **lists})
    else:
        findings.report()
    return worst(status for _, status in findings.problems)


@dataclass(slots=True)
class Findings:
    """What a check found: problems, each with the exit status it means; warnings; and what is well."""

    problems: list[tuple[Problem, ExitStatus]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)

    def wrong(self, place: str, message: str, status: ExitStatus) -> None:
        """Note a problem."""
        self.problems.append((Problem(place, message), status))

    @contextmanager
    def noting(self, place: str) -> Iterator[None]:
        """Note what is raised as a problem; what fails several requests (a service is down) is noted once."""
        try:
            yield
        except BridgeError as error:
            if all(problem.message != str(error) for problem, _ in self.problems):
                self.wrong(place, str(error), error.exit_status)

    def report(self) -> None:
        """Tell what is well, what to think about, and what is wrong."""
        problems = [str(problem) for problem, _ in self.problems]
        kinds = ("ok", "", self.checked), ("warning", "yellow", self.warnings), ("problem", "red", problems)
        for word, style, texts in kinds:
            for text in texts:
                output.line(f"{word:7}  {text}", style)
        if problems:
            output.line(f"{output.several(len(problems), 'problem')} found.", "red")
        else:
            output.line("All is well.", "green")


async def _look(config: Config, findings: Findings) -> None:
    findings.checked.append(f"configuration {config.path}: {output.several(len(config.courts), 'court rule')}")
    findings.warnings.extend(config.warnings)
    async with connected(config) as services:
        look = _Look(config, services, findings)
        await look.at_launch27()
        await look.at_wingfield()
    _look_at_state(config, findings)


@dataclass(frozen=True, slots=True)
class _Look:
    """Asks both services what a pass would ask them."""

    config: Config
    services: Clients
    findings: Findings

    async def at_launch27(self) -> None:
        with self.findings.noting("launch27.base_url"):
            self._settings(await self.services.launch27.settings())
        ends = {each.account.number: to_ms(each.expires_at) for each in self.services.sessions if each.expires_at}
        self.findings.warnings.extend(f"Launch27 {words}" for words in warnings(ends, datetime.now(UTC)))
        let_in = [session for session in self.services.sessions if await self._may_read(session)]
        if let_in:
            with self.findings.noting("launch27"):
                await self._catalogue(let_in[0])

    def _settings(self, settings: Settings) -> None:
        launch27, findings = self.config.launch27, self.findings
        zone = launch27.timezone or settings.timezone
        if zone not in available_timezones():
            message = "is not set, and Launch27's settings name no time zone that is known; set it"
            findings.wrong("launch27.timezone", message, ExitStatus.CONFIG)
        elif settings.timezone and zone != settings.timezone:
            findings.warnings.append(
                f"launch27.timezone: is {zone}, and Launch27 says {settings.timezone}; remove it unless you know better"
            )
        if settings.status in {"frozen", "sleep"}:
            findings.warnings.append(f"launch27: the account's status is {settings.status}")
        sandbox = " (a sandbox)" if launch27.host.endswith(".l27.co") else ""
        name = settings.name or "an account without a name"
        findings.checked.append(f"Launch27 {launch27.host}{sandbox}: {name}, times in {zone}")

    async def _may_read(self, session: Session) -> bool:
        """Log in and read a first page of today's bookings; return whether that went well."""
        number, today = session.account.number, datetime.now(UTC).date()
        with self.findings.noting(f"launch27.accounts[{number - 1}]"):
            await _first(self.services.launch27.listing(session, today, today, expected=None))
            role = self.config.launch27.role
            self.findings.checked.append(f"Launch27 account {number}: logged in, may read {role} bookings")
            return True
        return False

    async def _catalogue(self, session: Session) -> None:
        findings = self.findings
        try:
            catalogue = await self.services.launch27.catalogue(session)
        except Rejected:
            findings.warnings.append("Launch27 shows no catalogue: the services of the rules are unproved")
            return
        for index, rule in enumerate(self.config.courts):
            if known := sorted(rule.service_ids & catalogue.keys()):
                names = ", ".join(f"{id_} {catalogue[id_].name}".strip() for id_ in known)
                findings.checked.append(f"rule for {rule.name or rule.court_id}: services {names}")
            if unknown := _numbers(rule.service_ids - catalogue.keys()):
                message = f'Launch27 has no service {unknown}; compare with "courtbridge courts"'
                findings.wrong(f"courts[{index}].service_ids", message, ExitStatus.CONFIG)
        if unknown := _numbers(self.config.mapping.service_minutes.keys() - catalogue.keys()):
            findings.warnings.append(f"mapping.service_minutes: Launch27 has no service {unknown}")

    async def at_wingfield(self) -> None:
        with self.findings.noting("wingfield"):
            await _first(self.services.wingfield.list_bookings())
            host = self.config.wingfield.base_url
            self.findings.checked.append(f"Wingfield {host}: the token may read the court bookings")
            rules: dict[str, list[str]] = {}
            for index, rule in enumerate(self.config.courts):
                rules.setdefault(rule.court_id, []).append(f"courts[{index}].court_id")
            await asyncio.gather(*(self._court(court_id, places) for court_id, places in rules.items()))

    async def _court(self, court_id: str, places: list[str]) -> None:
        findings = self.findings
        with findings.noting(places[0]):
            try:
                court = await self.services.wingfield.court(court_id)
            except CredentialsRefused:
                # The listing was allowed; looking courts up takes another scope, which passes do not need.
                warning = "Wingfield's token may not look courts up (scope organization): court_ids are unproved"
                if warning not in findings.warnings:
                    findings.warnings.append(warning)
            except Rejected as error:
                status = ExitStatus.CONFIG if isinstance(error, NotFound) else error.exit_status
                for place in places:
                    findings.wrong(place, f"{court_id}: {error}", status)
            else:
                where = f" at {court.facility_name}" if court.facility_name else ""
                findings.checked.append(f"Wingfield court {court_id}: {court.name or 'without a name'}{where}")


async def _first(listing: AsyncGenerator[object, None]) -> None:
    """Read the first page of a listing."""
    async with aclosing(listing) as pages:
        await anext(pages, None)


def _numbers(ids: Iterable[int]) -> str:
    return " or ".join(map(str, sorted(ids)))


def _look_at_state(config: Config, findings: Findings) -> None:
    state = config.sync.state
    with findings.noting("sync.state"):
        with Ledger.snapshot(state, config.identity) as ledger:
            bridged = sum(known.is_bridged for known in ledger.known.values())
        folder = next(parent for parent in state.parents if is_there(parent))
        for place in (state, folder) if is_there(state) else (folder,):
            if not os.access(place, os.W_OK):
                message = f"{place} cannot be written by this user; the bridge's own user must be able to"
                findings.wrong("sync.state", message, ExitStatus.STATE)
                return
        found = f"{output.several(bridged, 'booking')} in Wingfield" if is_there(state) else "none yet"
        findings.checked.append(f"state {state}: {found}")
