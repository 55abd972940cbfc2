"""When the next pass is due: the interval, and how it grows while a service is away. Pure; no clock."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import random

LONGEST_BACKOFF_SECONDS = 15 * 60.0
AFTER_REFUSAL_SECONDS = 5 * 60.0
"""Five refused logins within a minute lock an account for five. Source: Launch27, ``POST /login``."""

_JITTER = 0.05
_LONGEST_JITTER_SECONDS = 5.0
_MOST_DOUBLINGS = 30


class Verdict(enum.Enum):
    """What a pass says about when to try again."""

    FINE = enum.auto()
    UNREACHABLE = enum.auto()
    REFUSED = enum.auto()


@dataclass(slots=True)
class Pace:
    """Moments are seconds of a clock that only grows; ``chance`` returns a number from 0 to 1.

    A little jitter, only ever later, keeps several clubs on one machine from asking in step.
    """

    interval: timedelta
    chance: Callable[[], float] = random
    failures: int = 0
    not_before: float = 0.0
    """While credentials are refused: no pass before this, whoever asks for one."""

    def next_due(self, verdict: Verdict, began: float, ended: float) -> float:
        """Return when the next pass is due, after one that began and ended at these moments.

        A pass that took longer than the interval misses a turn, which is not made up for.
        """
        seconds = self.interval.total_seconds()
        if verdict is Verdict.UNREACHABLE:
            self.failures += 1
            doubled = seconds * 2.0 ** min(self.failures - 1, _MOST_DOUBLINGS)
            return ended + min(doubled, max(LONGEST_BACKOFF_SECONDS, seconds)) + self._jitter(seconds)
        self.failures = 0
        turns = math.floor((ended - began) / seconds) + 1
        due = began + turns * seconds + self._jitter(seconds)
        if verdict is Verdict.REFUSED:
            self.not_before = ended + AFTER_REFUSAL_SECONDS
        return self.soonest(due)

    def soonest(self, moment: float) -> float:
        """Return when a pass that somebody wants at ``moment`` may begin."""
        return max(moment, self.not_before)

    def forgive(self) -> None:
        """Take the credentials for new: nothing is known against them."""
        self.not_before = 0.0

    def _jitter(self, seconds: float) -> float:
        return self.chance() * min(seconds * _JITTER, _LONGEST_JITTER_SECONDS)
