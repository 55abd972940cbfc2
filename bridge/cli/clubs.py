"""Commands on a directory of clubs: one club, or one after the other, and what they say gathered."""

from __future__ import annotations

import copy
import os
import signal
from collections.abc import Callable
from pathlib import Path

from structlog.contextvars import bound_contextvars

from bridge.cli import output
from bridge.cli.arguments import Options, Usage
from bridge.config.clubs import PROCESS, club_files, process_of
from bridge.config.problems import quoted_path
from bridge.config.schema import ProcessTables
from bridge.errors import ConfigError, ExitStatus, Problem, worst

FOR_ALL = frozenset({"once", "check", "status", "verify"})
Command = Callable[[Options], int]


def run(options: Options, directory: Path, command: Command, attempt: Callable[[Options, Command], int]) -> int:
    """Run a command for the club that was named, the only one, or all; return the status that counts.

    ``attempt`` runs it for one, tells what goes wrong, and returns the status; it is the same as for a single club.
    Raises Usage where a club must be named, and is not, or is none of the directory.
    """
    files = _files(directory)
    name = options.club or (next(iter(files)) if len(files) == 1 and not _is_for_all(options) else None)
    if name is not None and name not in files:
        raise Usage(f'there is no club "{name}" in {quoted_path(directory)}; there are {", ".join(files) or "none"}')
    if name is None and not _is_for_all(options):
        raise Usage(f"say for which club with --club; there are {', '.join(files)}")
    statuses: list[int] = []
    process = _process(directory, options, attempt, statuses)
    if name is not None:
        return worst([*statuses, attempt(_for_club(options, files[name], process), command)])
    found: dict[str, object] = {}
    for each, path in files.items():
        with bound_contextvars(club=each), output.gathering() as gathered:
            if not options.json:
                output.line(f"{each}:", "bold")
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            statuses.append(attempt(_for_club(options, path, process), command))
            found[each] = gathered[-1] if gathered else None
        if options.command == "once" and _is_stopped():
            statuses.append(ExitStatus.TRY_LATER)
            break
    if options.json:
        output.show_json({"clubs": found})
    return worst(statuses)


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


def _process(
    directory: Path, options: Options, attempt: Callable[[Options, Command], int], statuses: list[int]
) -> ProcessTables:
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


def _for_club(options: Options, path: Path, process: ProcessTables) -> Options:
    one = copy.copy(options)
    one.config, one.club, one.process = str(path), path.stem, process
    return one


def _is_stopped() -> bool:
    """Whether a signal has told the pass that has just ended to stop."""
    from bridge.cli.once import end_at_once

    return signal.getsignal(signal.SIGTERM) is end_at_once
