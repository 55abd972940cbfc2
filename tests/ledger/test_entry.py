"""How one booking's entry changes with what is sent, answered, and read back."""

from __future__ import annotations

import pytest

from bridge.ledger import entry
from bridge.ledger.entry import Ending, Outcome
from bridge.model import ABSENT, Known, Rejection, Stored, Write, to_ms
from tests.ledger.states import cut, ended, rejected
from tests.support.builders import delete, known, put, slot

NINE, TEN, ELEVEN = (put(place=slot(hour), version_ms=1000 + hour) for hour in (9, 10, 11))
LATER = put(place=slot(8), version_ms=2000)


def after(*events: Write | Outcome | Stored, before: Known | None = None) -> Known:
    """Return the entry after these: intents, outcomes, and what was read back."""
    for event in events:
        if isinstance(event, Write):
            before = entry.intended(before, event)
            continue
        assert before is not None
        before = entry.ended(before, event) if isinstance(event, Outcome) else entry.read_back(before, event)
    assert before is not None
    return before


# --- intents and outcomes ---


def test_an_intent_is_a_place_it_may_stand_at() -> None:
    sent = after(NINE)
    assert sent.unsettled == (NINE.stored,)
    assert (sent.intended_version_ms, sent.intended_fingerprint) == (NINE.version_ms, NINE.fingerprint)
    assert (sent.seen_fingerprint, sent.seen_ms) == (NINE.fingerprint, 500)
    assert (sent.acked_version_ms, sent.acked_fingerprint, sent.places) == (None, ABSENT, (slot(9),))


def test_an_acknowledged_write_is_where_it_stands() -> None:
    there = after(NINE, ended(NINE))
    assert there.stands_as(NINE.fingerprint)
    assert (there.slot, there.acked_version_ms) == (slot(9), NINE.version_ms)


def test_an_unanswered_write_stays_in_doubt_beside_what_stood_before() -> None:
    assert after(NINE, ended(NINE), TEN, ended(TEN, Ending.UNANSWERED)).places == (slot(9), slot(10))


def test_an_answer_settles_all_that_was_in_doubt_before() -> None:
    lost = after(ELEVEN, NINE, TEN)
    assert lost.unsettled == (NINE.stored, TEN.stored, ELEVEN.stored)
    assert after(ended(TEN), before=lost).unsettled == (ELEVEN.stored,)
    assert after(ended(TEN), ended(ELEVEN), before=lost).places == (slot(11),)


@pytest.mark.parametrize("ending", [Ending.REJECTED, Ending.NOT_SENT])
def test_a_write_that_was_not_applied_is_no_place_to_stand_at(ending: Ending) -> None:
    nowhere = after(NINE, ended(NINE, ending))
    assert (nowhere.unsettled, nowhere.places, nowhere.is_bridged) == ((), (), False)
    assert nowhere.intended_version_ms == NINE.version_ms, "its version may not be used for other content"


def test_a_delete_leaves_the_last_slot_and_the_first_sight_behind() -> None:
    gone = delete(version_ms=2000)
    deleted = after(NINE, ended(NINE), gone, ended(gone))
    assert (deleted.slot, deleted.last_slot, deleted.is_bridged) == (None, slot(9), False)
    assert (deleted.last_end_ms, deleted.seen_ms) == (to_ms(slot(9).end), 500)


def test_a_repeated_intent_is_one_intent() -> None:
    assert after(NINE, ended(NINE, Ending.UNANSWERED), NINE).unsettled == (NINE.stored,)


def test_a_way_back_is_no_sighting() -> None:
    back = after(NINE, put(place=slot(10), version_ms=2000, sighted_ms=0))
    assert (back.seen_fingerprint, back.seen_ms) == (NINE.fingerprint, 500)


def test_the_permission_to_delete_counts_until_the_booking_stands_again() -> None:
    """A delete that was sent counts with those of the next day."""
    gone = after(delete(version_ms=2000), ended(delete(version_ms=2000)), before=known(allowed_ms=1, is_approved=1))
    assert (gone.allowed_ms, gone.is_approved) == (1, 1)
    back = after(LATER, ended(LATER), before=gone)
    assert (back.allowed_ms, back.is_approved) == (0, 0)


