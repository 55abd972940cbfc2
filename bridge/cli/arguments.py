"""The arguments of the command line, and which of them go together."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import __version__

if TYPE_CHECKING:
    from bridge.config.schema import Config

LEVELS = ("debug", "info", "warning", "error")

_COMMANDS = {
    "check": "check configuration, credentials and courts; list every problem",
    "status": "show what is in sync, what is held and why, the last passes",
    "approve": "show the withheld deletes and, once confirmed, let exactly these through",
    "courts": "show Wingfield's courts and Launch27's services, with [[courts]] to paste",
    "demo": "simulate both services on this computer, and run real passes between them",
}
_DESCRIPTION = """\
Keeps Wingfield's courts in sync with the bookings of Launch27.

Without a command it runs as a daemon: a pass every sync.interval, until SIGTERM.
"""
_EPILOG = """\
exit status:
  0   in sync             75  try again later: a service could not be reached, another
  1   needs a person          instance has the lock, or the call was interrupted
  2   wrong usage         77  credentials refused
  74  state unusable      78  the configuration is wrong
"""


class Options(argparse.Namespace):
    """What was said on the command line; ``command`` is "once" for a pass and None for the daemon."""

    command: str | None
    config: str | None = None
    json: bool = False
    log_level: str = "info"
    once: bool
    dry_run: bool
    allow_mass_delete: bool
    facility: str | None = None
    yes: bool = False
    max_age: timedelta | None = None

    def find_config(self) -> Path:
        """Return the configuration file. Raises ConfigError where there is none."""
        from bridge.config.paths import find_config

        return find_config(self.config, os.environ)

    def load_config(self, **require: bool) -> Config:
        """Return the configuration; ``require_courts=False`` and the like as for ``bridge.config``."""
        from bridge.config.loading import load_config

        return load_config(self.find_config(), os.environ, **require)


def parse(argv: Sequence[str] | None) -> Options:
    """Return what was said. Wrong usage ends the process here, with a sentence and status 2."""
    parser = _parser()
    options = parser.parse_args(argv, Options())
    is_pass = options.once or options.dry_run
    if options.command and (is_pass or options.allow_mass_delete):
        parser.error(f"--once, --dry-run and --allow-mass-delete belong to a pass, not to {options.command!r}")
    if options.allow_mass_delete and not is_pass:
        parser.error("--allow-mass-delete is for one pass: say --once (or --dry-run) too")
    if is_pass:
        options.command = "once"
    if options.json and options.command is None:
        parser.error("--json needs --once, --dry-run or a command; the daemon only writes its log")
    if options.json and options.command == "demo":
        parser.error("demo has no --json")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("courtbridge", description=_DESCRIPTION, epilog=_EPILOG, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--version", action="version", version=f"courtbridge {__version__}")
    _add_common(parser)
    one = parser.add_argument_group("one pass, instead of the daemon")
    one.add_argument("--once", action="store_true", help="run one pass, then exit")
    one.add_argument("--dry-run", action="store_true", help="print what a pass would write; write nothing")
    one.add_argument("--allow-mass-delete", action="store_true", help="let this one pass delete more than the limits")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, what in _COMMANDS.items():
        command = commands.add_parser(name, help=what, description=what, allow_abbrev=False)
        _add_common(command)
        if name == "approve":
            command.add_argument("--yes", action="store_true", help="do not ask")
        if name == "status":
            told = "exit 1 when the last complete full pass is older, as in 10m or 1h"
            command.add_argument("--max-age", metavar="LENGTH", type=_length, help=told)
        if name == "courts":
            command.add_argument("--facility", metavar="ID", help="show all courts of this facility")
    return parser


def _length(text: str) -> timedelta:
    from bridge.config.values import length

    try:
        return length(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that may stand before or after the command; the later one counts."""
    unsaid = argparse.SUPPRESS  # what is not said here was perhaps said before
    parser.add_argument("--config", metavar="PATH", default=unsaid, help="the configuration file")
    parser.add_argument("--json", action="store_true", default=unsaid, help="print the result as JSON")
    parser.add_argument("--log-level", choices=LEVELS, default=unsaid, help="how much is logged")
