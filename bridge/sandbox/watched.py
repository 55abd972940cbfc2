"""JSON values that say when they were changed, so that listings can be kept encoded between edits.

Tests reach into a raw booking (``del world.bookings[7]["services"][0]["id"]``) and the next listing must
show it, without every listing encoding 20,000 bookings again to find out.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

Json = Any
"""A JSON value of whatever shape: tests break shapes on purpose."""

Touch = Callable[[], None]


class WatchedDict(dict[str, Any]):
    """A JSON object that calls ``touch`` after every change of it or of anything in it."""

    __slots__ = ("_touch",)

    def __init__(self, value: dict[str, Any], touch: Touch) -> None:
        self._touch = touch
        super().__init__((key, watched(item, touch)) for key, item in value.items())

    def _changed(self) -> None:
        for key, item in self.items():
            if type(item) in (dict, list):
                dict.__setitem__(self, key, watched(item, self._touch))
        self._touch()

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return plain(self)  # type: ignore[no-any-return]


class WatchedList(list[Any]):
    """A JSON array that calls ``touch`` after every change of it or of anything in it."""

    __slots__ = ("_touch",)

    def __init__(self, value: list[Any], touch: Touch) -> None:
        self._touch = touch
        super().__init__(watched(item, touch) for item in value)

    def _changed(self) -> None:
        for index, item in enumerate(self):
            if type(item) in (dict, list):
                list.__setitem__(self, index, watched(item, self._touch))
        self._touch()

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        return plain(self)  # type: ignore[no-any-return]


def _telling(base: type, name: str) -> Callable[..., object]:
    method = getattr(base, name)

    @functools.wraps(method)
    def changing(self: WatchedDict | WatchedList, *args: object, **kwargs: object) -> object:
        result = method(self, *args, **kwargs)
        self._changed()
        return self if name in {"__ior__", "__iadd__", "__imul__"} else result

    return changing


for _name in ("__setitem__", "__delitem__", "__ior__", "clear", "pop", "popitem", "setdefault", "update"):
    setattr(WatchedDict, _name, _telling(dict, _name))
for _name in (
    *("__setitem__", "__delitem__", "__iadd__", "__imul__", "append", "clear", "extend", "insert"),
    *("pop", "remove", "reverse", "sort"),
):
    setattr(WatchedList, _name, _telling(list, _name))


def watched(value: Json, touch: Touch) -> Json:
    """Return ``value`` as JSON that calls ``touch`` after changes; what is no container stays as it is."""
    if isinstance(value, dict):
        return WatchedDict(value, touch)
    if isinstance(value, list):
        return WatchedList(value, touch)
    return value


def plain(value: Json) -> Json:
    """Return an ordinary deep copy of a JSON value, watched or not."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


class Records(MutableMapping[int, Any]):
    """Raw JSON by id; ``touched(id)`` is called after any change of the record, however deep."""

    def __init__(self, touched: Callable[[int], None]) -> None:
        self._touched = touched
        self._records: dict[int, Any] = {}

    def __getitem__(self, key: int) -> Json:
        return self._records[key]

    def __setitem__(self, key: int, value: Json) -> None:
        self._records[key] = watched(value, functools.partial(self._touched, key))
        self._touched(key)

    def __delitem__(self, key: int) -> None:
        del self._records[key]
        self._touched(key)

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._records))

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, key: object) -> bool:
        return key in self._records
