"""The ledger in SQLite: intent before a request, outcome after it, watermarks, passes.

    bookings   one row for each booking ever sent (or first seen): acknowledged, intended, first sight
    intents    writes without an answer yet: what else Wingfield may have
    refusals   content that Wingfield refused, so that it is not sent again for a while
    rings      the old places of a ring of moves, while one of it is taken out
    held       what is held back, and since when
    accounts   watermarks
    passes     the last passes with their counts
    meta       whose state this is

It holds ids, courts, times, versions and fingerprints; no name and no address of a person. It is disposable:
with the file gone, the next pass adopts what Wingfield has. One process writes (``hold``); everybody else
reads a copy in memory (``Ledger.snapshot``). A connection is used by one thread at a time.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from bridge.config import is_there
from bridge.errors import AlreadyRunning, StateError
from bridge.model import (
    ABSENT,
    Ending,
    Found,
    Held,
    HeldSince,
    Identity,
    Known,
    Outcome,
    PassRecord,
    Refusal,
    RingPlace,
    Slot,
    Verb,
    Watermark,
    Write,
    Written,
    from_ms,
    isoformat,
    to_ms,
)

if TYPE_CHECKING:
    from sqlite_utils import Database

PASSES_KEPT = 500
_REBUILT = "move it away: the next pass builds a new one from Wingfield's list"


# --- one at a time ---


@contextmanager
def hold(state: Path) -> Iterator[None]:
    """Hold ``state`` for this process alone, until it ends in whatever way.

    Raises AlreadyRunning, naming the holder, or StateError if the lock file cannot be had.
    """
    lock = state.with_name(state.name + ".lock")
    try:
        state.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"{lock}: {error.strerror}; the state needs a folder that can be written") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunning(f"{state}: {_holder(handle)} holds this state; stop it first") from None
        with suppress(OSError):
            os.ftruncate(handle, 0)
            since = isoformat(datetime.now(UTC).replace(microsecond=0))
            os.pwrite(handle, json.dumps({"pid": os.getpid(), "since": since}).encode(), 0)
        yield
    finally:
        os.close(handle)


def _holder(handle: int) -> str:
    try:
        holder = json.loads(os.pread(handle, 200, 0))
        return f"process {int(holder['pid'])}, running since {datetime.fromisoformat(holder['since'])},"
    except (ValueError, KeyError, TypeError, OSError):
        return "another process"


# --- schema ---


def _version_1(db: Database) -> None:
    db.table("meta").create({"name": str, "value": str}, pk="name", not_null={"value"}, strict=True)
    db.table("bookings").create(
        {
            "id": str,
            "account": str,
            "acked_version_ms": int,
            "acked_fingerprint": bytes,
            "court_id": str,
            "start_ms": int,
            "end_ms": int,
            "intended_version_ms": int,
            "intended_fingerprint": bytes,
            "seen_fingerprint": bytes,
            "seen_ms": int,
            "gone_ms": int,
            "asked_ms": int,
            "allowed": int,
        },
        pk="id",
        not_null={
            "account",
            "acked_fingerprint",
            "intended_fingerprint",
            "seen_fingerprint",
            "seen_ms",
            "allowed",
        },
        strict=True,
    )
    place = {"court_id": str, "start_ms": int, "end_ms": int}
    db.table("intents").create(
        {"booking_id": str, "version_ms": int, "fingerprint": bytes, **place},
        pk=("booking_id", "version_ms"),
        not_null={"fingerprint"},
        strict=True,
    )
    db.table("refusals").create(
        {"booking_id": str, "fingerprint": bytes, "reason": str, "config": str, "at_ms": int},
        pk="booking_id",
        not_null={"fingerprint", "reason", "config", "at_ms"},
        strict=True,
    )
    db.table("rings").create(
        {"booking_id": str, "ring": int, "taken_out": int, **place},
        pk="booking_id",
        not_null={"ring", "taken_out", *place},
        strict=True,
    )
    db.table("held").create(
        {"booking_id": str, "nth": int, "reason": str, "detail": str, "since_ms": int},
        pk=("booking_id", "nth"),
        not_null={"reason", "detail", "since_ms"},
        strict=True,
    )
    db.table("accounts").create(
        {"account": str, "number": int, "listed_ms": int, "listed_count": int, "source_updated_ms": int},
        pk="account",
        not_null={"number"},
        strict=True,
    )
    counts = dict.fromkeys(("seen", "created", "updated", "deleted", "unchanged", "ignored", "held"), int)
    db.table("passes").create(
        {"id": int, "started_ms": int, "duration_ms": int, "outcome": str, **counts, "withheld": str},
        pk="id",
        not_null={"started_ms", "duration_ms", "outcome", *counts, "withheld"},
        strict=True,
    )


_MIGRATIONS: tuple[Callable[[Database], None], ...] = (_version_1,)
SCHEMA = len(_MIGRATIONS)


def _migrate(connection: sqlite3.Connection, source: str) -> None:
    """Bring the schema up to date, one version at a time, in one transaction.

    Raises StateError if a newer program wrote it.
    """
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found == SCHEMA:
        return
    if found > SCHEMA:
        raise StateError(
            f"{source}: written by a newer Courtbridge (schema {found}, this one knows {SCHEMA}); "
            f"upgrade Courtbridge, or {_REBUILT}"
        )
    from sqlite_utils import Database

    db = Database(connection)
    with db.atomic():
        for version, migration in enumerate(_MIGRATIONS[found:], found + 1):
            migration(db)
            db.execute(f"PRAGMA user_version = {version}")


# --- the ledger ---

_SELECT_BOOKINGS = """
    SELECT id, account, acked_version_ms, acked_fingerprint, court_id, start_ms, end_ms,
           intended_version_ms, intended_fingerprint, seen_fingerprint, seen_ms, gone_ms, asked_ms, allowed
    FROM bookings
