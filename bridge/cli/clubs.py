"""Commands on a directory of clubs: for one club, or for all side by side, and what they say gathered."""

from __future__ import annotations

import asyncio
import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from structlog.contextvars import bound_contextvars

from bridge.cli import output
from bridge.cli.arguments import Options, Usage
from bridge.cli.attempt import Command, attempt, failed, show_failure
from bridge.cli.stopping import until_stopped
from bridge.config.clubs import PROCESS, club_files, process_of
from bridge.config.problems import quoted_path
from bridge.config.schema import ProcessTables
from bridge.errors import ConfigError, ExitStatus, Problem, worst

FOR_ALL = frozenset({"once", "check", "status", "verify", "day"})
AT_ONCE = 32
"""Clubs that are at work side by side: many, so that some that hang hold up few others; with a dozen connections and
files each they stay below the usual limit of 1,024."""


def run(options: Options, directory: Path, command: Command) -> int:
    """Run a command for the club that was named, the only one, or all; return the status that counts.

    Raises Usage where a club must be named, and is not, or is none of the directory.
    """
    files = _files(directory)
    name = options.club or (next(iter(files)) if len(files) == 1 and not _is_for_all(options) else None)
    if name is not None and name not in files:
        raise Usage(f'there is no club "{name}" in {quoted_path(directory)}; there are {", ".join(files) or "none"}')
    if name is None and not _is_for_all(options) and options.command != "notify":
        raise Usage(f"say for which club with --club; there are {', '.join(files)}")
    statuses: list[int] = []
    options.others = {}
    options.process = process = _process(directory, options, statuses)
    if options.command == "notify":  # the process tells for all of them
        return worst([*statuses, attempt(options, command)])
    if name is not None:
        return worst([*statuses, attempt(_for_club(options, name, files[name], process), command)])
    each = {name: _for_club(options, name, path, process) for name, path in files.items()}
    return worst([*statuses, *until_stopped(_side_by_side(each, command, as_json=options.json))])


async def _side_by_side(clubs: Mapping[str, Options], command: Command, *, as_json: bool) -> list[int]:
    """Run a command for all clubs, print what each said in the order of the clubs, and return their statuses."""
    room = asyncio.Semaphore(AT_ONCE)
    tasks = {name: asyncio.create_task(_beside(options, command, room)) for name, options in clubs.items()}
    found: dict[str, object] = {}
    for name, task in tasks.items():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:  # a signal, which each of them ends by in its own way
            for each in tasks.values():
                each.cancel()
            await asyncio.wait({task})
        _, said = task.result()
        if as_json:
            found[name] = said[-1] if said else None
        else:
            output.line(f"{name}:", "bold")
            output.say("".join(said))
    if as_json:
        output.show_json({"clubs": found})
    return [task.result()[0] for task in tasks.values()]


async def _beside(options: Options, command: Command, room: asyncio.Semaphore) -> tuple[int, list[Any]]:
    """Run a command for a club as soon as there is room; return its status, and what it said."""
    with bound_contextvars(club=options.club), output.gathering() as said:
        try:
            async with room:
                done = command(options)
                return done if isinstance(done, int) else await done, said
        except asyncio.CancelledError:
            show_failure(options, "interrupted")
            return ExitStatus.TRY_LATER, said
        except Exception as error:  # noqa: BLE001 (nobody else's trouble)
            return failed(options, error), said


def _files(directory: Path) -> dict[str, Path]:
    try:
        files = club_files(directory)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    else:
        if files:
            return files
        problem = "there is no club in it; put a NAME.toml there for each"
    raise ConfigError([Problem(quoted_path(directory), problem)])


def _process(directory: Path, options: Options, statuses: list[int]) -> ProcessTables:
    """Return what holds for all clubs; where that is wrong it is told, counts, and keeps no club from its work."""
    found = [ProcessTables()]

    def load(_: Options) -> int:
        found.append(process_of(directory, os.environ, require_secrets=options.command in {"once", "check", "notify"}))
        return ExitStatus.OK

    with output.gathering(), bound_contextvars(file=f"{PROCESS}.toml"):
        statuses.append(attempt(options, load))
    return found[-1]


def _is_for_all(options: Options) -> bool:
    return options.command in FOR_ALL and options.rehearse is None


def _for_club(options: Options, name: str, path: Path, process: ProcessTables) -> Options:
    one = copy.copy(options)
    one.config, one.club, one.process = str(path), name, process
    return one
