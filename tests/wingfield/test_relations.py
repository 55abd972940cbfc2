"""Players as users: who is named by id, from one reading of the list to the next."""

from __future__ import annotations

from bridge.model import DAY_MS, HOUR_MS
from bridge.wingfield.relations import Relations
from bridge.wingfield.wire import UserRelation

NOW = 1_800_000_000_000
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


def test_the_list_is_read_again_after_an_hour_and_where_the_clock_went_back() -> None:
    due = [BOTH.is_due(NOW + wait_ms) for wait_ms in (0, HOUR_MS - 1, HOUR_MS, -1)]
    assert due == [False, False, True, True]
    assert Relations().is_due(NOW)


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