"""
_INSERT_INTENDED = """
    INSERT INTO bookings (id, account, acked_fingerprint, intended_version_ms, intended_fingerprint,
                          seen_fingerprint, seen_ms, allowed)
    VALUES (:id, '', x'', :version_ms, :fingerprint, :seen, :sighted_ms, 0)
    ON CONFLICT (id) DO UPDATE SET
        intended_version_ms = :version_ms,
        intended_fingerprint = :fingerprint,
        seen_fingerprint = CASE WHEN :sighted_ms THEN :seen ELSE seen_fingerprint END,
        seen_ms = CASE WHEN :sighted_ms THEN :sighted_ms ELSE seen_ms END
"""
_INSERT_INTENT = """
    INSERT OR REPLACE INTO intents (booking_id, version_ms, fingerprint, court_id, start_ms, end_ms)
    VALUES (?, ?, ?, ?, ?, ?)
"""
_ACKNOWLEDGE = """
    UPDATE bookings SET acked_version_ms = ?, acked_fingerprint = ?, court_id = coalesce(?, court_id),
           start_ms = coalesce(?, start_ms), end_ms = coalesce(?, end_ms), allowed = 0
    WHERE id = ?
"""
_SELECT_INTENTS = """
    SELECT booking_id, version_ms, fingerprint, court_id, start_ms, end_ms FROM intents
    ORDER BY booking_id, version_ms
"""
_SELECT_ACCOUNTS = """
    SELECT account, number, listed_ms, listed_count, source_updated_ms FROM accounts ORDER BY number, account
"""
_SELECT_PASSES = """
    SELECT started_ms, duration_ms, outcome, seen, created, updated, deleted, unchanged, ignored, held,
           withheld
    FROM passes ORDER BY id DESC LIMIT ?
