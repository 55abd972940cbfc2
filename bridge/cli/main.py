"""The command line: arguments in, exit status out. Each command has a file of its own.

Nothing slow is imported before it is known what for: ``--version`` and ``--help`` answer at once.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from bridge.cli.arguments import Options, parse
from bridge.cli.attempt import attempt, show_failure
from bridge.errors import ExitStatus


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for and return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name must not fail where the locale is poor
    try:
        return _run(parse(argv))
    except SystemExit as ended:
        if ended.code == ExitStatus.USAGE and "--json" in (sys.argv if argv is None else argv):
            from bridge.cli.output import show_failure as show

            show("wrong usage; standard error says what is wrong")
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
        return attempt(options, _command if options.command is None or options.directory is None else _for_clubs)
    except KeyboardInterrupt:
        show_failure(options, "interrupted")
        return ExitStatus.OK if options.command is None else ExitStatus.TRY_LATER


def _for_clubs(options: Options) -> int:
    from bridge.cli import clubs

    assert options.directory is not None  # noqa: S101
    return clubs.run(options, options.directory, _command)


def _command(options: Options) -> int | Coroutine[Any, Any, int]:
    """Import the one command that was asked for, which has a file of its own name, and run it, or begin to."""
    if options.command is None:
        from bridge.service import process

        return process.run(
            options.find_config(), environ=os.environ, log_level=options.log_level, log_format=options.log_format
        )
    if options.command == "once":
        # A pass makes many objects and hardly a cycle of them: looking for cycles less often saves a tenth.
        gc.set_threshold(10_000, 20, 20)
        gc.disable()  # while it imports, which makes more objects than the pass
        # Looking for plugins of pydantic, which nobody has here, would read the metadata of every package.
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    command = importlib.import_module(f"bridge.cli.{options.command}")
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
    done: int | Coroutine[Any, Any, int] = command.run(options)
    return done


def _flush() -> None:
    """Hand over what is still buffered; a reader that has gone is no error at the very end."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            from bridge.cli.output import abandon

            abandon(stream)
