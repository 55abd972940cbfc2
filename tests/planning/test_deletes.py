"""The rule about deletes: every row of its table, and the guard at its limits."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.model import ABSENT, DAY_MS, HOUR_MS, MINUTE_MS, CyclePlace, Known, Slot, Stored, to_ms
from bridge.planning.deletes import (
    Fate,
    Guard,
    accounts_to_ask,
    decided_before,
    fate,
    was_found_gone_lately,
    withdrawable,
)
from bridge.planning.reading import Listing, Reading
from tests.support.builders import DAY, NOON, booking, known, never_sent, slot

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
    "ended before the window": (at(-14), BOTH, Fate.LEAVE),
    "ended as the window begins": (at(-13), BOTH, Fate.LEAVE),
    "ended 30 days before the window": (at(-13 - 30 * 24), BOTH, Fate.FORGET),
    "ended nearly 30 days before": (at(-12.9 - 30 * 24), BOTH, Fate.LEAVE),
    "ended a moment later": (at(-12.99), BOTH, Fate.LOOK_UP),
    "old history in an incomplete listing": (at(-14 - 30 * 24), ONLY_B, Fate.FORGET),
    "history that may stand in the window": (at(-48)._replace(unsettled=IN_DOUBT), BOTH, Fate.LOOK_UP),
    "temporarily deleted, however old": (deleted(-48)._replace(cycle=OUT), BOTH, Fate.LOOK_UP),
    "deleted, and old history": (deleted(-14 - 30 * 24), BOTH, Fate.FORGET),
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
    assert fate(entry, read, set(), NOW_MS) is expected


@pytest.mark.parametrize("account", ["", "left"], ids=["unknown", "left the configuration"])
def test_without_an_account_of_its_own_every_listing_must_be_complete(account: str) -> None:
    assert fate(known(account=account), ONLY_A, {"b"}, NOW_MS) is Fate.LEAVE
    assert fate(known(account=account), ONLY_B, {"a"}, NOW_MS) is Fate.LEAVE
    assert fate(known(account=account), BOTH, set(), NOW_MS) is Fate.LOOK_UP
    failed_for_a_day = fate(known(account=account), ONLY_A, set(), NOW_MS)
    assert failed_for_a_day is (Fate.LOOK_UP if account else Fate.LEAVE), "b may be the account of an unknown one"
    assert accounts_to_ask(known(account=account), BOTH) == ("a", "b")


@pytest.mark.parametrize(("account", "asked"), [("a", ("a", "b")), ("b", ("b", "a"))])
def test_every_account_is_asked_its_own_first(account: str, asked: tuple[str, ...]) -> None:
    assert accounts_to_ask(known(account=account), BOTH) == asked


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
    assert fate(entry, BOTH, set(), NOW_MS) is expected


@pytest.mark.parametrize(
    ("gone_ms", "looked_up_ms", "lately"),
    [
        (None, NOW_MS, False),
        (1, None, False),
        (1, NOW_MS, True),
        (1, NOW_MS - HOUR_MS + 1, True),
        (1, NOW_MS - HOUR_MS, False),
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


def objection(
    guard: Guard, deletes: int, bridged: int, silent: int = 0, sent: tuple[Known, ...] = (), read: Reading | None = None
) -> str | None:
    """Return what the guard says of the first ``deletes`` of so many bookings, all of them of account a."""
    entries = [known(number) for number in range(bridged)]
    return guard.objection(entries[:deletes], silent, [*entries, *sent], read or seen("1"), NOW_MS)


def seen(*ids: str, account: str = "a") -> Reading:
    """Return the complete reading of two accounts, in which only ``account`` has bookings."""
    listings = [Listing(each, items=1, is_complete=True) for each in ("a", "b")]
    found = Reading(("a", "b"), to_ms(TODAY), to_ms(TODAY + 10 * DAY), listings)
    for listing in listings:
        if listing.account == account:
            listing.bookings.update((id_, booking(id_)) for id_ in ids)
    found.take(listings)
    return found


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
    assert (objection(Guard(5, 0.2, DAY_MS), deletes, bridged) is not None) is withheld


def sent_lately(**fields: Any) -> tuple[Known, ...]:
    """Return three bookings whose delete was let through lately, and that are gone."""
    gone = deleted()._replace(**{"allowed_ms": NOW_MS - MINUTE_MS, **fields})
    return tuple(gone._replace(id=f"9{n}") for n in range(3))


@pytest.mark.parametrize(
    ("silent", "sent", "withheld"),
    [
        pytest.param(0, (), False, id="alone"),
        pytest.param(3, (), True, id="with look-ups that got no answer"),
        pytest.param(0, sent_lately(), True, id="with those sent lately"),
        pytest.param(0, sent_lately(is_approved=1), False, id="sent with a person's word"),
        pytest.param(0, sent_lately(allowed_ms=NOW_MS - DAY_MS), False, id="sent a window ago"),
        pytest.param(0, sent_lately(allowed_ms=NOW_MS + DAY_MS), False, id="sent before the clock went back"),
    ],
)
def test_what_counts_besides_the_deletes_of_a_pass(silent: int, sent: tuple[Known, ...], withheld: bool) -> None:
    assert (objection(Guard(5, 0.2, DAY_MS), 4, 10, silent, sent) is not None) is withheld


def test_the_objection_says_how_many_of_how_many_and_both_limits() -> None:
    said = objection(Guard(5, 0.2, DAY_MS), 14, 39, 2, sent_lately())
    limits = "max_delete_count = 5 and max_delete_fraction = 0.2"
    counted = "14 deletes and 2 look-ups without an answer and 3 deletes sent lately"
    assert said == f"{counted} of 39 bookings are more than both {limits}"


@pytest.mark.parametrize("read", [seen(), seen("1", account="b")], ids=["of all accounts", "of its account"])
@pytest.mark.parametrize(
    ("deletes", "bridged", "withheld"), [(1, 1, False), (1, 2, False), (1, 3, True), (1, 39, True), (0, 39, False)]
)
def test_an_entirely_empty_listing_is_not_believed_from_three_bookings_on(
    deletes: int, bridged: int, withheld: bool, read: Reading
) -> None:
    said = objection(Guard(1000, 1.0, DAY_MS), deletes, bridged, read=read)
    assert (said is not None) is withheld
    assert said is None or f"{bridged} bookings" in said


@given(st.integers(0, 50), st.integers(0, 50), st.booleans())
def test_a_person_can_let_any_number_through(deletes: int, bridged: int, frozen: bool) -> None:
    guard = Guard(0, 0.0, DAY_MS, is_allowed=True, frozen="frozen" * frozen)
    assert objection(guard, deletes, bridged, read=seen()) is None


def test_while_the_account_is_frozen_nothing_is_deleted() -> None:
    assert objection(Guard(5, 0.2, DAY_MS, frozen="sleep"), 1, 100) == 'the Launch27 account is "sleep"'


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 20), st.integers(0, 100))
def test_fewer_deletes_are_never_worse(deletes: int, bridged: int, count: int, percent: int) -> None:
    guard = Guard(count, percent / 100, DAY_MS)
    if objection(guard, deletes, bridged) is None:
        assert objection(guard, random.Random(deletes).randint(0, deletes), bridged) is None


def test_a_limit_of_zero_and_zero_withholds_every_delete() -> None:
    assert objection(Guard(0, 0.0, DAY_MS), 1, 1)


@pytest.mark.parametrize(
    ("fields", "decided"),
    [
        pytest.param({}, False, id="no"),
        pytest.param({"allowed_ms": NOW_MS - DAY_MS + 1}, True, id="allowed"),
        pytest.param({"allowed_ms": NOW_MS - DAY_MS}, False, id="allowed a day ago"),
        pytest.param({"unsettled": unsettled(None)}, True, id="perhaps sent already"),
        pytest.param({"unsettled": IN_DOUBT}, False, id="only a move in doubt"),
        pytest.param({"unsettled": unsettled(slot(24), None)}, True, id="a move and a delete in doubt"),
    ],
)
def test_a_delete_that_was_allowed_or_may_have_been_sent_is_not_judged_again(
    fields: dict[str, Any], decided: bool
) -> None:
    assert decided_before(known(**fields), NOW_MS) is decided


@pytest.mark.parametrize(
    ("entry", "court", "is_concerned"),
    [
        (at(24), None, True),
        (at(-0.5), None, True),
        (at(-1), None, False),
        (deleted(), None, False),
        (never_sent(unsettled=IN_DOUBT), None, True),
        (at(24), slot().court_id.upper(), True),
        (at(24), slot(court=2).court_id, False),
        (at(24)._replace(unsettled=unsettled(slot(court=2))), slot(court=2).court_id, True),
    ],
)
def test_what_may_be_there_and_is_not_over_can_be_taken_back(
    entry: Known, court: str | None, is_concerned: bool
) -> None:
    assert withdrawable({"7": entry}, court, NOW_MS) == [entry] * is_concerned
