"""The words of the domain: slots, instants, fingerprints, and what the ledger's row says."""

from __future__ import annotations

import dataclasses
import inspect
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import model
from bridge.model import (
    ABSENT,
    CourtBooking,
    CyclePlace,
    Identity,
    Known,
    Slot,
    Stored,
    Verb,
    Write,
    fingerprint,
    from_ms,
    isoformat,
    to_ms,
)

NINE = datetime(2026, 11, 20, 9, tzinfo=UTC)
zones = st.sampled_from([UTC, timezone(timedelta(hours=5.75))])
moments = st.integers(-2 * 10**15, 7 * 10**15).map(lambda us: from_ms(0) + timedelta(microseconds=us))
instants = st.builds(datetime.astimezone, moments, zones)


def slot(start: float = 0, end: float = 1, court: str = "c1") -> Slot:
    return Slot(court, NINE + timedelta(hours=start), NINE + timedelta(hours=end))


def known(**fields: Any) -> Known:
    blank = Known("7", "a", None, ABSENT, None, None, None, None, ABSENT, ABSENT, 0)
    return blank._replace(**fields)


def standing(place: Slot, version_ms: int = 5, content: bytes = b"x") -> Known:
    return known(
        acked_version_ms=version_ms,
        acked_fingerprint=content,
        court_id=place.court_id,
        start_ms=to_ms(place.start),
        end_ms=to_ms(place.end),
        intended_version_ms=version_ms,
        intended_fingerprint=content,
    )


# --- instants ---


@given(instants)
def test_milliseconds_are_rounded_down_also_before_1970(instant: datetime) -> None:
    back = from_ms(to_ms(instant))
    assert timedelta(0) <= instant - back < timedelta(milliseconds=1)
    assert back.utcoffset() == timedelta(0)


@given(st.integers(-(2**41), 2**41))
def test_milliseconds_come_back_as_they_went(ms: int) -> None:
    assert to_ms(from_ms(ms)) == ms
    assert datetime.fromisoformat(isoformat(from_ms(ms))) == from_ms(ms)


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (NINE, "2026-11-20T09:00:00Z"),
        (NINE + timedelta(milliseconds=7), "2026-11-20T09:00:00.007Z"),
        (datetime(2026, 11, 20, 10, tzinfo=timezone(timedelta(hours=1))), "2026-11-20T09:00:00Z"),
    ],
)
def test_an_instant_is_written_in_utc_with_milliseconds_only_where_there_are_any(instant: datetime, text: str) -> None:
    assert isoformat(instant) == text


# --- slots ---


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (slot(0, 1), True),
        (slot(1, 2), False),
        (slot(-1, 0), False),
        (slot(0.5, 0.6), True),
        (slot(-1, 2), True),
        (slot(0.99, 2), True),
        (slot(0, 1, "c2"), False),
    ],
    ids=["same", "touches after", "touches before", "inside", "around", "last minute", "another court"],
)
def test_slots_overlap_only_on_one_court_and_not_by_touching(other: Slot, expected: bool) -> None:
    assert slot(0, 1).overlaps(other) is expected
    assert other.overlaps(slot(0, 1)) is expected


def test_a_slot_is_written_with_court_and_both_ends() -> None:
    assert str(slot()) == "c1 2026-11-20T09:00:00Z/2026-11-20T10:00:00Z"


# --- fingerprints ---


@given(
    st.sampled_from(["c1", "c2"]),
    st.integers(0, 3),
    st.integers(4, 6),
    st.lists(st.sampled_from(["a@b.co", "c@d.co", "e@f.co"]), unique=True),
)
def test_a_fingerprint_differs_exactly_where_the_content_differs(
    court: str, start: int, end: int, participants: list[str]
) -> None:
    usual = (slot(0, 4), ["a@b.co"])
    other = (slot(start, end, court), participants)
    assert (fingerprint(*usual) == fingerprint(*other)) is (usual == other)
    assert len(fingerprint(*other)) == 16 != len(ABSENT)


