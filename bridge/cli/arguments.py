"""The arguments of the command line, and which of them go together."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import __version__

if TYPE_CHECKING:
    from bridge.config.schema import Config, ProcessTables

LEVELS = ("debug", "info", "warning", "error")

_COMMANDS = {
    "check": "check configuration, credentials and courts; list every problem",
    "status": "show what is in sync, what is held and why, the last passes",
    "verify": "read Wingfield's list and show every difference from the ledger; write nothing",
    "approve": "show the withheld deletes and, once confirmed, let exactly these through",
    "day": "show the courts of a day: which bookings are on them, and how they stand",
    "history": "show what was written when and why, newest first",
    "notify": "send a test message through every configured channel",
    "connect": "claim a club's connect token, so that its courts may be written",
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


class Usage(Exception):
    """What was said cannot be meant; the message says what can."""


class Options(argparse.Namespace):
    """What was said on the command line; ``command`` is "once" for a pass and None for the daemon."""

    command: str | None
    config: str | None = None
    club: str | None = None
    process: ProcessTables | None = None
    """What holds for all clubs, where this is about one of many."""
    json: bool = False
    log_level: str = "info"
    once: bool
    dry_run: bool
    allow_mass_delete: bool
    facility: str | None = None
    rehearse: str | None = None
    yes: bool = False
    max_age: timedelta | None = None
    id: str | None = None
    limit: int = 50
    day: date | None = None
    token: str = ""

    @property
    def directory(self) -> Path | None:
        """The directory of clubs that was named, if it is one; one command needs none."""
        named = self.config or os.environ.get("COURTBRIDGE_CONFIG")
        return Path(named) if named and self.command != "demo" and Path(named).is_dir() else None

    def find_config(self) -> Path:
        """Return the configuration file. Raises ConfigError where there is none."""
        from bridge.config.paths import find_config

        return find_config(self.config, os.environ)

    def load_config(self, **require: bool) -> Config:
        """Return the configuration; ``require_courts=False`` and the like as for ``bridge.config``."""
        from bridge.config.clubs import load_club
        from bridge.config.loading import load_config

        if self.process is not None:
            return load_club(self.find_config(), os.environ, self.process, **require)
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
    if options.json and options.command in {"day", "demo"}:
        parser.error(f"{options.command} has no --json")
    if options.club is not None and (options.command is None or options.directory is None):
        parser.error("--club needs a command or --once, and a --config that is a directory of clubs")
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
        if name in {"approve", "check"}:
            command.add_argument("--yes", action="store_true", help="do not ask")
        if name == "status":
            told = "exit 1 when the last complete full pass is older, as in 10m or 1h"
            command.add_argument("--max-age", metavar="LENGTH", type=_length, help=told)
        if name == "day":
            command.add_argument("day", nargs="?", type=_day, metavar="YYYY-MM-DD", help="another day than today")
        if name == "history":
            command.add_argument("id", nargs="?", metavar="ID", help="only this booking")
            command.add_argument("--limit", type=int, metavar="N", default=50, help="show so many (50)")
        if name == "check":
            tries = "try Wingfield's rules on this court, 400 days ahead, and remove everything again"
            command.add_argument("--rehearse", metavar="COURT_ID", help=tries)
        if name == "connect":
            command.add_argument("token", metavar="TOKEN", help="the connect token that the club gave you")
        if name == "courts":
            command.add_argument("--facility", metavar="ID", help="show all courts of this facility")
    return parser


def _length(text: str) -> timedelta:
    from bridge.config.values import length

    try:
        return length(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _day(text: str) -> date:
    with suppress(ValueError):
        if text.startswith("2"):  # wherever its zone is, such a day lies within the calendar
            return date.fromisoformat(text)
    raise argparse.ArgumentTypeError(f'"{text}" is not a day; write it like 2026-11-20')


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that may stand before or after the command; the later one counts."""
    unsaid = argparse.SUPPRESS  # what is not said here was perhaps said before
    parser.add_argument(
        "--config", metavar="PATH", default=unsaid, help="the configuration file, or a directory of clubs"
    )
    parser.add_argument("--club", metavar="NAME", default=unsaid, help="one club of the directory")
    parser.add_argument("--json", action="store_true", default=unsaid, help="print the result as JSON")
    parser.add_argument("--log-level", choices=LEVELS, default=unsaid, help="how much is logged")
