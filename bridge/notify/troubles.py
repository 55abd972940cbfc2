"""When trouble is told: what has lasted, what still lasts, what is over. Pure.

    a kind of trouble has lasted ``after``              begins: all kinds that have lasted so long, in one message
    something told still lasts, ``remind`` later        lasts: the same
    nothing is wrong any more, and something was told   over: every kind that was told

Shorter trouble is not told. What each channel has taken is remembered by itself: a message that one of them did not
take is made again with the next pass, as things are then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bridge.errors import CredentialsRefused, ServiceError
from bridge.model import Held, Reason

MOST_IDS = 5


@dataclass(frozen=True, slots=True)
class Message:
    """One message: ``event`` is begins, lasts, over or test; ``since_ms`` is when the first of ``kinds`` began."""

    event: str
    kinds: tuple[str, ...]
    since_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What a channel has taken since all was well: the ``kinds`` of it, when last, and since when they lasted."""

    kinds: tuple[str, ...] = ()
    at_ms: int = 0
    since_ms: int = 0


@dataclass(frozen=True, slots=True)
class Troubles:
    """Since when which kind of trouble lasts, and what which channel has taken of it."""

    since: Mapping[str, int] = field(default_factory=dict)
    taken: Mapping[str, Taken] = field(default_factory=dict)

    def now(self, kinds: Iterable[str], now_ms: int) -> Troubles:
        """Return the troubles when these kinds are there now: what is over is forgotten, but for what was told."""
        return replace(self, since={kind: self.since.get(kind, now_ms) for kind in kinds})

    def due(self, channel: str, texts: Mapping[str, str], now_ms: int, after_ms: int, remind_ms: int) -> Message | None:
        """Return what this channel has to be told now; ``texts`` has a sentence for each kind that is there."""
        taken = self.taken.get(channel, Taken())
        if not self.since:
            text = f"Over: {', '.join(taken.kinds).replace('_', ' ')}. All is in sync again."
            return Message("over", taken.kinds, taken.since_ms, text) if taken.kinds else None
        lasting = tuple(sorted(kind for kind, since_ms in self.since.items() if now_ms - since_ms >= after_ms))
        is_new = not taken.kinds or bool(set(lasting) - set(taken.kinds))
        if not lasting or not (is_new or now_ms - taken.at_ms >= remind_ms):
            return None
        since_ms = min(self.since[kind] for kind in lasting)
        text = "\n".join(texts[kind] for kind in lasting)
        return Message("begins" if is_new else "lasts", lasting, since_ms, text)

    def told(self, channel: str, message: Message, now_ms: int) -> Troubles:
        """Return the troubles after the channel has taken the message."""
        before = self.taken.get(channel, Taken())
        kinds = tuple(sorted({*before.kinds, *message.kinds}))
        since_ms = min(before.since_ms or message.since_ms, message.since_ms)
        taken = Taken() if message.event == "over" else Taken(kinds, now_ms, since_ms)
        return replace(self, taken={**self.taken, channel: taken})


def sentences(
    held: Sequence[Held],
    pending: int,
    withheld: Sequence[str],
    errors: Iterable[ServiceError],
    rejected: Sequence[str],
    expiring: Sequence[str] = (),
) -> dict[str, str]:
    """Return all that is wrong after a pass: for each kind a sentence that says what to do, without names of people.

    ``rejected`` are the problems of an edited configuration that is not in force, ``expiring`` sentences about tokens
    that are near their end.
    """
    drifted = [each for each in held if each.reason == Reason.DRIFT]
    others = [each for each in held if each.reason != Reason.DRIFT]
    refused, away = list[str](), list[str]()
    for error in errors:
        (refused if isinstance(error, CredentialsRefused) else away).append(str(error))
    found: dict[str, object] = {
        "config_rejected": rejected
        and f"The edited configuration is wrong and not in force: {rejected[0]}. Correct it.",
        "refused": (refused and f"Credentials are refused. {'; '.join(refused)}. Correct the password or the token.")
        or (expiring and f"A token of Launch27 is near its end. {'; '.join(expiring)}."),
        "unreachable": away and f"The last pass was not complete. {'; '.join(away)}. It is tried again by itself.",
        "withheld_deletes": withheld
        and f"{_several(len(withheld), 'delete')} withheld ({_listed(withheld)}). If these bookings really are gone "
        f"from Launch27, let them through: courtbridge approve",
        "held": others and f"{_several(len(others), 'booking')} held: {_reasons(others)}. See: courtbridge status",
        "drift": drifted
        and f"{_several(len(drifted), 'court booking')} changed in Wingfield by somebody else "
        f"({_listed([each.id for each in drifted])}). Have them put right: courtbridge approve",
        "pending": pending and f"{_several(pending, 'booking')} could not be written yet. It is tried again by itself.",
    }
    return {kind: str(text) for kind, text in found.items() if text}


def _several(count: int, what: str) -> str:
    return f"1 {what} is" if count == 1 else f"{count} {what}s are"


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids[:MOST_IDS]) + (" and others" if len(ids) > MOST_IDS else "")


def _reasons(held: Sequence[Held]) -> str:
    """Return how many are held for which reason, and some of their ids."""
    counts = Counter(each.reason for each in held)
    return "; ".join(
        f"{count} × {reason} ({_listed([each.id for each in held if each.reason == reason])})"
        for reason, count in counts.most_common()
    )