"""
_INSERT_RECORD = """
    INSERT INTO passes (started_ms, duration_ms, outcome, seen, created, updated, deleted, unchanged, ignored,
                        held, withheld)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_INSERT_RING = """
    INSERT INTO rings (booking_id, ring, taken_out, court_id, start_ms, end_ms) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (booking_id) DO UPDATE SET
        ring = excluded.ring, taken_out = max(taken_out, excluded.taken_out),
        court_id = excluded.court_id, start_ms = excluded.start_ms, end_ms = excluded.end_ms
"""
_INSERT_SIGHTING = """
    INSERT INTO bookings (id, account, acked_fingerprint, intended_fingerprint, seen_fingerprint, seen_ms,
                          allowed)
    VALUES (?, '', x'', x'', ?, ?, 0)
    ON CONFLICT (id) DO UPDATE SET
        seen_ms = CASE WHEN seen_fingerprint = excluded.seen_fingerprint
                  THEN seen_ms ELSE excluded.seen_ms END,
        seen_fingerprint = excluded.seen_fingerprint
"""
_FORGET = (
    "DELETE FROM intents WHERE booking_id = ?",
    "DELETE FROM refusals WHERE booking_id = ?",
    "DELETE FROM rings WHERE booking_id = ?",
    "DELETE FROM bookings WHERE id = ?",
)


@dataclass(slots=True)
class Closing:
    """All that is stored when a pass ends, in one transaction."""

    record: PassRecord
    held: Sequence[Held] = ()
    sightings: Iterable[tuple[str, bytes]] = ()
    owners: Iterable[tuple[str, str]] = ()
    """(id, account) where it is not what the ledger has."""
    back: Collection[str] = ()
    """Ids that were found gone once and are not gone now."""
    forgotten: Collection[str] = ()
    watermarks: Iterable[Watermark] = field(default_factory=tuple)


