"""A ledger of the tests' own club."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.ledger.store import Ledger
from tests.ledger.states import US


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "courtbridge.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger.open(path, US) as opened:
        yield opened
