"""What is kept of accounts and passes, and whose state it is kept in. Frozen, like the words of the domain."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.model import Kind


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far one account was read: when its listing was last complete, since when it fails, the newest source time."""

    account: str
    number: int
    listed_ms: int | None
    listed_count: int | None
    source_updated_ms: int | None
    failing_since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class PassRecord:
    """One finished pass, as ``status`` shows it; ``withheld`` are ids of withheld deletes."""

    started_ms: int
    duration_ms: int
    outcome: str
    seen: int
    created: int
    updated: int
    deleted: int
    unchanged: int
    ignored: int
    held: int
    pending: int = 0
    withheld: tuple[str, ...] = ()
    kind: Kind = "full"

    @property
    def is_complete(self) -> bool:
        return self.outcome in {"in_sync", "attention"}

    def in_words(self, error: str = "") -> str:
        """Return how things stand after it, what is wrong first; ``error`` says what kept it from its end."""
        deletes, good = len(self.withheld), self.created + self.updated + self.unchanged
        withheld = f"delete{'s' * (deletes > 1)} withheld (courtbridge approve)"
        counts = ((deletes, withheld), (self.held, "held"), (self.pending, "pending"))
        wrong = ", ".join([error] * bool(error) + [f"{count} {what}" for count, what in counts if count])
        bookings = f"{good} booking{'s' * (good != 1)}{' of the next days' * (self.kind == 'near')}"
        if not self.is_complete or error:
            return f"not in sync: {wrong or 'the last pass was not complete'}; {bookings} in sync"
        wrong = wrong or "a booking of other days is held" * (self.outcome == "attention")
        return f"needs a person: {wrong}; {bookings} in sync" if wrong else f"in sync: {bookings}"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose bookings a state holds: of one Launch27 host, at one Wingfield host, in one external service."""

    launch27_host: str
    wingfield_host: str
    external_service_id: str
    id_prefix: str

    def __str__(self) -> str:
        prefix = f' with id_prefix "{self.id_prefix}"' if self.id_prefix else ""
        return f"{self.launch27_host} → {self.wingfield_host}, external service {self.external_service_id}{prefix}"
