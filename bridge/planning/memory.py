"""What is believed of the Launch27 account from pass to pass. Pure: one odd answer moves nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from pydantic import model_validator

from bridge.model import MINUTE_MS

DEFAULT_LOCATION = 0
"""Stands for the location of a booking that names none."""
_LONGEST_MINUTES = 7 * 24 * 60


class Part(NamedTuple):
    """How long an extra or a pricing parameter takes, in minutes; where it ``is_counted``, each one of it."""

    minutes: int
    is_counted: bool


class Lengths(NamedTuple):
    """What a catalogue says of a service: its own minutes, None for none, and those of its parts by their keys."""

    minutes: int | None = None
    parts: Mapping[str, Part] = {}

    def total(self, chosen: Iterable[tuple[str, int]]) -> int | None:
        """Return the minutes with the ``chosen`` parts, each a key and a quantity; None without a sensible length."""
        if self.minutes is None:
            return None
        listed = ((part, quantity) for key, quantity in chosen if (part := self.parts.get(key)))
        total = self.minutes + sum(part.minutes * (quantity if part.is_counted else 1) for part, quantity in listed)
        return total if 0 < total <= _LONGEST_MINUTES else None

    def heard(self, lengths: Lengths) -> Lengths:
        """Return the lengths after these were answered; what they leave out stays."""
        minutes = self.minutes if lengths.minutes is None else lengths.minutes
        return Lengths(minutes, {**self.parts, **lengths.parts})


NO_LENGTHS = Lengths()
Catalogue = Mapping[int, Lengths]
"""Services by id."""


class Unmapped(NamedTuple):
    """A service of bookings that go to no court: its name in a catalogue, and how many they are."""

    name: str
    bookings: int


@dataclass(frozen=True, slots=True)
class Memory:
    """The account's time zone, its catalogue by location, and when the tokens end.

    ``candidate`` is another zone that was answered, first at ``candidate_ms`` (since 1970). ``catalogues`` has the
    locations that were asked about with an answer. ``token_ends_ms`` says when accounts' own tokens expire, by the
    account's number (since 1970). ``unmapped`` has the services of bookings that go to no court, as the last complete
    full pass found them.
    """

    zone: str = ""
    candidate: str = ""
    candidate_ms: int = 0
    catalogues: Mapping[int, Catalogue] = field(default_factory=dict)
    token_ends_ms: Mapping[int, int] = field(default_factory=dict)
    unmapped: Mapping[int, Unmapped] = field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, found: Any) -> Any:  # noqa: ANN401 (JSON of any kind)
        """Take the catalogue that 0.1 kept for the default location's."""
        if isinstance(found, dict) and isinstance(old := found.pop("catalogue", None), dict):
            found["catalogues"] = {DEFAULT_LOCATION: {id_: (minutes, {}) for id_, minutes in old.items()}}
        return found

    def catalogue(self, location: int) -> Catalogue | None:
        """Return a location's catalogue, None before there was an answer; the default one where it has none to show."""
        found = self.catalogues.get(location)
        return self.catalogues.get(DEFAULT_LOCATION, found) if found == {} else found

    def heard_zone(self, zone: str, now_ms: int) -> Memory:
        """Return the memory after ``zone`` was answered: believed the first time, or a minute after the first."""
        waited_ms = now_ms - self.candidate_ms if zone == self.candidate else -1
        if not self.zone or zone == self.zone or waited_ms >= MINUTE_MS:
            return replace(self, zone=zone, candidate="", candidate_ms=0)
        return self if waited_ms >= 0 else replace(self, candidate=zone, candidate_ms=now_ms)

    def heard_catalogue(self, location: int, catalogue: Catalogue) -> Memory:
        """Return the memory after a catalogue was answered; services and lengths that it lacks stay."""
        known = dict(self.catalogues.get(location, {}))
        known.update((id_, known.get(id_, NO_LENGTHS).heard(lengths)) for id_, lengths in catalogue.items())
        return replace(self, catalogues={**self.catalogues, location: known})
