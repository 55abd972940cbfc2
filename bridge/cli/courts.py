"""``courtbridge courts``: Wingfield's courts and Launch27's services, and the ``[[courts]]`` they suggest."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.cli.output import Line, Table, visible
from bridge.config.schema import Config
from bridge.errors import CredentialsRefused, Rejected, ServiceError
from bridge.launch27.wire import CatalogueService
from bridge.sync.clients import Services, connected
from bridge.wingfield.client import Court

Services_ = Mapping[int, CatalogueService]


@dataclass(slots=True)
class Sides:
    """What both services have, as far as they answered."""

    courts: list[Court] = field(default_factory=list)
    services: dict[int, CatalogueService] = field(default_factory=dict)
    errors: list[ServiceError] = field(default_factory=list)


# --- looking ---


async def look(config: Config, facility: str | None) -> Sides:
    """Return the courts (of ``facility``, else those of mappings and bookings) and all services."""
    sides = Sides()
    async with connected(config) as services:
        await asyncio.gather(_look_at_courts(sides, services, facility), _look_at_services(sides, services))
    sides.courts.sort(key=lambda court: (court.facility_name, _words(court.name), court.id))
    return sides


async def _look_at_courts(sides: Sides, services: Services, facility: str | None) -> None:
    try:
        if facility is not None:
            sides.courts = await services.wingfield.facility_courts(facility)
            return
        ids = {id_ async for id_ in _court_ids(services)}
        found = await asyncio.gather(*(_court(services, id_) for id_ in sorted(ids)))
        sides.courts = [court for court in found if court is not None]
    except ServiceError as error:
        sides.errors.append(error)


async def _court_ids(services: Services) -> AsyncIterator[str]:
    for mapping in await services.wingfield.court_mappings():
        yield mapping.court_id
    async for page in services.wingfield.list_bookings():
        for booking in page:
            if booking.slot is not None:
                yield booking.slot.court_id


async def _court(services: Services, id_: str) -> Court | None:
    """Return a court; None when it is no longer there, or not for us."""
    try:
        return await services.wingfield.court(id_)
    except Rejected:
        return None


async def _look_at_services(sides: Sides, services: Services) -> None:
    """Read the catalogue with the first account that is let in."""
    for session in services.sessions:
        try:
            sides.services = await services.launch27.catalogue(session)
        except CredentialsRefused as error:
            sides.errors.append(error)
        except ServiceError as error:
            sides.errors.append(error)
            return
        else:
            return


# --- guessing ---


def pairs(courts: Sequence[Court], services: Services_) -> dict[str, list[int]]:
    """Return, by court id, the services whose names say that court; a service that fits two, for neither."""
    fitting = {
        number: [court.id for court in courts if _fits(court.name, service.name)]
        for number, service in services.items()
    }
    guesses: dict[str, list[int]] = {court.id: [] for court in courts}
    for number, ids in sorted(fitting.items()):
        if len(ids) == 1:
            guesses[ids[0]].append(number)
    return guesses


def _fits(court: str, service: str) -> bool:
    """Whether a service is named like a court, or begins with its name: "Court 1" and "court 01 (60 min)"."""
    wanted = _words(court)
    return bool(wanted) and _words(service)[: len(wanted)] == wanted


def _words(name: str) -> tuple[str, ...]:
    """Return the words and numbers of a name, whatever their case, and without leading zeros."""
    words = re.findall(r"\d+|[^\W\d_]+", name.casefold())
    return tuple(word.lstrip("0") or "0" for word in words)


# --- showing ---


def pairs_json(sides: Sides, guesses: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Return both sides as ``courts --json`` prints them."""
    return {
        "courts": [
            {
                "id": court.id,
                "name": court.name,
                "facility_id": court.facility_id,
                "facility": court.facility_name,
                "external_court_id": court.external_court_id,
                "external_court_name": court.external_court_name,
                "service_ids": list(guesses[court.id]),
            }
            for court in sides.courts
        ],
        "services": [
            {"id": number, "name": service.name, "minutes": service.minutes}
            for number, service in sorted(sides.services.items())
        ],
        "config": blocks(sides, guesses),
        "errors": [str(error) for error in sides.errors],
    }


def pairs_report(sides: Sides, guesses: Mapping[str, Sequence[int]]) -> list[Line | Table]:
    """Return both sides for people, with the blocks to paste."""
    courts = [
        (court.name, court.id, court.facility_name, court.external_court_name or "") for court in sides.courts
    ]
    services = [
        (str(number), service.name, "" if service.minutes is None else f"{service.minutes} min")
        for number, service in sorted(sides.services.items())
    ]
    report: list[Line | Table] = [
        Table("Wingfield's courts", ("name", "court_id", "facility", "mapped as"), courts),
        Table("Launch27's services", ("id", "name", "length"), services),
        Line(""),
    ]
    if not sides.courts and not sides.errors:
        report.append(Line("No mapping and no booking names a court yet; try --facility ID.", "yellow"))
    report += [Line(line) for line in blocks(sides, guesses).splitlines()]
    return [*report, *(Line(str(error), "red") for error in sides.errors)]


def blocks(sides: Sides, guesses: Mapping[str, Sequence[int]]) -> str:
    """Return ``[[courts]]`` blocks in TOML; where no service fits by name, one line is left to be written."""
    return "\n".join(_block(court, guesses[court.id], sides.services) for court in sides.courts)


def _block(court: Court, numbers: Sequence[int], services: Services_) -> str:
    names = visible(", ".join(services[number].name for number in numbers))
    rule = (
        f"service_ids = {list(numbers)}  # {names}"
        if numbers
        else "# service_ids = []  # no service is named like this court: put the ids of its services here"
    )
    return f"[[courts]]\nname = {_toml(court.name)}\ncourt_id = {_toml(court.id)}\n{rule}\n"


def _toml(text: str) -> str:
    """Return ``text`` as a TOML string. Source: TOML 1.0, basic strings."""
    return '"' + "".join(map(_toml_character, text)) + '"'


def _toml_character(char: str) -> str:
    if char in {'"', "\\"}:
        return "\\" + char
    return char if char.isprintable() else f"\\U{ord(char):08X}"
