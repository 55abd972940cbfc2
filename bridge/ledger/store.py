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
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from bridge.errors import StateError
from bridge.ledger import entry, held, history, rows
from bridge.ledger.failures import REBUILT, translated
from bridge.ledger.history import Event
from bridge.ledger.rows import insert
from bridge.ledger.schema import migrate
from bridge.ledger.snapshot import copy
from bridge.model import (
    DAY_MS,
    CyclePlace,
    Held,
    Identity,
    Known,
    Outcome,
    PassRecord,
    Rejection,
    Stored,
    Watermark,
    Write,
)

PASSES_KEPT = 500
_CONNECTION: dict[str, Any] = {"isolation_level": None, "check_same_thread": False}
_STATEMENTS = 16
"""So many are kept prepared: each takes 3 KiB, and making it 10 µs."""

_COMPLETE = "kind = 'full' AND outcome IN ('in_sync', 'attention')"
# The columns of the others are named as the fields of their records. What stands behind a booking's own is in details.
_BOOKING_COLUMNS = Known._fields.index("unsettled")
_BOOKING = ", ".join(Known._fields[:_BOOKING_COLUMNS])
_WATERMARK, _COUNTS = ", ".join(Watermark.__slots__), ", ".join(PassRecord.__slots__)
_INSERT_BOOKING = insert("bookings", _BOOKING)
_INTENT = "booking_id, version_ms, fingerprint, why, court_id, start_ms, end_ms"
_REJECTION = "booking_id, fingerprint, reason, config, at_ms"
_CYCLE = "booking_id, cycle, is_deleted, court_id, start_ms, end_ms"
_DETAILS: tuple[tuple[str, str, str, Callable[[Known], list[tuple[Any, ...]]]], ...] = (
    # table, columns, the field of an entry that they are, its rows without the id
    (
        "intents",
        _INTENT,
        "unsettled",
        lambda known: [(i.version_ms, i.fingerprint, i.why, *rows.of_slot(i.slot)) for i in known.unsettled],
    ),
    ("rejections", _REJECTION, "rejection", lambda known: [rows.of_record(known.rejection)] if known.rejection else []),
    (
        "cycles",
        _CYCLE,
        "cycle",
        lambda known: [(k.cycle, int(k.is_deleted), *rows.of_slot(k.slot)) for k in (known.cycle,) if k],
    ),
)
_INSERTS = {table: insert(table, columns) for table, columns, *_ in _DETAILS}


