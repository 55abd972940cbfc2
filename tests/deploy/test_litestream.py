"""Litestream's configuration, by the keys that it knows, and a state that it has been at work on."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import Any

import yaml

from tests.deploy.podman import CHECKOUT
from tests.support.club import Club

CONFIG = CHECKOUT / "deploy" / "litestream.yml"
REPLICA = {"type", "endpoint", "bucket", "path"}
KNOWN: dict[str, set[str]] = {
    "": {"snapshot", "dbs"},
    "snapshot": {"interval", "retention"},
    "dbs": {"path", "dir", "pattern", "watch", "replica"},
    "replica": REPLICA,
}
"""What is used here of Litestream 0.5, which takes no notice of what it does not know. Source: its
cmd/litestream/main.go, Config, SnapshotConfig, DBConfig, ReplicaConfig and ReplicaSettings."""


def check(value: Any, place: str = "") -> None:
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict):
            assert each.keys() <= KNOWN[place], place
            for name, inner in each.items():
                check(inner, name)


def test_litestream_knows_every_key() -> None:
    text = CONFIG.read_text()
    check(yaml.safe_load(text))
    (directory,) = re.findall(r"^  # - dir:(?:.*\n)(?:  #   .*\n)*", text, re.MULTILINE)
    (entry,) = yaml.safe_load(re.sub("^  # ", "", directory, flags=re.MULTILINE))
    check(entry, "dbs")
    assert set(entry) == {"dir", "pattern", "watch", "replica"}


def test_durations_are_written_as_go_reads_them() -> None:
    assert all(re.fullmatch(r"\d+[hms]", length) for length in yaml.safe_load(CONFIG.read_text())["snapshot"].values())


async def test_its_own_tables_in_a_state_and_in_a_restored_one_change_nothing(club: Club) -> None:
    stays, goes = await club.some(2)
    with closing(sqlite3.connect(club.state, isolation_level=None)) as litestream:
        litestream.execute("PRAGMA wal_autocheckpoint = 0")
        litestream.execute("CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)")
        litestream.execute("CREATE TABLE _litestream_lock (id INTEGER)")
        litestream.execute("INSERT INTO _litestream_seq VALUES (1, 1)")
        await club.expect(unchanged=2)
        litestream.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        litestream.execute("VACUUM INTO ?", [str(club.folder / "restored")])
    club.tick(hours=1)
    club.launch27.cancel(goes)
    new = club.book(3, 30)
    await club.run()
    await club.lose_state()
    (club.folder / "restored").rename(club.state)
    result = await club.run()
    assert [(each.kind.value, each.id) for each in result.drift or ()] == [("extra", str(new))]
    assert set(club.wingfield.bookings) == {str(stays), str(new)}
    await club.expect(unchanged=2)
