"""What is wrong with a configuration, in the words of the one who wrote it: place, value, remedy.

One rule runs through all of it: no message ever shows a secret or an e-mail address, not even one that was
put under the wrong key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

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

    def warn_of_readers(self, location: Location, file: object, mode: int, other: str = "") -> None:
        """Remember that others can read the secret in a file, where its permissions say so."""
        if mode & 0o044:
            self.warnings.append(
                f"{place(location)}: {file} can be read by others (mode {mode:o}); chmod 600 it{other}"
            )


def shown(value: object) -> str:
    """Return how a message may show a value: short, on one line, and nothing that might be private."""
    if isinstance(value, str):
        # A token or an address pasted under a neighbouring key is still a token or an address.
        if "@" in value or value.lower().startswith(("tok_", "eyj")):
            return "the value"
        text = value if len(value) <= 60 else f"{value[:57]}…"
        return json.dumps(text, ensure_ascii=not text.isprintable())
    if isinstance(value, int | float):
        # Python refuses to write out an integer of thousands of digits.
        return str(value).lower() if isinstance(value, float) or abs(value) < 10**18 else "the number"
    return "a list" if isinstance(value, list) else "a table" if isinstance(value, dict) else "a date or time"


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
        elif re.fullmatch(r"(?!(?i:tok_))[A-Za-z0-9_-]{1,40}", step):
            text += f".{step}"
        else:
            text += f".{shown(step).replace('the value', '…')}"
    return text.removeprefix(".")


def header(location: Location) -> str:
    """Return the line above the keys of the table there: ``[sync]``, ``[[courts]]``."""
    name = ".".join(step for step in location if isinstance(step, str))
    return f"[[{name}]]" if name in {"courts", "launch27.accounts"} else f"[{name}]"


_MISSING = {
    "launch27.base_url": 'write it like "https://acme.launch27.com/latest"',
    "launch27.accounts.email": "write the e-mail address of the login",
    "wingfield.base_url": 'write it like "https://dev.wingfield.systems"',
    "wingfield.external_service_id": "copy the UUID Wingfield gave you with the token",
    "wingfield.token": "give one of token, token_env, token_file",
    "courts.court_id": 'copy it from "courtbridge courts"',
}
_WANTED = {
    ("string_type", "is_instance_of", "literal_error"): "text; write one text, in quotes",
    ("int_type",): "whole number; write one, without quotes or point",
    ("float_type",): "number; write one, without quotes",
    ("bool_type",): "value here; write true or false, without quotes",
    ("tuple_type", "frozen_set_type"): "list; put it in brackets",
    ("model_type", "dict_type"): "table; write {header} and its keys below",
    ("tables",): "list of tables; write {header} with two pairs of brackets, and its keys below",
}
_PRIVATE = re.compile(r"(fallback_)?email|(password|token)(_env|_file)?")


def sentence(error: ErrorDetails) -> str:
    """Return what an error of pydantic's means for the one who wrote the file."""
    kind, location, value = error["type"], error["loc"], error["input"]
    match kind:
        case "value_error":
            return str(error["ctx"]["error"])
        case "missing":
            key = ".".join(step for step in location if isinstance(step, str))
            return f"is missing; {_MISSING.get(key) or f'add the table {header(location)}, as in config.example.toml'}"
        case "too_short":
            return "is an empty list, which nothing matches; fill it in or leave it out"
        case "literal_error" if isinstance(value, str):
            remedy = error["ctx"]["expected"].replace("'", '"')
            return f"{shown(value)} is not possible; write {remedy}"
        case _:
            return not_valid(location, value, kind)


def not_valid(location: Location, value: object, kind: str = "string_type") -> str:
    """Return that the value is of a wrong type; ``kind`` is pydantic's word for the type it should be of."""
    line = header(location)
    kind = "tables" if kind == "tuple_type" and line.startswith("[[") else kind
    wanted = next((each for kinds, each in _WANTED.items() if kind in kinds), "value; see config.example.toml")
    what = "the value" if _PRIVATE.fullmatch(str(location[-1])) else shown(value)
    return f"{what} is not a valid {wanted.format(header=line)}"
