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
from bridge.ledger import entry
from bridge.ledger.failures import REBUILT, translated
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
    Slot,
    Stored,
    Watermark,
    Write,
    from_ms,
    to_ms,
)

PASSES_KEPT = 500

_BOOKING = (
    "id, account, acked_version_ms, acked_fingerprint, court_id, start_ms, end_ms, intended_version_ms, "
    "intended_fingerprint, seen_fingerprint, seen_ms, gone_ms, looked_up_ms, doubted_ms, allowed_ms, "
    "is_approved, failures, config"
)
_BOOKING_COLUMNS = _BOOKING.count(",") + 1
_WATERMARK = "account, number, listed_ms, listed_count, source_updated_ms"
_COUNTS = (
    "started_ms, duration_ms, outcome, seen, created, updated, deleted, unchanged, ignored, held, pending, withheld"
)


def _insert(table: str, columns: str) -> str:
    marks = ", ".join("?" * (columns.count(",") + 1))
    return f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 (our own names)


_INSERT_BOOKING = _insert("bookings", _BOOKING)
_INSERT_INTENT = _insert("intents", "booking_id, version_ms, fingerprint, court_id, start_ms, end_ms")
_INSERT_REJECTION = _insert("rejections", "booking_id, fingerprint, reason, config, at_ms")
_INSERT_CYCLE = _insert("cycles", "booking_id, cycle, is_deleted, court_id, start_ms, end_ms")


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
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
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
        """Close the database, tidily."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _belongs_to(self, identity: Identity) -> None:
        found = self._meta()
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

    def _meta(self) -> dict[str, str]:
        return dict(self._rows("SELECT name, value FROM meta"))

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with translated(self._source):
            return self._connection.execute(sql, parameters).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        with translated(self._source):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection.execute
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    # --- reading ---

    @property
    def known(self) -> Mapping[str, Known]:
        """All that is known, by Launch27 id; it changes with what is recorded."""
        if self._known is None:
            known = {row[0]: Known(*row) for row in self._rows(f"SELECT {_BOOKING} FROM bookings")}  # noqa: S608
            try:
                self._add_details(known)
            except KeyError:
                damage = f"the state is damaged (rows of no booking); {REBUILT}"
                raise StateError(f"{self._source}: {damage}") from None
            self._known = known
        return self._known

    def _add_details(self, known: dict[str, Known]) -> None:
        intents = "SELECT booking_id, version_ms, fingerprint, court_id, start_ms, end_ms FROM intents"
        for id_, version_ms, content, *place in self._rows(f"{intents} ORDER BY booking_id, version_ms"):
            lost = Stored(id_, version_ms, content, _slot(*place))
            known[id_] = known[id_]._replace(unsettled=(*known[id_].unsettled, lost))
        for id_, *rest in self._rows("SELECT booking_id, fingerprint, reason, config, at_ms FROM rejections"):
            known[id_] = known[id_]._replace(rejection=Rejection(*rest))
        cycles = "SELECT booking_id, cycle, is_deleted, court_id, start_ms, end_ms FROM cycles"
        for id_, cycle, is_deleted, *place in self._rows(cycles):
            if (slot := _slot(*place)) is not None:
                known[id_] = known[id_]._replace(cycle=CyclePlace(cycle, slot, bool(is_deleted)))

    def held(self) -> list[Held]:
        """Return what is held, by id."""
        rows = self._rows("SELECT booking_id, reason, detail, since_ms FROM held ORDER BY booking_id, nth")
        return [Held(*row) for row in rows]

    def watermarks(self) -> list[Watermark]:
        """Return the watermark of every account ever read, in the order of their numbers."""
        rows = self._rows(f"SELECT {_WATERMARK} FROM accounts ORDER BY number, account")  # noqa: S608
        return [Watermark(*row) for row in rows]

    def passes(self, limit: int = 10) -> list[PassRecord]:
        """Return the last ``limit`` passes, newest first."""
        rows = self._rows(f"SELECT {_COUNTS} FROM passes ORDER BY id DESC LIMIT ?", (limit,))  # noqa: S608
        return [replace(PassRecord(*row), withheld=tuple(json.loads(row[-1]))) for row in rows]

    @property
    def memory(self) -> str:
        """What the last pass believed of the Launch27 account; "" for a new state."""
        return self._meta().get("memory", "")

    @property
    def error(self) -> str:
        """What kept the last pass from its end, in a sentence; "" where nothing did."""
        return self._meta().get("error", "")

    @property
    def is_adopted(self) -> bool:
        """Whether Wingfield's list was taken over once, so that the ledger knows all that is there."""
        return "adopted" in self._meta()

    @property
    def mark(self) -> str:
        """How far Wingfield's list was known after the last pass; "" for a new state."""
        return self._meta().get("mark", "")

    # --- writing ---

    def adopt(self, bookings: Iterable[Stored], reported: Mapping[str, Rejection] = MappingProxyType({})) -> None:
        """Take over what Wingfield has: what is new as if just sent. ``reported`` are kept as they are, by id."""
        found = (entry.found(self.known.get(each.id), each, reported.get(each.id)) for each in bookings)
        changed = {known.id: known for known in found if known is not None}
        changes = [*changed.values(), *self._finished_cycles(changed)]
        with self._transaction() as execute:
            execute("INSERT OR REPLACE INTO meta VALUES ('adopted', '1')")
            self._store(changes)
        self._believe(changes)

    def record(self, intents: Sequence[Write], outcomes: Sequence[Outcome | Stored]) -> None:
        """Store, in one transaction, how writes ended, what was read back, and what is about to be sent."""
        changed: dict[str, Known] = {}

        def now(id_: str) -> Known | None:
            return changed.get(id_) or self.known.get(id_)

        for outcome in outcomes:
            id_ = outcome.id if isinstance(outcome, Stored) else outcome.write.id
            if (known := now(id_)) is not None:
                changed[id_] = (
                    entry.read_back(known, outcome) if isinstance(outcome, Stored) else entry.ended(known, outcome)
                )
        for write in intents:
            changed[write.id] = entry.intended(now(write.id), write)
            for id_, slot in write.places:
                if write.cycle is not None and (known := now(id_)) is not None:
                    changed[id_] = entry.in_cycle(known, write.cycle, slot, is_cut=id_ == write.id)
        self.save([*changed.values(), *self._finished_cycles(changed)])

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

    def save(self, entries: Collection[Known]) -> None:
        """Store entries as they are, in one transaction; the last one of a booking counts."""
        with self._transaction():
            self._store(entries)
        self._believe(entries)

    def approve(self, ids: Iterable[str], at_ms: int) -> None:
        """Note that a person lets these deletes and repairs through; a pass of this process or another takes it."""
        with self._transaction():
            rows = [(id_, at_ms) for id_ in ids]
            self._connection.executemany("INSERT OR REPLACE INTO approvals (booking_id, at_ms) VALUES (?, ?)", rows)

    def take_approvals(self, now_ms: int) -> tuple[str, ...]:
        """Let through the deletes and repairs that a person approved within 24 hours; return their ids."""
        rows = self._rows("SELECT booking_id, at_ms FROM approvals")
        if not rows:
            return ()
        fresh = [(self.known[id_], at_ms) for id_, at_ms in rows if id_ in self.known and now_ms - at_ms < DAY_MS]
        entries = [entry.approved(known, at_ms) for known, at_ms in fresh]
        with self._transaction() as execute:
            self._store(entries)
            execute("DELETE FROM approvals")
        self._believe(entries)
        return tuple(known.id for known in entries)

    def finish(
        self,
        record: PassRecord,
        held: Sequence[Held],
        watermarks: Iterable[Watermark],
        *,
        memory: str = "",
        mark: str = "",
        error: str = "",
        entries: Collection[Known] = (),
        forgotten: Collection[str] = (),
    ) -> None:
        """Store the end of a pass in one transaction."""
        with self._transaction() as execute:
            many = self._connection.executemany
            self._store(entries)
            for table, key in _TABLES_OF_BOOKINGS:
                many(f"DELETE FROM {table} WHERE {key} = ?", [(id_,) for id_ in forgotten])  # noqa: S608
            self._store_held(held, record.started_ms)
            many("INSERT OR REPLACE INTO meta VALUES (?, ?)", [("memory", memory), ("mark", mark), ("error", error)])
            execute("DELETE FROM accounts")
            many(_insert("accounts", _WATERMARK), map(_row, watermarks))
            execute(_insert("passes", _COUNTS), (*_row(record)[:-1], json.dumps(record.withheld)))
            execute("DELETE FROM passes WHERE id <= (SELECT max(id) FROM passes) - ?", (PASSES_KEPT,))
        self._believe(entries, forgotten)

    def _store(self, entries: Iterable[Known]) -> None:
        """Write the rows of entries, and of what belongs to them where that has changed."""
        before = self.known
        many = self._connection.executemany
        latest = {known.id: known for known in entries}
        many(_INSERT_BOOKING, [known[:_BOOKING_COLUMNS] for known in latest.values()])
        pairs = [(before.get(id_) or _NOTHING, known) for id_, known in latest.items()]
        lost = [known for old, known in pairs if old.unsettled != known.unsettled]
        many("DELETE FROM intents WHERE booking_id = ?", [(known.id,) for known in lost])
        many(_INSERT_INTENT, [_intent(stored) for known in lost for stored in known.unsettled])
        rejected = [known for old, known in pairs if old.rejection != known.rejection]
        many("DELETE FROM rejections WHERE booking_id = ?", [(known.id,) for known in rejected])
        many(_INSERT_REJECTION, [(k.id, *_row(k.rejection)) for k in rejected if k.rejection])
        moved = [known for old, known in pairs if old.cycle != known.cycle]
        many("DELETE FROM cycles WHERE booking_id = ?", [(known.id,) for known in moved])
        many(
            _INSERT_CYCLE,
            [(k.id, k.cycle.cycle, int(k.cycle.is_deleted), *_place(k.cycle.slot)) for k in moved if k.cycle],
        )

    def _believe(self, entries: Iterable[Known], forgotten: Iterable[str] = ()) -> None:
        """Keep what is known in memory current, now that it is stored."""
        if self._known is not None:
            self._known.update((known.id, known) for known in entries)
            for id_ in forgotten:
                self._known.pop(id_, None)

    def _store_held(self, held: Sequence[Held], now_ms: int) -> None:
        before = {(entry.id, entry.reason): entry.since_ms for entry in self.held()}
        rows, nth = [], dict[str, int]()
        for each in held:
            nth[each.id] = nth.get(each.id, -1) + 1
            since_ms = before.get((each.id, each.reason), now_ms)
            rows.append((each.id, nth[each.id], each.reason, each.detail, since_ms))
        if rows or before:
            self._connection.execute("DELETE FROM held")
            self._connection.executemany("INSERT INTO held VALUES (?, ?, ?, ?, ?)", rows)


_TABLES_OF_BOOKINGS = (
    ("intents", "booking_id"),
    ("rejections", "booking_id"),
    ("cycles", "booking_id"),
    ("bookings", "id"),
)
_NOTHING = Known("", "", None, b"", None, None, None, None, b"", b"", 0)


def _row(record: Any) -> tuple[Any, ...]:  # noqa: ANN401 (any of the slotted dataclasses of the model)
    """Return the fields of a record, in the order of its columns."""
    return tuple(getattr(record, name) for name in record.__slots__)


def _intent(lost: Stored) -> tuple[Any, ...]:
    return lost.id, lost.version_ms, lost.fingerprint, *_place(lost.slot)


def _place(slot: Slot | None) -> tuple[str | None, int | None, int | None]:
    return (None, None, None) if slot is None else (slot.court_id, to_ms(slot.start), to_ms(slot.end))


def _slot(court_id: str | None, start_ms: int | None, end_ms: int | None) -> Slot | None:
    if court_id is None or start_ms is None or end_ms is None:
        return None
    return Slot(court_id, from_ms(start_ms), from_ms(end_ms))
