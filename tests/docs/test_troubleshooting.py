"""``docs/troubleshooting.md`` knows every exit status, every reason and every log event that the code can give."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.errors import ExitStatus
from bridge.model import Reason
from bridge.planning.refusals import MEANINGS

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs" / "troubleshooting.md").read_text()
KNOWN = set(re.findall(r"`([a-z_]+|[0-9]+)`", PAGE))
LEVELS = {"debug", "info", "warning", "error", "critical", "_tell"}
ELSEWHERE = {"sandbox", "web", "notify"}
"""What has log lines of its own kind, or messages with an ``event``; ``notify`` logs one, which is named below."""


def constants(node: ast.AST | None) -> Iterator[str]:
    """Yield the texts that an expression may be."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from (*constants(body), *constants(orelse))
        case ast.Dict(values=values):
            for each in values:
                yield from constants(each)


def events(tree: ast.AST) -> Iterator[str]:
    """Yield the names of the events that a module logs."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=method), args=[first, *_]) if method in LEVELS:
                yield from constants(first)
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if "event" in constants(key):
                        yield from constants(value)
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if "event" in name.lower():
                yield from constants(value)


def logged() -> set[str]:
    modules = [path for path in (CHECKOUT / "bridge").rglob("*.py") if not ELSEWHERE & set(path.parts)]
    found = {name for path in modules for name in events(ast.parse(path.read_text()))}
    return {name for name in found if re.fullmatch(r"[a-z]+(_[a-z]+)+|stopping|failed", name)} | {"notification_failed"}


def test_the_events_are_found() -> None:
    """Those of each way to write one, so that the next test is about something."""
    assert {
        "booking_held",
        "clock_wrong",
        "push_lost",
        "ended_at_once",
        "state_unusable",
        "booking_created",
    } <= logged()


def test_every_event_of_the_log_is_there() -> None:
    assert sorted(logged() - KNOWN) == []


def test_every_reason_and_error_type_is_there() -> None:
    assert sorted({*Reason, *MEANINGS, "refused", "unexpected_answer"} - KNOWN) == []


@pytest.mark.parametrize("status", ExitStatus)
def test_every_exit_status_is_there(status: ExitStatus) -> None:
    assert f"\n| {status.value} |" in PAGE
