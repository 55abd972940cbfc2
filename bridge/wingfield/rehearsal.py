"""Wingfield's rules about court bookings, tried one by one on a court where nobody plays: the judge of any Wingfield.

All happens 400 days ahead, under keys of its own that no pass takes for a booking. Each rule is one request, and what
is documented to come of it; where nothing is documented, whatever comes is told. Everything is deleted at the end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bridge.errors import Rejected, ServiceError
from bridge.model import Slot, Verb, Write, fingerprint, to_ms
from bridge.wingfield.client import Wingfield

DAYS_AHEAD = 400
KEY = "courtbridge-rehearsal-"
ACCEPTED = "accepted"
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Rule:
    """One request about booking ``name``, and what is documented to come of it; nothing is, where that is empty.

    ``hour`` is its start after the first one's, None for a delete; ``version`` counts milliseconds.
    """

    words: str
    name: str
    hour: float | None
    version: int
    documented: str = ACCEPTED


RULES = (
    Rule("a new booking is created", "a", 0, 2),
    Rule("the same again, under the same version, is accepted", "a", 0, 2),
    Rule("other content under the same version is rejected", "a", 1, 2, "version_conflict"),
    Rule("an older version is rejected", "a", 1, 1, "stale_write"),
    Rule("a newer version moves it", "a", 2, 3),
    Rule("another booking that overlaps it is rejected", "b", 2.5, 2, "court_booking_overlap"),
    Rule("another booking that ends where it begins is accepted", "b", 1, 2),
    Rule("another booking that begins where it ends is accepted", "c", 3, 2),
    Rule("a delete under an older version is rejected", "a", None, 2, "stale_write"),
    Rule("a delete is accepted", "a", None, 4),
    Rule("the same delete again is accepted", "a", None, 4),
    Rule("what never was there can be deleted", "d", None, 2),
    Rule("the version of a deleted booking is remembered", "a", 2, 3, ""),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a rule: ``answer`` is accepted, or Wingfield's error type."""

    rule: Rule
    answer: str

    @property
    def is_as_documented(self) -> bool:
        """Whether it went as the documentation says, or that says nothing."""
        return self.rule.documented in {"", self.answer}

    def __str__(self) -> str:
        if not self.rule.documented:
            return f"{'no' if self.answer == ACCEPTED else 'yes'} (not documented)"
        return "as documented" if self.is_as_documented else f"{self.answer} instead of {self.rule.documented}"


@dataclass(slots=True)
class Rehearsal:
    """Tries the rules on one court. ``wingfield`` must have no ``id_prefix``; ``address`` is the only participant's.

    ``left`` are the keys that could not be deleted at the end.
    """

    wingfield: Wingfield
    court_id: str
    address: str = field(repr=False)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    left: list[str] = field(default_factory=list)
    _began: datetime = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.clock()

    async def run(self) -> AsyncIterator[Finding]:
        """Yield what comes of each rule. Raises ServiceError where there is no usable answer."""
        await self.clean_up()
        self._began = self.clock()
        for rule in RULES:
            try:
                await self.wingfield.write(self._write(rule))
            except Rejected as error:
                yield Finding(rule, error.reason)
            else:
                yield Finding(rule, ACCEPTED)

    async def clean_up(self) -> None:
        """Delete everything that this rehearsal, or an earlier one that was killed, has left there."""
        self.left = []
        version = to_ms(self.clock()) - to_ms(self._began) + 5  # above those of all rules
        for name in sorted({rule.name for rule in RULES}):
            delete = Rule("", name, None, version)
            try:
                with suppress(Rejected):  # what is rejected is looked at below: it may never have been there
                    await self.wingfield.write(self._write(delete), finishing=True)
                is_there = await self.wingfield.read(KEY + name, finishing=True) is not None
            except ServiceError:
                is_there = True
            if is_there:
                self.left.append(KEY + name)

    def _write(self, rule: Rule) -> Write:
        version_ms = to_ms(self._began) + rule.version
        if rule.hour is None:
            return Write(Verb.DELETE, KEY + rule.name, None, (), b"", version_ms, "a rehearsal")
        first = self._began.replace(minute=0, second=0, microsecond=0) + timedelta(days=DAYS_AHEAD)
        start = first + rule.hour * _HOUR
        slot, people = Slot(self.court_id, start, start + _HOUR), (self.address,)
        return Write(Verb.CREATE, KEY + rule.name, slot, people, fingerprint(slot, people), version_ms, "a rehearsal")
