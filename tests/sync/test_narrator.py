"""What the log is told, and how often."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from bridge import log as logs
from bridge.errors import CredentialsRefused, ExitStatus, ServiceError, Unavailable
from bridge.model import HOUR_MS, Held, Verb
from bridge.records import PassRecord
from bridge.sync.narrator import LogNarrator
from bridge.sync.result import PassResult
from tests.support.builders import delete, put, slot

MINUTE_MS = 60_000
START_MS = 1_795_000_000_000


class Story:
    """A daemon's narrator, one pass a minute, and the lines so far."""

    def __init__(self, *, lasting: bool = True, level: str = "info") -> None:
        self.out = io.StringIO()
        aside = logs.Aside()
        logs.configure(level, self.out, aside if lasting else None)
        self.narrator = LogNarrator(lasting=lasting, aside=aside)
        self.minute = 0
        self._read = 0

    def a_pass(
        self, *errors: ServiceError, created: int = 0, withheld: tuple[str, ...] = (), account_status: str = "active"
    ) -> None:
        self.narrator.pass_started()
        self.a_pass_ends(*errors, created=created, withheld=withheld, account_status=account_status)

    def a_pass_ends(
        self, *errors: ServiceError, created: int = 0, withheld: tuple[str, ...] = (), account_status: str = "active"
    ) -> None:
        self.minute += 1
        now_ms = START_MS + self.minute * MINUTE_MS
        record = PassRecord(now_ms, 5, "in_sync", 3, created, 0, 0, 3 - created, 0, 0, withheld=withheld)
        objection = "too many" if withheld else None
        result = PassResult(record, ExitStatus.OK, (), (), errors, objection, 40, account_status=account_status)
        self.narrator.pass_finished(result)

    def new_lines(self) -> list[dict[str, Any]]:
        """Return the lines since the last call, but for passes that finished."""
        lines = [json.loads(line) for line in self.out.getvalue().splitlines()]
        new, self._read = lines[self._read :], len(lines)
        return [line for line in new if line["event"] != "pass_finished"]

    def events(self) -> list[str]:
        return [line["event"] for line in self.new_lines()]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def away(words: str = "could not connect", service: str = "Launch27", kind: str = "") -> Unavailable:
    return Unavailable(service, words, kind=kind)


@pytest.mark.parametrize("level", ["info", "debug"])
def test_of_many_new_bookings_the_first_fifty_have_a_line_and_the_others_are_counted(level: str) -> None:
    story = Story(level=level)
    for count in (60, 50):
        story.narrator.pass_started()
        for number in range(count):
            story.narrator.wrote(put(number, verb=Verb.CREATE))
        story.narrator.wrote(put(100, verb=Verb.UPDATE))
        story.narrator.wrote(delete(101))
        story.a_pass_ends()
        lines = story.new_lines()
        events = [line["event"] for line in lines]
        created = count if level == "debug" else 50
        assert [events.count(f"booking_{what}") for what in ("created", "updated", "deleted")] == [created, 1, 1]
        assert [line["count"] for line in lines if line["event"] == "more_created"] == [10] * (count == 60)


# --- lasting trouble ---


TROUBLE, OVER = "pass_incomplete", "trouble_over"
KIND = {"kind": "answered 503"}


@pytest.mark.parametrize(
    ("passes", "events"),
    [
        pytest.param([[away()]] * 24 * 60 + [[]], [TROUBLE, OVER], id="an outage of a day"),
        pytest.param([[away()], [], [away()]], [TROUBLE, OVER, TROUBLE], id="one that comes back"),
        pytest.param([[away("503 (4 tries)", **KIND)], [away("503", **KIND)]], [TROUBLE], id="other words, same kind"),
        pytest.param([[away()] * 500], [TROUBLE], id="hundreds of the same"),
        pytest.param([[CredentialsRefused("Wingfield", "refused")]] * 2, [TROUBLE], id="a token refused"),
    ],
)
def test_a_trouble_is_told_when_it_begins_and_when_it_ends(passes: list[list[ServiceError]], events: list[str]) -> None:
    story = Story()
    for errors in passes:
        story.a_pass(*errors)
    lines = story.new_lines()
    assert [line["event"] for line in lines] == events
    assert {line["service"] for line in lines if line["event"] == OVER} <= {"Launch27"}


