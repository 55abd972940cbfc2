"""Players as users and courts by mappings, from one reading of the list to the next."""

from __future__ import annotations

from bridge.model import DAY_MS, HOUR_MS, MINUTE_MS
from bridge.wingfield.hourly import Mappings, Relations
from bridge.wingfield.wire import CourtMapping, UserRelation

NOW = 1_800_000_000_000
ONE = CourtMapping(court_id="c1", external_court_id="1")
ANNA, BEN = "user:a", "user:b"


def accepted(user_id: str, email: str, status: str = "ACCEPTED") -> UserRelation:
    return UserRelation(user_id=user_id, email=email, status=status)


BOTH = Relations().heard([accepted("a", "anna@example.com"), accepted("b", "ben@example.com")], NOW)


def named(relations: Relations) -> list[str]:
    return [relations.participant(f"{name}@example.com") for name in ("anna", "ben", "carla")]


def test_users_are_named_by_id_whatever_the_case_of_the_address_and_others_by_address() -> None:
    relations = Relations().heard([accepted("A", " Anna@Example.COM "), accepted("b", "ben@example.com")], NOW)
    assert named(relations) == [ANNA, BEN, "carla@example.com"]


def test_who_has_not_accepted_or_has_no_usable_address_is_no_user() -> None:
    relations = Relations().heard([accepted("a", "anna@example.com", "PENDING"), accepted("b", "")], NOW)
    assert relations.users == {}


def test_of_two_users_with_one_address_the_same_counts_in_whatever_order_they_are_listed() -> None:
    two = [accepted("b", "anna@example.com"), accepted("a", "anna@example.com")]
    for listed in (two, two[::-1]):
        assert Relations().heard(listed, NOW).participant("anna@example.com") == ANNA


def test_what_is_remembered_has_no_address_and_another_key_in_each_state() -> None:
    text = BOTH.model_dump_json()
    assert "@" not in text
    assert "anna" not in text
    assert BOTH.key not in repr(BOTH)
    assert Relations.model_validate_json(text) == BOTH
    others = Relations().heard([accepted("a", "anna@example.com")], NOW)
    assert not others.users.keys() & BOTH.users.keys()
    assert BOTH.heard([accepted("a", "anna@example.com")], NOW).users.keys() <= BOTH.users.keys()


def test_the_list_is_asked_for_anew_when_it_is_to_be_and_where_the_clock_went_back() -> None:
    due = [BOTH.is_due(NOW + ms, since_ms) for ms, since_ms in ((0, NOW), (1, NOW + 1), (DAY_MS, 0), (-1, 0))]
    assert due == [False, True, False, True]
    assert Relations().is_due(NOW, 0)


def test_denied_users_are_named_by_address_until_the_list_explains_it() -> None:
    denied = BOTH.model_copy(update={"denied": ((NOW, frozenset({ANNA, BEN})),)})
    assert named(denied) == ["anna@example.com", "ben@example.com", "carla@example.com"]
    only_ben = denied.heard([accepted("b", "ben@example.com")], NOW)
    assert named(only_ben) == ["anna@example.com", BEN, "carla@example.com"]


def test_users_who_are_denied_and_listed_are_named_by_address_for_a_day() -> None:
    denied = BOTH.model_copy(update={"denied": ((NOW, frozenset({ANNA})),)})
    both = [accepted("a", "anna@example.com"), accepted("b", "ben@example.com")]
    assert named(denied.heard(both, NOW + DAY_MS - 1))[:2] == ["anna@example.com", BEN]
    assert named(denied.heard(both, NOW + DAY_MS))[:2] == [ANNA, BEN]


def test_courts_are_known_by_their_external_ids() -> None:
    mappings = Mappings().heard([ONE, CourtMapping(court_id="C2", external_court_id="2")], NOW)
    assert (mappings.courts, mappings.asked_ms, mappings.again_ms) == ({"1": "c1", "2": "c2"}, NOW, 0)
    assert Mappings.model_validate_json(mappings.model_dump_json()) == mappings


def test_a_club_without_any_mapping_is_believed_at_once() -> None:
    assert Mappings().heard([], NOW).courts == {}


def test_that_all_are_gone_is_believed_a_minute_later_and_doubted_anew_when_the_clock_went_back() -> None:
    doubted = Mappings().heard([ONE], NOW).heard([], NOW)
    assert (doubted.courts, doubted.again_ms) == ({"1": "c1"}, NOW + MINUTE_MS)
    early = doubted.heard([], NOW + MINUTE_MS - 1)
    assert (early.courts, early.doubted_ms) == ({"1": "c1"}, NOW)
    assert doubted.heard([], NOW + MINUTE_MS).courts == {}
    assert doubted.heard([ONE], NOW + 1).heard([], NOW + HOUR_MS).courts == {"1": "c1"}
    assert doubted.heard([], NOW - 1).courts == {"1": "c1"}