class Ledger:
    """The state database, open. Every method is one transaction or one read; none waits for a request."""

    def __init__(self, connection: sqlite3.Connection, source: str) -> None:
        self._connection = connection
        self._source = source
        self._has_rings = True

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
        with _translated(source):
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        return cls._prepared(connection, source, identity, "journal_mode = WAL", "synchronous = FULL")

    @classmethod
    def snapshot(cls, path: Path, identity: Identity) -> Ledger:
        """Return a copy in memory, which nobody else sees; an empty one if there is no state yet.

        Nothing is written to the disk. Raises StateError like ``open``.
        """
        source = str(path)
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        try:
            if is_there(path):
                with _translated(source):
                    _copy(path, connection)
        except BaseException as error:
            connection.close()
            if not isinstance(error, OSError):
                raise
            remedy = "call courtbridge as a user who may read the state (root, for the service's)"
            raise StateError(f"{source}: {error.strerror}; {remedy}") from None
        return cls._prepared(connection, source, identity)

    @classmethod
    def _prepared(
        cls, connection: sqlite3.Connection, source: str, identity: Identity, *pragmas: str
    ) -> Ledger:
        ledger = cls(connection, source)
        try:
            with _translated(source):
                for pragma in ("busy_timeout = 5000", *pragmas):
                    connection.execute(f"PRAGMA {pragma}")
                _migrate(connection, source)
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
        if "launch27_host" not in found:
            with self._transaction() as execute:
                for name in Identity.__slots__:
                    execute("INSERT INTO meta VALUES (?, ?)", (name, getattr(identity, name)))
            return
        owner = Identity(*(found[name] for name in Identity.__slots__))
        if owner != identity:
            raise StateError(
                f"{self._source}: this is the state of {owner}, and the configuration says {identity}; "
                f"set sync.state to another file, or move this one away"
            )

    def _meta(self) -> dict[str, str]:
        return dict(self._rows("SELECT name, value FROM meta"))

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with _translated(self._source):
            return self._connection.execute(sql, parameters).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        with _translated(self._source):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection.execute
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    # --- reading ---

    def known(self) -> dict[str, Known]:
        """Return all that is known, by Launch27 id."""
        known = {row[0]: Known(*row) for row in self._rows(_SELECT_BOOKINGS)}
        try:
            self._add_details(known)
        except KeyError:
            raise StateError(
                f"{self._source}: the state is damaged (rows of no booking); {_REBUILT}"
            ) from None
        return known

    def _add_details(self, known: dict[str, Known]) -> None:
        for id_, entries in self._unsettled().items():
            known[id_] = known[id_]._replace(unsettled=tuple(entries))
        for id_, *rest in self._rows("SELECT booking_id, fingerprint, reason, config, at_ms FROM refusals"):
            known[id_] = known[id_]._replace(refusal=Refusal(*rest))
        for id_, place in self._ring_places().items():
            known[id_] = known[id_]._replace(ring=place)

    def _unsettled(self) -> dict[str, list[Written]]:
        found: dict[str, list[Written]] = {}
        rows = self._rows(_SELECT_INTENTS)
        for id_, version_ms, content, *place in rows:
            found.setdefault(id_, []).append(Written(version_ms, content, _slot(*place)))
        return found

    def _ring_places(self) -> dict[str, RingPlace]:
        rows = self._rows("SELECT booking_id, ring, taken_out, court_id, start_ms, end_ms FROM rings")
        self._has_rings = bool(rows)
        return {
            id_: RingPlace(ring, slot, bool(taken_out))
            for id_, ring, taken_out, *place in rows
            if (slot := _slot(*place)) is not None
        }

    def held(self) -> list[HeldSince]:
        """Return what is held back, by id."""
        rows = self._rows("SELECT booking_id, reason, detail, since_ms FROM held ORDER BY booking_id, nth")
        return [HeldSince(*row) for row in rows]

    def watermarks(self) -> list[Watermark]:
        """Return the watermark of every account ever read, in the order of their numbers."""
        return [Watermark(*row) for row in self._rows(_SELECT_ACCOUNTS)]

    def passes(self, limit: int = 10) -> list[PassRecord]:
        """Return the last ``limit`` passes, newest first."""
        rows = self._rows(_SELECT_PASSES, (limit,))
        return [_pass_record(list(row)) for row in rows]

    @property
    def is_adopted(self) -> bool:
        """Whether Wingfield's list was taken over once, so that the ledger knows all that is there."""
        return "adopted" in self._meta()

    # --- writing ---

    def adopt(self, bookings: Iterable[Found]) -> None:
        """Take over what Wingfield has, as acknowledged and as if just sent."""
        from sqlite_utils import Database

        rows = [
            {
                "id": found.id,
                "account": "",
                "acked_version_ms": found.version_ms,
                "acked_fingerprint": found.fingerprint,
                "court_id": found.slot.court_id,
                "start_ms": to_ms(found.slot.start),
                "end_ms": to_ms(found.slot.end),
                "intended_version_ms": found.version_ms,
                "intended_fingerprint": found.fingerprint,
                "seen_fingerprint": found.fingerprint,
                "seen_ms": found.version_ms,
                "allowed": 0,
            }
            for found in bookings
            if found.slot is not None
        ]
        with _translated(self._source):
            db = Database(self._connection)
            with db.atomic():
                db.table("bookings").insert_all(rows, pk="id", replace=True)
                db.execute("INSERT OR REPLACE INTO meta VALUES ('adopted', '1')")

    def record(self, intents: Sequence[Write], outcomes: Sequence[Outcome | Found]) -> None:
        """Store, in one transaction, how writes ended and which are about to be sent."""
        with self._transaction():
            self._store_outcomes([outcome for outcome in outcomes if isinstance(outcome, Outcome)])
            for found in outcomes:
                if isinstance(found, Found):
                    self._store_found(found)
            self._store_intents(intents)

    def _store_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        many = self._connection.executemany
        acked = [outcome.write for outcome in outcomes if outcome.ending is Ending.ACKNOWLEDGED]
        many(_ACKNOWLEDGE, [(w.version_ms, w.fingerprint, *_place(_put(w)), w.id) for w in acked])
        many(
            "DELETE FROM intents WHERE booking_id = ? AND version_ms <= ?",
            [(w.id, w.version_ms) for w in acked],
        )
        many("DELETE FROM refusals WHERE booking_id = ?", [(w.id,) for w in acked if not _is_a_detour(w)])
        void = [o.write for o in outcomes if o.ending in (Ending.REFUSED, Ending.NOT_SENT)]
        many(
            "DELETE FROM intents WHERE booking_id = ? AND version_ms = ?",
            [(w.id, w.version_ms) for w in void],
        )
        many(
            "INSERT OR REPLACE INTO refusals VALUES (?, ?, ?, ?, ?)",
            [
                (o.write.id, o.write.fingerprint, o.reason, o.config, o.at_ms)
                for o in outcomes
                if o.ending is Ending.REFUSED
            ],
        )
        if self._has_rings:
            self._close_rings([w.id for w in acked if not w.takes_out] + [w.id for w in void if w.takes_out])

    def _close_rings(self, back: Sequence[str]) -> None:
        """Note who is back (or never left); forget the rings that nobody is taken out of any more."""
        if back:
            many = self._connection.executemany
            many("UPDATE rings SET taken_out = 0 WHERE booking_id = ?", [(id_,) for id_ in back])
            self._connection.execute(
                "DELETE FROM rings WHERE ring NOT IN (SELECT ring FROM rings WHERE taken_out)"
            )

    def _store_found(self, found: Found) -> None:
        execute = self._connection.execute
        execute(_ACKNOWLEDGE, (found.version_ms, found.fingerprint, *_place(found.slot), found.id))
        execute("DELETE FROM intents WHERE booking_id = ?", (found.id,))
        if found.slot is not None:
            self._close_rings([found.id])

    def _store_intents(self, intents: Sequence[Write]) -> None:
        many = self._connection.executemany
        many(
            _INSERT_INTENDED,
            [
                {
                    "id": w.id,
                    "version_ms": w.version_ms,
                    "fingerprint": w.fingerprint,
                    "seen": w.fingerprint if w.sighted_ms else ABSENT,
                    "sighted_ms": w.sighted_ms,
                }
                for w in intents
            ],
        )
        many(_INSERT_INTENT, [(w.id, w.version_ms, w.fingerprint, *_place(_put(w))) for w in intents])
        for cut in intents:
            if cut.takes_out:
                self._open_ring(cut)

    def _open_ring(self, cut: Write) -> None:
        self._has_rings = True
        self._connection.executemany(
            _INSERT_RING,
            [(id_, cut.ring, int(id_ == cut.id), *_place(slot)) for id_, slot in cut.places],
        )

    def allow(self, ids: Iterable[str]) -> None:
        """Remember that these deletes passed the guard, so that they go on after an interruption."""
        with self._transaction():
            many = self._connection.executemany
            many("UPDATE bookings SET allowed = 1 WHERE id = ?", [(id_,) for id_ in ids])

    def asked(self, gone: Iterable[str], others: Iterable[str], now_ms: int) -> None:
        """Remember who was asked for by id, and who of them was found gone (the first time counts)."""
        with self._transaction():
            many = self._connection.executemany
            many(
                "UPDATE bookings SET asked_ms = ?, gone_ms = coalesce(gone_ms, ?) WHERE id = ?",
                [(now_ms, now_ms, id_) for id_ in gone],
            )
            many(
                "UPDATE bookings SET asked_ms = ?, gone_ms = NULL WHERE id = ?", [(now_ms, i) for i in others]
            )

    def finish(self, closing: Closing) -> None:
        """Store the end of a pass in one transaction."""
        with self._transaction() as execute:
            many = self._connection.executemany
            now_ms = closing.record.started_ms
            many(_INSERT_SIGHTING, [(id_, content, now_ms) for id_, content in closing.sightings])
            owners = [(account, id_) for id_, account in closing.owners]
            many("UPDATE bookings SET account = ? WHERE id = ?", owners)
            many("UPDATE bookings SET gone_ms = NULL, allowed = 0 WHERE id = ?", [(i,) for i in closing.back])
            for statement in _FORGET:
                many(statement, [(id_,) for id_ in closing.forgotten])
            self._store_held(closing.held, now_ms)
            execute("DELETE FROM accounts")
            many(
                "INSERT INTO accounts VALUES (?, ?, ?, ?, ?)",
                map(_watermark_row, closing.watermarks),
            )
            record = closing.record
            counts = (getattr(record, name) for name in PassRecord.__slots__[:-1])
            execute(_INSERT_RECORD, (*counts, json.dumps(record.withheld)))
            execute("DELETE FROM passes WHERE id <= (SELECT max(id) FROM passes) - ?", (PASSES_KEPT,))

    def _store_held(self, held: Sequence[Held], now_ms: int) -> None:
        before = {(entry.id, entry.reason): entry.since_ms for entry in self.held()}
        rows, nth = [], dict[str, int]()
        for entry in held:
            nth[entry.id] = nth.get(entry.id, -1) + 1
            since_ms = before.get((entry.id, entry.reason), now_ms)
            rows.append((entry.id, nth[entry.id], entry.reason, entry.detail, since_ms))
        if rows or before:
            self._connection.execute("DELETE FROM held")
            self._connection.executemany("INSERT INTO held VALUES (?, ?, ?, ?, ?)", rows)


