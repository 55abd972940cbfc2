"""What is known in memory is what is stored, whatever was recorded, and whatever failed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import StateError
from bridge.ledger.entry import Ending, Outcome
from bridge.ledger.store import Ledger
from bridge.model import ABSENT, CyclePlace, Held, Known, Rejection, Slot, Stored
from tests.ledger.states import US, a_pass, cut
from tests.support.builders import delete, known, never_sent, put, slot

Step = Callable[[Ledger], object]

ids, versions = st.sampled_from("1234"), st.integers(1, 6)
slots = st.builds(slot, st.integers(9, 12))
cuts = st.builds(
    lambda ids, cycle, version_ms: cut(*ids, cycle=cycle, version_ms=version_ms),
    st.lists(ids, min_size=2, unique=True),
    st.integers(1, 2),
    versions,
)
puts = st.builds(put, ids, slots, versions, sighted_ms=st.sampled_from([0, 500]))
writes = puts | st.builds(delete, ids, slots, versions) | cuts
outcomes = st.builds(Outcome, writes, st.sampled_from(Ending), st.just("odd"), st.just("cfg"), versions)
stored = st.builds(Stored, ids, versions, st.just(b"x"), slots)
missing = st.builds(Stored, ids, versions, st.just(ABSENT), st.none())
details = st.fixed_dictionaries(
    {
        "allowed_ms": st.integers(0, 1),
        "gone_ms": st.none() | versions,
        "unsettled": st.lists(versions, unique=True).map(sorted),
        "rejection": st.none() | st.builds(Rejection, st.just(b"y"), st.just("odd"), st.just("cfg"), versions),
        "cycle": st.none() | st.builds(CyclePlace, st.integers(1, 2), slots, st.booleans()),
    }
)


def entry(id_: str, place: Slot, fields: dict[str, Any]) -> Known:
    unsettled = tuple(Stored(id_, version_ms, b"x", place) for version_ms in fields["unsettled"])
    return known(id_, place, **{**fields, "unsettled": unsettled})


entries = st.lists(st.builds(entry, ids, slots, details) | st.builds(never_sent, ids), max_size=3)
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(
        lambda intents, ended: lambda ledger: ledger.record(intents, ended),
        st.lists(writes, max_size=3),
        st.lists(outcomes | stored | missing, max_size=3),
    ),
    st.builds(lambda entries: lambda ledger: ledger.save(entries), entries),
    st.builds(lambda found: lambda ledger: ledger.adopt(found), st.lists(stored | missing, max_size=3)),
    st.builds(
        lambda entries, gone: (
            lambda ledger: ledger.finish(a_pass(), [Held("1", "odd", "")], [], entries=entries, forgotten=gone)
        ),
        entries,
        st.sets(ids, max_size=2),
    ),
)


def fail(ledger: Ledger, step: Step) -> None:
    """Let a step fail at its very end."""

    def judge(action: int, what: str | None, *_: object) -> int:
        is_commit = action == sqlite3.SQLITE_TRANSACTION and what == "COMMIT"
        return sqlite3.SQLITE_DENY if is_commit else sqlite3.SQLITE_OK

    ledger._connection.set_authorizer(judge)
    with pytest.raises(StateError):
        step(ledger)
    ledger._connection.set_authorizer(None)


def reopened(path: Path) -> Ledger:
    ledger = Ledger.open(path, US)
    ledger._connection.execute("PRAGMA synchronous = OFF")
    return ledger


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(steps, st.booleans()), max_size=8))
def test_what_is_known_in_memory_is_what_a_new_process_reads(story: list[tuple[Step, bool]]) -> None:
    """Each step fails first, and succeeds then; before some of them the process is a new one."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "courtbridge.db")
        ledger = reopened(path)
        try:
            for step, is_new_process in story:
                if is_new_process:
                    ledger.close()
                    ledger = reopened(path)
                else:
                    before = dict(ledger.known)
                    fail(ledger, step)
                    assert ledger.known == before
                step(ledger)
                with Ledger.open(path, US) as another:
                    assert ledger.known == another.known
        finally:
            ledger.close()
