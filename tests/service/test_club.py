"""The words for how things stand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bridge.errors import ExitStatus, ServiceError, Unavailable
from bridge.records import PassRecord
from bridge.service.club import in_words
from bridge.sync.result import PassResult

# --- words ---


AWAY = Unavailable("Wingfield", "could not connect")


def result_of(
    outcome: str, *errors: ServiceError, held: int = 0, pending: int = 0, withheld: tuple[str, ...] = ()
) -> PassResult:
    record = PassRecord(0, 5, outcome, 43, 1, 2, 0, 38, 1, held, pending, withheld)
    return PassResult(record, ExitStatus.OK, (), (), errors)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (result_of("in_sync"), "in sync: 41 bookings"),
        (result_of("attention", held=1), "needs a person: 1 held; 41 bookings in sync"),
        (
            result_of("attention", withheld=("1", "2")),
            "needs a person: 2 deletes withheld (courtbridge approve); 41 bookings in sync",
        ),
        (
            result_of("attention", AWAY, held=1),
            "not in sync: Wingfield: could not connect, 1 held; 41 bookings in sync",
        ),
        (result_of("incomplete", pending=3), "not in sync: 3 pending; 41 bookings in sync"),
        (result_of("incomplete"), "not in sync: the last pass was not complete; 41 bookings in sync"),
        (result_of("incomplete", AWAY), "not in sync: Wingfield: could not connect; 41 bookings in sync"),
    ],
)
def test_the_status_says_how_things_stand(result: PassResult, words: str) -> None:
    ended = datetime(2026, 11, 20, 12, 0, 3, tzinfo=UTC)
    words = f"{words}, last pass {ended.astimezone():%H:%M:%S}"
    assert in_words(result, ended, None) == words
    later = ended + timedelta(minutes=5)
    assert in_words(result, ended, later) == f"{words}, next {later.astimezone():%H:%M:%S}"
