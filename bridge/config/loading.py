"""Reads the TOML file: every value, what must fit together, and the secrets; every problem at once.

Top to bottom: what each key may hold (pydantic); how a complaint of pydantic's becomes a sentence; what must
fit together. The last part looks at the raw document, because pydantic stops looking further where a value
has failed, and the operator is to see everything in one go.

One rule runs through all of it: no message ever shows a secret or an e-mail address, not even one that was
put under the wrong key.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
import stat
import tomllib
import unicodedata
import zoneinfo
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainValidator, ValidationError

from bridge.config.schema import (
    Account,
    Config,
    CourtRule,
    Launch27Config,
    MappingConfig,
    Secret,
    SyncConfig,
    WingfieldConfig,
    account_key,
    config_path_state,
    is_there,
)
from bridge.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails


def load(path: Path, environ: Mapping[str, str], *, require_courts: bool, require_secrets: bool) -> Config:
    """Return the configuration in the TOML file at ``path``; see :func:`bridge.config.schema.load_config`."""
    document, mode = _parsed(path)
    if not require_courts:
        document.pop("courts", None)
    examination = _Examination(path.absolute(), environ, document, mode)
    file = _check_each_value(examination)
    _check_accounts(examination)
    _check_secrets(examination, fetch=require_secrets)
    _check_state(examination)
    if require_courts:
        _check_courts(examination)
    if file is None or examination.problems:
        raise ConfigError(examination.in_order())
    return _built(file, examination)


# ---------------------------------------------------------------------- what a value may be


class _Wrong(ValueError):
    """What is wrong with one value, as the sentence the operator reads."""


def _shown(value: object) -> str:
    """Return how a message may show a value: short, on one line, and nothing that might be private."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        # Python refuses to write out an integer of thousands of digits.
        return str(value) if isinstance(value, float) or abs(value) < 10**18 else "the number"
    return "a list" if isinstance(value, list) else "a table" if isinstance(value, dict) else "a date or time"


def _quoted(text: str) -> str:
    # A token or an address pasted under a neighbouring key is still a token or an address.
    if "@" in text or text.lower().startswith("tok_"):
        return "the value"
    text = text if len(text) <= 60 else f"{text[:57]}…"
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _has_control_character(text: str) -> bool:
    return any(unicodedata.category(character) in {"Cc", "Cs"} for character in text)


def _between(low: float, high: float) -> AfterValidator:
    def check(value: float) -> float:
        if not low <= value <= high:  # so written, it refuses nan too
            raise _Wrong(f"{_shown(value)} is not between {low} and {high}")
        return value

    return AfterValidator(check)


def _one_of(*words: str) -> AfterValidator:
    def check(value: str) -> str:
        if value not in words:
            raise _Wrong(f"{_shown(value)} is not possible; write {' or '.join(map(_shown, words))}")
        return value

    return AfterValidator(check)


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _uuid(remedy: str) -> AfterValidator:
    def check(value: str) -> str:
        if not _UUID.fullmatch(value.lower()):
            raise _Wrong(f"{_shown(value)} is no UUID; {remedy}")
        return value.lower()

    return AfterValidator(check)


_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(low: timedelta, high: timedelta) -> PlainValidator:
    def check(value: object) -> timedelta:
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if not match:
            raise _Wrong(f'{_shown(value)} is no length of time; write it like "30s", "5m", "1h" or "2d"')
        length = timedelta(**{_UNITS[match[2]]: int(match[1])})
        if length < low:
            raise _Wrong(f"{_shown(value)} is too short; write at least {_shown(f'{low.seconds}s')}")
        if length > high:
            raise _Wrong(f"{_shown(value)} is too long; write at most {_shown(f'{high.days}d')}")
        return length

    return PlainValidator(check)


_ADDRESS = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)*")


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value) or _has_control_character(value):
        raise _Wrong("the value is no e-mail address; write the whole address")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise _Wrong("is empty; fill it in or leave it out")
    return value


def _filled(values: list[Any]) -> list[Any]:
    if not values:
        raise _Wrong("is an empty list, which nothing matches; fill it in or leave it out")
    return values


