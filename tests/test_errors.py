"""The tree of errors, and which exit status counts where several hold."""

from __future__ import annotations

import inspect
import random

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
    parents, drawn = {0: "BridgeError"}, {"BridgeError"}
    for line in (errors.__doc__ or "").splitlines():
        if "── " not in line:
            continue
        name, depth = line.split("── ")[1].split()[0], line.index("──") // 4
        parents[depth] = name
        drawn.add(name)
        assert issubclass(getattr(errors, name), getattr(errors, parents[depth - 1])), name
    assert drawn == {n for n, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, BridgeError)}


@pytest.mark.parametrize("seed", range(5))
def test_where_several_hold_the_published_order_decides(seed: int) -> None:
    order = [ExitStatus(number) for number in (78, 74, 77, 75, 1, 0)]
    for index, status in enumerate(order):
        holding = [*order[index:], status]
        random.Random(seed).shuffle(holding)
        assert worst(iter(holding)) is status
    assert worst([]) is ExitStatus.OK


def test_a_config_error_has_every_problem_a_line_each_with_its_place_where_it_has_one() -> None:
    error = ConfigError([Problem("courts[1].court_id", "no condition"), Problem("", "no such file")])
    assert len(error.problems) == 2
    assert str(error).splitlines() == ["courts[1].court_id: no condition", "no such file"]


def test_a_service_error_names_its_service_first_and_knows_its_kind() -> None:
    error = Unavailable("Launch27", "no answer in 30 s", kind="no answer")
    assert (error.service, str(error), error.kind) == ("Launch27", "Launch27: no answer in 30 s", "no answer")
    assert Unavailable("Launch27", "no answer").kind == "no answer"


def test_a_write_without_an_answer_may_have_been_applied_unless_it_never_left() -> None:
    assert Unavailable("Wingfield", "reset").maybe_applied
    assert not Unavailable("Wingfield", "refused", maybe_applied=False).maybe_applied


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Rejected("Wingfield", "no"), "refused"),
        (NotFound("Wingfield", "no"), "not_found"),
        (AccessDenied("Launch27", "no"), "access_denied"),
        (Rejected("Wingfield", "no", reason="court_not_found"), "court_not_found"),
    ],
)
def test_a_rejection_has_the_reason_of_its_class_unless_told_another(error: Rejected, reason: str) -> None:
    assert error.reason == reason
