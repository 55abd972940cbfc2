"""The state of a pass from its start to its end, and what people are told of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from time import monotonic
from typing import NamedTuple

from bridge.errors import CredentialsRefused, ExitStatus, ServiceError, Unavailable, worst
from bridge.model import HOUR_MS, Held, Kind, Known, Reason, Verb, Write
from bridge.planning.drift import Finding, Mark
from bridge.planning.near import Content
from bridge.planning.planner import Plan
from bridge.planning.reading import Reading
from bridge.planning.situation import Deletion, rejection_detail, reported
from bridge.records import PassRecord, Watermark

FAILURES = 3
"""After so many passes in a row without an answer, a booking is held."""
_NO_ANSWER = "Wingfield answered others, and not this booking, in three passes in a row; tried again in every pass"
_OUTCOMES = {
    ExitStatus.OK: "in_sync",
    ExitStatus.ATTENTION: "attention",
    ExitStatus.TRY_LATER: "incomplete",
    ExitStatus.CREDENTIALS: "refused",
}


class Since(NamedTuple):
    """What was last asked for before these moments is asked for anew; in milliseconds since 1970.

    They are for all of Wingfield's list, for Launch27's settings and catalogues, and for Wingfield's relations and
    mappings.
    """

    list_ms: int = 0
    facts_ms: int = 0
    directory_ms: int = 0

    @classmethod
    def by_hand(cls, now_ms: int) -> Since:
        """Return those of a pass that no schedule asks for: what is an hour old is asked for anew."""
        younger_ms = now_ms - HOUR_MS + 1
        return cls(0, younger_ms, younger_ms)


@dataclass(frozen=True, slots=True)
class Extent:
    """What a pass reads: all days, or the next ones only.

    Of the ``hinted`` bookings, which Launch27's events named, those that are not listed are looked up; where
    ``only_hinted``, no listing is read. ``since`` says what is asked for anew; None: what is an hour old.
    """

    kind: Kind = "full"
    hinted: frozenset[str] = frozenset()
    only_hinted: bool = False
    since: Since | None = None


@dataclass(slots=True)
class Tally:
    """What the writes of a pass came to, by booking; each id is counted as what it came to in the end.

    ``planned`` has every booking that some round wanted to write. ``not_sent`` has those that the last round
    did not send, because something they waited for failed, or nothing was sent any more.
    """

    planned: set[str] = field(default_factory=set)
    created: set[str] = field(default_factory=set)
    updated: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    rejected: dict[str, str] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
    not_sent: set[str] = field(default_factory=set)

    @property
    def pending(self) -> set[str]:
        """The bookings of which this pass cannot say where they stand."""
        return self.unanswered | self.not_sent

    def begin(self, writes: Iterable[Write]) -> None:
        """Begin a round; what an earlier one did not send is planned anew, or given up."""
        self.not_sent = {write.id for write in writes}
        self.planned |= self.not_sent

    def acknowledged(self, write: Write, *, is_adopted: bool = False) -> None:
        """Take note of a write that is done; an adopted one was there already."""
        if write.is_temporary:
            return
        self.not_sent.discard(write.id)
        self.unanswered.discard(write.id)
        if is_adopted:
            return
        if write.verb is Verb.DELETE:
            self.deleted.add(write.id)
        elif write.verb is Verb.CREATE:
            self.created.add(write.id)
        elif write.id not in self.created:
            self.updated.add(write.id)


@dataclass(slots=True)
class Pass:
    """Everything that one pass knows.

    ``began`` is in seconds (monotonic), ``config`` the configuration's fingerprint; ``known`` is the ledger's, and
    changes with what is recorded. ``failed`` has, by booking, the requests that got no answer. ``planned`` are the
    writes of the first plan. ``objection`` says why deletes are withheld; ``not_asked`` counts the bookings for
    whose look-up there was no time. ``waiting`` are those of a mass change that is not believed yet, ``approved``
    those whose delete a person has let through. ``denied`` are the users of bookings whose users Wingfield denied.
    ``scope`` is what stands in the days of the pass: of this, what is not listed can have vanished. Of what it read, a
    near pass leaves to a full one what is ``undecided`` (all, where nothing is known of Wingfield); ``left`` has the
    contents of all that it leaves, ``needs_full`` says that one of them is new. ``mark`` is how far Wingfield's list is
    known, ``does_list_fit`` whether it was as long as it should be, ``drift`` what was found in it (None where nobody
    looked), and ``left_over`` what is only reported of bookings that nobody wants.
    """

    now_ms: int
    began: float
    config: str
    known: Mapping[str, Known]
    held_before: list[Held]
    withheld_before: tuple[str, ...]
    watermarks: dict[str, Watermark]
    reading: Reading
    extent: Extent = Extent()
    scope: AbstractSet[str] = frozenset()
    undecided: set[str] = field(default_factory=set)
    left: set[Content] = field(default_factory=set)
    needs_full: bool = False
    tally: Tally = field(default_factory=Tally)
    errors: dict[tuple[str, str], ServiceError] = field(default_factory=dict)
    failed: dict[str, Unavailable] = field(default_factory=dict)
    deletions: dict[str, Deletion] = field(default_factory=dict)
    let_through: list[Known] = field(default_factory=list)
    withheld: tuple[str, ...] = ()
    objection: str | None = None
    bridged: int = 0
    waiting: set[str] = field(default_factory=set)
    approved: tuple[str, ...] = ()
    denied: set[frozenset[str]] = field(default_factory=set)
    has_wingfield_answered: bool = False
    forgotten: set[str] = field(default_factory=set)
    not_asked: int = 0
    plan: Plan = field(default_factory=Plan)
    planned: tuple[Write, ...] = ()
    mark: Mark = field(default_factory=Mark)
    does_list_fit: bool = True
    drift: list[Finding] | None = None
    left_over: set[str] = field(default_factory=set)

    @property
    def kind(self) -> Kind:
        return self.extent.kind

    @property
    def since(self) -> Since:
        """What was last asked for before these moments is asked for anew."""
        return self.extent.since or Since.by_hand(self.now_ms)

    @property
    def read(self) -> AbstractSet[str]:
        """The bookings of which the pass knows what the source says, if that is only that they are not listed."""
        return self.reading.owners.keys() | (() if self.extent.only_hinted else self.scope)

    def note(self, error: ServiceError, booking: str = "") -> None:
        """Take note of what keeps the pass from being complete: all of it, or only one booking's part."""
        if booking and isinstance(error, Unavailable):
            self.failed[booking] = error
        else:
            self.errors.setdefault((error.service, error.kind), error)

    def troubles(self) -> list[ServiceError]:
        """Return what keeps the pass from being complete, once for each kind; a booking that is held does not."""
        found = dict(self.errors)
        for id_ in self.failed.keys() - self.silent:
            error = self.failed[id_]
            found.setdefault((error.service, error.kind), error)
        return list(found.values())

    def held(self) -> list[Held]:
        """Return every held booking: by the mapping, by another booking, or by Wingfield."""
        reading, tally = self.reading, self.tally
        held = {id_: entry for id_, entry in reading.held.items() if entry.reason != Reason.NO_COURT}
        held.update((entry.id, entry) for entry in self.plan.held if entry.id not in tally.unanswered)
        for id_, reason in tally.rejected.items():
            booking = reading.desired.get(id_)
            if booking is None:
                detail = f"Wingfield rejected its delete ({reason}); tried again in the next pass"
                held[id_] = Held(id_, reason, detail, slot=self.known[id_].last_slot)
            elif id_ not in held or reason != Reason.OVERLAP:
                held[id_] = Held(id_, reason, rejection_detail(reason, booking.slot), slot=booking.slot)
        for id_ in self.left_over:
            held[id_] = reported(id_, "put into Wingfield")
        for id_ in self.silent:
            slot = booking.slot if (booking := reading.desired.get(id_)) else self.known[id_].last_slot
            held[id_] = Held(id_, Reason.NO_ANSWER, _NO_ANSWER, slot=slot)
        return [*reading.unreadable, *held.values()]

    @property
    def silent(self) -> set[str]:
        """The bookings whose writes got no answer in three passes in a row, while others were answered."""
        if not self.has_wingfield_answered:
            return set()
        return {id_ for id_ in self.tally.unanswered if id_ in self.known and self.known[id_].failures >= FAILURES - 1}

    @property
    def pending(self) -> set[str]:
        """The bookings that are wanted differently, and that this pass could not write."""
        return (self.tally.pending | self.waiting | self.undecided) - self.silent

    def still_held(self, held: Iterable[Held]) -> list[Held]:
        """Return what was held before and of which this pass, being incomplete or near, learnt nothing new."""
        pending, ids = self.pending, {entry.id for entry in held}
        others = [each.id for each in self.held_before if each.id not in ids]
        learnt = {id_ for id_ in others if id_ in self.reading.owners}
        if self.reading.is_complete:  # a listing would have it
            learnt.update(others if self.kind == "full" else self.scope)
        known_now = ids | (learnt - pending)
        return [each for each in self.held_before if each.id not in known_now]

    def status(self, held: Iterable[Held], *, is_stopping: bool) -> ExitStatus:
        statuses = {error.exit_status for error in self.troubles()}
        if self.pending or self.not_asked or is_stopping:
            statuses.add(ExitStatus.TRY_LATER)
        if any(held) or self.withheld:
            statuses.add(ExitStatus.ATTENTION)
        return worst(statuses)

    def counts(self, held: Iterable[Held], status: ExitStatus) -> PassRecord:
        """Return the counts: each booking once, as what this pass made of it."""
        reading, tally = self.reading, self.tally
        held_ids = [entry.id for entry in held]
        pending = self.pending - set(held_ids)
        others = reading.no_court | set(held_ids) | pending
        failed_deletes = ({id_ for id_ in held_ids if id_} | pending) - reading.owners.keys()
        seen = reading.seen + len(failed_deletes)
        ignored = len(reading.no_court - set(held_ids) - pending)
        created, updated = len(tally.created - others), len(tally.updated - others)
        return PassRecord(
            started_ms=self.now_ms,
            duration_ms=round((monotonic() - self.began) * 1000),
            outcome=_OUTCOMES[status],
            seen=seen,
            created=created,
            updated=updated,
            deleted=len(tally.deleted),
            unchanged=seen - created - updated - ignored - len(held_ids) - len(pending),
            ignored=ignored,
            held=len(held_ids),
            pending=len(pending),
            withheld=self.withheld,
            kind=self.kind,
        )


