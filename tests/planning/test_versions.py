"""The rule about versions: rising with content, the same for the same, never back, whatever the clock."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridge.ledger import entry
from bridge.ledger.entry import Ending, Outcome
from bridge.model import ABSENT, CourtBooking, Known, Verb, Write, from_ms, to_ms
from bridge.planning.versions import booking_version, first_sight_ms, next_version
from tests.support.builders import NOON, booking, never_sent, slot

A, B = b"a" * 16, b"b" * 16
Sent = tuple[int | None, bytes]
NEVER: Sent = None, ABSENT


def known(acked: Sent = NEVER, intended: Sent = NEVER, seen: Sent = NEVER) -> Known:
    return never_sent(
        acked_version_ms=acked[0],
        acked_fingerprint=acked[1],
        intended_version_ms=intended[0],
        intended_fingerprint=intended[1],
        seen_fingerprint=seen[1],
        seen_ms=seen[0] or 0,
    )


# --- examples: the table, row by row ---

LOST = known(acked=(500, A), intended=(700, B))


@pytest.mark.parametrize(
    ("row", "content", "basis_ms", "version_ms"),
    [
        pytest.param(None, A, 1000, 1000, id="unknown: the source's own moment"),
        pytest.param(known(), A, 1000, 1000, id="never sent"),
        pytest.param(LOST, B, 1000, 700, id="not answered: the same version"),
        pytest.param(LOST, B, 100, 700, id="not answered, with an older moment"),
        pytest.param(known((700, A), (700, A)), A, 1000, 700, id="acknowledged"),
        pytest.param(LOST, A, 100, 701, id="other content: 1 ms above all that is known"),
        pytest.param(LOST, A, 701, 701, id="other content, 1 ms later"),
        pytest.param(LOST, A, 5000, 5000, id="other content, much later"),
        pytest.param(known((900, B), (700, A)), A, 100, 901, id="intended below what was found later"),
        pytest.param(known((700, B), (700, A)), A, 100, 701, id="intended at the version of other content"),
        pytest.param(known((700, ABSENT), (700, ABSENT), (600, A)), A, 600, 701, id="back after a delete"),
    ],
)
def test_a_version_follows_from_what_is_known_and_wanted(
    row: Known | None, content: bytes, basis_ms: int, version_ms: int
) -> None:
    assert next_version(row, content, basis_ms) == version_ms


@pytest.mark.parametrize(("row", "first_ms"), [(None, 1000), (known(seen=(300, A)), 300), (known(seen=(300, B)), 1000)])
def test_the_first_sight_of_content_is_remembered(row: Known | None, first_ms: int) -> None:
    assert first_sight_ms(row, A, 1000) == first_ms


def test_a_modification_time_of_the_source_goes_before_the_first_sight() -> None:
    seen = known(seen=(300, booking().fingerprint))
    assert booking_version(seen, booking(source_updated_at=from_ms(400)), 1000) == 400
    assert booking_version(seen, booking(), 1000) == 300


@pytest.mark.parametrize(("found_ms", "version_ms"), [(600, 701), (700, 701), (701, 701), (900, 900)])
def test_a_delete_goes_under_the_moment_it_was_found_gone_or_above_the_highest(found_ms: int, version_ms: int) -> None:
    assert next_version(LOST, ABSENT, found_ms) == version_ms


def test_a_delete_that_was_not_answered_keeps_its_version() -> None:
    assert next_version(known(acked=(500, A), intended=(700, ABSENT)), ABSENT, 9000) == 700


# --- any knowledge at all ---

contents = st.sampled_from([ABSENT, A, B])
sendings = st.tuples(st.none() | st.integers(1, 8), contents)


@given(st.builds(known, sendings, sendings), contents, st.integers(1, 8))
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
        self.now_ms = to_ms(NOON)
        self.wanted: CourtBooking | None = booking()
        self.row: Known | None = None
        self.server: tuple[int, bytes] | None = None
        self.sent: list[tuple[int, bytes]] = []

    @rule(hour=st.integers(24, 27), behind=st.none() | st.integers(-5, 5))
    def source_changes(self, hour: int, behind: int | None) -> None:
        """With a modification time it may be late, early, or unchanged: no reason to trust it."""
        updated_at: datetime | None = None if behind is None else from_ms(self.now_ms + behind)
        self.wanted = booking(place=slot(hour), source_updated_at=updated_at)

    @rule()
    def source_cancels(self) -> None:
        self.wanted = None

    @rule(ms=st.integers(0, 5) | st.integers(-3_600_000, 3_600_000))
    def clock_jumps(self, ms: int) -> None:
        self.now_ms += ms

    @rule(ending=st.sampled_from(Ending), applied=st.booleans())
    def write(self, ending: Ending, applied: bool) -> None:
        write = self.next_write()
        if write is None:
            return
        self.row = entry.intended(self.row, write)
        self.sent.append((write.version_ms, write.fingerprint))
        if ending is Ending.ACKNOWLEDGED or (applied and ending is Ending.UNANSWERED):
            self.apply(write.version_ms, write.fingerprint)
        self.row = entry.ended(self.row, Outcome(write, ending))

    def next_write(self) -> Write | None:
        row, wanted = self.row, self.wanted
        if wanted is None:
            if row is None or not row.is_bridged:
                return None
            version_ms = next_version(row, ABSENT, self.now_ms)
            return Write(Verb.DELETE, "7", None, (), ABSENT, version_ms, "gone")
        content = wanted.fingerprint
        if row is not None and row.stands_as(content):
            return None
        version_ms, sighted_ms = (booking_version(row, wanted, self.now_ms), first_sight_ms(row, content, self.now_ms))
        return Write(Verb.UPDATE, "7", wanted.slot, (), content, version_ms, "new", sighted_ms=sighted_ms)

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
    life.write(Ending.UNANSWERED, applied=True)
    life.clock_jumps(365 * 86_400_000)
    life.write(Ending.ACKNOWLEDGED, applied=True)
    assert life.sent[0] == life.sent[1]


def test_a_return_to_earlier_content_after_a_lost_answer_is_a_new_version() -> None:
    life = Life()
    life.write(Ending.ACKNOWLEDGED, applied=True)
    life.source_changes(25, None)
    life.write(Ending.UNANSWERED, applied=True)
    life.source_changes(24, None)
    life.write(Ending.ACKNOWLEDGED, applied=True)
    versions = [version for version, _ in life.sent]
    assert versions == sorted(set(versions))
    assert life.server == life.sent[-1]