def test_a_trouble_that_changes_is_told_and_one_that_wavers_is_told_once() -> None:
    story = Story()
    for words in ("answered 503", "could not connect", "answered 503", "could not connect"):
        story.a_pass(away(words))
    assert [line["error"] for line in story.new_lines()] == ["Launch27: answered 503", "Launch27: could not connect"]


def test_while_launch27_is_away_nothing_new_is_known_of_wingfield() -> None:
    story = Story()
    story.a_pass(away(service="Wingfield"))
    story.a_pass(away())
    story.a_pass(away(service="Wingfield"))
    story.a_pass()
    told = [(line["event"], line.get("service")) for line in story.new_lines()]
    assert told == [
        ("pass_incomplete", None),
        ("pass_incomplete", None),
        ("trouble_over", "Launch27"),
        ("trouble_over", "Wingfield"),
    ]


def test_by_hand_everything_is_told_every_time() -> None:
    story = Story(lasting=False)
    story.a_pass(away())
    story.a_pass(away(), withheld=("1",))
    assert story.events() == ["pass_started", "pass_incomplete", "pass_started", "pass_incomplete", "deletes_withheld"]


def test_what_a_stop_left_undone_is_no_trouble() -> None:
    story = Story()
    story.narrator.stopping = True
    story.a_pass(away("not asked: the bridge is stopping"))
    assert story.events() == []


# --- what the clients say ---


def retry(service: str = "Launch27", error: str = "answered 503") -> None:
    structlog.get_logger().warning("request_retried", service=service, error=error, tries=1)


def test_a_retry_that_helped_is_told_once_an_hour() -> None:
    story = Story()
    for _ in range(119):
        retry()
        retry()
        story.a_pass()
    assert story.events() == ["request_retried"] * 2
    retry(error="the connection broke off")
    story.a_pass()
    assert story.events() == ["request_retried"]


def test_a_retry_that_did_not_help_is_part_of_the_trouble() -> None:
    story = Story()
    retry()
    retry("Wingfield")
    story.a_pass(away("answered 503"))
    assert [line.get("service") or line["error"] for line in story.new_lines()] == [
        "Launch27: answered 503",
        "Wingfield",
    ]


def test_a_refused_login_is_told_in_its_own_words_and_once() -> None:
    story = Story()
    for _ in range(3):
        structlog.get_logger().error("login_refused", account=1, error="account 1: refused")
        story.a_pass(CredentialsRefused("Launch27", "account 1: refused"))
    (line,) = story.new_lines()
    assert (line["event"], line["account"], line["level"]) == ("login_refused", 1, "error")


# --- passes ---


def test_a_quiet_pass_is_told_once_an_hour_and_a_clock_set_back_silences_nothing() -> None:
    story = Story()
    for _ in range(121):
        story.a_pass()
    assert story.out.getvalue().count("pass_finished") == 3
    story.minute -= 300
    story.a_pass()
    assert story.out.getvalue().count("pass_finished") == 4
    assert HOUR_MS == 60 * MINUTE_MS


@pytest.mark.parametrize(("level", "created"), [("info", 1), ("debug", 0)])
def test_a_pass_in_which_something_happened_is_told_and_at_debug_level_every_pass(level: str, created: int) -> None:
    story = Story(level=level)
    for _ in range(5):
        story.a_pass(created=created)
    assert story.events() == ["pass_started"] * (5 if level == "debug" else 0)
    assert story.out.getvalue().count("pass_finished") == 5