def test_only_the_first_sight_of_content_counts() -> None:
    seen = entry.sighted("7", None, b"x", 1000)
    assert (seen.seen_fingerprint, seen.seen_ms, seen.is_bridged) == (b"x", 1000, False)
    assert entry.sighted("7", seen, b"x", 2000) == seen
    assert entry.sighted("7", seen, b"y", 3000) == seen._replace(seen_fingerprint=b"y", seen_ms=3000)


# --- what was read back, or adopted ---


def test_what_was_found_replaces_all_doubt() -> None:
    found = after(NINE, TEN, Stored("7", 1500, b"other", slot(11)))
    assert (found.acked_version_ms, found.acked_fingerprint, found.places) == (1500, b"other", (slot(11),))


def test_what_was_found_missing_stands_nowhere_and_keeps_its_version() -> None:
    missing = after(NINE, Stored("7", 1000, ABSENT, None))
    assert (missing.places, missing.acked_version_ms) == ((), 1000)


@pytest.mark.parametrize("order", [1, -1])
def test_what_was_found_counts_beside_a_rejection(order: int) -> None:
    events: list[Outcome | Stored] = [rejected(NINE), Stored("7", 900, b"other", slot(8))]
    both = after(NINE, *events[::order])
    assert both.places == (slot(8),)
    assert both.rejection is not None


def test_what_was_adopted_is_acknowledged_and_as_if_just_sent() -> None:
    adopted = entry.adopted(Stored("7", 1000, b"x", slot(9)), slot(9))
    assert adopted.stands_as(b"x")
    assert (adopted.id, adopted.account, adopted.slot) == ("7", "", slot(9))
    assert adopted.highest_ms == adopted.seen_ms == adopted.intended_version_ms == 1000


# --- rejections ---


def test_a_rejection_is_remembered_with_its_configuration_and_time() -> None:
    assert after(NINE, rejected(NINE)).rejection == Rejection(NINE.fingerprint, "court_not_found", "cfg", 900)


@pytest.mark.parametrize(
    ("write", "is_forgotten"),
    [
        (LATER, True),
        (delete(version_ms=2000), True),
        (delete(version_ms=2000, is_temporary=True, cycle=1), False),
        (put(place=slot(8), version_ms=2000, sighted_ms=0), False),
    ],
    ids=["other content", "a delete", "a temporary delete", "a way back"],
)
def test_a_rejection_outlives_only_the_detours_of_a_cycle(write: Write, is_forgotten: bool) -> None:
    assert (after(NINE, write, rejected(NINE), ended(write)).rejection is None) is is_forgotten


# --- cycles ---


@pytest.mark.parametrize(
    ("event", "is_out"),
    [
        (ended(cut("7")), True),
        (ended(cut("7"), Ending.UNANSWERED), True),
        (ended(cut("7"), Ending.NOT_SENT), False),
        (rejected(cut("7")), False),
        (ended(LATER), False),
        (rejected(LATER), True),
        (Stored("7", 1000, b"x", slot(9)), False),
        (Stored("7", 1000, ABSENT, None), True),
    ],
    ids=["cut", "perhaps cut", "not cut", "cut rejected", "put", "put rejected", "there", "missing"],
)
def test_one_is_temporarily_deleted_until_it_stands_again_or_never_left(event: Outcome | Stored, is_out: bool) -> None:
    out = after(NINE, ended(NINE), cut("7"))
    out = entry.in_cycle(out, 5, slot(9), is_cut=True)
    assert after(event, before=out).is_temporarily_deleted is is_out


def test_one_that_is_out_stays_so_when_its_cycle_is_cut_at_another() -> None:
    out = entry.in_cycle(known(), 5, slot(9), is_cut=True)
    again = entry.in_cycle(out, 6, slot(9), is_cut=False)
    assert again.is_temporarily_deleted
    assert again.cycle is not None
    assert again.cycle.cycle == 6
