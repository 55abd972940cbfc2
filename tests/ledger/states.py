"""What tests of the ledger put into it."""

from __future__ import annotations

from pathlib import Path

from bridge.ledger.entry import Ending, Outcome
from bridge.ledger.store import Ledger
from bridge.model import Known, Write
from bridge.records import Identity, PassRecord
from tests.support.builders import delete, put, slot

US = Identity("acme.launch27.com", "dev.wingfield.systems", "497f6eca-6276-4993-bfeb-53cbbbba6f08", "")


def ended(write: Write, ending: Ending = Ending.ACKNOWLEDGED, reason: str = "") -> Outcome:
    return Outcome(write, ending, reason, "cfg", 900)


def rejected(write: Write) -> Outcome:
    return ended(write, Ending.REJECTED, "court_not_found")


def cut(id_: str, *others: str, cycle: int = 5, version_ms: int = 3000) -> Write:
    """Return the temporary delete of the first of some bookings that stand at 9, 10, 11 …"""
    places = tuple((each, slot(hour)) for hour, each in enumerate((id_, *others), 9))
    return delete(id_, version_ms=version_ms, is_temporary=True, cycle=cycle, places=places)


def stand(ledger: Ledger, *ids: str) -> None:
    """Let these be acknowledged at 9, 10, 11 …"""
    writes = [put(id_, slot(hour)) for hour, id_ in enumerate(ids, 9)]
    ledger.record(writes, [])
    ledger.record([], [ended(write) for write in writes])


def only(ledger: Ledger) -> Known:
    (known,) = ledger.known.values()
    return known


def a_pass(started_ms: int = 1000, withheld: tuple[str, ...] = ()) -> PassRecord:
    return PassRecord(started_ms, 184, "in_sync", 9, 1, 2, 3, 4, 5, 6, 7, withheld)


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return what is in a folder: the content and the moment of the last change, by name."""
    return {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in folder.iterdir()}


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777
