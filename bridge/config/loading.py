"""Reads the TOML file into a Config.

Every problem is told in one go. That is why what must fit together is looked for in the raw document:
pydantic looks no further where a value is wrong.
"""

from __future__ import annotations

import functools
import operator
import re
import tomllib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from bridge.config.paths import file_named, is_there, state_path, text_and_mode
from bridge.config.problems import Location, Reading, Wrong, header, place, quoted_path, sentence, shown
from bridge.config.schema import TABLES, Config, ProcessTables, Table, Tables
from bridge.config.secrets import STEM_OF, STEMS, forms, resolve
from bridge.errors import ConfigError, Problem

T = TypeVar("T", bound=Table)
_OF_PROCESS = ("web", "notify")


def load_config(
    path: Path,
    environ: Mapping[str, str],
    *,
    require_courts: bool = True,
    require_secrets: bool = True,
    is_one_of_many: bool = False,
) -> Config:
    """Return the configuration in the TOML file at ``path``, its secrets fetched.

    Without ``require_courts`` the ``[[courts]]`` are not looked at, and the result has none: for the command
    that helps to write them. Without ``require_secrets`` no secret is fetched, and all are empty: for
    ``status``, which asks no service and may run where the daemon's secrets are out of reach. One of many clubs
    has no tables of the process.

    Raises ConfigError with everything that is wrong, never just the first.
    """
    reading = _Examination(path.absolute(), environ, files=[path], is_one_of_many=is_one_of_many)
    reading.parse(path)
    if not require_courts:
        reading.document.pop("courts", None)
    if is_one_of_many:
        reading.refuse(_OF_PROCESS, "is for all clubs; move it to courtbridge.toml")
    reading.resolve_secrets(fetch=require_secrets)
    tables = reading.validate(Tables)
    reading.check_accounts()
    if require_courts:
        reading.check_courts()
    if tables is None or reading.problems:
        raise reading.error()
    own: dict[str, Any] = {"path": reading.path, "warnings": tuple(reading.warnings), "files": tuple(reading.files)}
    return Config.model_construct(**own, **dict(tables))  # all of it is validated already


def load_process(path: Path, environ: Mapping[str, str], *, require_secrets: bool = True) -> ProcessTables:
    """Return what ``courtbridge.toml`` beside many clubs holds; nothing where there is none. Raises ConfigError."""
    if not is_there(path):
        return ProcessTables(files=(path,))
    reading = _Examination(path.absolute(), environ, files=[path])
    reading.parse(path)
    reading.refuse(reading.document.keys() - set(_OF_PROCESS), "is a club's; move it to the file of one")
    reading.resolve_secrets(fetch=require_secrets)
    tables = reading.validate(ProcessTables)
    if tables is None or reading.problems:
        raise reading.error()
    return tables.model_copy(update={"files": tuple(reading.files)})


def find_state(path: Path, environ: Mapping[str, str], *, is_one_of_many: bool = False) -> Path:
    """Return where the state is, as far as the file at ``path`` can say it, whatever else is wrong with it."""
    try:
        document = tomllib.loads(text_and_mode(path, most_bytes=1_000_000, pipes=False)[0])
        return path.absolute().parent / file_named(str(document["sync"]["state"]))
    except (Wrong, ValueError, KeyError, TypeError, RecursionError):
        return state_path(path.absolute(), environ, is_one_of_many=is_one_of_many)


_TOML_WORDS = {
    ("Cannot overwrite", "Duplicate"): "this key is there already",
    ("Cannot declare", "Cannot redefine"): "this table is there already",
    ("Cannot mutate",): "this table cannot be added to",
    ("Unescaped",): r"a backslash in a text is written \\",
    ("Unclosed array",): "a list lacks its closing bracket, or a comma between two values",
}
_MISTAKES = {
    r"""[^=#]*=\s*(?:"[^"]*|'[^']*)$""": "the quote at the end of the text is missing",
    r"[^=#\"']*=\s*[+-]?(?:\d+,|\.)\d+\s*(?:#|$)": "a number has a point, and a digit before it, like 0.2",
    r"(?i)[^=#]*=\s*(?:true|false|yes|no|on|off)\s*(?:#|$)": "write true or false, in small letters",
    r".*[“”„‘’]": 'quotes are straight ones, as in "text"',
    r"""[^=#]*=\s*(?!["'\[{])""": "not a valid TOML value; text goes in quotes",
    r"""\s*(?:[\w-]+\s*:|[^=#"'\[\s][^=#"']*$)""": "write key = value",
}
"""What people get wrong, by how the line looks: the parser only says where it gave up."""
_RULE = re.compile(r"^[ \t]*\[\[[ \t]*courts[ \t]*\]\]", re.MULTILINE)
_ONE_BRACKET = re.compile(r"^[ \t]*\[(courts|launch27\.accounts)\]", re.MULTILINE)
_OPEN_QUOTE = re.compile(r"^[^=#\n]*= *'[^'\n]*$", re.MULTILINE)


