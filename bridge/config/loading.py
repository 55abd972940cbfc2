"""Reads the TOML file into a Config: every value, what must fit together, and the secrets.

Every problem is told in one go. That is why what must fit together is looked for in the raw document:
pydantic looks no further where a value is wrong.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bridge.config.paths import content_and_mode, state_path
from bridge.config.problems import Location, Reading, header, place, quoted_path, sentence, why_unreadable
from bridge.config.schema import (
    Account,
    Config,
    CourtRule,
    Launch27Config,
    MappingConfig,
    SyncConfig,
    Table,
    Tables,
    WingfieldConfig,
)
from bridge.config.secrets import STEM_OF, forms, resolve
from bridge.errors import ConfigError, Problem


def load_config(
    path: Path, environ: Mapping[str, str], *, require_courts: bool = True, require_secrets: bool = True
) -> Config:
    """Return the configuration in the TOML file at ``path``, its secrets fetched.

    Without ``require_courts`` the ``[[courts]]`` are not looked at, and the result has none: for the command
    that helps to write them. Without ``require_secrets`` no secret is fetched, and all are empty: for
    ``status``, which asks no service and may run where the daemon's secrets are out of reach.

    Raises ConfigError with everything that is wrong, never just the first.
    """
    reading = _Examination(path.absolute(), environ, files=[path])
    reading.parse(path)
    if not require_courts:
        reading.document.pop("courts", None)
    reading.resolve_secrets(fetch=require_secrets)
    tables = reading.validate()
    reading.check_accounts()
    if require_courts:
        reading.check_courts()
    files = tuple(dict.fromkeys(reading.files))
    if tables is None or reading.problems:
        found = sorted(reading.problems.items(), key=lambda item: _rank(item[0]))
        problems = [Problem(place(location), message) for location, message in found]
        raise ConfigError(problems, files=files)
    return Config(path=reading.path, warnings=tuple(reading.warnings), files=files, **dict(tables))


def _rank(location: Location) -> tuple[object, ...]:
    """Those of a table belong together, tables as they come in the example, and what nobody knows last."""
    sections = list(Tables.model_fields)
    section = sections.index(str(location[0])) if location[0] in sections else len(sections)
    return (section, *((0, step, "") if isinstance(step, int) else (1, 0, step) for step in location))


# ---------------------------------------------------------------------- the file

_TOML_ERROR = re.compile(
    r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL
)
_TOML_WORDS = {
    "Invalid value": "not a valid TOML value; text goes in quotes",
    "Cannot overwrite": "this key is there already",
    "Duplicate": "this key is there already",
    "Cannot declare": "this table is there already",
    "Cannot mutate": "this table cannot be added to",
    "Cannot redefine": "this table is there already",
    "Unescaped": r"a backslash in a text is written \\",
}


def _toml_problem(text: str) -> str:
    """Return the parser's complaint with its line and column, without the keys and values it may quote."""
    match = _TOML_ERROR.fullmatch(text)
    if not match:
        return "is not valid TOML; start from config.example.toml"
    what = match["what"]
    told = next((ours for theirs, ours in _TOML_WORDS.items() if what.startswith(theirs)), None)
    where = f"line {match['line']}, column {match['column']}" if match["line"] else "at its end"
    return f"{where}: {told or what[:1].lower() + what[1:]}"


# ---------------------------------------------------------------------- the document

_MODELS: dict[tuple[str, ...], type[Table]] = {
    (): Tables,
    ("launch27",): Launch27Config,
    ("launch27", "accounts"): Account,
    ("wingfield",): WingfieldConfig,
    ("sync",): SyncConfig,
    ("mapping",): MappingConfig,
    ("courts",): CourtRule,
}
_KEYS = {table: [key for name in model.model_fields for key in forms(name)] for table, model in _MODELS.items()}
_CONDITIONS = ("service_ids", "location_ids", "team_ids", "custom_field", "custom_values")