def test_a_fingerprint_does_not_depend_on_the_zone_an_instant_is_written_in() -> None:
    east = timezone(timedelta(hours=9))
    moved = Slot("c1", slot().start.astimezone(east), slot().end.astimezone(east))
    assert fingerprint(moved, ["a@b.co"]) == fingerprint(slot(), ["a@b.co"])


# --- what is known ---


def test_a_booking_only_seen_stands_nowhere() -> None:
    seen = known(seen_fingerprint=b"x", seen_ms=9)
    assert (seen.places, seen.is_bridged, seen.highest_ms, seen.last_end_ms, seen.slot) == ((), False, 0, 0, None)
    assert not seen.stands_as(b"x")


def test_an_acknowledged_booking_stands_at_its_slot() -> None:
    entry = standing(slot())
    assert (entry.places, entry.slot, entry.is_bridged) == ((slot(),), slot(), True)
    assert entry.stands_as(b"x")
    assert not entry.stands_as(b"y")


def test_a_deleted_booking_keeps_its_last_slot_and_stands_nowhere() -> None:
    entry = standing(slot())._replace(acked_fingerprint=ABSENT)
    assert (entry.slot, entry.places, entry.is_bridged) == (None, (), False)
    assert (entry.last_slot, entry.last_end_ms) == (slot(), to_ms(slot().end))


def test_an_unsettled_booking_stands_at_every_place_once() -> None:
    intents = (Stored(6, b"y", slot(1, 2)), Stored(7, ABSENT, None), Stored(8, b"z", slot(0, 1)))
    entry = standing(slot())._replace(unsettled=intents, intended_version_ms=8)
    assert entry.places == (slot(0, 1), slot(1, 2))
    assert (entry.highest_ms, entry.last_end_ms) == (8, to_ms(slot(1, 2).end))
    assert not entry.stands_as(b"x")


@pytest.mark.parametrize(
    ("intents", "expected"), [((Stored(6, b"y", slot()),), True), ((Stored(6, ABSENT, None),), False)]
)
def test_a_booking_that_may_have_been_created_counts_as_bridged(intents: tuple[Stored, ...], expected: bool) -> None:
    assert known(unsettled=intents).is_bridged is expected


def test_only_the_one_that_was_cut_out_of_a_ring_is_temporarily_deleted() -> None:
    assert known(cycle=CyclePlace(1, slot(), is_deleted=True)).is_temporarily_deleted
    assert not known(cycle=CyclePlace(1, slot(), is_deleted=False)).is_temporarily_deleted
    assert not known().is_temporarily_deleted


# --- writes, identities, privacy ---


def test_a_delete_leads_to_a_state_without_a_slot() -> None:
    put = Write(Verb.UPDATE, "7", slot(), ("a@b.co",), b"x", 5, "moved")
    assert put.written == Stored(5, b"x", slot())
    gone = dataclasses.replace(put, verb=Verb.DELETE, fingerprint=ABSENT)
    assert gone.written == Stored(5, ABSENT, None)


def test_no_representation_shows_a_participant() -> None:
    booking = CourtBooking("7", slot(), ("somebody@example.com",), None, b"x")
    write = Write(Verb.CREATE, "7", slot(), ("somebody@example.com",), b"x", 5, "new")
    for shown in (repr(booking), repr(write), str(booking), str(write), repr(write.written)):
        assert "example" not in shown


def test_an_identity_names_host_service_and_the_prefix_if_there_is_one() -> None:
    assert str(Identity("acme.launch27.com", "497f", "")) == "acme.launch27.com → external service 497f"
    assert str(Identity("h", "s", "pad-")).endswith('with id_prefix "pad-"')


def test_every_word_of_the_domain_is_frozen() -> None:
    words = [cls for _, cls in inspect.getmembers(model, inspect.isclass) if dataclasses.is_dataclass(cls)]
    assert len(words) >= 15
    for cls in words:
        assert vars(cls)["__dataclass_params__"].frozen, cls
        assert "__dict__" not in dir(cls), cls
