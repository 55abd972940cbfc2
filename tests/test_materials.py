"""What the audit of the pins makes of pip-audit's report; no test asks an index."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

verdict = runpy.run_path(str(Path(__file__).parents[1] / ".ci" / "materials.py"))["verdict"]

FINE: dict[str, Any] = {"name": "anyio", "version": "4.16.0", "vulns": []}
VULNERABILITIES = [{"id": "PYSEC-1", "fix_versions": ["0.16.0"]}, {"id": "PYSEC-2", "fix_versions": []}]
FLAWED = {"name": "h11", "version": "0.14.0", "vulns": VULNERABILITIES}
UNKNOWN = {"name": "ruff", "skip_reason": "not found"}


def test_a_known_vulnerability_is_a_failure() -> None:
    said = ["h11 0.14.0: PYSEC-1, mended in 0.16.0", "h11 0.14.0: PYSEC-2, mended in no version"]
    summary = "audit: 2 pinned versions audited, 2 known vulnerabilities"
    assert verdict({"dependencies": [FINE, FLAWED]}) == (1, [*said, summary])


def test_what_the_index_does_not_know_is_named() -> None:
    assert verdict({"dependencies": [FINE, UNKNOWN]}) == (
        0,
        ["audit: 1 pinned versions audited, 0 known vulnerabilities", "audit: nothing is known of ruff"],
    )


def test_an_index_that_knows_nothing_is_said_and_no_failure() -> None:
    status, said = verdict({"dependencies": [UNKNOWN, UNKNOWN]})
    assert (status, "NOT DONE" in said[0]) == (0, True)