@dataclass(frozen=True, slots=True)
class PassResult:
    """How a pass went.

    ``errors`` are what kept it from being complete, ``planned`` what it wanted to write at first,
    ``objection`` why deletes were withheld, ``bridged`` how many bookings Wingfield had from us before. ``approved``
    are deletes that a person let through since the pass before, ``waiting`` the bookings of a mass change that is not
    believed yet. ``account_status`` is what Launch27 says of the account, "" where it did not answer. ``expiring`` are
    sentences about the tokens of accounts that end within a week. ``listed`` are the accounts whose listing was
    complete, or was not read because ``only_hinted`` bookings were. ``needs_full`` says that a near pass left something
    to a full one. ``drift`` is what somebody else changed in Wingfield, None where the pass did not look.
    """

    record: PassRecord
    status: ExitStatus
    held: tuple[Held, ...]
    planned: tuple[Write, ...]
    errors: tuple[ServiceError, ...]
    objection: str | None = None
    bridged: int = 0
    approved: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    account_status: str = ""
    expiring: tuple[str, ...] = ()
    listed: frozenset[str] = frozenset()
    needs_full: bool = False
    drift: tuple[Finding, ...] | None = None
    only_hinted: bool = False

    @property
    def error(self) -> str:
        """What kept it from being complete, in a sentence; "" where nothing did."""
        return "; ".join(dict.fromkeys(map(str, self.errors)))

    @property
    def is_refused_by_wingfield(self) -> bool:
        """Whether it was Wingfield's token that was refused."""
        return any(isinstance(error, CredentialsRefused) and error.service == "Wingfield" for error in self.errors)

    @property
    def is_refused_login(self) -> bool:
        return any(isinstance(error, CredentialsRefused) for error in self.errors)