def _toml_problem(text: str, document: str) -> str:
    """Return the parser's complaint with its line, as a remedy; without the keys and values it may quote."""
    what, _, where = text.removesuffix(")").rpartition(" (at ")
    if not what:
        return "is not valid TOML; start from config.example.toml"
    told = next((ours for theirs, ours in _TOML_WORDS.items() if what.startswith(theirs)), None)
    if what.startswith("Cannot") and (found := _ONE_BRACKET.search(document)):
        return f"line {_line(document, found)}: write [[{found[1]}]], with two pairs of brackets, above each of them"
    if "end of document" in where and (found := _OPEN_QUOTE.search(document)):
        return f"line {_line(document, found)}: the quote at the end of the text is missing"
    if told is None and (at := re.match(r"line (\d+)", where)):
        line = [*document.splitlines(), ""][int(at[1]) - 1]
        told = next((ours for looks, ours in _MISTAKES.items() if re.match(looks, line)), None)
    where = where.replace("end of document", "at its end")
    return f"{where}: {told or what[:1].lower() + what[1:]}"


def _line(document: str, found: re.Match[str]) -> int:
    return document.count("\n", 0, found.start()) + 1


_KEYS = {table: [key for name in model.model_fields for key in forms(name)] for table, model in TABLES.items()}
_CONDITIONS = ("service_ids", "location_ids", "team_ids", "custom_field", "custom_values")


