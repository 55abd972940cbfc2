"""What is counted for as long as the process lives, whatever is reloaded meanwhile."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, float("inf"))
"""Upper bounds, in seconds, of what the durations of passes are counted in."""


@dataclass(slots=True)
class Figures:
    """Counts for the metrics.

    ``requests`` by service and status ("none" where no answer came), ``writes`` by action and result ("ok",
    "rejected", "failed"), ``passes`` by kind and outcome, their ``durations`` by kind and bucket, and the
    ``milliseconds`` of all of them by kind; ``drift`` by kind.
    """

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    writes: Counter[tuple[str, str]] = field(default_factory=Counter)
    passes: Counter[tuple[str, str]] = field(default_factory=Counter)
    durations: Counter[tuple[str, float]] = field(default_factory=Counter)
    milliseconds: Counter[str] = field(default_factory=Counter)
    drift: Counter[str] = field(default_factory=Counter)
    is_push_connected: bool = False

    def passed(self, kind: str, outcome: str, milliseconds: int) -> None:
        self.passes[kind, outcome] += 1
        self.durations[kind, next(bound for bound in BUCKETS if milliseconds <= bound * 1000)] += 1
        self.milliseconds[kind] += milliseconds
