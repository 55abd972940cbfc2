"""The rule about deletes: every row of its table, and the guard at its limits."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.model import ABSENT, CyclePlace, Known, Slot, Stored, to_ms
from bridge.planning.deletes import (
    ANSWER_LASTS_MS,
    DAY_MS,
    Fate,
    Guard,
    Listed,
    decided_before,
    fate,
    was_found_gone_lately,
    whom_to_ask,
)

TODAY = datetime(2026, 11, 20, tzinfo=UTC)
NOW_MS = to_ms(TODAY + timedelta(hours=12))
FIRST_MS, END_MS = to_ms(TODAY), to_ms(TODAY + timedelta(days=10))
LISTED = Listed(frozenset({"a", "b"}), ("a", "b"), FIRST_MS, END_MS, is_empty=False)
A_IS_INCOMPLETE = replace(LISTED, complete=frozenset({"b"}))
B_IS_INCOMPLETE = replace(LISTED, complete=frozenset({"a"}))


def slot(hours: float, court: str = "c1") -> Slot:
    start = TODAY + timedelta(hours=hours)
    return Slot(court, start, start + timedelta(hours=1))


def standing(hours: float = 24, account: str = "a") -> Known:
    place = slot(hours)
    times = (place.court_id, to_ms(place.start), to_ms(place.end))
    return Known("7", account, 1000, b"x", *times, 1000, b"x", b"x", 1000)


def deleted(hours: float = 24) -> Known:
    return standing(hours)._replace(acked_fingerprint=ABSENT, intended_fingerprint=ABSENT)


def unsettled(*places: Slot | None) -> tuple[Stored, ...]:
    return tuple(Stored(2000 + n, b"y" if place else ABSENT, place) for n, place in enumerate(places))


BLANK = Known("7", "a", None, ABSENT, None, None, None, None, ABSENT, b"x", 1000)
OUT = CyclePlace(1, slot(-48), is_deleted=True)
BEYOND = 24 * 11


# --- history ---


def test_what_ended_before_the_window_is_history_and_not_asked_for() -> None:
    assert fate(standing(-2), LISTED, NOW_MS) is Fate.FORGET


def test_what_ended_at_the_very_moment_the_window_begins_is_history() -> None:
    assert fate(standing(-1), LISTED, NOW_MS) is Fate.FORGET
    assert fate(standing(-0.99), LISTED, NOW_MS) is Fate.ASK


def test_history_is_forgotten_also_where_the_listing_is_incomplete() -> None:
    assert fate(standing(-2), A_IS_INCOMPLETE, NOW_MS) is Fate.FORGET


def test_what_may_stand_in_the_window_is_no_history() -> None:
    assert fate(standing(-48)._replace(unsettled=unsettled(slot(24))), LISTED, NOW_MS) is Fate.ASK


def test_what_was_taken_out_of_a_ring_is_no_history_however_old() -> None:
    assert fate(deleted(-48)._replace(cycle=OUT), LISTED, NOW_MS) is Fate.ASK


def test_a_deleted_booking_becomes_history_too() -> None:
    assert fate(deleted(-2), LISTED, NOW_MS) is Fate.FORGET
    assert fate(deleted(24), LISTED, NOW_MS) is Fate.LEAVE


# --- incomplete listings ---


def test_a_booking_of_an_incomplete_listing_is_left_alone() -> None:
    assert fate(standing(), A_IS_INCOMPLETE, NOW_MS) is Fate.LEAVE


def test_another_accounts_incomplete_listing_does_not_matter() -> None:
    assert fate(standing(), B_IS_INCOMPLETE, NOW_MS) is Fate.ASK


@pytest.mark.parametrize("account", ["", "left"], ids=["unknown", "left the configuration"])
@pytest.mark.parametrize("listed", [A_IS_INCOMPLETE, B_IS_INCOMPLETE])
def test_without_an_account_of_its_own_every_listing_must_be_complete(account: str, listed: Listed) -> None:
    assert fate(standing(account=account), listed, NOW_MS) is Fate.LEAVE
    assert fate(standing(account=account), LISTED, NOW_MS) is Fate.ASK


# --- what Wingfield does not have ---


def test_what_was_only_seen_and_never_sent_is_forgotten() -> None:
    assert fate(BLANK, LISTED, NOW_MS) is Fate.FORGET


def test_what_may_have_been_created_is_asked_for() -> None:
    assert fate(BLANK._replace(unsettled=unsettled(slot(24))), LISTED, NOW_MS) is Fate.ASK


def test_what_was_taken_out_of_a_ring_is_asked_for() -> None:
    assert fate(deleted()._replace(cycle=OUT), LISTED, NOW_MS) is Fate.ASK


# --- beyond the window ---


@pytest.mark.parametrize(
    ("looked_up_ms", "expected"),
    [
        (None, Fate.ASK),
        (NOW_MS, Fate.LEAVE),
        (NOW_MS - DAY_MS + 1, Fate.LEAVE),
        (NOW_MS - DAY_MS, Fate.ASK),
        (NOW_MS + 1, Fate.ASK),
    ],
    ids=["never", "now", "nearly a day ago", "a day ago", "in the future: the clock went back"],
)
def test_beyond_the_window_a_booking_is_asked_for_once_a_day(looked_up_ms: int | None, expected: Fate) -> None:
    assert fate(standing(BEYOND)._replace(looked_up_ms=looked_up_ms), LISTED, NOW_MS) is expected


@pytest.mark.parametrize("hours", [0, 24 * 10 - 1], ids=["first hour", "last hour"])
def test_in_the_window_it_is_asked_for_in_every_pass(hours: float) -> None:
    assert fate(standing(hours)._replace(looked_up_ms=NOW_MS), LISTED, NOW_MS) is Fate.ASK


def test_the_window_ends_where_its_last_day_ends() -> None:
    assert fate(standing(24 * 10)._replace(looked_up_ms=NOW_MS), LISTED, NOW_MS) is Fate.LEAVE


def test_one_that_began_before_the_window_and_reaches_into_it_counts_as_beyond() -> None:
    assert fate(standing(-0.5)._replace(looked_up_ms=NOW_MS), LISTED, NOW_MS) is Fate.LEAVE


def test_beyond_the_window_one_in_doubt_or_found_gone_is_asked_for_all_the_same() -> None:
    asked = standing(BEYOND)._replace(looked_up_ms=NOW_MS)
    assert fate(asked._replace(unsettled=unsettled(slot(24))), LISTED, NOW_MS) is Fate.ASK
    assert fate(asked._replace(gone_ms=NOW_MS), LISTED, NOW_MS) is Fate.ASK


# --- whom to ask ---


def test_a_booking_is_asked_of_its_own_account_or_of_all() -> None:
    assert whom_to_ask(standing(), LISTED) == ("a",)
    assert whom_to_ask(standing(account=""), LISTED) == ("a", "b")
    assert whom_to_ask(standing(account="left"), LISTED) == ("a", "b")


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
    known = standing()._replace(gone_ms=gone_ms, looked_up_ms=looked_up_ms)
    assert was_found_gone_lately(known, NOW_MS) is lately


# --- completeness ---


def test_a_pass_is_complete_when_every_configured_account_was_read_to_its_end() -> None:
    assert LISTED.is_complete
    assert not A_IS_INCOMPLETE.is_complete
    assert replace(LISTED, configured=("a",)).is_complete


# --- the guard ---


@pytest.mark.parametrize(
    ("deletes", "bridged", "withheld"),
    [
        (0, 0, False),
        (5, 5, False),
        (6, 6, True),
        (6, 30, False),
        (6, 29, True),
        (7, 30, True),
        (1, 1, False),
        (20, 100, False),
        (21, 100, True),
    ],
    ids=[
        "nothing",
        "at the count, all of them",
        "above both",
        "above the count, at the share",
        "above the count, just above the share",
        "one more",
        "one of one",
        "exactly a fifth",
        "just more than a fifth",
    ],
)
def test_deletes_are_withheld_above_both_limits_only(deletes: int, bridged: int, withheld: bool) -> None:
    objection = Guard(5, 0.2).objection(deletes, bridged, listing_is_empty=False)
    assert (objection is not None) is withheld


def test_the_objection_says_how_many_of_how_many_and_both_limits() -> None:
    said = Guard(5, 0.2).objection(14, 39, listing_is_empty=False)
    assert said == "14 of 39 bookings are more than both max_delete_count = 5 and max_delete_fraction = 0.2"


@pytest.mark.parametrize(("bridged", "withheld"), [(1, False), (2, False), (3, True), (39, True)])
def test_an_entirely_empty_listing_is_not_believed_from_three_bookings_on(bridged: int, withheld: bool) -> None:
    said = Guard(1000, 1.0).objection(1, bridged, listing_is_empty=True)
    assert (said is not None) is withheld
    assert said is None or f"{bridged} bookings" in said


def test_an_empty_listing_without_a_delete_is_nothing_to_object_to() -> None:
    assert Guard(5, 0.2).objection(0, 39, listing_is_empty=True) is None


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
    ("known", "decided"),
    [
        (standing(), False),
        (standing()._replace(allowed=1), True),
        (standing()._replace(unsettled=unsettled(None)), True),
        (standing()._replace(unsettled=unsettled(slot(24))), False),
        (standing()._replace(unsettled=unsettled(slot(24), None)), True),
    ],
    ids=["no", "allowed", "perhaps sent already", "only a move in doubt", "a move and a delete in doubt"],
)
def test_a_delete_that_was_allowed_or_may_have_been_sent_is_not_judged_again(known: Known, decided: bool) -> None:
    assert decided_before(known) is decided
