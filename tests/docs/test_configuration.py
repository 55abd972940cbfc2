"""``docs/configuration.md`` is what the models and the example make of it."""

from __future__ import annotations

import runpy
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def test_the_page_is_current() -> None:
    made = runpy.run_path(str(CHECKOUT / ".ci" / "configuration.py"))["page"]()
    assert (CHECKOUT / "docs" / "configuration.md").read_text() == made, "run .ci/configuration.py"
