"""The rule about versions: rising with content, the same for the same, never back, whatever the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridge.model import ABSENT, CourtBooking, Known, Slot, Stored, fingerprint, from_ms, to_ms
from bridge.planning.versions import booking_version, deletion_version, first_sight_ms, next_version

NINE = datetime(2026, 11, 20, 9, tzinfo=UTC)
NOW_MS = to_ms(NINE)
A, B = b"a" * 16, b"b" * 16


def known(
    acked: tuple[int | None, bytes] = (None, ABSENT),
    intended: tuple[int | None, bytes] = (None, ABSENT),
    seen: tuple[int, bytes] = (0, ABSENT),
) -> Known:
    return Known("7", "a", acked[0], acked[1], None, None, None, intended[0], intended[1], seen[1], seen[0])


def booking(content: int = 0, updated_at: datetime | None = None) -> CourtBooking:
    slot = Slot("c1", NINE + timedelta(hours=content), NINE + timedelta(hours=content + 1))
    return CourtBooking("7", slot, ("a@b.co",), updated_at, fingerprint(slot, ("a@b.co",)))


# --- examples: the table, row by row ---


def test_what_was_never_sent_goes_under_the_sources_own_moment() -> None:
    assert next_version(None, A, 1000) == 1000
    assert next_version(known(), A, 1000) == 1000


def test_what_was_intended_and_not_answered_is_sent_again_under_the_same_version() -> None:
    unanswered = known(acked=(500, B), intended=(700, A))
    assert next_version(unanswered, A, 1000) == 700
    assert next_version(unanswered, A, 100) == 700


def test_what_was_acknowledged_keeps_its_version() -> None:
    assert next_version(known(acked=(700, A), intended=(700, A)), A, 1000) == 700


def test_other_content_goes_at_least_a_millisecond_above_all_that_is_known() -> None:
    unanswered = known(acked=(500, A), intended=(700, B))
    assert next_version(unanswered, A, 100) == 701
    assert next_version(unanswered, A, 701) == 701
    assert next_version(unanswered, A, 5000) == 5000


def test_an_intent_below_what_was_found_later_is_not_repeated() -> None:
    overtaken = known(acked=(900, B), intended=(700, A))
    assert next_version(overtaken, A, 100) == 901


def test_an_equal_version_with_other_content_there_is_not_repeated() -> None:
    conflicting = known(acked=(700, B), intended=(700, A))
    assert next_version(conflicting, A, 100) == 701


def test_a_delete_that_was_acknowledged_and_a_return_get_a_higher_version() -> None:
    deleted = known(acked=(700, ABSENT), intended=(700, ABSENT), seen=(600, A))
    assert next_version(deleted, A, 600) == 701


def test_the_first_sight_of_content_is_remembered() -> None:
    assert first_sight_ms(None, A, 1000) == 1000
    assert first_sight_ms(known(seen=(300, A)), A, 1000) == 300
    assert first_sight_ms(known(seen=(300, B)), A, 1000) == 1000


def test_a_modification_time_of_the_source_goes_before_the_first_sight() -> None:
    seen = known(seen=(300, booking().fingerprint))
    assert booking_version(seen, booking(updated_at=from_ms(400)), 1000) == 400
    assert booking_version(seen, booking(), 1000) == 300


@pytest.mark.parametrize(("found_ms", "version_ms"), [(600, 701), (700, 701), (701, 701), (900, 900)])
def test_a_delete_goes_under_the_moment_it_was_found_gone_or_above_the_highest(found_ms: int, version_ms: int) -> None:
    assert deletion_version(known(acked=(500, A), intended=(700, B)), found_ms) == version_ms


def test_a_delete_that_was_not_answered_keeps_its_version() -> None:
    assert deletion_version(known(acked=(500, A), intended=(700, ABSENT)), 9000) == 700


# --- any knowledge at all ---

contents = st.sampled_from([ABSENT, A, B])
moments = st.one_of(st.none(), st.integers(1, 8))
rows = st.builds(known, st.tuples(moments, contents), st.tuples(moments, contents))


@given(rows, contents, st.integers(1, 8))
def test_a_version_is_above_all_that_is_known_or_repeats_the_same_content(
    row: Known, content: bytes, basis_ms: int
) -> None:
    version = next_version(row, content, basis_ms)
    repeats_intent = (version, content) == (row.intended_version_ms, row.intended_fingerprint)
    assert version > row.highest_ms or (repeats_intent and version >= (row.acked_version_ms or 0))
    if version == row.acked_version_ms:
        assert content == row.acked_fingerprint


# --- one booking's life ---


class Life(RuleBasedStateMachine):
    """One booking between a source that changes its mind, a clock that jumps, and answers that get lost.

    ``server`` is Wingfield's memory: the version and content it has, also of what was deleted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = NOW_MS
        self.wanted: CourtBooking | None = booking()
        self.row: Known | None = None
        self.server: tuple[int, bytes] | None = None
        self.sent: list[tuple[int, bytes]] = []

    @rule(content=st.integers(0, 3), behind=st.one_of(st.none(), st.integers(-5, 5)))
    def source_changes(self, content: int, behind: int | None) -> None:
        """With a modification time it may be late, early, or unchanged: no reason to trust it."""
        updated_at = None if behind is None else from_ms(self.now_ms + behind)
        self.wanted = booking(content, updated_at)

    @rule()
    def source_cancels(self) -> None:
        self.wanted = None

    @rule(ms=st.one_of(st.integers(0, 5), st.integers(-3_600_000, 3_600_000)))
    def clock_jumps(self, ms: int) -> None:
        self.now_ms += ms

    @rule(ending=st.sampled_from(["acknowledged", "applied, answer lost", "never applied", "refused"]))
    def write(self, ending: str) -> None:
        write = self.next_write()
        if write is None:
            return
        version, content = write
        self.intend(version, content)
        self.sent.append(write)
        if ending in ("acknowledged", "applied, answer lost"):
            self.apply(version, content)
        if ending == "acknowledged":
            self.row = self.settled(acked_version_ms=version, acked_fingerprint=content)
        elif ending == "refused":
            assert self.row is not None
            left = tuple(written for written in self.row.unsettled if written.version_ms != version)
            self.row = self.row._replace(unsettled=left)

    def next_write(self) -> tuple[int, bytes] | None:
        if self.wanted is None:
            if self.row is None or not (self.row.acked_fingerprint or self.row.unsettled):
                return None
            return deletion_version(self.row, self.now_ms), ABSENT
        if self.row is not None and self.row.stands_as(self.wanted.fingerprint):
            return None
        return booking_version(self.row, self.wanted, self.now_ms), self.wanted.fingerprint

    def intend(self, version: int, content: bytes) -> None:
        """Like the ledger: intent before the request, first sight with it."""
        row = self.row or known()
        if content != ABSENT:
            seen_ms = first_sight_ms(self.row, content, self.now_ms)
            row = row._replace(seen_fingerprint=content, seen_ms=seen_ms)
        left = tuple(written for written in row.unsettled if written.version_ms != version)
        self.row = row._replace(
            intended_version_ms=version, intended_fingerprint=content, unsettled=(*left, Stored(version, content, None))
        )

    def settled(self, **fields: Any) -> Known:
        assert self.row is not None
        return self.row._replace(unsettled=(), **fields)

    def apply(self, version: int, content: bytes) -> None:
        """Wingfield's rule; assume that it remembers the versions of deleted bookings."""
        if self.server is not None:
            assert version >= self.server[0], "stale_write"
            assert version > self.server[0] or content == self.server[1], "version_conflict"
        self.server = version, content

    @precondition(lambda self: self.row is not None)
    @rule()
    def write_twice_over(self) -> None:
        """Asked twice without anything between, it answers the same."""
        assert self.next_write() == self.next_write()

    @invariant()
    def versions_rise_exactly_with_content(self) -> None:
        for (before, content), (after, changed) in zip(self.sent, self.sent[1:], strict=False):
            assert after > before or (after == before and changed == content)


Life.TestCase.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
TestLife = Life.TestCase


def test_the_same_content_after_a_lost_answer_is_the_same_write_a_year_later() -> None:
    life = Life()
    life.write("applied, answer lost")
    life.clock_jumps(365 * 86_400_000)
    life.write("acknowledged")
    assert life.sent[0] == life.sent[1]


def test_a_return_to_earlier_content_after_a_lost_answer_is_a_new_version() -> None:
    life = Life()
    life.write("acknowledged")
    life.source_changes(1, None)
    life.write("applied, answer lost")
    life.source_changes(0, None)
    life.write("acknowledged")
    versions = [version for version, _ in life.sent]
    assert versions == sorted(set(versions))
    assert life.server == life.sent[-1]
