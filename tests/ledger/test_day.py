"""A day's picture: what stands where, what wants to, and how it stands."""

from __future__ import annotations

import pytest

from bridge.ledger.day import Bar, bars
from bridge.model import Held, Known, Slot, Stored
from tests.support.builders import HOUR, NOON, known, never_sent, put, slot

DAY = NOON + 24 * HOUR, NOON + 48 * HOUR
MOVED = put(place=slot(30, 2), version_ms=2000)


def shown(*entries: Known, held: tuple[Held, ...] = (), withheld: tuple[str, ...] = ()) -> dict[str, list[Bar]]:
    return bars(entries, held, withheld, *DAY)


def bar(place: Slot, state: str, id_: str = "7") -> Bar:
    return Bar(place.start, place.end, id_, state)


@pytest.mark.parametrize(
    ("entry", "state"),
    [
        pytest.param(known(), "in_sync", id="as the source wants it"),
        pytest.param(known(seen_fingerprint=b"x"), "pending", id="the source wants it otherwise"),
        pytest.param(known(gone_ms=1), "pending", id="gone from the source"),
    ],
)
def test_a_booking_is_in_sync_or_pending(entry: Known, state: str) -> None:
    assert shown(entry) == {"c1": [bar(slot(), state)]}


def test_a_booking_whose_answer_is_missing_is_pending_wherever_it_may_stand() -> None:
    assert shown(known(unsettled=(MOVED.stored,))) == {
        "c1": [bar(slot(), "pending")],
        "c2": [bar(slot(30, 2), "pending")],
    }


def test_a_withheld_delete_and_a_held_booking_are_told_from_the_others() -> None:
    held = Held("8", "court_booking_overlap", "", slot=slot(25))
    assert shown(known(), known(8, slot(25)), never_sent(9), held=(held,), withheld=("7",)) == {
        "c1": [bar(slot(), "withheld"), bar(slot(25), "held", "8")]
    }


def test_a_held_booking_is_where_it_stands_and_where_it_wants_to_as_far_as_that_is_known() -> None:
    somewhere = Slot("", slot(26).start, slot(26).start)
    held = (Held("7", "court_booking_overlap", "", slot=slot(25, 2)), Held("8", "ambiguous_court", "", slot=somewhere))
    assert shown(known(), held=(*held, Held("9", "invalid_booking", ""))) == {
        "": [bar(somewhere, "held", "8")],
        "c1": [bar(slot(), "held")],
        "c2": [bar(slot(25, 2), "held")],
    }


@pytest.mark.parametrize(
    ("place", "is_shown"),
    [
        pytest.param(slot(23), False, id="ends as the day begins"),
        pytest.param(slot(23, hours=1.5), True, id="lasts into the day"),
        pytest.param(slot(47), True, id="the last hour"),
        pytest.param(slot(48), False, id="the next day"),
        pytest.param(slot(24, hours=0), True, id="without a length"),
    ],
)
def test_only_what_touches_the_day_is_shown(place: Slot, is_shown: bool) -> None:
    assert bool(shown(known(place=place))) is is_shown


def test_what_was_deleted_is_not_on_the_courts() -> None:
    assert (
        shown(known(acked_fingerprint=b""), known(8, acked_fingerprint=b"", unsettled=(Stored("8", 1, b"", None),)))
        == {}
    )


def test_the_bookings_of_a_court_are_in_the_order_of_their_starts() -> None:
    column = shown(known(1, slot(30)), known(2, slot(25)), known(3, slot(27)))["c1"]
    assert [each.id for each in column] == ["2", "3", "1"]
