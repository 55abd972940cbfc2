"""What is wrong with a configuration, in the words of the one who wrote it: place, value, remedy.

One rule runs through all of it: no message ever shows a secret or an e-mail address, not even one that was
put under the wrong key.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

Location: TypeAlias = tuple[str | int, ...]
"""Where a value stands in the file, as pydantic writes it: ``("courts", 1, "court_id")``."""


class Wrong(ValueError):
    """What is wrong with one value, as the sentence the operator reads."""


@dataclass(slots=True)
class Reading:
    """One file being read: where it is, what is around it, and what has been found so far."""

    path: Path
    environ: Mapping[str, str]
    mode: int = 0
    """The permissions of the file."""
    problems: dict[Location, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    """Every file that was read or looked for."""

    def found(self, location: Location, message: str) -> None:
        """Remember a problem; the first one at a place is the one to tell."""
        self.problems.setdefault(location, message)

    def warn(self, location: Location, message: str) -> None:
        """Remember what is not wrong and yet should be told."""
        self.warnings.append(f"{place(location)}: {message}")


# ---------------------------------------------------------------------- how things are shown


def shown(value: object) -> str:
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


def has_control_character(text: str) -> bool:
    """Whether the text has a character that no line of text has."""
    return re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", text) is not None


def quoted_path(path: Path) -> str:
    """Return the path for a message, in quotes where it has characters that do not print."""
    return str(path) if str(path).isprintable() else json.dumps(str(path))


def place(location: Location) -> str:
    """Return e.g. ``courts[1].court_id``; odd keys are quoted, and those that may be private are masked."""
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
            continue
        plain = re.fullmatch(r"[A-Za-z0-9_-]{1,40}", step) and not step.lower().startswith("tok_")
        text += f"{'.' if text else ''}{step if plain else _quoted(step).replace('the value', '…')}"
    return text


def header(location: Location) -> str:
    """Return the line above the keys of the table there: ``[sync]``, ``[[courts]]``."""
    name = ".".join(step for step in location if isinstance(step, str))
    return f"[[{name}]]" if name in {"courts", "launch27.accounts"} else f"[{name}]"


# ---------------------------------------------------------------------- what errors mean


_MISSING = {
    "launch27": "add the table [launch27], as in config.example.toml",
    "launch27.base_url": 'write it like "https://acme.launch27.com/latest"',
    "launch27.accounts": "add [[launch27.accounts]] with the login whose bookings are bridged",
    "launch27.accounts.email": "write the e-mail address of the login",
    "launch27.accounts.password": "give one of password, password_env, password_file",
    "wingfield": "add the table [wingfield], as in config.example.toml",
    "wingfield.base_url": 'write it like "https://dev.wingfield.systems"',
    "wingfield.external_service_id": "copy the UUID Wingfield gave you with the token",
    "wingfield.token": "give one of token, token_env, token_file",
    "courts.court_id": 'copy it from "courtbridge courts"',
}
_TEXT = "text; write one text, in quotes"
_LIST = "list; put it in brackets"
_TABLE = "table; write {header} and its keys below"
_TABLES = "list of tables; write {header} with two pairs of brackets, and its keys below"
_WANTED = {
    "string_type": _TEXT,
    "is_instance_of": _TEXT,
    "literal_error": _TEXT,
    "int_type": "whole number; write one, without quotes or point",
    "float_type": "number; write one, without quotes",
    "tuple_type": _LIST,
    "frozen_set_type": _LIST,
    "model_type": _TABLE,
    "dict_type": _TABLE,
}
_PRIVATE = re.compile(r"(fallback_)?email|(password|token)(_env|_file)?")


def sentence(error: ErrorDetails) -> str:
    """Return what an error of pydantic's means for the one who wrote the file."""
    kind, location, value = error["type"], error["loc"], error["input"]
    match kind:
        case "value_error":
            return str(error["ctx"]["error"])
        case "missing":
            return f"is missing; {_MISSING['.'.join(step for step in location if isinstance(step, str))]}"
        case "too_short":
            return "is an empty list, which nothing matches; fill it in or leave it out"
        case "literal_error" if isinstance(value, str):
            remedy = error["ctx"]["expected"].replace("'", '"')
            return f"{shown(value)} is not possible; write {remedy}"
        case _:
            return not_valid(location, value, kind)


def not_valid(location: Location, value: object, kind: str = "string_type") -> str:
    """Return that the value is of a wrong type; ``kind`` is pydantic's word for the type it should be of."""
    wanted = _WANTED.get(kind, "value; see config.example.toml")
    if kind == "tuple_type" and header(location).startswith("[["):
        wanted = _TABLES
    what = "the value" if _PRIVATE.fullmatch(str(location[-1])) else shown(value)
    return f"{what} is not a valid {wanted.format(header=header(location))}"