def _service_id(key: str) -> int:
    if not re.fullmatch(r"0|[1-9][0-9]{0,17}", key):
        raise _Wrong(
            f'{_shown(key)} is no service id; write the whole number that "courtbridge courts" shows'
        )
    return int(key)


def _zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        close = difflib.get_close_matches(name[:60], _all_zones(), 1)
        remedy = f"did you mean {_shown(close[0])}?" if close else 'write one like "Europe/Berlin"'
        raise _Wrong(f"{_shown(name)} is no time zone; {remedy}") from None
    return name


@cache
def _all_zones() -> tuple[str, ...]:
    return tuple(sorted(zoneinfo.available_timezones()))


def _id_prefix(value: str) -> str:
    if not value.isprintable():
        raise _Wrong("holds a control character; use letters, dashes and the like")
    if "/" in value or "\\" in value:
        raise _Wrong(f'{_shown(value)} holds a slash; use a dash instead, as in "club-"')
    if value[-1:].isnumeric():
        raise _Wrong(f'{_shown(value)} ends in a digit, which would run into the ids; end it like "club-"')
    return value


def _file_name(value: str) -> str:
    if not value.strip() or value.endswith("/") or _has_control_character(value):
        raise _Wrong("names no file; write the path of one")
    return value


def _base_url(value: str) -> str:
    """Return the URL without its trailing slashes; one with secrets in it is refused without being shown."""
    if "@" in value:
        raise _Wrong('has an "@" in it; leave user name and password out')
    if "?" in value or "#" in value:
        raise _Wrong('has a "?" or a "#" in it; end it with the path')
    parts, port = _split(value)
    if parts is None or parts.scheme not in {"http", "https"} or not _is_host(parts.hostname):
        raise _Wrong(f'{_shown(value)} is no address of a service; write one like "https://host/path"')
    if port == 0:
        raise _Wrong(f"{_shown(value)} has a port that does not exist; leave it out or write 1 to 65535")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise _Wrong(f"{_shown(value)} would send secrets unencrypted; write https://")
    return value.rstrip("/")


def _split(url: str) -> tuple[SplitResult | None, int | None]:
    """Return the URL's parts and its port: 0 for a port out of range, nothing for what is no URL."""
    if not url.isprintable() or " " in url:
        return None, None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None, None
    try:
        return parts, parts.port
    except ValueError:
        return parts, 0


def _is_host(host: str | None) -> bool:
    if not host:
        return False
    if _ip_address(host):
        return True
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return all(character.isalnum() or character in "-._" for character in host)


def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _ip_address(host)
    return host == "localhost" if address is None else address.is_loopback


# ---------------------------------------------------------------------- what the file may hold

_Id: TypeAlias = Annotated[int, _between(0, 10**18 - 1)]
_Ids: TypeAlias = Annotated[list[_Id], AfterValidator(_filled), AfterValidator(frozenset)]
_Minutes: TypeAlias = Annotated[int, _between(1, 1440)]
_Name: TypeAlias = Annotated[str, AfterValidator(_not_blank)]
_Url: TypeAlias = Annotated[str, AfterValidator(_base_url)]
_Address: TypeAlias = Annotated[str, AfterValidator(_address)]
# Ten years on both sides is more than any club plans, and no sum of dates overflows.
_Window: TypeAlias = Annotated[timedelta, _duration(timedelta(0), timedelta(days=3650))]
_Interval: TypeAlias = Annotated[timedelta, _duration(timedelta(seconds=1), timedelta(days=365))]


