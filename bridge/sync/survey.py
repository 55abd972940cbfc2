"""What bookings show of an account's habits, held against what the configuration assumes. No I/O, no clock."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from bridge.config.schema import Config
from bridge.launch27.fields import has_field
from bridge.launch27.wire import SourceBooking
from bridge.mapping import Mapper, Names
from bridge.model import Held, Reason
from bridge.planning.memory import Memory
from bridge.sync.words import to_no_court
from bridge.wingfield.hourly import Relations

Level = Literal["problem", "warning", "ok"]


class Finding(NamedTuple):
    """Something that a check found out: ``detail`` says with what evidence, ``about`` is a place or a subject."""

    level: Level
    about: str
    detail: str


@dataclass(slots=True)
class Seen:
    """What was read: the window's bookings by id, a ``Z`` in their dates as UTC, and by account the sizes of its pages.

    ``unreadable`` is how many could not be read. ``unmarked`` are the bookings that ``exclude_forecasted`` loses and
    nothing marks as forecasts; None where nobody asked. ``dated`` are the fields with a date and time, ``services`` the
    catalogues' names, and ``mapped`` Wingfield's courts by ``externalCourtId``.
    """

    bookings: dict[str, SourceBooking] = field(default_factory=dict)
    pages: list[Sequence[int]] = field(default_factory=list)
    unreadable: int = 0
    unmarked: set[str] | None = None
    dated: Collection[str] = ()
    services: Mapping[int, str] = field(default_factory=dict)
    mapped: Mapping[str, str] = field(default_factory=dict)


def findings(seen: Seen, config: Config, zone: ZoneInfo) -> Iterator[Finding]:
    """Yield what the bookings show under the configuration."""
    bookings = list(seen.bookings.values())
    if seen.unreadable:
        detail = f"{seen.unreadable} cannot be read, and are held as invalid_booking: --report shows their shapes"
        yield Finding("warning", "bookings", detail)
    if not bookings:
        yield Finding("ok", "bookings", "there is none in the window: what they look like is not known yet")
        return
    yield _modification_times(bookings, seen.dated, config.mapping.updated_at_field)
    yield _service_dates(bookings, zone, config.launch27.service_dates)
    yield _page_size(seen.pages, config.launch27.page_size)
    yield _forecasts(seen.unmarked)
    yield from _courts(seen, config)
    yield from _unused(bookings, config)


def _modification_times(bookings: Sequence[SourceBooking], dated: Iterable[str], name: str) -> Finding:
    have = sum(each.modified is not None for each in bookings)
    evidence = f"{have} of {len(bookings)} bookings have {name}"
    others = sorted(each for each in dated if re.search("updat|modif|chang|edit", each) and each != name)
    if not have and others:
        remedy = f'they have {others[0]}: set mapping.updated_at_field = "{others[0]}"'
        return Finding("warning", "modification times", f"{evidence}; {remedy}")
    return Finding("ok", "modification times", evidence + "; a change counts from when it is first seen" * (not have))


def _service_dates(bookings: Sequence[SourceBooking], zone: ZoneInfo, setting: str) -> Finding:
    """Return which reading of a ``Z`` puts the bookings into the hours in which people play."""
    dates = [each.service_date for each in bookings if each.service_date.utcoffset() == timedelta()]
    hours = {"utc": [each.astimezone(zone).hour for each in dates], "wall": [each.hour for each in dates]}
    fit = {name: sum(6 <= hour < 23 for hour in each) for name, each in hours.items()}
    evidence = (
        f"{len(dates)} of {len(bookings)} bookings have a Z; read as UTC, {fit['utc']} of them begin "
        f"between 6:00 and 23:00, as wall time {fit['wall']}"
    )
    other = "wall" if setting == "utc" else "utc"
    if fit[other] - fit[setting] > max(2, len(dates) / 10):
        remedy = f'launch27.service_dates = "{other}" fits much better than "{setting}"'
        return Finding("warning", "service_date", f"{evidence}: {remedy}")
    return Finding("ok", "service_date", f'{evidence}; configured is "{setting}"')


def _page_size(pages: Iterable[Sequence[int]], asked: int) -> Finding:
    given = [sizes[0] for sizes in pages if len(sizes) > 1 or [*sizes] == [asked]]
    detail = f"{asked} asked for, {min(given)} given" if given else f"{asked} asked for, and all came on one page"
    return Finding("ok", "page size", detail)


def _forecasts(unmarked: Collection[str] | None) -> Finding:
    if unmarked is None:
        return Finding("ok", "forecasts", "customer listings are read without exclude_forecasted: it loses nothing")
    if not unmarked:
        return Finding("ok", "forecasts", "exclude_forecasted loses no booking but those marked as forecasts")
    detail = f"exclude_forecasted loses bookings that nothing marks as forecasts ({_some(unmarked)}); are they real?"
    return Finding("warning", "forecasts", detail)


def to_no_courts(bookings: Iterable[SourceBooking], config: Config, mapped: Mapping[str, str]) -> Counter[int]:
    """Return how many bookings of each service go to no court, by rules and Wingfield's mappings."""
    lost = (booking for booking, held in _held(bookings, config, mapped) if held.reason == Reason.NO_COURT)
    return Counter(number for booking in lost for number in booking.service_ids)


