"""The command line: arguments in, exit status out. What each command does is in ``commands.py``.

Nothing slow is imported before it is known what for: ``--version`` and ``--help`` answer at once.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bridge import __version__
from bridge.errors import AlreadyRunning, BridgeError, ConfigError, ExitStatus, Problem, StateError

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from bridge.cli.commands import Options

LEVELS = ("debug", "info", "warning", "error")

_DESCRIPTION = """\
Keeps Wingfield's courts in step with the bookings of Launch27.

Without a command it is the daemon: a pass every sync.interval, until SIGTERM.
"""
_EPILOG = """\
exit status:
  0   in step             75  try again later: a service could not be reached, or another
  1   needs a person          instance holds the state, or the call was interrupted
  2   wrong usage         77  credentials refused
  74  state unusable      78  the configuration is wrong
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for and return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name must not fail where the locale is poor
    try:
        return _run(_parsed(argv))
    finally:
        _flush()
        if argv is None:
            gc.freeze()  # what is there now dies with the process: looking through it once more takes time


# --- arguments ---


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="courtbridge",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"courtbridge {__version__}")
    _add_common(parser)
    parser.set_defaults(log_level="info")
    one = parser.add_argument_group("one pass, instead of the daemon")
    one.add_argument("--once", action="store_true", help="run one pass, then exit")
    one.add_argument("--dry-run", action="store_true", help="print what a pass would write; write nothing")
    one.add_argument(
        "--allow-mass-delete", action="store_true", help="let this one pass delete more than the limits"
    )
    _add_commands(parser)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that may stand before or after the command; the later one counts."""
    parser.add_argument("--config", metavar="PATH", help="the configuration file")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--log-level", choices=LEVELS, help="how much is logged")


def _add_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, what in (
        ("check", "look at configuration, credentials and courts; list every problem"),
        ("status", "show what is in step, what is held back and why, the last passes"),
        ("courts", "show Wingfield's courts and Launch27's services, with [[courts]] to paste"),
        ("demo", "simulate both services on this computer, and run real passes between them"),
    ):
        # What is not said after the command leaves alone what was said before it.
        quiet = argparse.SUPPRESS
        command = commands.add_parser(
            name, help=what, description=what, allow_abbrev=False, argument_default=quiet
        )
        _add_common(command)
        if name == "courts":
            command.add_argument(
                "--facility", metavar="ID", default=None, help="show all courts of this facility"
            )


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments; what does not fit together ends here, with a sentence and status 2."""
    parser = _parser()
    said = parser.parse_args(argv)
    is_pass = said.once or said.dry_run
    if said.command and (is_pass or said.allow_mass_delete):
        parser.error(f"--once, --dry-run and --allow-mass-delete belong to a pass, not to {said.command!r}")
    if said.allow_mass_delete and not is_pass:
        parser.error("--allow-mass-delete is for one pass: say --once (or --dry-run) too")
    if said.json and not said.command and not is_pass:
        parser.error("--json needs --once, --dry-run or a command; the daemon tells its log")
    if said.json and said.command == "demo":
        parser.error("demo has no --json")
    return said


# --- running ---


def _run(said: argparse.Namespace) -> int:
    """Do what was said, and turn whatever goes wrong into a message and an exit status."""
    # Until a pass or the daemon has its own handlers, SIGTERM is to end what Ctrl-C ends.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _dispatched(said)
    except BridgeError as error:
        _tell(said.log_level, _lines(error))
        return error.exit_status
    except KeyboardInterrupt:
        is_daemon = not (said.command or said.once or said.dry_run)
        return ExitStatus.OK if is_daemon else ExitStatus.TRY_LATER
    except BrokenPipeError:
        return ExitStatus.TRY_LATER
    except Exception as error:  # noqa: BLE001 (the last resort)
        # A mistake of ours needs a person; 75 would promise that time mends it.
        _tell_internal(said.log_level, error)
        return ExitStatus.ATTENTION


def _dispatched(said: argparse.Namespace) -> int:
    if said.command == "demo":
        from bridge.cli.demo import demo

        return demo()
    from bridge.cli import commands

    options = commands.Options(said.config, said.json, said.log_level)
    if said.once or said.dry_run:
        return commands.once(options, allow_mass_delete=said.allow_mass_delete, dry_run=said.dry_run)
    if said.command == "check":
        return commands.check(options)
    if said.command == "status":
        return commands.status(options)
    if said.command == "courts":
        return commands.courts(options, said.facility)
    return _daemon(options)


def _daemon(options: Options) -> int:
    from bridge.service import process as daemon

    return daemon.run(options.find(), environ=options.environ, log_level=options.log_level)


# --- telling what went wrong ---

_EVENTS: dict[type[BridgeError], str] = {StateError: "state_unusable", AlreadyRunning: "already_running"}


def _lines(error: BridgeError) -> Iterator[tuple[str, Problem]]:
    """Yield an event and a problem for each line to be told."""
    if isinstance(error, ConfigError):
        for problem in error.problems:
            yield "config_invalid", problem
    else:
        yield _EVENTS.get(type(error), "failed"), Problem("", str(error))


def _tell(log_level: str, lines: Iterator[tuple[str, Problem]]) -> None:
    """Tell a person at a terminal in words, a machine in log lines."""
    if sys.stderr is None:
        return
    if sys.stderr.isatty():
        from bridge.cli.output import visible

        sys.stderr.write("".join(f"courtbridge: {visible(str(problem))}\n" for _, problem in lines))
        return
    log = _log(log_level)
    for event, problem in lines:
        place = {"place": problem.place} if problem.place else {}
        log.error(event, **place, message=problem.message)


def _tell_internal(log_level: str, error: Exception) -> None:
    _log(log_level).error("internal_error", error=type(error).__name__, exception=_trace(error))


def _log(log_level: str) -> FilteringBoundLogger:
    import structlog

    from bridge import log as logs

    logs.configure(log_level)
    log: FilteringBoundLogger = structlog.get_logger()
    return log


def _trace(error: BaseException | None) -> str:
    """Return where an error and those behind it came from: no locals, and no messages, which may name people.

    Of the system's own errors the message is kept: it names at most a file.
    """
    import traceback

    parts: list[str] = []
    while error is not None:
        why = f": {os.strerror(error.errno)}" if isinstance(error, OSError) and error.errno else ""
        frames = "".join(traceback.format_tb(error.__traceback__))
        parts.append(f"{frames}{type(error).__qualname__}{why}")
        inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
        parts += map(_trace, inner)
        error = error.__cause__ or error.__context__
    return "\n\nafter\n\n".join(parts)


def _flush() -> None:
    """Hand over what is still buffered; a reader that has gone is no error at the very end."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError:
            from bridge.cli.output import abandon

            abandon(stream)
