"""Runs a command, and turns whatever goes wrong into a message and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from bridge.cli.arguments import Options, Usage
from bridge.errors import AlreadyRunning, BridgeError, ConfigError, ExitStatus, Problem, StateBusy, StateError

Command = Callable[[Options], int | Coroutine[Any, Any, int]]
"""Returns its exit status; one that can run beside others, for several clubs, is a coroutine."""


def attempt(options: Options, command: Command) -> int:
    """Run a command to its end, or to a signal; return its exit status, whatever goes wrong."""
    try:
        done = command(options)
        if isinstance(done, int):
            return done
        from bridge.cli.stopping import until_stopped

        return until_stopped(done)
    except Exception as error:  # noqa: BLE001 (the last resort)
        return failed(options, error)


def failed(options: Options, error: Exception) -> int:
    """Tell what went wrong, and return the exit status that it means."""
    if isinstance(error, BrokenPipeError):
        return ExitStatus.TRY_LATER
    if isinstance(error, BridgeError):
        _tell(options, error)
        show_failure(options, str(error), "refused" if error.exit_status == ExitStatus.CREDENTIALS else "failed")
        return error.exit_status
    if isinstance(error, Usage):
        from bridge.cli.output import complain

        complain(f"courtbridge: error: {error}")
        show_failure(options, str(error))
        return ExitStatus.USAGE
    # A bug needs a person; 75 would promise that time mends it.
    options.set_up_log().error("internal_error", error=type(error).__name__, exception=_trace(error))
    show_failure(options, f"a bug in Courtbridge ({type(error).__name__}); the log has more")
    return ExitStatus.ATTENTION


def show_failure(options: Options, error: str, outcome: str = "failed") -> None:
    """Print the object that every call with ``--json`` prints."""
    if options.json:
        from bridge.cli import output

        with suppress(BridgeError):  # that very object could not be written
            output.show_failure(error, outcome)


_EVENTS = {
    ConfigError: "config_invalid",
    StateError: "state_unusable",
    StateBusy: "state_unusable",
    AlreadyRunning: "already_running",
}


def _tell(options: Options, error: BridgeError) -> None:
    """Tell people in words, a machine in log lines; each problem has its own."""
    if sys.stderr is None:
        return
    problems = error.problems if isinstance(error, ConfigError) else (Problem("", str(error)),)
    if options.log_form != "json" and (options.log_form != "auto" or sys.stderr.isatty()):
        from bridge.cli.output import complain

        who = f"courtbridge: {options.club}" if options.club else "courtbridge"
        for problem in problems:
            complain(f"{who}: {problem}")
        return
    log = options.set_up_log()
    for problem in problems:
        place = {"place": problem.place} if problem.place else {}
        log.error(_EVENTS.get(type(error), "failed"), **place, message=problem.message)


def _trace(error: BaseException) -> str:
    """Return where an error and those behind it came from: no locals, and no messages, which may name people.

    Of the system's own errors the message is kept: it names at most a file.
    """
    import traceback

    why = f": {os.strerror(error.errno)}" if isinstance(error, OSError) and error.errno else ""
    place = f"{''.join(traceback.format_tb(error.__traceback__))}{type(error).__qualname__}{why}"
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    behind = (*inner, error.__cause__ or error.__context__)
    return "\n\nafter\n\n".join([place, *(_trace(each) for each in behind if each)])
