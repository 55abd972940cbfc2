"""The tree of errors, and which exit status counts where several hold."""

from __future__ import annotations

import inspect
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


def test_where_several_hold_the_published_order_decides_in_whatever_order_they_come() -> None:
    order = [ExitStatus(number) for number in (78, 74, 77, 75, 1, 0)]
    for place, first in enumerate(order):
        for statuses in permutations(order[place:]):
            assert worst(iter(statuses)) is first
    assert worst([]) is ExitStatus.OK


def test_a_config_error_has_every_problem_a_line_each_with_its_place_if_it_has_one() -> None:
    error = ConfigError(Problem(*each) for each in (("courts[1].court_id", "no UUID"), ("", "no such file")))
    assert len(error.problems) == 2
    assert str(error).splitlines() == ["courts[1].court_id: no UUID", "no such file"]


def test_a_service_error_names_its_service_first() -> None:
    error = Unavailable("Launch27", "no answer in 30 s")
    assert (error.service, str(error)) == ("Launch27", "Launch27: no answer in 30 s")
    assert error.maybe_applied
    assert not Unavailable("Wingfield", "refused", maybe_applied=False).maybe_applied


def test_a_refusal_has_the_reason_of_its_class_unless_told_another() -> None:
    assert Rejected("Wingfield", "no").reason == "refused"
    assert NotFound("Wingfield", "no").reason == "not_found"
    assert AccessDenied("Launch27", "no").reason == "access_denied"
    assert Rejected("Wingfield", "no", reason="court_not_found").reason == "court_not_found"
