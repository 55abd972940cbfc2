"""What is kept from pass to pass: it comes back as it was, and what cannot be read is as new."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.ledger.store import Ledger
from bridge.notify.troubles import Taken, Troubles
from bridge.planning.drift import Mark
from bridge.planning.memory import Lengths, Memory, Part, Unmapped
from bridge.wingfield.hourly import Mappings, Relations

CATALOGUES = {0: {1: Lengths(90, {"extra 1": Part(30, is_counted=True)}), 2: Lengths()}, 7: {}}
KEPT = [
    Memory("Europe/Berlin", "Asia/Tokyo", 5, CATALOGUES, {1: 10**13}, {4: Unmapped("Court 4", 50)}),
    Mark(1, 2, 3, 4),
    Troubles({"held": 1}, {"apprise": Taken(("held",), 2, 1)}),
    Relations(trouble="timeout", key="k", users={"aa": "user:1"}, denied=((1, frozenset({"user:1"})),)),
    Mappings(courts={"1": "c1"}, doubted_ms=7),
]


@pytest.mark.parametrize("thing", KEPT, ids=lambda thing: type(thing).__name__)
def test_what_is_kept_comes_back_as_it_was_the_last_of_its_kind(ledger: Ledger, thing: Any) -> None:
    assert ledger.recall(type(thing)) == type(thing)()
    for each in KEPT:
        ledger.remember(each)
    assert ledger.recall(type(thing)) == thing


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '{"other": 1}', '{"catalogues": 5, "newest_ms": "x"}'])
@pytest.mark.parametrize("kind", [Memory, Mark, Troubles])
def test_what_cannot_be_read_is_as_new(ledger: Ledger, kind: type[Any], text: str) -> None:
    ledger._connection.execute("INSERT INTO meta VALUES (?, ?)", (kind.__name__.lower(), text))
    assert ledger.recall(kind) == kind()


def test_what_0_1_knew_is_kept(ledger: Ledger) -> None:
    text = '{"zone": "Europe/Berlin", "candidate": "", "candidate_ms": 0, "catalogue": {"1": 90}}'
    ledger._connection.execute("INSERT INTO meta VALUES ('memory', ?)", (text,))
    assert ledger.recall(Memory) == Memory("Europe/Berlin", catalogues={0: {1: Lengths(90)}})