def _pass_record(row: list[Any]) -> PassRecord:
    row[-1] = tuple(json.loads(row[-1]))
    return PassRecord(*row)


def _watermark_row(watermark: Watermark) -> tuple[Any, ...]:
    return tuple(getattr(watermark, name) for name in Watermark.__slots__)


def _is_a_detour(write: Write) -> bool:
    """Whether a write is only part of a ring of moves: taken out, or gone back to the old place."""
    return write.takes_out or (write.verb is not Verb.DELETE and not write.sighted_ms)


def _put(write: Write) -> Slot | None:
    return None if write.verb is Verb.DELETE else write.slot


def _place(slot: Slot | None) -> tuple[str | None, int | None, int | None]:
    return (None, None, None) if slot is None else (slot.court_id, to_ms(slot.start), to_ms(slot.end))


def _slot(court_id: str | None, start_ms: int | None, end_ms: int | None) -> Slot | None:
    if court_id is None or start_ms is None or end_ms is None:
        return None
    return Slot(court_id, from_ms(start_ms), from_ms(end_ms))


def _copy(path: Path, target: sqlite3.Connection) -> None:
    """Copy the database at ``path``, which another process may be writing, without touching its files.

    Opening a database in WAL mode makes files beside it, unless it is called immutable; that is true only
    while nobody writes, which is when there is no ``-wal`` file. What a kill left behind is read elsewhere.
    """
    log, index = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))
    for _ in range(3):
        before = path.stat()
        if not log.exists():
            _backup(path, "immutable=1", target)
            after = path.stat()
            is_same = (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
            if is_same and not log.exists():
                return None
        elif index.exists():
            return _backup(path, "mode=ro", target)
        else:
            with tempfile.TemporaryDirectory(prefix="courtbridge-") as folder:
                for file in (path, log):
                    shutil.copy(file, folder)
                return _backup(Path(folder, path.name), "mode=rw", target)
    return _backup(path, "mode=ro", target)


def _backup(path: Path, mode: str, target: sqlite3.Connection) -> None:
    source = sqlite3.connect(f"file:{quote(str(path.resolve()))}?{mode}", uri=True)
    try:
        source.execute("PRAGMA busy_timeout = 5000")
        source.backup(target)
    finally:
        source.close()


@contextmanager
def _translated(source: str) -> Iterator[None]:
    """Turn SQLite's errors into StateError, each with a way out."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", "") or ""
        raise StateError(f"{source}: {_words(code, error)}") from None


def _words(code: str, error: sqlite3.Error) -> str:
    if code.startswith("SQLITE_FULL"):
        return "the disk is full; make room and run again"
    if code.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN", "SQLITE_AUTH")):
        return f"the state cannot be written or opened ({error}); check its owner, mode and folder"
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return f"the state is damaged ({error}); {_REBUILT}"
    if code.startswith("SQLITE_BUSY"):
        return "the state is locked by another program; try again when it is done"
    if code.startswith("SQLITE_IOERR"):
        return f"the disk failed or is full ({error}); make room or mend it, and run again"
    return f"the state cannot be used ({error}); {_REBUILT}"
