"""``courtbridge courts``: Wingfield's courts and Launch27's services, and the ``[[courts]]`` they suggest."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.cli.findings import Findings
from bridge.config.schema import Config
from bridge.errors import ConfigError, ExitStatus, Rejected, worst
from bridge.launch27.client import Session
from bridge.launch27.wire import CatalogueService, SourceBooking
from bridge.sync import inspection
from bridge.sync.clients import Clients, connected
from bridge.sync.survey import to_no_courts
from bridge.sync.words import to_no_court
from bridge.wingfield.client import Court


async def run(options: Options) -> ExitStatus:
    """Show both services' side of ``[[courts]]``, with blocks ready to paste."""
    options.set_up_log()
    try:
        config = options.load_config()
    except ConfigError:
        config = options.load_config(require_courts=False)
    sides = await _look(config, options.facility)
    if options.json:
        output.show_json(sides_json(sides))
    else:
        report(sides)
    return worst(sides.problems.statuses)


@dataclass(slots=True)
class Sides:
    """What both services have, as far as they answered, and how many bookings of each service go to no court."""

    courts: list[Court] = field(default_factory=list)
    services: dict[int, CatalogueService] = field(default_factory=dict)
    problems: Findings = field(default_factory=Findings)
    to_no_court: Counter[int] = field(default_factory=Counter)

    @property
    def guesses(self) -> dict[str, list[int]]:
        """By court id, the services whose names say that court; a service that fits two, for neither."""
        guesses: dict[str, list[int]] = {court.id: [] for court in self.courts}
        for number, service in sorted(self.services.items()):
            fitting = [court.id for court in self.courts if fits(court.name, service.name)]
            if len(fitting) == 1:
                guesses[fitting[0]].append(number)
        return guesses


async def _look(config: Config, facility: str | None) -> Sides:
    """Return the courts (of ``facility``, else those of mappings and bookings) and all services."""
    sides = Sides()
    async with connected(config) as services:
        looks = _look_at_courts(sides, services, facility), _look_at_services(sides, services, config)
        _, bookings = await asyncio.gather(*looks)
    mapped = {court.external_court_id: court.id for court in sides.courts if court.external_court_id}
    sides.to_no_court = to_no_courts(bookings, config, mapped)
    sides.courts.sort(key=lambda court: (court.facility_name, _words(court.name), court.id))
    return sides


async def _look_at_courts(sides: Sides, services: Clients, facility: str | None) -> None:
    with sides.problems.noting("wingfield"):
        if facility is not None:
            sides.courts = await services.wingfield.facility_courts(facility)
            return
        ids = {mapping.court_id for mapping in await services.wingfield.court_mappings()}
        async for page, _ in services.wingfield.list_bookings():
            ids.update(each.stored.slot.court_id for each in page if each.stored.slot)
        found = await asyncio.gather(*(_court(services, id_) for id_ in sorted(ids)))
        sides.courts = [court for court in found if court is not None]


async def _court(services: Clients, id_: str) -> Court | None:
    """Return a court; None when it is no longer there, or not for us."""
    with suppress(Rejected):
        return await services.wingfield.court(id_)
    return None


async def _look_at_services(sides: Sides, services: Clients, config: Config) -> Collection[SourceBooking]:
    """Read all accounts' bookings, which are returned, and with the first that is let in the catalogues they name."""
    bookings: dict[str, SourceBooking] = {}
    let_in = list[Session]()
    for session in services.sessions:
        with sides.problems.noting("launch27"):
            listed = await inspection.window(services.launch27, session, config.sync, ZoneInfo("UTC"))
            bookings.update(listed.bookings)
            let_in.append(session)
    with sides.problems.noting("launch27"):
        for session in let_in[:1]:
            sides.services = await inspection.catalogue(services.launch27, session, bookings.values()) or {}
    return bookings.values()


def fits(court: str, service: str) -> bool:
    """Whether a service is named like a court, or begins with its name: "Court 1" and "court 01 (60 min)"."""
    wanted = _words(court)
    return bool(wanted) and _words(service)[: len(wanted)] == wanted


def _words(name: str) -> tuple[str, ...]:
    """Return the words and numbers of a name, whatever their case, and without leading zeros."""
    words = re.findall(r"\d+|[^\W\d_]+", name.casefold())
    return tuple(word.lstrip("0") or "0" for word in words)


def sides_json(sides: Sides) -> dict[str, Any]:
    """Return both sides as ``courts --json`` prints them."""
    guesses = sides.guesses
    return {
        "courts": [
            {
                **court.model_dump(exclude={"facility_name"}),
                "facility": court.facility_name,
                "service_ids": guesses[court.id],
            }
            for court in sides.courts
        ],
        "services": [
            {
                "id": number,
                "name": service.name,
                "minutes": service.lengths.minutes,
                "to_no_court": sides.to_no_court[number],
            }
            for number, service in sorted(sides.services.items())
        ],
        "config": blocks(sides),
        "errors": [each.detail for each in sides.problems.found],
    }


def report(sides: Sides) -> None:
    """Tell both sides, with the blocks to paste."""
    courts = [
        (each.name, each.id, each.facility_name, "none yet" * (each.system_installed is False), each.external_court_id)
        for each in sides.courts
    ]
    services = [
        (number, service.name, None if (minutes := service.lengths.minutes) is None else f"{minutes} min")
        for number, service in sorted(sides.services.items())
    ]
    output.table("Wingfield's courts", ("name", "court_id", "facility", "camera", "mapped as"), courts)
    output.table("Launch27's services", ("id", "name", "length"), services)
    output.line()
    for number, count in sorted(sides.to_no_court.items()):
        name = sides.services[number].name if number in sides.services else ""
        output.line(to_no_court(number, name, count), "yellow")
    if not sides.courts and not sides.problems.found:
        remedy = "ask Wingfield for your facility's id, and add --facility ID"
        output.line(f"No mapping and no booking names a court yet: {remedy}.", "yellow")
    output.say(blocks(sides))  # as it is: lines to copy must stay lines, however narrow the terminal
    for each in sides.problems.found:
        output.line(each.detail, "red")


def blocks(sides: Sides) -> str:
    """Return ``[[courts]]`` blocks in TOML; where no service fits by name, one line is left to be written."""
    texts = []
    for court, numbers in zip(sides.courts, sides.guesses.values(), strict=True):
        rule = "# service_ids = []  # no service is named like this court: put the ids of its services here"
        if numbers:
            names = output.visible(", ".join(sides.services[number].name for number in numbers))
            rule = f"service_ids = {numbers}  # {names}"
        texts.append(f"[[courts]]\nname = {_toml(court.name)}\ncourt_id = {_toml(court.id)}\n{rule}\n")
    return "\n".join(texts)


def _toml(text: str) -> str:
    """Return ``text`` as a TOML string. Source: TOML 1.0, basic strings."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else f"\\U{ord(char):08X}" for char in escaped) + '"'
