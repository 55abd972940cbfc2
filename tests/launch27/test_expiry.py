"""When a token ends: read from the token itself, and said in words a week before."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest

from bridge.launch27.expiry import expires, expiry, warnings
from bridge.model import to_ms
from tests.support.builders import DAY, NOON

SECOND = timedelta(seconds=1)


def token(claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{body}.c2ln"


@pytest.mark.parametrize("seconds", [NOON.timestamp(), int(NOON.timestamp())])
@pytest.mark.parametrize("more", ["", "a", "aa", "aaa"])
def test_a_token_says_when_it_ends(seconds: float, more: str) -> None:
    assert expiry(token({"exp": seconds, "x": more})) == NOON


ODD = [{}, {"exp": None}, {"exp": "soon"}, {"exp": 1e300}, {"exp": -(10**30)}, {"exp": float("nan")}, [], 5]


@pytest.mark.parametrize("text", ["", "plain", "a.b", "a.ä.c", ". .", "a..c", "a." + "W1tb" * 50_000, *map(token, ODD)])
def test_any_other_token_says_nothing(text: str) -> None:
    assert expiry(text) is None


def test_a_warning_begins_a_week_before_and_outlasts_the_end() -> None:
    ends = {1: NOON + 7 * DAY, 2: NOON + 7 * DAY - SECOND, 3: NOON - SECOND}
    second, third = warnings({number: to_ms(end) for number, end in ends.items()}, NOON)
    assert second == "account 2: its token expires on 2026-11-27 at 11:59 UTC; put a new one in its place"
    assert "account 3: its token expired on 2026-11-20" in third
    assert expires(NOON, NOON).startswith("expired")
