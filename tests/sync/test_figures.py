"""What is counted of passes."""

from __future__ import annotations

from bridge.sync.figures import BUCKETS, Figures


def test_passes_are_counted_by_kind_and_how_long_they_took() -> None:
    figures = Figures()
    for milliseconds in (0, 100, 101, 5_000_000):
        figures.passed("full", "in_sync", milliseconds)
    figures.passed("near", "attention", 7)
    assert figures.passes == {("full", "in_sync"): 4, ("near", "attention"): 1}
    counted = {bound: figures.durations["full", bound] for bound in BUCKETS if figures.durations["full", bound]}
    assert counted == {0.1: 2, 0.25: 1, float("inf"): 1}
    assert figures.milliseconds == {"full": 5_000_201, "near": 7}