@dataclass(slots=True)
class _Examination(Reading):
    """One document, and which of its keys were probably meant to be others."""

    document: dict[str, Any] = field(default_factory=dict)
    meant: dict[Location, Location] = field(default_factory=dict)
    """Unknown keys, and the fields they stand for: those are not missing, they are misspelt."""

    def parse(self, path: Path) -> None:
        """Read the TOML document. Raises ConfigError, for the file as a whole."""
        try:
            raw, self.mode = content_and_mode(path, most_bytes=1_000_000)
            # Editors on Windows put a byte order mark in front, which TOML does not know.
            self.document = tomllib.loads(raw.decode("utf-8-sig"))
        except OSError as error:
            problem = why_unreadable(error)
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            problem = f"line {line} is not valid UTF-8 text; save the file as UTF-8"
        except tomllib.TOMLDecodeError as error:
            problem = _toml_problem(str(error))
        except RecursionError:
            problem = "is nested too deeply; start from config.example.toml"
        except ValueError:
            problem = "a number in it is too long, or its name is none a file can have"
        else:
            return
        raise ConfigError([Problem(quoted_path(path), problem)], files=self.files)

    def resolve_secrets(self, *, fetch: bool) -> None:
        """Fetch the password of each account, and the token."""
        count = len(_list_at(self.document, ("launch27", "accounts")))
        owners: list[Location] = [*(("launch27", "accounts", index) for index in range(count)), ("wingfield",)]
        for owner in owners:
            stem = "token" if owner == ("wingfield",) else "password"
            if isinstance(table := _at(self.document, owner), dict):
                resolve(table, owner, stem, self, fetch=fetch)

    def validate(self) -> Tables | None:
        """Return the tables, or None where a value is wrong or missing, with the problems noted."""
        document, sync = self.document, self.document.get("sync", {})
        if isinstance(sync, dict):
            default = state_path(self.path, self.environ)
            document = {**document, "sync": {"state": default, **sync}}
        try:
            return Tables.model_validate(document, context=self)
        except ValidationError as error:
            errors = error.errors(include_url=False)
        for each in errors:
            if each["type"] == "extra_forbidden":
                self._note_unknown_key(each["loc"])
        for each in errors:
            location = each["loc"]
            if location[-1] == "[key]" and len(location) > 3:
                location = location[:-1]  # pydantic's way to say that the key is wrong
            if not (each["type"] == "missing" and location in self.meant.values()):
                self.found(location, sentence(each))
        return None

    # --- unknown keys ---

    def _note_unknown_key(self, location: Location) -> None:
        """Note a key that nobody knows, with the one that was probably meant."""
        *table, key = location
        found = self._meant_here(tuple(table), str(key)) or self._meant_elsewhere(str(key))
        if found is None:
            message = "unknown key; remove it, or see config.example.toml for those there are"
        else:
            message, (*owner, name) = found
            self.meant[location] = (*owner, STEM_OF.get(str(name), name))
        self.found(location, message)

    def _meant_here(self, table: Location, key: str) -> tuple[str, Location] | None:
        names = _KEYS[tuple(step for step in table if isinstance(step, str))]
        free = [name for name in names if _at(self.document, (*table, name)) is None]
        close = difflib.get_close_matches(key[:40].lower().replace("-", "_"), free, 1)
        return (f"unknown key; did you mean {close[0]}?", (*table, close[0])) if close else None

    def _meant_elsewhere(self, key: str) -> tuple[str, Location] | None:
        """In TOML a key belongs to the header above it: what stands below the wrong one is a common slip."""
        tables = [table for table, keys in _KEYS.items() if key in keys]
        if not tables:
            return None
        table = min(tables, key=lambda table: _at(self.document, (*table, key)) is not None)
        where = f"under {header(table)}" if table else "above all tables, or has a table of its own"
        return f"unknown key here; it belongs {where}", (*table, key)

    # --- what must fit together ---

    def check_accounts(self) -> None:
        """See that no login is there twice: everything of it would be read and counted twice."""
        first: dict[str, int] = {}
        for index, account in enumerate(_list_at(self.document, ("launch27", "accounts"))):
            location = ("launch27", "accounts", index, "email")
            email = _at(account, ("email",))
            if (
                isinstance(email, str)
                and location not in self.problems
                and first.setdefault(email.lower(), index) != index
            ):
                other = place(("launch27", "accounts", first[email.lower()]))
                self.found(location, f"is the address of {other} too; keep one of them")

    def check_courts(self) -> None:
        """See that there are rules, each with a condition, and no two with the same."""
        if self.document.get("courts", []) == [] and ("courts",) not in self.meant.values():
            remedy = '"courtbridge courts" prints blocks to paste'
            message = f"there is no [[courts]] rule, so nothing would be bridged; {remedy}"
            self.found(("courts",), message)
        first: dict[Hashable, int] = {}
        for index, rule in enumerate(_list_at(self.document, ("courts",))):
            if not (isinstance(rule, dict) and self._has_sound_conditions(index, rule)):
                continue
            values = [rule.get(condition) for condition in _CONDITIONS]
            same = tuple(frozenset(each) if isinstance(each, list) else each for each in values)
            if first.setdefault(same, index) != index:
                message = f"has the same conditions as courts[{first[same]}]; change one of them or remove it"
                self.found(("courts", index), message)

    def _has_sound_conditions(self, index: int, rule: dict[str, Any]) -> bool:
        """Whether it is known what the rule asks for; what is missing from it is noted."""
        at_rule = [self.meant.get(location, location) for location in self.problems]
        if any(each[:2] == ("courts", index) and _concerns_conditions(each) for each in at_rule):
            return False
        given = [condition for condition in _CONDITIONS if condition in rule]
        if not given:
            message = f"has no condition; give it {' or '.join(_CONDITIONS[:4])}"
            self.found(("courts", index), message)
        pair = {"custom_field", "custom_values"}
        missing = pair.difference(given)
        if len(missing) == 1:
            (other,) = pair - missing
            self.found(("courts", index, *missing), f"is missing; {other} does not work without it")
        return bool(given) and len(missing) != 1


def _concerns_conditions(location: Location) -> bool:
    return location[2:3] not in {("court_id",), ("name",)}


def _list_at(document: object, location: Location) -> list[Any]:
    found = _at(document, location)
    return found if isinstance(found, list) else []


def _at(document: object, location: Location) -> object:
    """Return what the document has there, None where there is nothing."""
    for step in location:
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and isinstance(step, int) and step < len(document):
            document = document[step]
        else:
            return None
    return document
