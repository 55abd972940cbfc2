"""The arguments of the command line, and which of them go together."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bridge import __version__

if TYPE_CHECKING:
    from bridge.config.schema import Config, ProcessTables

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("auto", "text", "json")

COMMANDS = {
    "check": "check configuration, credentials, courts and what the services answer; list every problem",
    "status": "show what is in sync, what is held and why, the last passes",
    "verify": "read Wingfield's list and show every difference from the ledger; write nothing",
    "approve": "show the withheld deletes and, once confirmed, let exactly these through",
    "day": "show the courts of a day: which bookings are on them, and how they stand",
    "withdraw": "delete in Wingfield what was brought there and is still to come; stop the daemon first",
    "history": "show what was written when and why, newest first",
    "notify": "send a test message through every configured channel",
    "connect": "claim a club's connect token, so that its courts may be written",
    "courts": "show Wingfield's courts and Launch27's services, with [[courts]] to paste",
    "demo": "simulate both services on this computer, and run real passes between them",
}
_DESCRIPTION = """\
Keeps Wingfield's courts in sync with
the bookings of Launch27.

Without a command it runs as a daemon:
a pass every interval, until SIGTERM.
"""
_EPILOG = """\
exit status:
  0   in sync
  1   needs a person
  2   wrong usage
  74  state unusable
  75  try again later: no answer, the
      lock is taken, or interrupted
  77  credentials refused
  78  the configuration is wrong
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
    others: dict[str, Config]
    """The configurations of the clubs that came before, where this is about all of them."""
    json: bool = False
    log_level: str = "info"
    once: bool
    dry_run: bool
    allow_mass_delete: bool
    facility: str | None = None
    rehearse: str | None = None
    report: str | None = None
    offline: bool = False
    yes: bool = False
    max_age: timedelta | None = None
    id: str | None = None
    limit: int = 50
    day: date | None = None
    token: str = ""
    serve: bool = False
    court: str | None = None
    log_format: str = "auto"

    @property
    def log_form(self) -> str:
        """The ``form`` of ``log.configure``: "auto" is for passes and the daemon, other commands talk to people."""
        return "plain" if self.log_format == "auto" and self.command not in {None, "once"} else self.log_format

    def set_up_log(self) -> Any:  # noqa: ANN401 (structlog's own type)
        """Set the log up as was asked for, and return a logger."""
        from bridge import log

        log.configure(self.log_level, form=self.log_form)
        return log.get_logger()

    @property
    def directory(self) -> Path | None:
        """The directory of clubs that was named, if it is one; one command needs none."""
        named = self.config or os.environ.get("COURTBRIDGE_CONFIG")
        return Path(named) if named and self.command != "demo" and Path(named).is_dir() else None

    def find_config(self) -> Path:
        """Return the configuration file. Raises ConfigError where there is none."""
        from bridge.config.paths import find_config

        return find_config(self.config, os.environ)

    def load_config(self, environ: Mapping[str, str] = os.environ, **require: bool) -> Config:
        """Return the configuration; ``require_courts=False`` and the like as for ``bridge.config``."""
        from bridge.config.clubs import check_unlike, load_club
        from bridge.config.loading import load_config

        if self.process is not None:
            config = load_club(self.find_config(), environ, self.process, **require)
            check_unlike(config, self.others)
            self.others[config.path.stem] = config
            return config
        return load_config(self.find_config(), environ, **require)


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
    if options.offline and (options.report or options.rehearse):
        parser.error("--offline asks no service: there is nothing to report, and nothing to rehearse")
    if options.json and options.command is None:
        parser.error("--json needs --once, --dry-run or a command; the daemon only writes its log")
    if options.json and options.command in {"day", "demo"}:
        parser.error(f"{options.command} has no --json")
    if options.club is not None and (options.command is None or options.directory is None):
        parser.error("--club needs a command or --once, and a --config that is a directory of clubs")
    return options


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in lines that fit the terminal; its own would be as long as the list of commands."""

    def error(self, message: str) -> NoReturn:
        from bridge.cli.output import complain

        complain(f'{self.prog}: error: {message}; see "{self.prog} --help"')
        self.exit(2)


def _parser() -> argparse.ArgumentParser:
    usage = "courtbridge [options] [COMMAND]"
    parser = _Parser("courtbridge", usage=usage, description=_DESCRIPTION, epilog=_EPILOG, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--version", action="version", version=f"courtbridge {__version__}")
    _add_common(parser)
    one = parser.add_argument_group("one pass, instead of the daemon")
    one.add_argument("--once", action="store_true", help="run one pass, then exit")
    one.add_argument("--dry-run", action="store_true", help="print what a pass would write; write nothing")
    one.add_argument("--allow-mass-delete", action="store_true", help="let this one pass delete more than the limits")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", prog="courtbridge")
    for name, what in COMMANDS.items():
        arguments = _ARGUMENTS.get(name, {})
        values = (
            f"[{how['metavar']}]" if "nargs" in how else how["metavar"]
            for argument, how in arguments.items()
            if not argument.startswith("-")
        )
        usage = " ".join(("courtbridge", name, *values, "[--...]"))  # so short that it fits 40 columns
        command = commands.add_parser(name, usage=usage, help=what, description=what, allow_abbrev=False)
        _add_common(command)
        for argument, how in arguments.items():
            command.add_argument(argument, **how)
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


def _uuid(text: str) -> str:
    from uuid import UUID

    with suppress(ValueError):
        if str(UUID(text)) == text.lower():
            return text
    raise argparse.ArgumentTypeError(f'"{text}" is not a valid UUID, like 79ae2927-a9bc-46ed-8f9e-079af32b7616')


def _count(text: str) -> int:
    if text.isdecimal() and int(text) >= 1:
        return int(text)
    raise argparse.ArgumentTypeError(f'"{text}" is not a number of at least 1')


_YES: dict[str, Any] = {"action": "store_true", "help": "do not ask"}
_ARGUMENTS: dict[str, dict[str, dict[str, Any]]] = {
    "approve": {"--yes": _YES},
    "check": {
        "--yes": _YES,
        "--offline": {"action": "store_true", "help": "look at the configuration and its secrets only; ask no service"},
        "--report": {
            "metavar": "FILE",
            "help": "write what the services answered to FILE: paths, kinds and counts, no personal data",
        },
        "--rehearse": {
            "metavar": "COURT_ID",
            "type": _uuid,
            "help": "try Wingfield's rules on this court, 400 days ahead, and remove everything again",
        },
    },
    "connect": {"token": {"metavar": "TOKEN", "help": "the connect token that the club gave you"}},
    "courts": {"--facility": {"metavar": "ID", "type": _uuid, "help": "show all courts of this facility"}},
    "day": {"day": {"nargs": "?", "type": _day, "metavar": "DAY", "help": "another day than today, as in 2026-11-20"}},
    "demo": {
        "--serve": {
            "action": "store_true",
            "help": "go on as a living club, with the daemon and a page to look at, until Ctrl-C",
        }
    },
    "history": {
        "id": {"nargs": "?", "metavar": "ID", "help": "only this booking"},
        "--limit": {"type": _count, "metavar": "N", "default": 50, "help": "show so many (50)"},
    },
    "status": {
        "--max-age": {
            "metavar": "LENGTH",
            "type": _length,
            "help": "exit 1 when the last complete full pass is older, as in 10m or 1h",
        }
    },
    "withdraw": {"--yes": _YES, "--court": {"metavar": "ID", "help": "only what it brought to this court"}},
}
"""What a command takes beside the common options: name, and how argparse reads it."""


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that may stand before or after the command; the later one counts."""
    unsaid = argparse.SUPPRESS  # what is not said here was perhaps said before
    parser.add_argument(
        "--config", metavar="PATH", default=unsaid, help="the configuration file, or a directory of clubs"
    )
    parser.add_argument("--club", metavar="NAME", default=unsaid, help="one club of the directory")
    parser.add_argument("--json", action="store_true", default=unsaid, help="print the result as JSON")
    levels = f"how much is logged: {', '.join(LEVELS)}"
    parser.add_argument("--log-level", choices=LEVELS, metavar="LEVEL", default=unsaid, help=levels)
    forms = "text, json, or auto: JSON for a pass or the daemon without a terminal, else lines for people"
    parser.add_argument("--log-format", choices=FORMATS, metavar="FORMAT", default=unsaid, help=forms)
