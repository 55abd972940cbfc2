"""What is believed from pass to pass: zones, catalogues by location, and the ends of tokens."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.model import MINUTE_MS
from bridge.planning.memory import DEFAULT_LOCATION, Lengths, Memory, Part

maybe_minutes = st.none() | st.integers(0, 300)
parts = st.dictionaries(
    st.sampled_from(["extra 1", "extra 2", "parameter 1"]), st.builds(Part, st.integers(0, 60), st.booleans())
)
catalogues = st.dictionaries(st.integers(1, 4), st.builds(Lengths, maybe_minutes, parts), max_size=4)
QUICK = settings(max_examples=80, deadline=None, derandomize=True)


@QUICK
@given(catalogues, catalogues, st.integers(0, 2))
def test_a_catalogue_that_lacks_something_takes_nothing_away(before: Any, after: Any, location: int) -> None:
    memory = Memory().heard_catalogue(1, before).heard_catalogue(location, after)
    found = memory.catalogues[1]
    assert found.keys() == before.keys() | (after.keys() if location == 1 else set())
    for id_, lengths in before.items():
        new = after.get(id_, Lengths()) if location == 1 else Lengths()
        assert found[id_].minutes == (lengths.minutes if new.minutes is None else new.minutes)
        assert found[id_].parts == {**lengths.parts, **new.parts}


def test_a_location_that_has_no_catalogue_to_show_has_the_default_one_if_there_is_any() -> None:
    memory = Memory().heard_catalogue(2, {}).heard_catalogue(3, {2: Lengths(45)})
    assert [memory.catalogue(location) for location in (2, 3, 4)] == [{}, {2: Lengths(45)}, None]
    memory = memory.heard_catalogue(DEFAULT_LOCATION, {1: Lengths(90)})
    assert [memory.catalogue(location) for location in (2, 3, 4)] == [{1: Lengths(90)}, {2: Lengths(45)}, None]


LENGTHS = Lengths(60, {"extra 1": Part(10, True), "extra 2": Part(5, False), "parameter 1": Part(15, True)})


@pytest.mark.parametrize(
    ("lengths", "chosen", "total"),
    [
        (LENGTHS, [], 60),
        (LENGTHS, [("extra 1", 3), ("extra 2", 3), ("parameter 1", 2), ("extra 9", 5)], 60 + 30 + 5 + 30),
        (LENGTHS, [("extra 1", 1), ("extra 1", 1), ("parameter 1", 0)], 80),
        (LENGTHS._replace(minutes=None), [("extra 1", 3)], None),
        (LENGTHS._replace(minutes=0), [("parameter 1", 4)], 60),
        (LENGTHS._replace(minutes=0), [], None),
        (LENGTHS, [("extra 1", 2**62)], None),
    ],
)
def test_the_parts_that_a_booking_chose_add_to_its_service(lengths: Lengths, chosen: Any, total: int | None) -> None:
    assert lengths.total(chosen) == total


def test_another_zone_is_believed_only_when_it_is_answered_a_minute_later() -> None:
    memory = Memory().heard_zone("Europe/Berlin", 1)
    for now_ms, zone, believed in (
        (2, "America/New_York", "Europe/Berlin"),
        (MINUTE_MS + 1, "America/New_York", "Europe/Berlin"),
        (MINUTE_MS + 2, "Europe/London", "Europe/Berlin"),
        (MINUTE_MS + 3, "America/New_York", "Europe/Berlin"),
        (2 * MINUTE_MS + 2, "America/New_York", "Europe/Berlin"),
        (2 * MINUTE_MS + 3, "America/New_York", "America/New_York"),
    ):
        memory = memory.heard_zone(zone, now_ms)
        assert memory.zone == believed, (now_ms, zone)
