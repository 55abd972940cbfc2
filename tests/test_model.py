"""The words of the domain: slots, instants, fingerprints, and what the ledger's row says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.model import ABSENT, CyclePlace, Slot, Stored, fingerprint, from_ms, isoformat, to_ms
from bridge.records import Identity
from tests.support.builders import NOON, PLAYER, booking, delete, known, never_sent, put, slot

zones = st.sampled_from([UTC, timezone(timedelta(hours=5.75))])
moments = st.integers(-2 * 10**15, 7 * 10**15).map(lambda us: from_ms(0) + timedelta(microseconds=us))
instants = st.builds(datetime.astimezone, moments, zones)


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
        (NOON, "2026-11-20T12:00:00Z"),
        (NOON + timedelta(milliseconds=7), "2026-11-20T12:00:00.007Z"),
        (NOON.astimezone(timezone(timedelta(hours=1))), "2026-11-20T12:00:00Z"),
    ],
)
def test_an_instant_is_written_in_utc_with_milliseconds_only_where_there_are_any(instant: datetime, text: str) -> None:
    assert isoformat(instant) == text


# --- slots ---


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        pytest.param(slot(0), True, id="same"),
        pytest.param(slot(1), False, id="touches after"),
        pytest.param(slot(-1), False, id="touches before"),
        pytest.param(slot(0.5, hours=0.1), True, id="inside"),
        pytest.param(slot(-1, hours=3), True, id="around"),
        pytest.param(slot(0.99), True, id="last minute"),
        pytest.param(slot(0, 2), False, id="another court"),
    ],
)
def test_slots_overlap_only_on_one_court_and_not_by_touching(other: Slot, expected: bool) -> None:
    assert slot(0).overlaps(other) is expected
    assert other.overlaps(slot(0)) is expected


# --- fingerprints ---


@given(
    st.integers(1, 2),
    st.integers(0, 3),
    st.integers(4, 6),
    st.lists(st.sampled_from(["a@b.co", "c@d.co", "e@f.co"]), unique=True),
)
def test_a_fingerprint_differs_exactly_where_the_content_differs(
    court: int, start: int, end: int, participants: list[str]
) -> None:
    usual = (slot(0, 1, 4), ["a@b.co"])
    other = (slot(start, court, end - start), participants)
    assert (fingerprint(*usual) == fingerprint(*other)) is (usual == other)
    assert len(fingerprint(*other)) == 16 != len(ABSENT)


def test_a_fingerprint_does_not_depend_on_the_zone_an_instant_is_written_in() -> None:
    east = timezone(timedelta(hours=9))
    moved = Slot("c1", slot().start.astimezone(east), slot().end.astimezone(east))
    assert fingerprint(moved, ["a@b.co"]) == fingerprint(slot(), ["a@b.co"])


# --- what Wingfield has ---


@pytest.mark.parametrize(
    ("place", "players", "same"),
    [
        pytest.param(slot(), ("a@b.co", "c@d.co"), True, id="equal"),
        pytest.param(slot(), ("c@d.co", "a@b.co"), True, id="another order"),
        pytest.param(slot(), ("a@b.co",), False, id="one fewer"),
        pytest.param(slot(), ("a@b.co", "a@b.co"), False, id="one twice"),
        pytest.param(slot(10), ("a@b.co", "c@d.co"), False, id="another time"),
        pytest.param(slot(court=2), ("a@b.co", "c@d.co"), False, id="another court"),
        pytest.param(slot(), ("c@d.co", "user:7 a@b.co"), True, id="one by both names"),
        pytest.param(slot(), ("c@d.co", "user:7"), False, id="one by another name"),
        pytest.param(slot(), None, False, id="a participant without a name"),
    ],
)
def test_content_is_the_same_whatever_the_order_of_its_participants(
    place: Slot, players: tuple[str, ...] | None, same: bool
) -> None:
    assert Stored("7", 1, b"x", place, players).has(slot(), ("a@b.co", "c@d.co")) is same


# --- what is known ---


def test_a_booking_only_seen_stands_nowhere() -> None:
    seen = never_sent(seen_fingerprint=b"x", seen_ms=9)
    assert (seen.slot, seen.places, seen.is_bridged) == (None, (), False)
    assert (seen.highest_ms, seen.last_end_ms, seen.stands_as(b"x")) == (0, 0, False)


def test_an_acknowledged_booking_stands_at_its_slot() -> None:
    entry = known(acked_fingerprint=b"x")
    assert (entry.places, entry.slot, entry.is_bridged) == ((slot(),), slot(), True)
    assert entry.stands_as(b"x")
    assert not entry.stands_as(b"y")


def test_a_deleted_booking_keeps_its_last_slot_and_stands_nowhere() -> None:
    entry = known(acked_fingerprint=ABSENT)
    assert (entry.slot, entry.places, entry.is_bridged) == (None, (), False)
    assert (entry.last_slot, entry.last_end_ms) == (slot(), to_ms(slot().end))


def test_an_unsettled_booking_stands_at_every_place_once() -> None:
    states = [(6, b"y", slot(25)), (7, ABSENT, None), (8, b"z", slot())]
    entry = known(unsettled=tuple(Stored("7", *state) for state in states), intended_version_ms=1008)
    assert entry.places == (slot(), slot(25))
    assert (entry.highest_ms, entry.last_end_ms) == (1008, to_ms(slot(25).end))
    assert not entry.stands_as(entry.acked_fingerprint)


@pytest.mark.parametrize(
    ("lost", "expected"), [(Stored("7", 6, b"y", slot()), True), (Stored("7", 6, ABSENT, None), False)]
)
def test_a_booking_that_may_have_been_created_counts_as_bridged(lost: Stored, expected: bool) -> None:
    assert never_sent(unsettled=(lost,)).is_bridged is expected


@pytest.mark.parametrize(("place", "is_out"), [((True,), True), ((False,), False), ((), False)])
def test_only_the_one_at_which_a_cycle_was_cut_is_temporarily_deleted(place: tuple[bool, ...], is_out: bool) -> None:
    cycle = CyclePlace(1, slot(), *place) if place else None
    assert known(cycle=cycle).is_temporarily_deleted is is_out


# --- writes, identities, privacy ---


def test_a_write_leads_to_its_slot_and_a_delete_to_none() -> None:
    assert put().stored == Stored("7", 1000, put().fingerprint, slot(), why="new")
    assert delete(place=slot()).stored == Stored("7", 1000, ABSENT, None, why="gone")


def test_no_representation_shows_a_participant() -> None:
    there = Stored("7", 1, b"x", slot(), PLAYER)
    for shown in (booking(), put(), put().stored, there, known()):
        assert "example" not in f"{shown!r} {shown}"


def test_an_identity_names_host_service_and_the_prefix_if_there_is_one() -> None:
    both = Identity("acme.launch27.com", "api.wingfield.io", "497f", "")
    assert str(both) == "acme.launch27.com → api.wingfield.io, external service 497f"
    assert str(Identity("h", "w", "s", "pad-")).endswith('with id_prefix "pad-"')
