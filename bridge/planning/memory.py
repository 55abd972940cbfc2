"""What is believed of the Launch27 account from pass to pass. Pure: one odd answer moves nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from bridge.model import MINUTE_MS


@dataclass(frozen=True, slots=True)
class Memory:
    """The account's time zone, and its services' lengths in minutes by id.

    ``candidate`` is another zone that was answered, first at ``candidate_ms`` (since 1970). ``catalogue`` is None
    until there was an answer.
    """

    zone: str = ""
    candidate: str = ""
    candidate_ms: int = 0
    catalogue: Mapping[int, int] | None = None

    def heard_zone(self, zone: str, now_ms: int) -> Memory:
        """Return the memory after ``zone`` was answered: believed the first time, or a minute after the first."""
        if zone == self.zone or not self.zone:
            return replace(self, zone=zone, candidate="", candidate_ms=0)
        if zone != self.candidate or now_ms < self.candidate_ms:
            return replace(self, candidate=zone, candidate_ms=now_ms)
        if now_ms - self.candidate_ms < MINUTE_MS:
            return self
        return replace(self, zone=zone, candidate="", candidate_ms=0)

    def heard_catalogue(self, minutes: Mapping[int, int]) -> Memory:
        """Return the memory after a catalogue was answered; services that it lacks keep their length."""
        return replace(self, catalogue={**(self.catalogue or {}), **minutes})

    def dumps(self) -> str:
        """Return the memory as JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def loads(cls, text: str) -> Memory:
        """Return the memory that ``dumps`` wrote; an empty one for anything else."""
        try:
            found = json.loads(text)
            catalogue = found.pop("catalogue")
            if catalogue is not None:
                catalogue = {int(number): int(minutes) for number, minutes in catalogue.items()}
            return cls(**found, catalogue=catalogue)
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()
