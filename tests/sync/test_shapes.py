"""What is left of an answer in a report: its shape, and nothing that could name anybody."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.http.client import Call, Response
from bridge.sync.shapes import Shapes, kind, paths
from tests.support.builders import DOCUMENTED


def shapes(*answers: Any, status: int = 200, route: str = "/customer/bookings") -> Shapes:
    found = Shapes()
    for answer in answers:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        found.take(
            Call("GET", route, route), Response(status, {"x-rate-limit-read-limit": "30", "date": "today"}, body)
        )
    return found


def test_the_documented_booking_keeps_all_its_keys() -> None:
    (told,) = shapes([DOCUMENTED, DOCUMENTED]).as_json().values()
    assert not [path for path in told["paths"] if "*" in path]
    assert told["paths"]["[].service_date"] == {"date-time Z": 2}
    assert told["paths"]["[].services[].hourly.minutes"] == {"integer": 2}
    assert told["paths"]["[].customer_notes"] == {"null": 2}
    assert (told["statuses"], told["headers"]) == ({"200": 1}, ["date", "x-rate-limit-read-limit"])


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("", "empty"),
        ("2026-11-20T09:00:00Z", "date-time Z"),
        ("2026-11-20T09:00:00.123+01:00", "date-time offset"),
        ("2026-11-20 09:00", "date-time"),
        ("2026-11-20", "date"),
        ("9:30", "time"),
        ("4930", "digits"),
        ("a@b.co", "address"),
        ("wss://pubsub.l27.co/v1", "url"),
        ("497f6eca-6276-4993-bfeb-53cbbbba6f08", "uuid"),
        ("Ada", "text"),
        (True, "boolean"),
        (1, "integer"),
        (1.5, "number"),
        (None, "null"),
    ],
)
def test_a_value_is_told_by_its_kind(value: object, wanted: str) -> None:
    assert kind(value) == wanted


def test_keys_that_are_not_made_of_known_words_are_not_told() -> None:
    odd = {"last_modified_at": 1, "externalCourtId": 2, "Ada": 3, "email_ada": {"id": 4}, "": 5, "a@b.co": 6}
    assert dict(paths(odd)) == {
        ".": "object",
        ".last_modified_at": "integer",
        ".externalCourtId": "integer",
        ".*": "integer",
        ".*.id": "integer",
    }


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_whatever_is_no_json_is_only_counted(body: bytes) -> None:
    (told,) = shapes(body, status=502).as_json().values()
    assert (told["statuses"], told["paths"]) == ({"502": 1}, {".": {"no JSON": 1}})


def test_the_fields_with_dates_are_those_of_a_listings_items() -> None:
    listed = [{"service_date": "2026-11-20T09:00:00Z", "cancellation": {"date": "2026-11-20T09:00:00Z"}}]
    found = shapes(listed, [{"updated_at": "2026-11-20T09:00:00Z", "date": "2026-11-20"}])
    assert found.dated("/customer/bookings") == {"service_date": 1, "updated_at": 1}
    assert found.dated("/staff/bookings") == {}


letters = st.text("zqxjkw", min_size=4)
values = st.recursive(
    letters | st.none() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(letters, inner, max_size=3),
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(values)
def test_no_text_of_any_answer_is_told(value: object) -> None:
    told = json.dumps(next(iter(shapes(value).as_json().values()))["paths"])
    assert not [word for word in _texts(value) if word in told]


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(text for each in value.values() for text in _texts(each))]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [value] if isinstance(value, str) else []
