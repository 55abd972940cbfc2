"""A config.toml for a sandbox, as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bridge.sandbox import Launch27, Wingfield
from tests.support.builders import EMAIL, PASSWORD


def introduction(
    launch27: Launch27, wingfield: Wingfield, email: str = EMAIL, password: str = PASSWORD
) -> dict[str, Any]:
    """Return what a client needs to know of a sandbox."""
    return {
        "launch27_url": launch27.url,
        "wingfield_url": wingfield.url,
        "service_id": wingfield.service_id,
        "email": email,
        "password": password,
        "token": wingfield.token,
        "courts": list(wingfield.courts),
    }


def configuration(
    world: Mapping[str, Any], *, launch27: Iterable[str] = (), wingfield: Iterable[str] = (), more: Iterable[str] = ()
) -> str:
    """Return a configuration without rate limits or push, in which court 1 is service 1 and so on.

    ``launch27`` and ``wingfield`` are further lines of these two sections, ``more`` of those after them.
    """
    lines = [
        "[launch27]",
        f'base_url = "{world["launch27_url"]}"',
        "reads_per_second = 1000.0",
        "read_burst = 1000",
        "push = false",
        *launch27,
        "[[launch27.accounts]]",
        f'email = "{world["email"]}"',
        f'password = "{world["password"]}"',
        "[wingfield]",
        f'base_url = "{world["wingfield_url"]}"',
        f'external_service_id = "{world["service_id"]}"',
        f'token = "{world["token"]}"',
        *wingfield,
        *more,
    ]
    for number, court_id in enumerate(world["courts"], 1):
        rule = (f'name = "Court {number}"', f'court_id = "{court_id}"', f"service_ids = [{number}]")
        lines += ["[[courts]]", *rule, ""]
    return "\n".join(lines)


def write_config(path: Path, text: str) -> Path:
    """Write a file that only its owner may read, and return its path."""
    path.write_text(text)
    path.chmod(0o600)
    return path