class _Table(BaseModel):
    """A table of the file. ``None`` stands for a key that is not there; the dataclasses have the defaults."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True, defer_build=True)


class _AccountTable(_Table):
    email: _Address
    password: str | None = None
    password_env: str | None = None
    password_file: str | None = None


class _Launch27Table(_Table):
    base_url: _Url
    accounts: Annotated[list[_AccountTable], AfterValidator(_filled)]
    role: Annotated[str, _one_of("customer", "staff")] | None = None
    timezone: Annotated[str, AfterValidator(_zone)] | None = None
    page_size: Annotated[int, _between(1, 1000)] | None = None
    reads_per_second: Annotated[float, _between(0.01, 1000)] | None = None
    read_burst: Annotated[int, _between(1, 10_000)] | None = None


class _WingfieldTable(_Table):
    base_url: _Url
    external_service_id: Annotated[str, _uuid("copy the one Wingfield gave you with the token")]
    token: str | None = None
    token_env: str | None = None
    token_file: str | None = None
    concurrency: Annotated[int, _between(1, 64)] | None = None


class _SyncTable(_Table):
    interval: _Interval | None = None
    past: _Window | None = None
    future: _Window | None = None
    max_delete_count: Annotated[int, _between(0, 1_000_000)] | None = None
    max_delete_fraction: Annotated[float, _between(0, 1)] | None = None
    state: Annotated[str, AfterValidator(_file_name)] | None = None


class _MappingTable(_Table):
    default_minutes: _Minutes | None = None
    updated_at_field: str | None = None
    participant_fields: Annotated[list[_Name], AfterValidator(tuple)] | None = None
    fallback_email: Annotated[_Address, AfterValidator(str.lower)] | None = None
    id_prefix: Annotated[str, AfterValidator(_id_prefix)] | None = None
    service_minutes: dict[Annotated[str, AfterValidator(_service_id)], _Minutes] | None = None


class _CourtTable(_Table):
    court_id: Annotated[str, _uuid('copy it from "courtbridge courts"')]
    name: str | None = None
    service_ids: _Ids | None = None
    location_ids: _Ids | None = None
    team_ids: _Ids | None = None
    custom_field: _Name | None = None
    custom_values: Annotated[list[_Name], AfterValidator(_filled), AfterValidator(tuple)] | None = None


class _File(_Table):
    launch27: _Launch27Table
    wingfield: _WingfieldTable
    sync: _SyncTable | None = None
    mapping: _MappingTable | None = None
    courts: list[_CourtTable] | None = None


_TABLES: dict[tuple[str, ...], type[_Table]] = {
    (): _File,
    ("launch27",): _Launch27Table,
    ("launch27", "accounts"): _AccountTable,
    ("wingfield",): _WingfieldTable,
    ("sync",): _SyncTable,
    ("mapping",): _MappingTable,
    ("courts",): _CourtTable,
}
_MANY = frozenset({("launch27", "accounts"), ("courts",)})
_FORMS = ("", "_env", "_file")
_PRIVATE = frozenset(
    {"email", "fallback_email", *(stem + form for stem in ("password", "token") for form in _FORMS)}
)
_CONDITIONS = ("service_ids", "location_ids", "team_ids", "custom_field", "custom_values")


# ---------------------------------------------------------------------- the document and what is found in it

_Location: TypeAlias = tuple[str | int, ...]


@dataclass(slots=True)
class _Examination:
    """One document, and what has been found about it so far."""

    path: Path
    environ: Mapping[str, str]
    document: dict[str, Any]
    mode: int
    """The permissions of the file."""
    problems: dict[_Location, str] = field(default_factory=dict)
    meant: dict[_Location, _Location] = field(default_factory=dict)
    """Unknown keys, and what they were probably meant to be: that is not missing, it is misspelt."""
    warnings: list[str] = field(default_factory=list)
    secrets: dict[_Location, Secret] = field(default_factory=dict)
    state: Path | None = None

    def found(self, location: _Location, message: str) -> None:
        """Remember a problem; the first one at a place is the one to tell."""
        self.problems.setdefault(location, message)

    def warn(self, location: _Location, message: str) -> None:
        self.warnings.append(f"{_place(location)}: {message}")

    def in_order(self) -> list[Problem]:
        """Return the problems, those of a table together, tables as they come in the example."""
        found = sorted(self.problems.items(), key=lambda item: _rank(item[0]))
        return [Problem(_place(location), message) for location, message in found]


def _rank(location: _Location) -> tuple[object, ...]:
    sections = list(_File.model_fields)
    section = sections.index(str(location[0])) if location[0] in sections else len(sections)
    return (section, *((0, step, "") if isinstance(step, int) else (1, 0, step) for step in location))


def _place(location: _Location) -> str:
    """Return e.g. ``courts[1].court_id``; odd keys are quoted, and those that may be private are masked."""
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
            continue
        plain = re.fullmatch(r"[A-Za-z0-9_-]{1,40}", step) and not step.lower().startswith("tok_")
        text += f"{'.' if text else ''}{step if plain else _quoted(step).replace('the value', '…')}"
    return text


def _at(document: object, location: _Location) -> object:
    """Return what the document has there, None where there is nothing."""
    for step in location:
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and isinstance(step, int) and step < len(document):
            document = document[step]
        else:
            return None
    return document


def _table_at(location: _Location) -> tuple[str, ...]:
    return tuple(step for step in location if isinstance(step, str))


# ---------------------------------------------------------------------- reading the file

_TOML_ERROR = re.compile(
    r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL
)
_TOML_WORDS = {
    "Invalid value": "no value that TOML knows; text goes in quotes",
    "Cannot overwrite": "this key is there already",
    "Duplicate": "this key is there already",
    "Cannot declare": "this table is there already",
    "Cannot mutate": "this table cannot be added to",
    "Cannot redefine": "this table is there already",
    "Unescaped": r"a backslash in a text is written \\",
}


def _parsed(path: Path) -> tuple[dict[str, Any], int]:
    """Return the TOML document and the file's permissions. Raises ConfigError, for the file as a whole."""
    try:
        raw, mode = _read(path, limit=1_000_000)
        # Editors on Windows put a byte order mark in front, which TOML does not know.
        return tomllib.loads(raw.decode("utf-8-sig")), mode
    except OSError as error:
        problem = _why(error)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = f"line {line} is not UTF-8 text; save the file as UTF-8"
    except tomllib.TOMLDecodeError as error:
        problem = _toml_problem(str(error))
    except RecursionError:
        problem = "is nested too deeply; start from config.example.toml"
    except ValueError:
        problem = "a number in it is too long, or its name is none a file can have"
    raise ConfigError([Problem(quoted_path(path), problem)])


