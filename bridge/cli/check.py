"""``courtbridge check``: asks both services, and looks at the state, for whatever would stop a pass, or surprise.

Nothing is written, so the right to write is not proved: a token that may only read passes.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Coroutine, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from bridge import __version__
from bridge.cli import output, unit
from bridge.cli.arguments import Options
from bridge.cli.findings import Findings
from bridge.cli.rehearse import rehearse
from bridge.config.paths import is_there
from bridge.config.schema import Config
from bridge.errors import ConfigError, CredentialsRefused, ExitStatus, NotFound, Problem, Rejected, worst
from bridge.launch27.client import Session
from bridge.launch27.expiry import expires, warnings
from bridge.launch27.wire import Settings
from bridge.ledger.store import Ledger
from bridge.model import to_ms
from bridge.sync import inspection, survey
from bridge.sync.clients import Clients, connected
from bridge.sync.shapes import Shapes
from bridge.sync.survey import Seen

_ROLES = {"Tenant::Customer": "customer", "Tenant::Staff": "staff", "Tenant::Admin": "staff"}
"""By what a login is called, the role that fits it. Source: Launch27, ``POST /login``."""


def run(options: Options) -> ExitStatus | Coroutine[Any, Any, ExitStatus]:
    """Check, or rehearse."""
    options.set_up_log()
    return _check(options) if options.rehearse is None else rehearse(options, options.rehearse)


async def _check(options: Options) -> ExitStatus:
    """Check everything, list what was found, and return the status of the worst problem."""
    findings, own = Findings(), tuple[Problem, ...]()
    try:
        config = options.load_config()
        findings.note("ok", "configuration", f"{config.path}: {output.several(len(config.courts), 'court rule')}")
        for place, _, message in (warning.partition(": ") for warning in config.warnings):
            findings.note("warning", place, message)
        if not options.offline:
            shapes = await _look(config, findings)
            if options.report is not None:
                path = Path(options.report)
                if output.is_gathering():  # each of many clubs has a file of its own
                    path = path.with_name(f"{options.club}-{path.name}")
                _write_report(path, shapes, findings)
    except ConfigError as error:
        own = error.problems
        for problem in own:
            findings.note("problem", problem.place or "configuration", problem.message, error.exit_status)
        if any(is_there(path) and not os.access(path, os.R_OK) for path in error.files):
            findings.note("warning", "check", "this user may not read every file that is needed: use sudo")
    with suppress(ConfigError, PermissionError):  # said above; what may not be looked at is not known
        for level, about, detail in unit.findings(options, own):
            findings.note(level, about, detail, ExitStatus.CONFIG if level == "problem" else ExitStatus.OK)
    findings.show(as_json=options.json)
    return worst(findings.statuses)


async def _look(config: Config, findings: Findings) -> Shapes:
    """Ask both services, and look at the state; return the shapes of what was answered."""
    # A "Z" is to be seen as it stands, whatever it is taken for.
    launch27 = config.launch27.model_copy(update={"service_dates": "utc"})
    async with connected(config.model_copy(update={"launch27": launch27})) as services:
        look = _Look(config, services, findings)
        for http in (services.launch27.http, services.wingfield.http):
            http.on_answer = look.shapes.take
        zone = await look.at_launch27()
        await look.at_wingfield()
    seen = look.seen
    seen.dated = look.shapes.dated(f"/{launch27.role}/bookings")
    if seen.pages:
        findings.found.extend(survey.findings(seen, config, zone))
    _look_at_state(config, findings)
    return look.shapes


@dataclass(frozen=True, slots=True)
class _Look:
    """Asks both services what a pass would ask them, and keeps what was seen."""

    config: Config
    services: Clients
    findings: Findings
    seen: Seen = field(default_factory=Seen)
    shapes: Shapes = field(default_factory=Shapes)

    async def at_launch27(self) -> ZoneInfo:
        """Look at settings, bookings and catalogues; return the account's zone, UTC where none is known."""
        zone = ZoneInfo("UTC")
        with self.findings.noting("launch27.base_url"):
            zone = self._settings(await self.services.launch27.settings()) or zone
        ends = {each.account.number: to_ms(each.expires_at) for each in self.services.sessions if each.expires_at}
        for account, _, words in (warning.partition(": ") for warning in warnings(ends, datetime.now(UTC))):
            self.findings.note("warning", f"Launch27 {account}", words)
        let_in = [session for session in self.services.sessions if await self._bookings(session, zone)]
        if let_in:
            with self.findings.noting("launch27"):
                await self._catalogue(let_in[0])
        return zone

    def _settings(self, settings: Settings) -> ZoneInfo | None:
        launch27, findings = self.config.launch27, self.findings
        zone = launch27.timezone or settings.timezone
        is_known = zone in available_timezones()
        if not is_known:
            message = "is not set, and Launch27's settings name no time zone that is known; set it"
            findings.note("problem", "launch27.timezone", message, ExitStatus.CONFIG)
        elif settings.timezone and zone != settings.timezone:
            words = f"is {zone}, and Launch27 says {settings.timezone}; remove it unless you know better"
            findings.note("warning", "launch27.timezone", words)
        if settings.status in {"frozen", "sleep"}:
            findings.note("warning", "launch27", f"the account's status is {settings.status}")
        sandbox = " (a sandbox)" if launch27.host.endswith(".l27.co") else ""
        name = settings.name or "an account without a name"
        findings.note("ok", "launch27", f"{launch27.host}{sandbox}: {name}, times in {zone}")
        return ZoneInfo(zone) if zone and is_known else None

    async def _bookings(self, session: Session, zone: ZoneInfo) -> bool:
        """Log in and read the window's bookings; return whether that went well."""
        place, role = f"launch27.accounts[{session.account.number - 1}]", self.config.launch27.role
        ask = self.services.launch27, session, self.config.sync, zone
        with self.findings.noting(place):
            # What is new in between must not seem to be lost: the longer listing comes first.
            whole = await inspection.window(*ask, with_forecasts=True) if role == "staff" else None
            listed = await inspection.window(*ask)
            if whole is not None:
                self.seen.unmarked = (self.seen.unmarked or set()) | (whole.bookings.keys() - listed.bookings.keys())
            self.seen.pages.append(listed.pages)
            self.seen.bookings.update(listed.bookings)
            self.seen.unreadable += listed.unreadable
            self._login(session, place, f"may read {role} bookings ({len(listed.bookings)})")
            return True
        return False

    def _login(self, session: Session, place: str, may: str) -> None:
        """Tell how an account is known to Launch27, and whether its role is the configured one."""
        login, ends = session.login_type, session.expires_at
        known_as = f"logged in as {login}" if login else "logged in"
        if session.account.token:
            known_as = "its token is accepted" + (f" ({expires(ends, datetime.now(UTC))})" if ends else "")
        fits = not login or _ROLES[login] == self.config.launch27.role
        remedy = "" if fits else f'; launch27.role = "{_ROLES[login]}" would fit this login'
        words = f"account {session.account.number}: {known_as}, {may}{remedy}"
        self.findings.note("ok" if fits else "warning", place, words)

    async def _catalogue(self, session: Session) -> None:
        """Compare the rules with the catalogues of the locations that they and the bookings name."""
        findings, rules, bookings = self.findings, self.config.courts, self.seen.bookings.values()
        ruled = frozenset[int]().union(*(rule.location_ids for rule in rules))
        catalogue = await inspection.catalogue(self.services.launch27, session, bookings, ruled)
        if catalogue is None:
            findings.note(
                "warning", "launch27", "it shows no catalogue: the service_ids of the rules could not be checked"
            )
            return
        self.seen.services = {number: service.name for number, service in catalogue.items()}
        booked = frozenset[int]().union(*(each.service_ids for each in bookings))
        for index, rule in enumerate(rules):
            if known := sorted(rule.service_ids & catalogue.keys()):
                names = ", ".join(f"{id_} {catalogue[id_].name}".strip() for id_ in known)
                findings.note("ok", f"courts[{index}]", f"{rule.name or rule.court_id}: services {names}")
            if unknown := _numbers(rule.service_ids - catalogue.keys() - booked):
                message = f'Launch27 has no service {unknown}; compare with "courtbridge courts"'
                findings.note("problem", f"courts[{index}].service_ids", message, ExitStatus.CONFIG)
        if unknown := _numbers(self.config.mapping.service_minutes.keys() - catalogue.keys() - booked):
            findings.note("warning", "mapping.service_minutes", f"Launch27 has no service {unknown}")

    async def at_wingfield(self) -> None:
        """Look at court bookings, at users and mappings where these are wanted, and at all courts."""
        findings, wingfield, config = self.findings, self.services.wingfield, self.config.wingfield
        courts: dict[str, list[str]] = {}
        for index, rule in enumerate(self.config.courts):
            courts.setdefault(rule.court_id, []).append(f"courts[{index}].court_id")
        with findings.noting("wingfield"):
            async with aclosing(wingfield.list_bookings()) as pages:
                await anext(pages, None)  # the first is enough
            findings.note("ok", "wingfield", f"{config.base_url}: the token may read the court bookings")
        if config.connected_users:
            with findings.noting("wingfield.connected_users"):
                players = output.several(len(await wingfield.user_relations()), "player")
                findings.note("ok", "wingfield.connected_users", f"{players} accepted the external service")
        if config.court_mappings:
            with findings.noting("wingfield.court_mappings"):
                mapped = {each.external_court_id: each.court_id for each in await wingfield.court_mappings()}
                self.seen.mapped = mapped
                findings.note("ok", "wingfield.court_mappings", f"{output.several(len(mapped), 'court')} mapped")
                for court_id in mapped.values():
                    courts.setdefault(court_id, ["wingfield.court_mappings"])
        with findings.noting("wingfield"):
            await asyncio.gather(*(self._court(court_id, places) for court_id, places in courts.items()))

    async def _court(self, court_id: str, places: list[str]) -> None:
        findings = self.findings
        with findings.noting(places[0]):
            try:
                court = await self.services.wingfield.court(court_id)
            except CredentialsRefused:
                # The listing was allowed; looking courts up takes another scope, which passes do not need.
                words = "the token may not look courts up (scope organization): the court_ids could not be checked"
                findings.note("warning", "wingfield", words)
            except Rejected as error:
                status = ExitStatus.CONFIG if isinstance(error, NotFound) else error.exit_status
                for place in places:
                    findings.note("problem", place, f"{court_id}: {error}", status)
            else:
                where = f" at {court.facility_name}" if court.facility_name else ""
                words = f"{court_id}: {court.name or 'without a name'}{where}"
                lacks_camera = court.system_installed is False
                words += ": no camera is installed there yet" * lacks_camera
                findings.note("warning" if lacks_camera else "ok", places[0], words)


def _write_report(path: Path, shapes: Shapes, findings: Findings) -> None:
    """Write the shapes of all answers, and what was found as far as it names nothing, to a file for its owner only."""
    troubles = [f"{each.level}: {each.about}" for each in findings.found if each.level != "ok"]
    counts = {each.about: each.detail for each in findings.found if each.about in {"service_date", "page size"}}
    report = {"courtbridge": __version__, "troubles": troubles, "counts": counts, "answers": shapes.as_json()}
    try:
        path.touch(0o600)
        path.chmod(0o600)
        path.write_text(json.dumps(report, indent=1))
    except OSError as error:
        findings.note("problem", "--report", f"{path} cannot be written: {error.strerror}", ExitStatus.ATTENTION)
    else:
        findings.note("ok", "--report", f"written to {path.absolute()}: shapes and counts, no names and no values")


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
                message = f"{place} cannot be written by this user; the bridge's own user must be able to (use sudo)"
                findings.note("problem", "sync.state", message, ExitStatus.STATE)
                return
        found = f"{output.several(bridged, 'booking')} in Wingfield" if is_there(state) else "none yet"
        findings.note("ok", "sync.state", f"{state}: {found}")
