"""Courts by Wingfield's mappings, from one reading of the list to the next."""

from __future__ import annotations

from bridge.model import HOUR_MS, MINUTE_MS
from bridge.wingfield.mappings import Mappings
from bridge.wingfield.wire import CourtMapping

NOW = 1_800_000_000_000
ONE = CourtMapping(court_id="c1", external_court_id="1")


def test_courts_are_known_by_their_external_ids() -> None:
    mappings = Mappings().heard([ONE, CourtMapping(court_id="C2", external_court_id="2")], NOW)
    assert (mappings.courts, mappings.due_ms) == ({"1": "c1", "2": "c2"}, NOW + HOUR_MS)
    assert Mappings.model_validate_json(mappings.model_dump_json()) == mappings


def test_a_club_without_any_mapping_is_believed_at_once() -> None:
    assert Mappings().heard([], NOW).courts == {}


def test_that_all_are_gone_is_believed_a_minute_later_and_doubted_anew_when_the_clock_went_back() -> None:
    doubted = Mappings().heard([ONE], NOW).heard([], NOW)
    assert (doubted.courts, doubted.due_ms) == ({"1": "c1"}, NOW + MINUTE_MS)
    early = doubted.heard([], NOW + MINUTE_MS - 1)
    assert (early.courts, early.doubted_ms) == ({"1": "c1"}, NOW)
    assert doubted.heard([], NOW + MINUTE_MS).courts == {}
    assert doubted.heard([ONE], NOW + 1).heard([], NOW + HOUR_MS).courts == {"1": "c1"}
    assert doubted.heard([], NOW - 1).courts == {"1": "c1"}