def quoted_path(path: Path) -> str:
    """Return the path for a message, in quotes where it has characters that do not print."""
    return str(path) if str(path).isprintable() else json.dumps(str(path))


def _toml_problem(text: str) -> str:
    """Return the parser's complaint with its line and column, without the keys and values it may quote."""
    match = _TOML_ERROR.fullmatch(text)
    if not match:
        return "is no TOML; start from config.example.toml"
    what = match["what"]
    told = next((ours for theirs, ours in _TOML_WORDS.items() if what.startswith(theirs)), None)
    place = f"line {match['line']}, column {match['column']}" if match["line"] else "at its end"
    return f"{place}: {told or what[:1].lower() + what[1:]}"


def _read(path: Path, limit: int) -> tuple[bytes, int]:
    """Return a file's content and its permissions. Raises OSError; ValueError for what can be no name."""
    with path.open("rb") as file:
        content = file.read(limit + 1)
        if len(content) > limit:
            raise OSError(0, f"it is longer than {limit} bytes")
        return content, stat.S_IMODE(os.fstat(file.fileno()).st_mode)


def _why(error: OSError) -> str:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return "no such file; check the path"
        case IsADirectoryError():
            return "is a directory; name the file in it"
        case PermissionError():
            return f"may not be read by this user ({os.geteuid()}); change its owner or its mode"
        case _:
            return f"cannot be read: {error.strerror or 'no reason given'}"


# ---------------------------------------------------------------------- each value by itself


def _check_each_value(examination: _Examination) -> _File | None:
    """Return the validated file, or None where a value is wrong or missing, with the problems noted."""
    try:
        return _File.model_validate(examination.document)
    except ValidationError as error:
        errors = error.errors(include_input=False, include_url=False)
    for each in errors:
        if each["type"] == "extra_forbidden":
            _note_unknown_key(examination, each["loc"])
    for each in errors:
        location = each["loc"]
        if location[-1:] == ("[key]",) and len(location) > 3:
            location = location[:-1]
        if not (each["type"] == "missing" and location in examination.meant.values()):
            examination.found(location, _sentence(each, location, _at(examination.document, location)))
    return None


