"""A few rounds of the kills; the long form is ``python -m tests.kills --rounds 300``."""

from __future__ import annotations

from pathlib import Path

from tests.kills.job import job


def test_a_killed_bridge_is_put_right_by_the_next_pass(tmp_path: Path) -> None:
    with job(tmp_path, seed=20261120) as kills:
        for _ in range(5):
            kills.round()
    killed = sum(count for what, count in kills.counts.items() if what.startswith("killed"))
    assert killed >= 3
    assert kills.writes()