class Ledger:
    """The state database, open. Every method is one transaction or one read; none waits for a request.

    All raise StateError when the database cannot be used.
    """

    def __init__(self, connection: sqlite3.Connection, source: str) -> None:
        self._connection = connection
        self._source = source
        self._known: dict[str, Known] | None = None

    def __repr__(self) -> str:
        return f"Ledger({self._source})"

    @classmethod
    def open(cls, path: Path, identity: Identity) -> Ledger:
        """Open the state for writing; make it if it is not there, bring an older one up to date.

        Raises StateError if it is corrupt, read-only, newer, or another bridge's.
        """
        source = str(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StateError(f"{source}: {error.strerror}; check the owner and mode of the state") from None
        with translated(source):
            connection = sqlite3.connect(path, **_CONNECTION, cached_statements=_STATEMENTS)
        return cls._prepared(connection, source, identity, "journal_mode = WAL", "synchronous = FULL")

    @classmethod
    def snapshot(cls, path: Path, identity: Identity | None) -> Ledger:
        """Return a copy in memory, which nobody else sees; an empty one if there is no state yet.

        Nothing is written to the disk. Without an ``identity`` anybody's will do. Raises StateError like ``open``.
        """
        source = str(path)
        connection = sqlite3.connect(":memory:", **_CONNECTION)
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
                for pragma in ("busy_timeout = 5000", *pragmas):
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
            with self._transaction() as execute:
                for name in missing:
                    execute("INSERT INTO meta VALUES (?, ?)", (name, getattr(identity, name)))
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
    def _transaction(self, *, is_quiet: bool = False) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """Store what is executed inside, all or nothing; the disk is not waited for where it ``is_quiet``."""
        execute = self._connection.execute
        with translated(self._source):
            execute(f"PRAGMA synchronous = {'NORMAL' if is_quiet else 'FULL'}")
            execute("BEGIN IMMEDIATE")
            try:
                yield execute
                execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    execute("ROLLBACK")
                raise

    # --- reading ---

    @property
    def known(self) -> Mapping[str, Known]:
        """All that is known, by Launch27 id; it changes with what is recorded."""
        if self._known is None:
            found = self._rows(f"SELECT {_BOOKING} FROM bookings")  # noqa: S608
            known = {row[0]: Known(*row) for row in rows.shared(found)}
            try:
                self._add_details(known)
            except KeyError:
                damage = f"the state is damaged (rows of no booking); {REBUILT}"
                raise StateError(f"{self._source}: {damage}") from None
            self._known = known
        return self._known

    def _add_details(self, known: dict[str, Known]) -> None:
        intents = f"SELECT {_INTENT} FROM intents ORDER BY booking_id, version_ms"  # noqa: S608
        for id_, version_ms, content, why, *place in self._rows(intents):
            lost = Stored(id_, version_ms, content, rows.slot(*place), why=why)
            known[id_] = known[id_]._replace(unsettled=(*known[id_].unsettled, lost))
        for id_, *rest in self._rows(f"SELECT {_REJECTION} FROM rejections"):  # noqa: S608
            known[id_] = known[id_]._replace(rejection=Rejection(*rest))
        for id_, cycle, is_deleted, *place in self._rows(f"SELECT {_CYCLE} FROM cycles"):  # noqa: S608
            if (slot := rows.slot(*place)) is not None:
                known[id_] = known[id_]._replace(cycle=CyclePlace(cycle, slot, bool(is_deleted)))

    def held(self) -> list[Held]:
        with translated(self._source):
            return held.read(self._connection)

    def watermarks(self) -> list[Watermark]:
        """Return the watermark of every account ever read, in the order of their numbers."""
        found = self._rows(f"SELECT {_WATERMARK} FROM accounts ORDER BY number, account")  # noqa: S608
        return [Watermark(*row) for row in found]

    def passes(self, limit: int = 10) -> list[PassRecord]:
        """Return the last ``limit`` passes, newest first."""
        found = self._rows(f"SELECT {_COUNTS} FROM passes ORDER BY id DESC LIMIT ?", (limit,))  # noqa: S608
        return [replace(PassRecord(*row), withheld=tuple(json.loads(row[-2]))) for row in found]

    @property
    def withheld(self) -> tuple[str, ...]:
        """The ids of the deletes that the last pass withheld, or that it found withheld and could not look at."""
        return next((each.withheld for each in self.passes(1)), ())

    def history(self, limit: int, id_: str | None = None) -> list[Event]:
        """Return the last ``limit`` events of one booking, or of all, newest first."""
        with translated(self._source):
            return history.newest(self._connection, limit, id_)

    def recall(self, name: str) -> str:
        """Return what was remembered under ``name`` ("memory" is the last pass's); "" for nothing."""
        return "".join(value for (value,) in self._rows("SELECT value FROM meta WHERE name = ?", (name,)))

    @property
    def last_success_ms(self) -> int | None:
        """When the last complete full pass ended; None when none ever was."""
        ((end,),) = self._rows(f"SELECT max(started_ms + duration_ms) FROM passes WHERE {_COMPLETE}")  # noqa: S608
        return None if end is None else int(end)

    @property
    def error(self) -> str:
        """What kept the last pass from its end, in a sentence; "" where nothing did."""
        return self.recall("error")

    @property
    def is_adopted(self) -> bool:
        """Whether Wingfield's list was taken over once, so that the ledger knows all that is there."""
        return bool(self.recall("adopted"))

    # --- writing ---

    def remember(self, name: str, text: str) -> None:
        with self._transaction() as execute:
            execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, text))

    def adopt(
        self,
        bookings: Iterable[Stored],
        happened: Sequence[Event] = (),
        reported: Mapping[str, Rejection] = MappingProxyType({}),
    ) -> None:
        """Take over what Wingfield has: what is new as if just sent. ``reported`` are kept as they are, by id."""
        found = (entry.found(self.known.get(each.id), each, reported.get(each.id)) for each in bookings)
        changed = {known.id: known for known in found if known is not None}
        changes = [*changed.values(), *self._finished_cycles(changed)]
        with self._transaction() as execute:
            execute("INSERT OR REPLACE INTO meta VALUES ('adopted', '1')")
            self._store(changes, happened)
        self._believe(changes)

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
        with self._transaction():
            self._store(entries, happened)
        self._believe(entries)

    def approve(self, ids: Iterable[str], at_ms: int) -> None:
        """Note that a person lets these deletes through; a pass of this process or another takes it."""
        slots = {id_: known.last_slot if (known := self.known.get(id_)) else None for id_ in ids}
        why = "a person let its delete or its repair through"
        with self._transaction():
            given = [(id_, at_ms) for id_ in slots]
            self._connection.executemany(insert("approvals", "booking_id, at_ms"), given)
            events = [Event(at_ms, id_, "approve", None, why, slot) for id_, slot in slots.items()]
            history.store(self._connection, events)

    def take_approvals(self, now_ms: int) -> tuple[str, ...]:
        """Let through the deletes and repairs that a person approved within 24 hours; return their ids."""
        taken = self._rows("SELECT booking_id, at_ms FROM approvals")
        if not taken:
            return ()
        fresh = [(self.known[id_], at_ms) for id_, at_ms in taken if id_ in self.known and now_ms - at_ms < DAY_MS]
        # One that was given since the pass began counts from then: a moment to come would count for nothing.
        entries = [entry.approved(known, min(at_ms, now_ms)) for known, at_ms in fresh]
        with self._transaction():
            self._store(entries)
            # Only these: another may have been given meanwhile.
            self._connection.executemany("DELETE FROM approvals WHERE booking_id = ? AND at_ms = ?", taken)
        self._believe(entries)
        return tuple(known.id for known in entries)

    def finish(
        self,
        record: PassRecord,
        held_now: Sequence[Held],
        watermarks: Iterable[Watermark],
        *,
        remembered: Mapping[str, str] = MappingProxyType({}),
        entries: Collection[Known] = (),
        forgotten: Collection[str] = (),
        happened: Sequence[Event] = (),
    ) -> None:
        """Store the end of a pass in one transaction; ``remembered`` are texts, by the names they are kept under.

        A pass in which nothing happened may be lost with the machine's power: to wait for the disk would hold up all.
        """
        with self._transaction(is_quiet=not (entries or forgotten or happened)) as execute:
            many = self._connection.executemany
            self._store(entries, happened)
            many("DELETE FROM bookings WHERE id = ?", [(id_,) for id_ in forgotten])
            for table, *_ in _DETAILS:
                many(f"DELETE FROM {table} WHERE booking_id = ?", [(id_,) for id_ in forgotten])  # noqa: S608
            held.store(self._connection, held_now, record.started_ms)
            many("INSERT OR REPLACE INTO meta VALUES (?, ?)", remembered.items())
            execute("DELETE FROM accounts")
            many(insert("accounts", _WATERMARK), map(rows.of_record, watermarks))
            execute(insert("passes", _COUNTS), (*rows.of_record(record)[:-2], json.dumps(record.withheld), record.kind))
            old = "id <= (SELECT max(id) FROM passes) - ? AND id <> coalesce((SELECT max(id) FROM passes WHERE"
            execute(f"DELETE FROM passes WHERE {old} {_COMPLETE}), 0)", (PASSES_KEPT,))  # noqa: S608
        self._believe(entries, forgotten)
        self._rows("PRAGMA shrink_memory")  # of many clubs, each would keep hundreds of KiB until its next pass

    def _store(self, entries: Iterable[Known], happened: Sequence[Event] = ()) -> None:
        """Write the rows of entries, of what belongs to them where that has changed, and of what happened."""
        history.store(self._connection, happened)
        before = self.known
        many = self._connection.executemany
        latest = {known.id: known for known in entries}
        many(_INSERT_BOOKING, [known[:_BOOKING_COLUMNS] for known in latest.values()])
        pairs = [(before.get(id_) or _NOTHING, known) for id_, known in latest.items()]
        for table, _, field, details in _DETAILS:
            changed = [known for old, known in pairs if getattr(old, field) != getattr(known, field)]
            many(f"DELETE FROM {table} WHERE booking_id = ?", [(known.id,) for known in changed])  # noqa: S608
            many(_INSERTS[table], [(known.id, *row) for known in changed for row in details(known)])

    def _believe(self, entries: Iterable[Known], forgotten: Iterable[str] = ()) -> None:
        """Keep what is known in memory current, now that it is stored."""
        if self._known is not None:
            self._known.update((known.id, known) for known in entries)
            for id_ in forgotten:
                self._known.pop(id_, None)


_NOTHING = Known("", "", None, b"", None, None, None, None, b"", b"", 0)