def _note_unknown_key(examination: _Examination, location: _Location) -> None:
    """Note a key that nobody knows, with the one that was probably meant."""
    *table, key = location
    found = _meant_here(examination, tuple(table), str(key))
    if found is None:
        found = _meant_elsewhere(examination, str(key))
    if found is None:
        message = "unknown key; remove it, or see config.example.toml for those there are"
    else:
        message, meant = found
        examination.meant[location] = meant
    examination.found(location, message)


def _meant_here(examination: _Examination, table: _Location, key: str) -> tuple[str, _Location] | None:
    there = _at(examination.document, table)
    free = [
        name
        for name in _TABLES[_table_at(table)].model_fields
        if not isinstance(there, dict) or name not in there
    ]
    close = difflib.get_close_matches(key[:40].lower().replace("-", "_"), free, 1)
    return (f"unknown key; did you mean {close[0]}?", (*table, close[0])) if close else None


def _meant_elsewhere(examination: _Examination, key: str) -> tuple[str, _Location] | None:
    """In TOML a key belongs to the header above it: what stands below the wrong one is a common slip."""
    tables = [table for table, model in _TABLES.items() if key in model.model_fields]
    if not tables:
        return None
    table = min(tables, key=lambda table: _at(examination.document, (*table, key)) is not None)
    where = f"under {_header(table)}" if table else "above all tables, or has a table of its own"
    return f"unknown key here; it belongs {where}", (*table, key)


def _header(table: tuple[str, ...]) -> str:
    name = ".".join(table)
    return f"[[{name}]]" if table in _MANY else f"[{name}]"


_MISSING = {
    ("launch27",): "add the table [launch27], as in config.example.toml",
    ("launch27", "base_url"): 'write it like "https://acme.launch27.com/latest"',
    ("launch27", "accounts"): "add [[launch27.accounts]] with the login whose bookings are bridged",
    ("launch27", "accounts", "email"): "write the e-mail address of the login",
    ("wingfield",): "add the table [wingfield], as in config.example.toml",
    ("wingfield", "base_url"): 'write it like "https://dev.wingfield.systems"',
    ("wingfield", "external_service_id"): "copy the UUID Wingfield gave you with the token",
    ("courts", "court_id"): 'copy it from "courtbridge courts"',
}


def _sentence(error: ErrorDetails, location: _Location, value: object) -> str:
    """Return what an error of pydantic's means for the one who wrote the file."""
    kind, table = error["type"], _table_at(location)
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "missing":
        return f"is missing; {_MISSING[table]}"
    if kind == "list_type" and table in _MANY:
        kind = "tables_type"
    shown = "the value" if location[-1] in _PRIVATE else _shown(value)
    wanted = _WANTED.get(kind, "value that can be used; see config.example.toml")
    return f"{shown} is no {wanted.format(header=_header(table))}"


_WANTED = {
    "string_type": "text; write one text, in quotes",
    "int_type": "whole number; write one, without quotes or point",
    "float_type": "number; write one, without quotes",
    "list_type": "list; put it in brackets",
    "tables_type": "list of tables; write {header} with two pairs of brackets, and its keys below",
    "model_type": "table; write {header} and its keys below",
    "dict_type": "table; write {header} and its keys below",
}


# ---------------------------------------------------------------------- what must fit together


def _check_accounts(examination: _Examination) -> None:
    """See that no login is there twice: everything of it would be read and counted twice."""
    accounts = _at(examination.document, ("launch27", "accounts"))
    seen: dict[str, int] = {}
    for index, account in enumerate(accounts if isinstance(accounts, list) else ()):
        location = ("launch27", "accounts", index, "email")
        email = _at(account, ("email",))
        if isinstance(email, str) and location not in examination.problems:
            first = seen.setdefault(email.lower(), index)
            if first != index:
                examination.found(
                    location, f"is the address of launch27.accounts[{first}] too; keep one of them"
                )


