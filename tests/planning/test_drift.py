"""What Wingfield has against what the ledger says, and how far its list is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bridge.ledger import entry
from bridge.model import ABSENT, Known, Stored, Verb, fingerprint
from bridge.planning.drift import FOREIGN_MS, Finding, Look, Mark, counts
from tests.support.builders import booking, put, slot

WANTED = booking(7)
MINUTE, DAY = 60_000, 86_400_000
THERE = Stored("7", 1000, WANTED.fingerprint, WANTED.slot, WANTED.participants, updated_ms=5000, created_ms=4000)
KNOWN = entry.adopted(THERE, slot())


def found(stored: Stored, known: Known | None = KNOWN, wanted: Any = WANTED, first_ms: int = 0) -> dict[str, int]:
    look = Look(is_whole=True, ours={"7": stored})
    findings = look.compare({"7": known} if known else {}, {"7": wanted} if wanted else {}, first_ms)
    return {kind: count for kind, count in counts(findings).items() if count}


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (None, {}),
        ("changed", {"slot": slot(9), "fingerprint": b"x"}),
        ("changed", {"version_ms": 999}),
        ("changed", {"fingerprint": b"x", "participants": ("eve@example.com",)}),
        (None, {"fingerprint": b"x", "participants": None}),
        ("missing", {"slot": None, "fingerprint": ABSENT}),
    ],
    ids=["same", "slot", "version", "people", "a named user", "nothing"],
)
def test_what_was_acknowledged_is_the_same_or_changed_or_missing(kind: str | None, change: dict[str, Any]) -> None:
    assert found(replace(THERE, **change)) == ({kind: 1} if kind else {})


def test_people_are_compared_with_those_that_were_sent_whether_it_is_listed_or_not() -> None:
    others = replace(THERE, fingerprint=b"x", participants=("eve@example.com",))
    assert found(others, wanted=None) == {"changed": 1}
    assert found(others, wanted=booking(7, players=["new@example.com"])) == {}, "it is written anyway"


def test_the_same_people_in_another_order_or_by_another_of_their_names_are_no_others() -> None:
    sent = ("user:1", "b@example.com")
    known = KNOWN._replace(acked_fingerprint=fingerprint(KNOWN.slot or slot(), sent))
    listed = replace(THERE, fingerprint=b"x", participants=("b@example.com", "user:1 a@example.com"))
    assert found(listed, known, wanted=None) == {}
    assert found(replace(listed, participants=("b@example.com", "user:2")), known, wanted=None) == {"changed": 1}


def test_what_waits_for_an_answer_is_no_drift() -> None:
    waiting = entry.intended(KNOWN, put(verb=Verb.UPDATE, place=slot(30), version_ms=2000))
    for stored in (THERE, replace(THERE, slot=slot(30), version_ms=2000), replace(THERE, slot=None)):
        assert found(stored, waiting) == {}


def test_what_nobody_knows_is_extra_unless_it_was_over_before_the_window() -> None:
    deleted = entry.read_back(KNOWN, Stored("7", 1000, ABSENT, None))
    assert found(THERE, None) == found(THERE, deleted) == {"extra": 1}
    assert found(THERE, None, first_ms=KNOWN.end_ms or 0) == {}


def test_an_order_of_its_own_is_adopted_as_the_sources() -> None:
    wanted = booking(7, players=["a@b.co", "c@d.co"])
    stored = replace(THERE, fingerprint=b"x", participants=("c@d.co", "a@b.co"))
    (finding,) = Look(is_whole=False, ours={"7": stored}).compare({}, {"7": wanted}, 0)
    assert finding.stored.fingerprint == wanted.fingerprint


def test_differences_are_said_in_words_and_name_nobody() -> None:
    moved = Finding(next(iter(Look(True, ours={"7": THERE}).compare({}, {}, 0))).kind, None, THERE)
    assert moved.in_words() == "in Wingfield, and not known here"
    (other,) = Look(True, ours={"7": replace(THERE, slot=slot(24, court=2), fingerprint=b"x")}).compare(
        {"7": KNOWN}, {}, 0
    )
    assert other.in_words() == "court changed from c1 to c2 in Wingfield"
    (version,) = Look(True, ours={"7": replace(THERE, version_ms=2000)}).compare({"7": KNOWN}, {}, 0)
    assert version.in_words() == "written again under another version in Wingfield"


# --- the mark ---


def test_the_list_fits_with_what_the_ledger_has_beside_what_others_have() -> None:
    look = Look(is_whole=True, total=3)
    for key, stored in (("7", THERE), ("8", replace(THERE, id="8")), ("x", replace(THERE, id=""))):
        look.take(key, stored, {"7": KNOWN})
    assert (look.same, set(look.ours), set(look.foreign)) == ({"7"}, {"8"}, {"x"})
    mark = Mark().after(look, {"7": KNOWN}, 9)
    assert mark == Mark(newest_ms=5000, others=2, verified_ms=9)
    assert [mark.fits(total, {"7": KNOWN}) for total in (2, 3, 4)] == [False, True, False]
    waiting = entry.intended(None, put(9, version_ms=2000))
    assert [mark.fits(total, {"7": KNOWN, "9": waiting}) for total in (2, 3, 4, 5)] == [False, True, True, False]


def test_what_is_new_of_others_counts_once() -> None:
    mark, foreign = Mark(newest_ms=4000, others=2, verified_ms=1), {"new": THERE, "new too": THERE}
    old = {"edited": replace(THERE, created_ms=4001), "old": replace(THERE, created_ms=3000)}
    assert mark.after(Look(is_whole=False, foreign=foreign), {}, 9).others == 2
    look = Look(is_whole=False, foreign=old, newest_ms=5000)
    after = mark.after(look, {}, 9)
    assert after == Mark(newest_ms=5000, others=3, verified_ms=1)
    assert after.after(look, {}, 9) == after


@pytest.mark.parametrize(
    ("oldest_ms", "stored", "goes_on"),
    [
        (100_001, THERE, True),
        (100_000, THERE, True),
        (99_999, THERE, False),
        (100_000 - MINUTE + 1, replace(THERE, version_ms=2000), True),
        (100_000 - MINUTE, replace(THERE, version_ms=2000), False),
        (99_999, replace(THERE, id=""), False),
        (0, replace(THERE, version_ms=2000), False),
    ],
)
def test_a_look_goes_on_while_all_is_newer_or_there_is_news(oldest_ms: int, stored: Stored, goes_on: bool) -> None:
    mark = Mark(newest_ms=100_000, verified_ms=1)
    assert mark.goes_on([stored], oldest_ms, {"7": KNOWN}) is goes_on
    assert not Mark(newest_ms=100_000).goes_on([stored], oldest_ms, {"7": KNOWN}), "all is to be read anyway"


def test_all_is_due_by_time_for_a_new_process_and_where_the_list_does_not_fit() -> None:
    mark = Mark(verified_ms=DAY, foreign_ms=2 * DAY)
    assert not mark.is_due(2 * DAY - 1, DAY, 0, fits=True)
    assert mark.is_due(2 * DAY, DAY, 0, fits=True)
    assert mark.is_due(DAY - 1, DAY, 0, fits=True), "the clock went back"
    assert mark.is_due(DAY + 1, DAY, DAY + 1, fits=True)
    doubts = [mark.is_due(2 * DAY + ms, 9 * DAY, 0, fits=False) for ms in (0, FOREIGN_MS - 1, FOREIGN_MS)]
    assert doubts == [False, False, True]