@dataclass(slots=True)
class _Examination(Reading):
    """One document, and which of its keys were probably meant to be others."""

    document: dict[str, Any] = field(default_factory=dict)
    is_one_of_many: bool = False
    meant: dict[Location, Location] = field(default_factory=dict)
    """Unknown keys, and the fields they stand for: those are not missing, they are misspelt."""
    rule_lines: list[int] = field(default_factory=list)
    """The line of each [[courts]], counted from 1."""

    def parse(self, path: Path) -> None:
        """Read the TOML document. Raises ConfigError, for the file as a whole."""
        try:
            text, self.mode = text_and_mode(path, most_bytes=1_000_000, pipes=True)
            self.document = tomllib.loads(text)
            self.rule_lines = [_line(text, found) for found in _RULE.finditer(text)]
        except Wrong as wrong:
            problem = str(wrong)
        except tomllib.TOMLDecodeError as error:
            problem = _toml_problem(str(error), text)
        except RecursionError:
            problem = "is nested too deeply; start from config.example.toml"
        except ValueError:
            problem = "a number in it is too long, or its name is none a file can have"
        else:
            return
        raise ConfigError([Problem(quoted_path(path), problem)], files=self.files)

    def rule(self, location: Location) -> str:
        """Return the name and line of the rule that a place is in, to be put behind a problem; "" for other places."""
        rules = _list_at(self.document, ("courts",))
        if location[:1] != ("courts",) or len(location) < 2 or not isinstance(index := location[1], int):
            return ""
        name = _at(rules, (index, "name"))
        told = [shown(name)] if isinstance(name, str) and name else []
        if len(rules) == len(self.rule_lines):  # else they are written in another way
            told.append(f"line {self.rule_lines[index]}")
        return f" ({', '.join(told)})" if told else ""

    def refuse(self, tables: Iterable[str], message: str) -> None:
        """Note each of the tables that is there, and look no further at it."""
        for name in tables:
            if self.document.pop(name, None) is not None:
                self.found((name,), message)

    def resolve_secrets(self, *, fetch: bool) -> None:
        """Put every secret under its one key, fetched where that is asked for."""
        for location, model in TABLES.items():
            stems = [stem for stem in STEMS if stem in model.model_fields]
            several: list[Location] = [(*location, n) for n in range(len(_list_at(self.document, location)))]
            for owner in several or [location]:
                for stem in stems:
                    resolve(_at(self.document, owner), owner, stem, self, fetch=fetch)

    def error(self) -> ConfigError:
        """Return all that was found: tables as they come in the example, and what nobody knows last."""
        order = {table: number for number, table in enumerate(Tables.model_fields)}
        found = sorted(self.problems, key=lambda location: (order.get(str(location[0]), len(order)), location))
        problems = (Problem(place(each), f"{self.problems[each]}{self.rule(each)}") for each in found)
        return ConfigError(problems, files=self.files)

    def validate(self, model: type[T]) -> T | None:
        """Return the tables, or None where a value is wrong or missing, with the problems noted."""
        document, sync = self.document, self.document.get("sync", {})
        if model is Tables and isinstance(sync, dict):
            default = state_path(self.path, self.environ, is_one_of_many=self.is_one_of_many)
            document = {**document, "sync": {"state": default, **sync}}
        try:
            return model.model_validate(document, context=self)
        except ValidationError as error:
            found = error.errors(include_url=False)
            errors = [each for each in found if each["type"] != "default_factory_not_called"]  # the cause is among them
        for each in sorted(errors, key=lambda each: each["type"] != "extra_forbidden"):
            location = each["loc"]
            if each["type"] == "extra_forbidden":
                self._note_unknown_key(location)
            elif location[-1] == "[key]" and len(location) > 3:  # pydantic's way to say that the key is wrong
                self.found(location[:-1], sentence(each))
            elif each["type"] == "too_short" and each["input"]:
                pass  # pydantic counts the items that are right: of the others each is told by itself
            elif not (each["type"] == "missing" and location in self.meant.values()):
                self.found(location, sentence(each))
        return None

    def _note_unknown_key(self, location: Location) -> None:
        """Note a key that nobody knows, with the one that was probably meant.

        In TOML a key belongs to the header above it: what stands below the wrong one is a common slip.
        """
        import difflib  # a right configuration need not wait for it

        table, key = location[:-1], str(location[-1])
        names = _KEYS[tuple(step for step in table if isinstance(step, str))]
        free = [name for name in names if _at(self.document, (*table, name)) is None]
        elsewhere = [other for other, keys in _KEYS.items() if key in keys]
        message = "unknown key; remove it, or see config.example.toml for those there are"
        if close := difflib.get_close_matches(key[:40].lower().replace("-", "_"), free, 1):
            message = f"unknown key; did you mean {close[0]}?"
            self.meant[location] = (*table, STEM_OF.get(close[0], close[0]))
        elif elsewhere:
            owner = min(elsewhere, key=lambda other: _at(self.document, (*other, key)) is not None)
            where = f"under {header(owner)}" if owner else "above all tables, or has a table of its own"
            message = f"unknown key here; it belongs {where}"
            self.meant[location] = (*owner, STEM_OF.get(key, key))
        self.found(location, message)

    def check_accounts(self) -> None:
        """See that each login has one secret, and none is there twice: all of it would be read and counted twice."""
        first: dict[str, int] = {}
        for index, account in enumerate(_list_at(self.document, ("launch27", "accounts"))):
            self._check_secret(account, ("launch27", "accounts", index))
            email = str(_at(account, ("email",)) or index).lower()
            location = ("launch27", "accounts", index, "email")
            if location not in self.problems and first.setdefault(email, index) != index:
                other = place(("launch27", "accounts", first[email]))
                self.found(location, f"is the address of {other} too; keep one of them")

    def _check_secret(self, account: object, owner: Location) -> None:
        password, token = (*owner, "password"), (*owner, "token")
        given = [_at(account, location[-1:]) is not None for location in (password, token)]
        if all(given):
            self.found(token, "is given beside a password; keep one of them")
        elif isinstance(account, dict) and not any(given) and not {password, token} & set(self.meant.values()):
            message = (
                "is missing; give one of password, password_env, password_file, or of token, token_env, token_file"
            )
            self.found(password, message)

    def check_courts(self) -> None:
        """See that there are rules or Wingfield's mappings; each rule with a condition, and no two with the same."""
        is_mapped = _at(self.document, ("wingfield", "court_mappings")) is not None
        if not is_mapped and self.document.get("courts", []) == [] and ("courts",) not in self.meant.values():
            problem = "there is no [[courts]] rule, so nothing would be bridged"
            self.found(("courts",), f'{problem}; "courtbridge courts" prints blocks to paste')
        concerned = [self.meant.get(location, location) for location in self.problems]
        doubtful = {each[:2] for each in concerned if each[2:3] not in {("court_id",), ("name",)}}
        first: dict[Hashable, int] = {}
        for index, rule in enumerate(_list_at(self.document, ("courts",))):
            if ("courts", index) in doubtful:
                continue
            given = [condition for condition in _CONDITIONS if condition in rule]
            missing = {"custom_field", "custom_values"}.difference(given)
            if not given:
                message = f"has no condition; give it {' or '.join(_CONDITIONS[:4])}"
                self.found(("courts", index), message)
            elif len(missing) == 1:
                (other,) = {"custom_field", "custom_values"} - missing
                self.found(("courts", index, *missing), f"is missing; {other} does not work without it")
            else:
                values = [rule.get(condition) for condition in _CONDITIONS]
                same = tuple(frozenset(each) if isinstance(each, list) else each for each in values)
                if first.setdefault(same, index) != index:
                    message = f"has the same conditions as courts[{first[same]}]; change one of them or remove it"
                    self.found(("courts", index), message)


def _list_at(document: object, location: Location) -> list[Any]:
    found = _at(document, location)
    return found if isinstance(found, list) else []


def _at(document: object, location: Location) -> object:
    """Return what the document has there, None where there is nothing."""
    try:
        return functools.reduce(operator.getitem, location, document)  # type: ignore[arg-type]
    except (KeyError, IndexError, TypeError):
        return None
