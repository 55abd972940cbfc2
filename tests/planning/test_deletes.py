"""The rule about deletes: every row of its table, and the guard at its limits."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.model import ABSENT, CyclePlace, Known, Slot, Stored, to_ms
from bridge.planning.deletes import (
    ANSWER_LASTS_MS,
    DAY_MS,
    Fate,
    Guard,
    accounts_to_ask,
    decided_before,
    fate,
    was_found_gone_lately,
)
from bridge.planning.reading import Listing, Reading
from tests.support.builders import DAY, NOON, known, never_sent, slot

NOW_MS = to_ms(NOON)
TODAY = NOON - timedelta(hours=12)
"""The window begins at hour -12, and ends ten days later."""
BEYOND = 24 * 11


def reading(*complete: str, accounts: tuple[str, ...] = ("a", "b")) -> Reading:
    listings = [Listing(account, is_complete=account in complete) for account in ("a", "b")]
    return Reading(accounts, to_ms(TODAY), to_ms(TODAY + 10 * DAY), listings)


BOTH, ONLY_A, ONLY_B = reading("a", "b"), reading("a"), reading("b")


def at(hour: float) -> Known:
    return known(place=slot(hour))


def deleted(hour: float = 24) -> Known:
    return at(hour)._replace(acked_fingerprint=ABSENT, intended_fingerprint=ABSENT)


def unsettled(*places: Slot | None) -> tuple[Stored, ...]:
    return tuple(Stored("7", 2000 + n, b"y" if place else ABSENT, place) for n, place in enumerate(places))


OUT = CyclePlace(1, slot(-48), is_deleted=True)
IN_DOUBT = unsettled(slot(24))
FATES: dict[str, tuple[Known, Reading, Fate]] = {
    "ended before the window": (at(-14), BOTH, Fate.FORGET),
    "ended as the window begins": (at(-13), BOTH, Fate.FORGET),
    "ended a moment later": (at(-12.99), BOTH, Fate.LOOK_UP),
    "history in an incomplete listing": (at(-14), ONLY_B, Fate.FORGET),
    "history that may stand in the window": (at(-48)._replace(unsettled=IN_DOUBT), BOTH, Fate.LOOK_UP),
    "temporarily deleted, however old": (deleted(-48)._replace(cycle=OUT), BOTH, Fate.LOOK_UP),
    "deleted, and history": (deleted(-14), BOTH, Fate.FORGET),
    "deleted": (deleted(), BOTH, Fate.LEAVE),
    "of an incomplete listing": (known(), ONLY_B, Fate.LEAVE),
    "another account's is incomplete": (known(), ONLY_A, Fate.LOOK_UP),
    "only seen": (never_sent(), BOTH, Fate.FORGET),
    "perhaps created": (never_sent(unsettled=IN_DOUBT), BOTH, Fate.LOOK_UP),
    "temporarily deleted": (deleted()._replace(cycle=OUT), BOTH, Fate.LOOK_UP),
}


@pytest.mark.parametrize("case", FATES)
def test_what_becomes_of_a_booking_that_is_not_listed(case: str) -> None:
    entry, read, expected = FATES[case]
    assert fate(entry, read, NOW_MS) is expected


@pytest.mark.parametrize("account", ["", "left"], ids=["unknown", "left the configuration"])
def test_without_an_account_of_its_own_every_listing_must_be_complete(account: str) -> None:
    assert fate(known(account=account), ONLY_A, NOW_MS) is Fate.LEAVE
    assert fate(known(account=account), ONLY_B, NOW_MS) is Fate.LEAVE
    assert fate(known(account=account), BOTH, NOW_MS) is Fate.LOOK_UP
    assert accounts_to_ask(known(account=account), BOTH) == ("a", "b")


def test_a_booking_is_asked_of_its_own_account() -> None:
    assert accounts_to_ask(known(), BOTH) == ("a",)


@pytest.mark.parametrize(
    ("hour", "fields", "expected"),
    [
        (BEYOND, {"looked_up_ms": None}, Fate.LOOK_UP),
        (BEYOND, {}, Fate.LEAVE),
        (BEYOND, {"looked_up_ms": NOW_MS - DAY_MS + 1}, Fate.LEAVE),
        (BEYOND, {"looked_up_ms": NOW_MS - DAY_MS}, Fate.LOOK_UP),
        (BEYOND, {"looked_up_ms": NOW_MS + 1}, Fate.LOOK_UP),
        (BEYOND, {"unsettled": IN_DOUBT}, Fate.LOOK_UP),
        (BEYOND, {"gone_ms": NOW_MS}, Fate.LOOK_UP),
        (-12, {}, Fate.LOOK_UP),
        (240 - 13, {}, Fate.LOOK_UP),
        (240 - 12, {}, Fate.LEAVE),
        (-12.5, {}, Fate.LEAVE),
    ],
    ids=[
        "never",
        "now",
        "nearly a day ago",
        "a day ago",
        "in the future: the clock went back",
        "now, but in doubt",
        "now, and found gone",
        "the window's first hour",
        "the window's last hour",
        "the first hour beyond",
        "begun before the window, which it reaches into",
    ],
)
def test_only_beyond_the_window_one_look_up_a_day_is_enough(
    hour: float, fields: dict[str, Any], expected: Fate
) -> None:
    entry = known(place=slot(hour), **{"looked_up_ms": NOW_MS, **fields})
    assert fate(entry, BOTH, NOW_MS) is expected


@pytest.mark.parametrize(
    ("gone_ms", "looked_up_ms", "lately"),
    [
        (None, NOW_MS, False),
        (1, None, False),
        (1, NOW_MS, True),
        (1, NOW_MS - ANSWER_LASTS_MS + 1, True),
        (1, NOW_MS - ANSWER_LASTS_MS, False),
        (1, NOW_MS + 1, False),
    ],
)
def test_an_answer_lasts_an_hour(gone_ms: int | None, looked_up_ms: int | None, lately: bool) -> None:
    assert was_found_gone_lately(known(gone_ms=gone_ms, looked_up_ms=looked_up_ms), NOW_MS) is lately


def test_a_pass_is_complete_when_every_configured_account_was_read_to_its_end() -> None:
    assert BOTH.is_complete
    assert not ONLY_B.is_complete
    assert reading("a", accounts=("a",)).is_complete


# --- the guard ---


@pytest.mark.parametrize(
    ("deletes", "bridged", "withheld"),
    [
        pytest.param(0, 0, False, id="nothing"),
        pytest.param(5, 5, False, id="at the count, all of them"),
        pytest.param(6, 6, True, id="above both"),
        pytest.param(6, 30, False, id="above the count, at the share"),
        pytest.param(6, 29, True, id="above the count, just above the share"),
        pytest.param(7, 30, True, id="one more"),
        pytest.param(1, 1, False, id="one of one"),
        pytest.param(20, 100, False, id="exactly a fifth"),
        pytest.param(21, 100, True, id="just more than a fifth"),
    ],
)
def test_deletes_are_withheld_above_both_limits_only(deletes: int, bridged: int, withheld: bool) -> None:
    objection = Guard(5, 0.2).objection(deletes, bridged, listing_is_empty=False)
    assert (objection is not None) is withheld


def test_the_objection_says_how_many_of_how_many_and_both_limits() -> None:
    said = Guard(5, 0.2).objection(14, 39, listing_is_empty=False)
    assert said == "14 of 39 bookings are more than both max_delete_count = 5 and max_delete_fraction = 0.2"


@pytest.mark.parametrize(
    ("deletes", "bridged", "withheld"), [(1, 1, False), (1, 2, False), (1, 3, True), (1, 39, True), (0, 39, False)]
)
def test_an_entirely_empty_listing_is_not_believed_from_three_bookings_on(
    deletes: int, bridged: int, withheld: bool
) -> None:
    said = Guard(1000, 1.0).objection(deletes, bridged, listing_is_empty=True)
    assert (said is not None) is withheld
    assert said is None or f"{bridged} bookings" in said


@given(st.integers(0, 200), st.integers(0, 200), st.booleans())
def test_a_person_can_let_any_number_through(deletes: int, bridged: int, empty: bool) -> None:
    assert Guard(0, 0.0, allowed=True).objection(deletes, bridged, listing_is_empty=empty) is None


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 20), st.integers(0, 100))
def test_fewer_deletes_are_never_worse(deletes: int, bridged: int, count: int, percent: int) -> None:
    guard = Guard(count, percent / 100)
    if guard.objection(deletes, bridged, listing_is_empty=False) is None:
        fewer = random.Random(deletes).randint(0, deletes)
        assert guard.objection(fewer, bridged, listing_is_empty=False) is None


def test_a_limit_of_zero_and_zero_withholds_every_delete() -> None:
    assert Guard(0, 0.0).objection(1, 1, listing_is_empty=False)


@pytest.mark.parametrize(
    ("fields", "decided"),
    [
        pytest.param({}, False, id="no"),
        pytest.param({"allowed": 1}, True, id="allowed"),
        pytest.param({"unsettled": unsettled(None)}, True, id="perhaps sent already"),
        pytest.param({"unsettled": IN_DOUBT}, False, id="only a move in doubt"),
        pytest.param({"unsettled": unsettled(slot(24), None)}, True, id="a move and a delete in doubt"),
    ],
)
def test_a_delete_that_was_allowed_or_may_have_been_sent_is_not_judged_again(
    fields: dict[str, Any], decided: bool
) -> None:
    assert decided_before(known(**fields)) is decided
