"""The command line: arguments in, exit status out. Each command has a file of its own.

Nothing slow is imported before it is known what for: ``--version`` and ``--help`` answer at once.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from bridge.cli.arguments import Options, Usage, parse
from bridge.errors import AlreadyRunning, BridgeError, ConfigError, ExitStatus, Problem, StateBusy, StateError


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for and return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name must not fail where the locale is poor
    try:
        return _run(parse(argv))
    except SystemExit as ended:
        if ended.code == ExitStatus.USAGE and "--json" in (sys.argv if argv is None else argv):
            from bridge.cli.output import show_failure

            show_failure("wrong usage; standard error says what is wrong")
        raise
    finally:
        _flush()
        gc.unfreeze()
        if argv is None:
            gc.freeze()  # what is there now dies with the process: looking through it once more takes time


def _run(options: Options) -> int:
    """Run the command, for one club or for those of a directory; return the exit status."""
    # Until a pass or the daemon has its own handlers, SIGTERM is to end what Ctrl-C ends.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _attempt(options, _command if options.command is None or options.directory is None else _for_clubs)
    except KeyboardInterrupt:
        _show_failure(options, "interrupted")
        return ExitStatus.OK if options.command is None else ExitStatus.TRY_LATER


def _attempt(options: Options, command: Callable[[Options], int]) -> int:
    """Run a command, and turn whatever goes wrong into a message and an exit status."""
    try:
        return command(options)
    except BridgeError as error:
        _tell(options, error)
        _show_failure(options, str(error), "refused" if error.exit_status == ExitStatus.CREDENTIALS else "failed")
        return error.exit_status
    except Usage as error:
        sys.stderr.write(f"courtbridge: error: {error}\n")
        _show_failure(options, str(error))
        return ExitStatus.USAGE
    except BrokenPipeError:
        return ExitStatus.TRY_LATER
    except Exception as error:  # noqa: BLE001 (the last resort)
        # A bug needs a person; 75 would promise that time mends it.
        options.set_up_log().error("internal_error", error=type(error).__name__, exception=_trace(error))
        _show_failure(options, f"a bug in Courtbridge ({type(error).__name__}); the log has more")
        return ExitStatus.ATTENTION


def _for_clubs(options: Options) -> int:
    from bridge.cli import clubs

    assert options.directory is not None  # noqa: S101
    return clubs.run(options, options.directory, _command, _attempt)


def _show_failure(options: Options, error: str, outcome: str = "failed") -> None:
    """Print the object that every call with ``--json`` prints."""
    if options.json:
        from bridge.cli.output import show_failure

        with suppress(BridgeError):  # that very object could not be written
            show_failure(error, outcome)


def _command(options: Options) -> int:
    """Import the one command that was asked for, which has a file of its own name, and run it."""
    if options.command is None:
        from bridge.service import process

        return process.run(
            options.find_config(), environ=os.environ, log_level=options.log_level, log_format=options.log_format
        )
    if options.command == "once":
        # A pass makes many objects and hardly a cycle of them: looking for cycles less often saves a tenth.
        gc.set_threshold(50_000, 20, 20)
        gc.disable()  # while it imports, which makes more objects than the pass
        # Looking for plugins of pydantic, which nobody has here, would read the metadata of every package.
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    command = importlib.import_module(f"bridge.cli.{options.command}")
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
    return int(command.run(options))


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
        from bridge.cli.output import visible, wrapped

        fit = wrapped if sys.stderr.isatty() else str
        who = f"courtbridge: {options.club}: " if options.club else "courtbridge: "
        sys.stderr.write("".join(f"{fit(who + visible(str(problem)))}\n" for problem in problems))
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


def _flush() -> None:
    """Hand over what is still buffered; a reader that has gone is no error at the very end."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            from bridge.cli.output import abandon

            abandon(stream)
