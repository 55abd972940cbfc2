"""The benchmark of freshness, small: changes reach their courts, and what it says of them is so."""

import pytest

from tests.bench import freshness
from tests.bench.freshness import Figures, Options, table


@pytest.mark.parametrize("push", [False, True])
def test_every_change_reaches_its_court(push: bool) -> None:
    interval = "60s" if push else "1s"
    quick = {"bookings": 60, "seconds": 2.0, "every_seconds": 1.0, "delay_ms": 1.0, "patience_seconds": 20.0}
    options = Options(**quick, sync=f'interval = "{interval}"')  # type: ignore[arg-type]
    figures = freshness.freshness(options, push=push)
    assert (figures.missed, figures.changes) in {(0, 2), (0, 3), (0, 4)}
    assert 0 < figures.median <= figures.p95 <= figures.worst < 20
    assert figures.share > 0


def test_the_table_has_a_line_for_each_way_and_says_what_never_came() -> None:
    lines = table({"with push": Figures(0.6, 2.04, 3.0, 0.256, 100, 0), "without": Figures(1, 2, 3, 0, 9, 1)})
    assert lines.splitlines()[2:] == [
        "| with push | 0.6 s | 2.0 s | 3.0 s | 26% |",
        "| without | 1.0 s | 2.0 s | 3.0 s, 1 of 9 never | 0% |",
    ]