def _held(
    bookings: Iterable[SourceBooking], config: Config, mapped: Mapping[str, str]
) -> Iterator[tuple[SourceBooking, Held]]:
    """Yield the bookings that are held, and why; as for their courts, that depends on no time zone."""
    names = Names(Relations(), mapped, config.wingfield.court_mappings or "")
    mapper = Mapper(config.courts, config.mapping, Memory(), ZoneInfo("UTC"), names)
    found = ((each, mapper.map(each)) for each in bookings)
    return ((each, held) for each, held in found if isinstance(held, Held))


def _courts(seen: Seen, config: Config) -> Iterator[Finding]:
    lost = to_no_courts(seen.bookings.values(), config, seen.mapped)
    for number in sorted(lost):
        yield Finding("warning", "services", to_no_court(number, seen.services.get(number, ""), lost[number]))
    held = _held(seen.bookings.values(), config, seen.mapped)
    if torn := {each.id: each for _, each in held if each.reason == Reason.AMBIGUOUS_COURT}:
        first = torn[min(torn, key=int)]
        detail = f"rules of different courts hold for {_some(torn)}; {first.id}: {first.detail}"
        yield Finding("warning", "courts", detail)


def _unused(bookings: Sequence[SourceBooking], config: Config) -> Iterator[Finding]:
    """Yield the conditions of rules, and the fields of players, that no booking has."""
    teams = frozenset[int]().union(*(each.team_ids for each in bookings))
    locations = {each.location_id for each in bookings}
    fields = [("mapping.participant_fields", name) for name in config.mapping.participant_fields]
    for index, rule in enumerate(config.courts):
        for key, word, lacking in (
            ("location_ids", "location", rule.location_ids - locations),
            ("team_ids", "team", rule.team_ids - teams),
        ):
            if lacking:
                detail = f"no booking has {word} {' or '.join(map(str, sorted(lacking)))}"
                yield Finding("warning", f"courts[{index}].{key}", detail)
        if rule.custom_field is not None:
            fields.append((f"courts[{index}].custom_field", rule.custom_field))
    for place, name in fields:
        if not any(has_field(each, name) for each in bookings):
            yield Finding("warning", place, f'no booking has a custom field "{name}"')


def _some(ids: Collection[str]) -> str:
    """Return how many bookings these are, and the first few ids."""
    first = ", ".join(sorted(ids, key=int)[:5])
    return f"{len(ids)} booking{'s' * (len(ids) != 1)}: {first}{', …' * (len(ids) > 5)}"