def _check_secrets(examination: _Examination, *, fetch: bool) -> None:
    accounts = _at(examination.document, ("launch27", "accounts"))
    for index in range(len(accounts) if isinstance(accounts, list) else 0):
        _check_secret(examination, ("launch27", "accounts", index), "password", fetch=fetch)
    _check_secret(examination, ("wingfield",), "token", fetch=fetch)


def _check_secret(examination: _Examination, owner: _Location, stem: str, *, fetch: bool) -> None:
    """Find the one form in which a secret is given, and fetch it."""
    table = _at(examination.document, owner)
    if not isinstance(table, dict):
        return
    forms = [stem + form for form in _FORMS]
    given = [form for form in forms if form in table]
    if not given and not any((*owner, form) in examination.meant.values() for form in forms):
        examination.found((*owner, stem), f"is missing; give one of {', '.join(forms)}")
    if len(given) > 1:
        examination.found((*owner, stem), f"is given as {' and as '.join(given)}; keep one of them")
    if len(given) != 1 or not isinstance(table[given[0]], str):
        return
    location = (*owner, given[0])
    try:
        secret = _fetched(examination, location, stem, table[given[0]]) if fetch else ""
    except _Wrong as wrong:
        examination.found(location, str(wrong))
    else:
        examination.secrets[owner] = Secret(secret)


def _fetched(examination: _Examination, location: _Location, stem: str, given: str) -> str:
    """Return a secret, from where ``given`` says; raises _Wrong.

    ``given`` is no part of any message, even where it should be a name: it may be the secret itself, put
    under the wrong key.
    """
    form = str(location[-1]).removeprefix(stem)
    if form == "_env":
        return _usable(stem, *_from_variable(examination.environ, given))
    if form == "_file":
        return _usable(stem, *_from_file(examination, location, given))
    if examination.mode & 0o044:
        name, mode = examination.path.name, f"{examination.mode:o}"
        examination.warn(
            location, f"{name} can be read by others (mode {mode}); chmod 600 it, or use {stem}_file"
        )
    return _usable(stem, given, "")


def _usable(stem: str, secret: str, source: str) -> str:
    """Return the secret if it can be sent. An unusable one must not get as far as a library that shows it."""
    if not secret:
        raise _Wrong(f"{source}is empty; put the {stem} there")
    if _has_control_character(secret):
        raise _Wrong(f"{source}has more than one line, or a control character; put the {stem} there, alone")
    if stem == "token" and not (secret.isascii() and " " not in secret):
        raise _Wrong(f"{source}has a character that no token has; put the token there, alone")
    return secret


