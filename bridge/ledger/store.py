"""The ledger in SQLite: intent before a request, outcome after it, watermarks, passes.

It holds ids, courts, times, versions and fingerprints; no name and no address of a person. It is disposable:
with the file gone, the next pass adopts what Wingfield has. One process writes (``lock.py``); everybody else
reads a copy in memory (``Ledger.snapshot``). It is read once and kept current by what is recorded: every
change of an entry is worked out in ``entry.py``, stored here, and believed once the transaction is through.
A connection is used by one thread at a time.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeVar

from pydantic import TypeAdapter, ValidationError

from bridge.errors import StateError
from bridge.ledger import bookings, entry, history
from bridge.ledger.entry import Outcome
from bridge.ledger.failures import REBUILT, translated
from bridge.ledger.history import Event
from bridge.ledger.schema import insert, migrate, place
from bridge.ledger.snapshot import copy
from bridge.model import DAY_MS, Held, Known, Rejection, Slot, Stored, Write
from bridge.records import Identity, PassRecord, Watermark

PASSES_KEPT = 500
_STATEMENTS = 16
"""So many are kept prepared: each takes 3 KiB, and to prepare it 10 µs."""

_COMPLETE = "kind = 'full' AND outcome IN ('in_sync', 'attention')"
_HELD = "booking_id, reason, detail, since_ms, court_id, start_ms, end_ms, service_id"
_WATERMARK, _PASS = ", ".join(Watermark.__slots__), ", ".join(PassRecord.__slots__)

_INSERT_META = insert("meta", "name, value")

K = TypeVar("K")
_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def _kept(thing: object) -> tuple[str, str]:
    kind = type(thing)
    return kind.__name__.lower(), _adapter(kind).dump_json(thing).decode()


class Ledger:
    """The state database, open. Every method is one transaction or one read; none waits for a request.

    All raise StateError when the database cannot be used.
    """

    def __init__(self, connection: sqlite3.Connection, source: str) -> None:
        self._connection = connection
        self._source = source
        self._known: dict[str, Known] | None = None

    @classmethod
    def open(cls, path: Path, identity: Identity, patience_seconds: float = 5.0) -> Ledger:
        """Open the state for writing; make it if it is not there, bring an older one up to date.

        It waits so long for another program's lock. Raises StateError if it is corrupt, read-only, newer, another's.
        """
        source = str(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StateError(f"{source}: {error.strerror}; check the owner and mode of the state") from None
        with translated(source):
            options: dict[str, Any] = {"check_same_thread": False, "cached_statements": _STATEMENTS}
            connection = sqlite3.connect(path, timeout=patience_seconds, isolation_level=None, **options)
        return cls._prepared(connection, source, identity, "journal_mode = WAL", "synchronous = FULL")

    @classmethod
    def snapshot(cls, path: Path, identity: Identity | None) -> Ledger:
        """Return a copy in memory, which nobody else sees; an empty one if there is no state yet.

        Nothing is written to the disk. Without an ``identity`` anybody's will do. Raises StateError like ``open``.
        """
        source = str(path)
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        try:
            with suppress(FileNotFoundError, NotADirectoryError), translated(source):
                copy(path, connection)
        except BaseException as error:
            connection.close()
            if not isinstance(error, OSError):
                raise
            remedy = "call courtbridge as a user who may read the state (root, for the service's)"
            raise StateError(f"{source}: {error.strerror}; {remedy}") from None
        return cls._prepared(connection, source, identity)

    @classmethod
    def _prepared(cls, connection: sqlite3.Connection, source: str, identity: Identity | None, *pragmas: str) -> Ledger:
        ledger = cls(connection, source)
        try:
            with translated(source):
                for pragma in pragmas:
                    connection.execute(f"PRAGMA {pragma}")
                migrate(connection, source)
                if identity is not None:
                    ledger._belongs_to(identity)
        except BaseException:
            connection.close()
            raise
        return ledger

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _belongs_to(self, identity: Identity) -> None:
        found = dict(self._rows("SELECT name, value FROM meta"))
        missing = [name for name in Identity.__slots__ if name not in found]
        if missing:  # a new state has none of them, one of 0.1 no wingfield_host
            with self._transaction() as db:
                for name in missing:
                    db.execute("INSERT INTO meta VALUES (?, ?)", (name, getattr(identity, name)))
        owner = Identity(*(found.get(name, getattr(identity, name)) for name in Identity.__slots__))
        if owner != identity:
            raise StateError(
                f"{self._source}: this is the state of {owner}, and the configuration says {identity}; "
                f"set sync.state to another file, or move this one away"
            )

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with translated(self._source):
            return self._connection.execute(sql, parameters).fetchall()

    @contextmanager
    def _transaction(
        self,
        entries: Collection[Known] = (),
        happened: Sequence[Event] = (),
        forgotten: Collection[str] = (),
        *,
        is_quiet: bool = False,
    ) -> Iterator[sqlite3.Connection]:
        """Store entries and what happened together with what is done inside; believe them once all is through.

        The disk is not waited for where it ``is_quiet``.
        """
        db = self._connection
        with translated(self._source):
            db.execute(f"PRAGMA synchronous = {'NORMAL' if is_quiet else 'FULL'}")
            db.execute("BEGIN IMMEDIATE")
            try:
                if entries:
                    bookings.store(db, entries, self.known)
                if forgotten:
                    bookings.forget(db, forgotten)
                history.store(db, happened)
                yield db
                db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise
        if self._known is not None:
            self._known.update((known.id, known) for known in entries)
            for id_ in forgotten:
                self._known.pop(id_, None)

    # --- reading ---

    @property
    def known(self) -> Mapping[str, Known]:
        """All that is known, by Launch27 id; it changes with what is recorded."""
        if self._known is None:
            try:
                with translated(self._source):
                    self._known = bookings.read(self._connection)
            except KeyError:
                damage = f"the state is damaged (rows of no booking); {REBUILT}"
                raise StateError(f"{self._source}: {damage}") from None
        return self._known

    def held(self) -> list[Held]:
        found = self._rows(f"SELECT {_HELD} FROM held ORDER BY booking_id, nth")  # noqa: S608
        return [
            Held(id_, reason, detail, since_ms, Slot.of_row(*at), service_id)
            for id_, reason, detail, since_ms, *at, service_id in found
        ]

    def watermarks(self) -> list[Watermark]:
        """Return the watermark of every account ever read, in the order of their numbers."""
        found = self._rows(f"SELECT {_WATERMARK} FROM accounts ORDER BY number, account")  # noqa: S608
        return [Watermark(*row) for row in found]

    def passes(self, limit: int = 10) -> list[PassRecord]:
        """Return the last ``limit`` passes, newest first."""
        found = self._rows(f"SELECT {_PASS} FROM passes ORDER BY id DESC LIMIT ?", (limit,))  # noqa: S608
        return [replace(PassRecord(*row), withheld=tuple(json.loads(row[-2]))) for row in found]

    @property
    def withheld(self) -> tuple[str, ...]:
        """The ids of the deletes that the last pass withheld, or that it found withheld and could not look at."""
        return next((each.withheld for each in self.passes(1)), ())

    def history(self, limit: int, id_: str | None = None) -> list[Event]:
        """Return the last ``limit`` events of one booking, or of all, newest first."""
        with translated(self._source):
            return history.newest(self._connection, limit, id_)

    def recall(self, kind: type[K]) -> K:
        """Return what was remembered of this kind, a dataclass or a pydantic model; what cannot be read is as new."""
        try:
            kept: K = _adapter(kind).validate_json(self._meta(kind.__name__.lower()))
        except ValidationError:
            return kind()
        return kept

    def _meta(self, name: str) -> str:
        return "".join(value for (value,) in self._rows("SELECT value FROM meta WHERE name = ?", (name,)))

    @property
    def last_success_ms(self) -> int | None:
        """When the last complete full pass ended; None when none ever was."""
        ((end,),) = self._rows(f"SELECT max(started_ms + duration_ms) FROM passes WHERE {_COMPLETE}")  # noqa: S608
        return None if end is None else int(end)

    @property
    def error(self) -> str:
        """What kept the last pass from its end, in a sentence; "" where nothing did."""
        return self._meta("error")

    @property
    def is_adopted(self) -> bool:
        """Whether Wingfield's list was taken over once, so that the ledger knows all that is there."""
        return bool(self._meta("adopted"))

    # --- writing ---

    def remember(self, thing: object) -> None:
        """Keep it until it is recalled by its class; another one of that class is forgotten for it."""
        with self._transaction() as db:
            db.execute(_INSERT_META, _kept(thing))

    def adopt(
        self,
        stored: Iterable[Stored],
        happened: Sequence[Event] = (),
        reported: Mapping[str, Rejection] = MappingProxyType({}),
    ) -> None:
        """Take over what Wingfield has: what is new as if just sent. ``reported`` are kept as they are, by id."""
        found = (entry.found(self.known.get(each.id), each, reported.get(each.id)) for each in stored)
        changed = {known.id: known for known in found if known is not None}
        changes = [*changed.values(), *self._finished_cycles(changed)]
        with self._transaction(changes, happened) as db:
            db.execute(_INSERT_META, ("adopted", "1"))

    def record(self, intents: Sequence[Write], outcomes: Sequence[Outcome | Stored], at_ms: int = 0) -> None:
        """Store, in one transaction, how writes ended, what was read back, and what is about to be sent.

        ``at_ms`` is now, for the history.
        """
        changed: dict[str, Known] = {}
        happened: dict[tuple[str, int], Event] = {}  # a write that was read back ends right after that

        def now(id_: str) -> Known | None:
            return changed.get(id_) or self.known.get(id_)

        for outcome in outcomes:
            state = outcome if isinstance(outcome, Stored) else outcome.write.stored
            if (known := now(state.id)) is not None:
                if event := history.came_of(known, outcome, at_ms):
                    happened.setdefault((state.id, state.version_ms), event)
                changed[state.id] = (
                    entry.read_back(known, outcome) if isinstance(outcome, Stored) else entry.ended(known, outcome)
                )
        for write in intents:
            changed[write.id] = entry.intended(now(write.id), write)
            for id_, slot in write.places:
                if write.cycle is not None and (known := now(id_)) is not None:
                    changed[id_] = entry.in_cycle(known, write.cycle, slot, is_cut=id_ == write.id)
        self.save([*changed.values(), *self._finished_cycles(changed)], list(happened.values()))

    def _finished_cycles(self, changed: Mapping[str, Known]) -> list[Known]:
        """Return the entries of the cycles of which nothing is temporarily deleted any more, without them."""
        before = (self.known.get(id_) for id_ in changed)  # a booking may have passed from a cycle to another
        closing = {known.cycle.cycle for known in (*before, *changed.values()) if known and known.cycle}
        if not closing:
            return []
        entries = {**self.known, **changed}
        in_cycle = [known for known in entries.values() if known.cycle and known.cycle.cycle in closing]
        still_open = {known.cycle.cycle for known in in_cycle if known.cycle and known.cycle.is_deleted}
        return [k._replace(cycle=None) for k in in_cycle if k.cycle and k.cycle.cycle not in still_open]

    def save(self, entries: Collection[Known], happened: Sequence[Event] = ()) -> None:
        """Store entries as they are, and what happened, in one transaction; the last entry of a booking counts."""
        with self._transaction(entries, happened):
            pass

    def approve(self, ids: Iterable[str], at_ms: int) -> None:
        """Note that a person lets these deletes through; a pass of this process or another takes it."""
        slots = {id_: known.last_slot if (known := self.known.get(id_)) else None for id_ in ids}
        why = "a person let its delete or its repair through"
        events = [Event(at_ms, id_, "approve", None, why, slot) for id_, slot in slots.items()]
        with self._transaction(happened=events) as db:
            db.executemany(insert("approvals", "booking_id, at_ms"), [(id_, at_ms) for id_ in slots])

    def take_approvals(self, now_ms: int) -> tuple[str, ...]:
        """Let through the deletes and repairs that a person approved within 24 hours; return their ids."""
        taken = self._rows("SELECT booking_id, at_ms FROM approvals")
        if not taken:
            return ()
        fresh = [(self.known[id_], at_ms) for id_, at_ms in taken if id_ in self.known and now_ms - at_ms < DAY_MS]
        # One that was given since the pass began counts from then: a moment to come would count for nothing.
        entries = [entry.approved(known, min(at_ms, now_ms)) for known, at_ms in fresh]
        with self._transaction(entries) as db:
            # Only these: another may have been given meanwhile.
            db.executemany("DELETE FROM approvals WHERE booking_id = ? AND at_ms = ?", taken)
        return tuple(known.id for known in entries)

    def finish(
        self,
        record: PassRecord,
        held: Sequence[Held],
        watermarks: Iterable[Watermark],
        *,
        error: str = "",
        remembered: Iterable[object] = (),
        entries: Collection[Known] = (),
        forgotten: Collection[str] = (),
    ) -> None:
        """Store the end of a pass in one transaction; ``error`` is what kept it from its end, in a sentence.

        A pass in which nothing happened may be lost with the machine's power: to wait for the disk would hold up all.
        """
        with self._transaction(entries, forgotten=forgotten, is_quiet=not (entries or forgotten)) as db:
            db.execute("DELETE FROM held")
            db.executemany(
                insert("held", f"nth, {_HELD}"),
                [
                    (nth, each.id, each.reason, each.detail, each.since_ms, *place(each.slot), each.service_id)
                    for nth, each in enumerate(held)
                ],
            )
            db.executemany(_INSERT_META, [("error", error), *map(_kept, remembered)])
            db.execute("DELETE FROM accounts")
            db.executemany(insert("accounts", _WATERMARK), map(astuple, watermarks))
            db.execute(insert("passes", _PASS), (*astuple(record)[:-2], json.dumps(record.withheld), record.kind))
            old = "id <= (SELECT max(id) FROM passes) - ? AND id <> coalesce((SELECT max(id) FROM passes WHERE"
            db.execute(f"DELETE FROM passes WHERE {old} {_COMPLETE}), 0)", (PASSES_KEPT,))  # noqa: S608
        self._rows("PRAGMA shrink_memory")  # of many clubs, each would keep hundreds of KiB until its next pass
