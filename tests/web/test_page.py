"""What the page says, and how long it takes."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from time import process_time

import pytest

from bridge.ledger.history import Event
from bridge.model import Slot
from bridge.sync.status import Status
from bridge.web import page
from tests.support.builders import COURT_IDS, HOUR, NOON
from tests.support.views import NOW, NOW_MS, RECORD, at, busy, status


def text(html: str) -> str:
    """What is read on a page, in one line."""
    return re.sub(r" ([.,])", r"\1", " ".join(re.sub(r"<[^>]+>", " ", html).split()))


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (status(passes=(replace(RECORD, outcome="in_sync"),)), "In sync since 12:59"),
        (busy(), "Needs a person since 12:59 4 court bookings in Wingfield, 2 held, 1 pending, 1 delete withheld."),
        (
            status(passes=(replace(RECORD, outcome="incomplete"),), last_error="Wingfield: no answer"),
            "Wingfield: no answer.",
        ),
        (status(passes=(replace(RECORD, outcome="refused"),)), "Credentials refused"),
        (status(passes=()), "Waiting for the first pass"),
        (status(problems=["courts[1]: wrong"]), "The configuration is wrong: courts[1]: wrong."),
        (status(now=NOW + timedelta(days=2)), "Not in sync since Fri 20 Nov 2026, 12:59"),
    ],
)
def test_the_first_sentence_says_how_things_stand_and_since_when(shown: Status, said: str) -> None:
    assert said in text(page.club_page(shown, {}))


def test_every_booking_of_the_day_is_told_by_its_court_its_times_and_its_state() -> None:
    read = text(page.club_page(busy(), {}))
    for row in (
        "Court 1 10:00 – 11:00 1001 in sync",
        "Court 1 14:00 – 15:00 1002 pending",
        "Court 2 13:00 – 14:00 1003 held",
        "Court 2 15:30 – 16:30 1004 withheld",
        "Court 3 no booking",
    ):
        assert row in read
    assert "Move one of the two bookings." in read
    assert "courtbridge approve" in read


def test_what_comes_from_outside_is_escaped() -> None:
    html = page.club_page(busy(), {"day": "<script>"})
    assert "<script" not in html
    assert "<b>" not in html
    assert "&lt;b&gt;7&lt;/b&gt;" in html
    assert "style=" not in html  # the Content-Security-Policy would not let it pass


@pytest.mark.parametrize(
    "day", ["today", "2026-13-01", "2026-1-1", "0001-01-01", "9999-12-31", "2026-11-20\n", "٢٠٢٦-11-20"]
)
def test_an_odd_day_is_today_with_a_word(day: str) -> None:
    read = text(page.club_page(busy(), {"day": day}))
    assert "That is not a day that can be shown." in read
    assert "Today, Friday 20 November 2026" in read


def test_other_days_are_a_link_away_and_refreshing_can_be_stopped() -> None:
    html = page.club_page(busy(), {"day": "2026-11-19", "refresh": "off"})
    assert 'href="?day=2026-11-18&amp;refresh=off"' in html.replace("&refresh", "&amp;refresh")
    assert 'http-equiv="refresh"' not in html
    assert 'class="now"' not in html
    assert "Today," not in html
    assert 'http-equiv="refresh" content="30"' in page.club_page(busy(), {})


def test_changes_are_told_with_their_why() -> None:
    place = Slot(COURT_IDS[0], NOON - 3 * HOUR, NOON - 2 * HOUR)
    change = Event(NOW_MS - 120_000, "1001", "update", 1, "moved <3", place)
    gone = Event(NOW_MS - 86_520_000, "1", "delete", 2, "gone")
    read = text(page.club_page(busy(changes=[change, gone]), {}))
    assert "12:58 1001 update Court 1, 10:00 moved &lt;3" in read
    assert "Thu 19 Nov 2026, 12:58 1 delete – gone" in read


def test_five_thousand_bookings_take_no_thirty_milliseconds() -> None:
    bookings = [at(n, COURT_IDS[n % 3], n // 3) for n in range(5000)]
    shown = status(*bookings, passes=[replace(RECORD, started_ms=NOW_MS - n * 20_000) for n in range(500)])
    seconds = []
    for _ in range(10):
        began = process_time()
        page.club_page(shown, {"day": "2026-11-25"})
        seconds.append(process_time() - began)
    assert min(seconds) < 0.03