def _from_variable(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    # Only what can hardly be a password is shown: LAUNCH27_PASSWORD, but not hunter2.
    shown = f"${name}" if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", name) else "the variable it names"
    if name not in environ:
        raise _Wrong(f"{shown} is not set; set it, or use a file")
    return environ[name].strip(), f"{shown} "


def _from_file(examination: _Examination, location: _Location, name: str) -> tuple[str, str]:
    given = _expanded(_file_name(name), examination.environ)
    credentials = examination.environ.get("CREDENTIALS_DIRECTORY")
    directories = [Path(credentials)] if credentials else []
    directories = [given.parent] if given.is_absolute() else [*directories, examination.path.parent]
    for directory in directories:
        path = given if given.is_absolute() else directory / given
        if is_there(path):
            secret, mode = _secret_in(path)
            if mode & 0o044 and not (credentials and _lies_in(path, Path(credentials))):
                examination.warn(location, f"{path} can be read by others (mode {mode:o}); chmod 600 it")
            return secret, f"{path} "
    looked = " nor in ".join(str(directory) for directory in directories if is_there(directory))
    raise _Wrong(
        f"no such file{f' in {looked}' if looked else ''}; put the secret there, or correct the name"
    )


def _secret_in(path: Path) -> tuple[str, int]:
    """Return the text of a file, without the white space around it, and the file's permissions."""
    try:
        kind = path.stat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise _Wrong(f"{path} is no regular file; name one")
        content, mode = _read(path, limit=65_536)
    except OSError as error:
        raise _Wrong(f"{path} {_why(error)}") from None
    try:
        return content.decode("utf-8-sig").strip(), mode
    except UnicodeDecodeError:
        raise _Wrong(f"{path} is no UTF-8 text; put the secret there, alone") from None


def _lies_in(path: Path, directory: Path) -> bool:
    return path.resolve().is_relative_to(directory.resolve())


def _expanded(text: str, environ: Mapping[str, str]) -> Path:
    """Return the path with ``~`` replaced."""
    if (text == "~" or text.startswith("~/")) and environ.get("HOME"):
        return Path(environ["HOME"], text[2:])
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise _Wrong('"~" names nobody\'s home here; write the whole path') from None


def _check_state(examination: _Examination) -> None:
    """Find where the state is: as configured (beside the configuration, where relative), or by default."""
    given = _at(examination.document, ("sync", "state"))
    if not isinstance(given, str) or ("sync", "state") in examination.problems:
        examination.state = config_path_state(examination.path, examination.environ)
        return
    try:
        examination.state = examination.path.parent / _expanded(given, examination.environ)
    except _Wrong as wrong:
        examination.found(("sync", "state"), str(wrong))


def _check_courts(examination: _Examination) -> None:
    """See that there are rules, each with a condition, and no two with the same."""
    rules = examination.document.get("courts", [])
    if rules == [] and ("courts",) not in examination.meant.values():
        remedy = '"courtbridge courts" prints blocks to paste'
        examination.found(("courts",), f"there is no [[courts]] rule, so nothing would be bridged; {remedy}")
    seen: dict[object, int] = {}
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, dict) and _has_sound_conditions(examination, index, rule):
            same = tuple(_as_set(rule.get(condition)) for condition in _CONDITIONS)
            first = seen.setdefault(same, index)
            if first != index:
                message = f"has the same conditions as courts[{first}]; change one of them or remove it"
                examination.found(("courts", index), message)


def _as_set(value: object) -> object:
    return frozenset(value) if isinstance(value, list) else value


def _has_sound_conditions(examination: _Examination, index: int, rule: dict[str, Any]) -> bool:
    """Whether it is known what the rule asks for; what is missing from it is noted."""
    at_rule = [location for location in examination.problems if location[:2] == ("courts", index)]
    if any(_concerns_conditions(examination.meant.get(location, location)) for location in at_rule):
        return False
    given = [condition for condition in _CONDITIONS if condition in rule]
    if not given:
        examination.found(("courts", index), f"has no condition; give it {' or '.join(_CONDITIONS[:4])}")
    pair = {"custom_field", "custom_values"}
    missing = pair.difference(given)
    if len(missing) == 1:
        (other,) = pair - missing
        examination.found(("courts", index, *missing), f"is missing; {other} does not work without it")
    return bool(given) and len(missing) != 1


def _concerns_conditions(location: _Location) -> bool:
    return location[0] == "courts" and location[2:3] not in {("court_id",), ("name",)}


# ---------------------------------------------------------------------- the result


def _built(file: _File, examination: _Examination) -> Config:
    """Return the configuration; the document is known to be right."""
    accounts = tuple(
        _account(index, table, examination) for index, table in enumerate(file.launch27.accounts)
    )
    token = examination.secrets["wingfield",]
    wingfield = {name: value for name, value in _given(file.wingfield).items() if name not in _PRIVATE}
    state = examination.state or config_path_state(examination.path, examination.environ)
    return Config(
        path=examination.path,
        launch27=Launch27Config(**{**_given(file.launch27), "accounts": accounts}),
        wingfield=WingfieldConfig(**wingfield, token=token),
        sync=SyncConfig(**{**_given(file.sync), "state": state}),
        mapping=MappingConfig(**_given(file.mapping)),
        courts=tuple(CourtRule(**_given(table)) for table in file.courts or ()),
        warnings=tuple(examination.warnings),
    )


def _given(table: _Table | None) -> dict[str, Any]:
    """Return the keys that are in the file, with their validated values."""
    return {name: getattr(table, name) for name in table.model_fields_set} if table else {}


def _account(index: int, table: _AccountTable, examination: _Examination) -> Account:
    password = examination.secrets["launch27", "accounts", index]
    return Account(index + 1, table.email, password, account_key(table.email))