def test_withheld_deletes_are_told_when_they_change_and_when_that_ends() -> None:
    story = Story()
    for withheld in (("1", "2"), ("1", "2"), ("1", "2", "3"), (), ()):
        story.a_pass(withheld=withheld)
    lines = story.new_lines()
    assert [line["event"] for line in lines] == ["deletes_withheld", "deletes_withheld", "deletes_no_longer_withheld"]
    assert lines[0]["withheld"] == ["1", "2"]
    assert "courtbridge approve" in lines[0]["detail"]


def test_a_frozen_account_is_warned_about_once_while_it_lasts() -> None:
    story = Story()
    for status in ("active", "frozen", "", "frozen", "active", "sleep"):
        story.a_pass(account_status=status)
    lines = story.new_lines()
    assert [(line["event"], line["status"], line["level"]) for line in lines] == [
        ("account_frozen", "frozen", "warning"),
        ("account_frozen", "sleep", "warning"),
    ]


# --- bookings ---


def test_a_write_is_told_with_its_place_and_nobodys_address() -> None:
    story = Story()
    for write in (put(verb=Verb.CREATE), put(), delete(place=slot()), delete()):
        story.narrator.wrote(write)
    story.narrator.wrote(delete(is_temporary=True))
    lines = story.new_lines()
    verbs = ("created", "updated", "deleted", "deleted")
    assert [line["event"] for line in lines] == [f"booking_{verb}" for verb in verbs]
    assert (lines[0]["court"], lines[0]["start"]) == ("c1", "2026-11-21T12:00:00Z")
    assert "court" not in lines[3]
    assert "example.com" not in story.out.getvalue()


def test_what_is_held_is_told_when_it_begins_and_when_it_ends() -> None:
    story = Story()
    story.narrator.held_changed([Held("1005", "no_duration", "no length")], [Held("1006", "no_participant", "", 7)])
    story.narrator.participants_skipped("1007", 2)
    assert story.events() == ["booking_held", "booking_released", "participants_skipped"]


# --- signs of life ---


def test_it_knows_when_it_last_heard_of_a_pass_and_whether_that_writes() -> None:
    story = Story()
    moments = iter(range(100))
    narrator = story.narrator
    narrator.clock = lambda: float(next(moments))
    assert (narrator.heard_at, narrator.is_writing) == (0.0, False)
    next(moments)
    narrator.pass_started()
    narrator.asking(1)
    assert (narrator.heard_at, narrator.is_writing) == (2.0, False)
    narrator.planned(1)
    narrator.wrote(put())
    assert (narrator.heard_at, narrator.is_writing) == (4.0, True)
    narrator.pass_started()
    assert not narrator.is_writing
    assert story.events() == ["booking_updated"]


def test_a_frozen_account_is_told_once() -> None:
    story = Story()
    for status in ("active", "frozen", "frozen", "", "frozen"):
        record = PassRecord(START_MS, 5, "in_sync", 3, 0, 0, 0, 3, 0, 0)
        story.narrator.pass_finished(PassResult(record, ExitStatus.OK, (), (), (), account_status=status))
    (line,) = story.new_lines()
    assert line["status"] == "frozen"


@pytest.mark.parametrize(("lasting", "told"), [(True, [0, 24, 48]), (False, [0, 1, 23, 24, 48])])
def test_a_token_near_its_end_is_told_once_a_day(*, lasting: bool, told: list[int]) -> None:
    story = Story(lasting=lasting)
    for hour in (0, 1, 23, 24, 48):
        record = PassRecord(START_MS + hour * HOUR_MS, 5, "in_sync", 3, 0, 0, 0, 3, 0, 0)
        story.narrator.pass_finished(PassResult(record, ExitStatus.OK, (), (), (), expiring=(f"at {hour}",)))
    lines = [line for line in story.new_lines() if line["event"] == "token_expires"]
    assert [line["detail"] for line in lines] == [f"at {hour}" for hour in told]
