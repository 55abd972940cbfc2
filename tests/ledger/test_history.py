"""The history: what is known to be done, once, with its reason; the old goes when something new comes."""

from __future__ import annotations

import pytest

from bridge.ledger.entry import Ending, Outcome
from bridge.ledger.history import KEPT_MS, MOST_ROWS, Event
from bridge.ledger.store import Ledger
from bridge.model import Stored, Verb, Write
from tests.ledger.states import ended, rejected
from tests.support.builders import delete, put, slot

CREATE, MOVE, GONE = (
    put(why="new", verb=Verb.CREATE),
    put(place=slot(30), version_ms=2000, why="start changed"),
    delete(),
)


def nothing(version_ms: int) -> Stored:
    return Stored("7", version_ms, b"", None)


def told(ledger: Ledger) -> list[tuple[str, int | None, str]]:
    """Return action, version and reason of all that happened, the oldest first."""
    return [(event.action, event.version_ms, event.why) for event in reversed(ledger.history(99))]


def test_an_acknowledged_write_is_history_with_its_place_and_its_reason(ledger: Ledger) -> None:
    ledger.record([CREATE], [], 8)
    assert ledger.history(9) == [], "an intent has not happened"
    ledger.record([], [ended(CREATE)], 9)
    assert ledger.history(9) == [Event(9, "7", "create", 1000, "new", slot())]


@pytest.mark.parametrize(
    "outcome", [ended(CREATE, Ending.UNANSWERED), ended(CREATE, Ending.NOT_SENT), rejected(CREATE)]
)
def test_a_write_that_came_to_nothing_is_none(ledger: Ledger, outcome: Outcome) -> None:
    ledger.record([CREATE], [])
    ledger.record([], [outcome])
    assert ledger.history(9) == []


def test_a_write_that_is_sent_again_keeps_its_first_reason(ledger: Ledger) -> None:
    again = put(why="Wingfield's last answer is missing", verb=Verb.CREATE)
    for write in (CREATE, again):
        ledger.record([write], [])
    ledger.record([], [ended(again)])
    assert told(ledger) == [("create", 1000, "new")]


READ_BACK = "; read back from Wingfield"


@pytest.mark.parametrize(
    ("lost", "found", "expected"),
    [
        pytest.param(MOVE, MOVE.stored, [("update", 2000, "start changed" + READ_BACK)], id="a move, done"),
        pytest.param(MOVE, CREATE.stored, [], id="a move, not done"),
        pytest.param(
            delete(version_ms=2000), nothing(2000), [("delete", 2000, "gone" + READ_BACK)], id="a delete, done"
        ),
        pytest.param(delete(version_ms=2000), CREATE.stored, [], id="a delete, not done"),
        pytest.param(MOVE, nothing(2000), [], id="deleted by somebody else"),
    ],
)
def test_a_lost_write_is_history_once_it_is_read_back(
    ledger: Ledger, lost: Write, found: Stored, expected: list[object]
) -> None:
    ledger.record([CREATE], [])
    ledger.record([lost], [ended(CREATE)])
    ledger.record([], [found])
    assert told(ledger)[1:] == expected


def test_what_somebody_else_wrote_is_adopted_and_what_we_had_sent_is_told_once(ledger: Ledger) -> None:
    ledger.record([CREATE], [])
    there = put(version_ms=5000)
    ledger.record([], [there.stored, ended(there)])
    ledger.record([MOVE], [])
    ledger.record([], [MOVE.stored, ended(MOVE)])
    assert told(ledger) == [("adopt", 5000, "Wingfield had it already"), ("update", 2000, "start changed" + READ_BACK)]


def test_adoption_approval_and_what_others_note_are_history(ledger: Ledger) -> None:
    adopted = Event(5, "7", "adopt", 1, "Wingfield had it when this state was new", slot())
    ledger.adopt([Stored("7", 1, b"x", slot()), Stored("8", 1, b"", None)], [adopted])
    ledger.approve(["7", "9"], 6)
    drift = Event(7, "7", "drift", 1, "missing in Wingfield", slot())
    ledger.save([], [drift])
    ledger.save([], [drift._replace(at_ms=8)])
    assert ledger.history(9, "7") == [
        drift._replace(at_ms=8),
        drift,
        Event(6, "7", "approve", None, "a person let its delete or its repair through", slot()),
        adopted,
    ]
    assert [event.id for event in ledger.history(2)] == ["7", "7"]
    assert [event.slot for event in ledger.history(9, "9")] == [None]


@pytest.mark.parametrize(("age_ms", "kept"), [(KEPT_MS, [1, 2]), (KEPT_MS + 1, [2])])
def test_what_is_older_than_ninety_days_goes_when_something_happens(
    ledger: Ledger, age_ms: int, kept: list[int]
) -> None:
    ledger.save([], [Event(1, "1", "drift", None, "")])
    ledger.save([])
    assert len(ledger.history(9)) == 1
    ledger.save([], [Event(1 + age_ms, "2", "drift", None, "")])
    assert sorted(int(event.id) for event in ledger.history(9)) == kept


def test_there_are_never_more_rows_than_the_most(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_ROWS == 200_000
    monkeypatch.setattr("bridge.ledger.history.MOST_ROWS", 3)
    for number in range(5):
        ledger.save([], [Event(number, str(number), "drift", None, "")] * 2)
    assert [event.id for event in ledger.history(9)] == ["4", "4", "3"]
