"""What services answer, reduced to its shape: nothing of it names anybody, whatever stands where. No I/O, no clock.

A key is shown only where it is made of known words, so that a name used as a key is not; of values only the kind is.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, Final

from bridge.http.client import Call, Response

OTHER: Final = "*"
"""Stands for a key that is not made of known words."""

_VOCABULARY: Final = """
accepted actions active arrival at based bearer booking bookings cancel cancellation cancelled change changed code
completed count court created custom customer date default digest duration edit edited email end error external extra
extras facility field fields first forecasted frequency hourly id installed interval issues items label last limit
location mapping maximum message minimum minutes modification modified name notes on organization other parameters
participants phone price pricing pubsub quantity sandbox service services start status system teams time timestamp
timezone token total type update updated url user value values window
"""
_DATE_TIME: Final = r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d)?(\.\d+)?"
_FORMATS: Final = {
    "empty": r"\s*",
    "date-time Z": _DATE_TIME + "[Zz]",
    "date-time offset": _DATE_TIME + r" ?[+-]\d\d(:?\d\d)?",
    "date-time": _DATE_TIME,
    "date": r"\d{4}-\d\d-\d\d",
    "time": r"\d\d?:\d\d(:\d\d)?",
    "digits": r"\d+",
    "uuid": r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "address": r"[^@\s]+@[^@\s]+",
    "url": r"[a-z]+://\S+",
}
_WORDS: Final = frozenset(_VOCABULARY.split())
_KINDS: Final = {dict: "object", list: "array", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def kind(value: object) -> str:
    """Return what sort of JSON value this is, and the format of a text."""
    if not isinstance(value, str):
        return _KINDS[type(value)]
    return next((name for name, pattern in _FORMATS.items() if re.fullmatch(pattern, value)), "text")


def paths(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every place in a JSON value, as in ``[].services[].id``, with the kind of what stands there."""
    yield path or ".", kind(value)
    if isinstance(value, dict):
        for key, each in value.items():
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower().split("_")
            yield from paths(each, f"{path}.{key if _WORDS.issuperset(words) else OTHER}")
    for each in value if isinstance(value, list) else ():
        yield from paths(each, f"{path}[]")


class Shapes:
    """Gathers the shapes of all answers, by the request's method and route."""

    def __init__(self) -> None:
        self._statuses: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._headers: defaultdict[str, set[str]] = defaultdict(set)
        self._paths: defaultdict[str, defaultdict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))

    def take(self, call: Call, response: Response) -> None:
        """Take in an answer."""
        name = f"{call.method} {call.route}"
        self._statuses[name][str(response.status)] += 1
        self._headers[name].update(each for each in response.headers if re.fullmatch("[a-z-]{1,40}", each))
        try:
            for path, found in paths(json.loads(response.body)):
                self._paths[name][path][found] += 1
        except (ValueError, RecursionError):
            self._paths[name]["."]["no JSON"] += 1

    def dated(self, route: str) -> dict[str, int]:
        """Return the fields of a listing's items that hold a date and time, each with how many have it."""
        listed = self._paths[f"GET {route}"].items()
        counts = {path: sum(n for found, n in kinds.items() if found.startswith("date-time")) for path, kinds in listed}
        return {path[3:]: count for path, count in counts.items() if count and re.fullmatch(r"\[\]\.\w+", path)}

    def as_json(self) -> dict[str, Any]:
        """Return the statuses, header names and paths of each request, with counts."""
        return {
            name: {
                "statuses": statuses,
                "headers": sorted(self._headers[name]),
                "paths": dict(sorted(self._paths[name].items())),
            }
            for name, statuses in sorted(self._statuses.items())
        }
