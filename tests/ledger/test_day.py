"""How bookings stand, and which of them the courts have at a time."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.ledger.day import standing, state
from bridge.model import ABSENT, Stored
from tests.support.builders import DAY, HOUR, NOON, known, slot


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "in_sync"),
        ({"unsettled": (Stored("7", 2000, b"x", slot()),)}, "pending"),
        ({"failures": 1}, "pending"),
        ({"gone_ms": 5}, "pending"),
        ({"seen_fingerprint": b"other"}, "pending"),
        ({"id": "8", "failures": 1}, "held"),
        ({"id": "9", "gone_ms": 5}, "withheld"),
    ],
)
def test_a_booking_stands_in_one_of_four_ways(fields: dict[str, Any], expected: str) -> None:
    assert state(known()._replace(**fields), {"8", "9"}, {"9"}) == expected


def test_a_time_has_what_stands_there_or_may_and_nothing_that_only_touches_it() -> None:
    sent = Stored("4", 2000, b"x", slot(13))
    bookings = [
        known(1, slot(12)),
        known(2, slot(11)),
        known(3, slot(13, hours=30)),
        known(4, slot(48), unsettled=(sent,)),
        known(5, slot(12), acked_fingerprint=ABSENT),
        known(6, slot(-12)),
    ]
    found = standing(bookings, NOON + 12 * HOUR, NOON + 12 * HOUR + DAY)
    assert {each.id: place for each, place in found} == {"1": slot(12), "3": slot(13, hours=30), "4": slot(13)}
