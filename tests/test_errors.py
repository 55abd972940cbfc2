"""The tree of errors, and which exit status counts where several hold."""

from __future__ import annotations

import inspect
import random
from itertools import permutations

import pytest

from bridge import errors
from bridge.errors import (
    AccessDenied,
    AlreadyRunning,
    BridgeError,
    ConfigError,
    CredentialsRefused,
    ExitStatus,
    NotFound,
    Problem,
    Rejected,
    ServiceError,
    StateError,
    Unavailable,
    worst,
)


def test_the_exit_statuses_are_the_published_numbers() -> None:
    published = {"OK": 0, "ATTENTION": 1, "USAGE": 2, "STATE": 74, "TRY_LATER": 75, "CREDENTIALS": 77, "CONFIG": 78}
    assert {status.name: status.value for status in ExitStatus} == published


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError([]), 78),
        (StateError("full"), 74),
        (AlreadyRunning("process 7"), 75),
        (CredentialsRefused("Launch27", "no"), 77),
        (Unavailable("Wingfield", "no answer"), 75),
        (Rejected("Wingfield", "no"), 1),
        (NotFound("Wingfield", "no"), 1),
        (AccessDenied("Launch27", "no"), 1),
        (ServiceError("Launch27", "odd"), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_each_error_knows_its_exit_status(error: BridgeError, status: int) -> None:
    assert error.exit_status == status
    assert isinstance(error, BridgeError)


def test_the_drawing_at_the_top_names_every_error_under_its_parent() -> None:
    drawn = [line for line in (errors.__doc__ or "").splitlines() if "├" in line or "└" in line]
    parents: dict[int, str] = {0: "BridgeError"}
    for line in drawn:
        name = line.split("── ")[1].split()[0]
        depth = line.index("──") // 4
        parents[depth] = name
        drawn_parent = parents[depth - 1]
        assert issubclass(getattr(errors, name), getattr(errors, drawn_parent)), name
    made = {n for n, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, BridgeError)}
    assert made == {*parents.values(), *(line.split("── ")[1].split()[0] for line in drawn)}


def test_nothing_wrong_is_0() -> None:
    assert worst([]) is ExitStatus.OK
    assert worst([ExitStatus.OK, ExitStatus.OK]) is ExitStatus.OK


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ExitStatus.CONFIG, ExitStatus.STATE),
        (ExitStatus.STATE, ExitStatus.CREDENTIALS),
        (ExitStatus.CREDENTIALS, ExitStatus.TRY_LATER),
        (ExitStatus.TRY_LATER, ExitStatus.ATTENTION),
        (ExitStatus.ATTENTION, ExitStatus.OK),
    ],
)
def test_where_two_hold_the_published_order_decides(first: ExitStatus, second: ExitStatus) -> None:
    for pair in permutations((first, second)):
        assert worst(pair) is first


def test_where_all_hold_the_configuration_counts_in_whatever_order_they_come() -> None:
    statuses = [status for status in ExitStatus if status is not ExitStatus.USAGE]
    for seed in range(20):
        random.Random(seed).shuffle(statuses)
        assert worst(iter(statuses)) is ExitStatus.CONFIG


def test_a_problem_says_its_place_where_it_has_one() -> None:
    assert str(Problem("courts[1].court_id", "no UUID")) == "courts[1].court_id: no UUID"
    assert str(Problem("", "no such file")) == "no such file"


def test_a_config_error_has_every_problem_a_line_each() -> None:
    error = ConfigError(Problem(f"courts[{n}]", "no condition") for n in range(3))
    assert len(error.problems) == 3
    assert str(error).splitlines() == [f"courts[{n}]: no condition" for n in range(3)]


def test_a_service_error_names_its_service_first() -> None:
    error = Unavailable("Launch27", "no answer in 30 s")
    assert (error.service, str(error)) == ("Launch27", "Launch27: no answer in 30 s")


def test_a_write_without_an_answer_may_have_been_applied_unless_it_never_left() -> None:
    assert Unavailable("Wingfield", "reset").maybe_applied
    assert not Unavailable("Wingfield", "refused", maybe_applied=False).maybe_applied


def test_a_refusal_has_the_reason_of_its_class_unless_told_another() -> None:
    assert Rejected("Wingfield", "no").reason == "refused"
    assert NotFound("Wingfield", "no").reason == "not_found"
    assert AccessDenied("Launch27", "no").reason == "access_denied"
    assert Rejected("Wingfield", "no", reason="court_not_found").reason == "court_not_found"
