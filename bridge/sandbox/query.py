"""What a request to the simulated Launch27 asks for, read from its query; and how many may be asked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from starlette.datastructures import QueryParams

from bridge.sandbox.wire import Failure, json_response

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(slots=True)
class Bucket:
    """A token bucket for each client address: ``limit`` tokens, one more every ``ttl_ms``.

    Source: Launch27, Rate limit.
    """

    limit: int
    ttl_ms: int
    _left: dict[str, tuple[float, float]] = field(default_factory=dict, repr=False)

    def take(self, client: str, now: float) -> bool:
        """Take a token at ``now`` (seconds); return False when there is none."""
        tokens, since = self._left.get(client, (float(self.limit), now))
        tokens = min(float(self.limit), tokens + max(0.0, now - since) * 1000 / self.ttl_ms)
        enough = tokens >= 1
        self._left[client] = (tokens - 1 if enough else tokens, now)
        return enough


def _unreadable(name: str) -> Failure:
    return Failure(json_response({"message": f"{name} cannot be read."}, 422))


def asked_number(sent: QueryParams, name: str, default: int, *, least: int) -> int:
    """Return a whole number of at least ``least``; raise :class:`Failure` where it is none."""
    text = sent.get(name)
    if text is None:
        return default
    if not text.isdecimal() or int(text) < least:
        raise _unreadable(name)
    return int(text)


def asked_day(sent: QueryParams, name: str) -> date | None:
    """Return a day, None where none is asked for; raise :class:`Failure` where it cannot be read."""
    text = sent.get(name)
    if text is None:
        return None
    try:
        if not _DAY.fullmatch(text):  # `fromisoformat` reads weeks and more, which are not documented
            raise _unreadable(name)
        return date.fromisoformat(text)
    except ValueError:
        raise _unreadable(name) from None


def asked_choice(sent: QueryParams, name: str, choices: Iterable[str]) -> str:
    """Return one of the choices, the first by default; raise :class:`Failure` for any other."""
    first, *others = choices
    chosen = sent.get(name, first)
    if chosen not in {first, *others}:
        raise _unreadable(name)
    return chosen
