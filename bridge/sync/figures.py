"""What is counted for as long as the process lives, whatever is reloaded meanwhile."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from bridge.model import PassRecord, Write
from bridge.sync.status import kind

BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, float("inf"))
"""Upper bounds, in seconds, of what the durations of passes are counted in."""


@dataclass(slots=True)
class Figures:
    """Counts for the metrics.

    ``requests`` by service and status ("none" where no answer came), ``writes`` by action and result ("ok",
    "rejected", "failed"), ``passes`` by kind and outcome, ``durations`` by kind and bucket, and ``seconds`` in all by
    kind; ``drift`` by kind.
    """

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    writes: Counter[tuple[str, str]] = field(default_factory=Counter)
    passes: Counter[tuple[str, str]] = field(default_factory=Counter)
    durations: Counter[tuple[str, float]] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    drift: Counter[str] = field(default_factory=Counter)
    is_push_connected: bool = False

    def passed(self, record: PassRecord) -> None:
        """Count a pass that has ended."""
        seconds = record.duration_ms / 1000
        self.passes[kind(record), record.outcome] += 1
        self.durations[kind(record), next(bound for bound in BUCKETS if seconds <= bound)] += 1
        self.seconds[kind(record)] += seconds

    def wrote(self, write: Write, result: str) -> None:
        """Count a write that has ended."""
        self.writes[write.verb, result] += 1
