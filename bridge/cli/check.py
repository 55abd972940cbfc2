"""``courtbridge check``: asks both services, and looks at the state, for whatever would stop a pass.

Nothing is written, so the right to write is not proved: a token that may only read passes.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bridge.cli.output import Findings, several
from bridge.config.schema import Config, is_there
from bridge.errors import CredentialsRefused, ExitStatus, NotFound, Rejected, ServiceError, StateError
from bridge.launch27.client import Session
from bridge.launch27.wire import CatalogueService, Settings
from bridge.ledger.store import Ledger
from bridge.sync.clients import Clients, connected

_ASLEEP = frozenset({"frozen", "sleep"})


@dataclass(slots=True)
class Checkup:
    """One check of one configuration, with what it finds."""

    config: Config
    findings: Findings
    _failed: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Fill the findings, those of the configuration first."""
        ok, config = self.findings.checked.append, self.config
        ok(f"configuration {config.path}: {several(len(config.courts), 'court rule')}")
        self.findings.warnings.extend(config.warnings)
        async with connected(config) as services:
            await self._launch27(services)
            await self._wingfield(services)
        self._state()

    def _service_failed(self, place: str, error: ServiceError) -> None:
        # Several requests may fail for one reason; that a service is down is said once.
        if str(error) not in self._failed:
            self._failed.add(str(error))
            self.findings.wrong(place, str(error), error.exit_status)

    # --- Launch27 ---

    async def _launch27(self, services: Clients) -> None:
        try:
            self._settings(await services.launch27.settings())
        except ServiceError as error:
            self._service_failed("launch27.base_url", error)
        let_in = [session for session in services.sessions if await self._may_read(services, session)]
        if let_in:
            await self._services(services, let_in[0])

    def _settings(self, settings: Settings) -> None:
        configured = self.config.launch27.timezone
        zone = configured or settings.timezone
        if not _is_known(zone or ""):
            message = "is not set, and Launch27's settings name no time zone that is known; set it"
            self.findings.wrong("launch27.timezone", message, ExitStatus.CONFIG)
        elif configured and settings.timezone and configured != settings.timezone:
            self.findings.warnings.append(
                f"launch27.timezone: is {configured}, and Launch27 says {settings.timezone}; "
                "remove it unless you know better"
            )
        if settings.status in _ASLEEP:
            self.findings.warnings.append(f"launch27: the account's status is {settings.status}")
        sandbox = " (a sandbox)" if self.config.launch27.host.endswith(".l27.co") else ""
        name = settings.name or "an account without a name"
        self.findings.checked.append(
            f"Launch27 {self.config.launch27.host}{sandbox}: {name}, times in {zone}"
        )

    async def _may_read(self, services: Clients, session: Session) -> bool:
        """Log in and read a first page of today's bookings; return whether that went well."""
        number, role = session.account.number, self.config.launch27.role
        today = datetime.now(UTC).date()
        try:
            async with aclosing(services.launch27.listing(session, today, today, expected=None)) as pages:
                await anext(pages, None)
        except ServiceError as error:
            self._service_failed(f"launch27.accounts[{number - 1}]", error)
            return False
        self.findings.checked.append(f"Launch27 account {number}: logged in, may read {role} bookings")
        return True

    async def _services(self, services: Clients, session: Session) -> None:
        try:
            catalogue = await services.launch27.catalogue(session)
        except Rejected:
            self.findings.warnings.append(
                "Launch27 shows no catalogue: the services of the rules are unproved"
            )
        except ServiceError as error:
            self._service_failed("launch27", error)
        else:
            self._rules(catalogue)

    def _rules(self, catalogue: dict[int, CatalogueService]) -> None:
        for index, rule in enumerate(self.config.courts):
            title = rule.name or rule.court_id
            if known := sorted(rule.service_ids & catalogue.keys()):
                names = ", ".join(f"{id_} {catalogue[id_].name}".strip() for id_ in known)
                self.findings.checked.append(f"rule for {title}: services {names}")
            if unknown := sorted(rule.service_ids - catalogue.keys()):
                message = f'Launch27 has no service {_numbers(unknown)}; compare with "courtbridge courts"'
                self.findings.wrong(f"courts[{index}].service_ids", message, ExitStatus.CONFIG)
        if unknown := sorted(self.config.mapping.service_minutes.keys() - catalogue.keys()):
            self.findings.warnings.append(
                f"mapping.service_minutes: Launch27 has no service {_numbers(unknown)}"
            )

    # --- Wingfield ---

    async def _wingfield(self, services: Clients) -> None:
        wingfield, host = services.wingfield, self.config.wingfield.base_url
        try:
            async with aclosing(wingfield.list_bookings()) as pages:
                await anext(pages, None)
        except ServiceError as error:
            self._service_failed("wingfield", error)
            return
        self.findings.checked.append(f"Wingfield {host}: the token may read the court bookings")
        rules: dict[str, list[int]] = {}
        for index, rule in enumerate(self.config.courts):
            rules.setdefault(rule.court_id, []).append(index)
        await asyncio.gather(*(self._court(services, court_id, rules[court_id]) for court_id in rules))

    async def _court(self, services: Clients, court_id: str, rules: list[int]) -> None:
        try:
            court = await services.wingfield.court(court_id)
        except CredentialsRefused:
            # The listing was allowed; looking courts up takes another scope, which passes do not need.
            warning = "Wingfield's token may not look courts up (scope organization): court_ids are unproved"
            if warning not in self.findings.warnings:
                self.findings.warnings.append(warning)
        except Rejected as error:
            status = ExitStatus.CONFIG if isinstance(error, NotFound) else error.exit_status
            for index in rules:
                self.findings.wrong(f"courts[{index}].court_id", f"{court_id}: {error}", status)
        except ServiceError as error:
            self._service_failed(f"courts[{rules[0]}].court_id", error)
        else:
            where = f" at {court.facility_name}" if court.facility_name else ""
            self.findings.checked.append(
                f"Wingfield court {court_id}: {court.name or 'without a name'}{where}"
            )

    # --- the state ---

    def _state(self) -> None:
        state = self.config.sync.state
        try:
            with closing(Ledger.snapshot(self.config.sync.state, self.config.identity)) as ledger:
                bridged = sum(known.is_bridged for known in ledger.known.values())
        except StateError as error:
            self.findings.wrong("sync.state", str(error), error.exit_status)
            return
        blocker = _unwritable(state)
        if blocker is not None:
            message = f"{blocker} cannot be written by this user; the bridge's own user must be able to"
            self.findings.wrong("sync.state", message, ExitStatus.STATE)
            return
        found = f"{several(bridged, 'booking')} in Wingfield" if is_there(state) else "none yet"
        self.findings.checked.append(f"state {state}: {found}")


def _is_known(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _numbers(ids: list[int]) -> str:
    return " or ".join(map(str, ids))


def _unwritable(state: Path) -> Path | None:
    """Return what keeps the state from being written: the file, or the nearest folder there is."""
    folder = next(parent for parent in state.parents if is_there(parent))
    places = (state, folder) if is_there(state) else (folder,)
    return next((place for place in places if not os.access(place, os.W_OK)), None)
