"""What people filled into a booking's custom fields, found by whatever a configuration calls them. Pure.

Source: Launch27, a booking's ``custom_fields``: each goes by its code, its label or its id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from bridge.launch27.wire import SourceBooking

_SEPARATORS: Final = re.compile(r"[,;\s]+")


def folded(text: str) -> str:
    """Return a text as it is compared."""
    return text.strip().casefold()


def texts(values: Iterable[object]) -> set[str]:
    """Return texts, numbers and booleans as people write them in a configuration, folded; without all else."""
    return {folded(_written(value)) for value in values if isinstance(value, str | int | float)}


def _written(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value)


def has_field(booking: SourceBooking, name: str) -> bool:
    """Whether the booking lists a custom field that goes by ``name``."""
    return any(folded(name) in _keys(field) for field in booking.custom_fields)


def contents(booking: SourceBooking, names: frozenset[str]) -> dict[str, set[str]]:
    """Return what the fields of these folded names hold, by name: a choice by its id, label, value and other."""
    found: dict[str, set[str]] = {}
    for field in booking.custom_fields:
        for key in _keys(field) & names:
            for item in _items(field):
                parts = map(item.get, ("id", "label", "value", "other")) if isinstance(item, dict) else (item,)
                found.setdefault(key, set()).update(texts(parts))
    return found


def words(booking: SourceBooking, names: Sequence[str]) -> list[str]:
    """Return the words people typed into the fields of these folded names, in that order, then in the booking's.

    Of a choice's label only what looks like an address.
    """
    keyed = [(_keys(field), field) for field in booking.custom_fields] if names else []
    return [word for name in names for keys, field in keyed if name in keys for word in _words(field)]


def _keys(field: Mapping[str, Any]) -> set[str]:
    return texts(map(field.get, ("code", "label", "id")))


def _items(field: Mapping[str, Any]) -> Iterator[object]:
    """Yield what was filled in, ``value`` or ``values``: plain values, and objects for choices."""
    for value in map(field.get, ("value", "values")):
        yield from value if isinstance(value, list) else (value,)


def _words(field: Mapping[str, Any]) -> Iterator[str]:
    for item in _items(field):
        if isinstance(item, dict):
            yield from (word for word in _split(item.get("label")) if "@" in word)
            yield from _split(item.get("value"))
            yield from _split(item.get("other"))
        else:
            yield from _split(item)


def _split(value: object) -> list[str]:
    return [word for word in _SEPARATORS.split(value) if word] if isinstance(value, str) else []
