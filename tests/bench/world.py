"""Both services in a process of their own, edited by commands: one JSON object a line in, one out.

Run by :class:`tests.bench.processes.World`; ends when its standard input does.
"""

from __future__ import annotations

import json
import sys
import time
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from bridge.sandbox import Launch27, Sandbox, Wingfield, generate
from tests.support.builders import EMAIL, PASSWORD
from tests.support.configuration import introduction


class Worlds:
    """The two services, and what the benchmark does to them between runs."""

    def __init__(self, bookings: int) -> None:
        self.courts = [str(uuid5(NAMESPACE_URL, f"court/{number}")) for number in range(1, 41)]
        self.launch27 = Launch27()
        self.launch27.add_account(EMAIL, PASSWORD)
        self.wingfield = Wingfield(courts={court: court for court in self.courts})
        tomorrow = datetime.now(ZoneInfo(self.launch27.timezone)).date() + timedelta(days=1)
        self.ids = generate(self.launch27, bookings=bookings, courts=40, start=tomorrow, days=30)
        self.edits = 0

    def clear(self) -> None:
        """Empty Wingfield."""
        for id_ in list(self.wingfield.bookings):
            self.wingfield.remove(id_)
        self.wingfield.tombstones.clear()

    def change(self, share: float) -> list[int]:
        """Give this share of the bookings another player; return their ids."""
        self.edits += 1
        changed = self.ids[:: round(1 / share)]
        for id_ in changed:
            self.launch27.edit(id_, email=f"changed{self.edits}-{id_}@example.com")
        return changed

    def relate(self, count: int) -> None:
        """Let so many players accept the external service, those of the bookings first."""
        emails = [self.launch27.bookings[id_]["email"] for id_ in self.ids]
        emails += [f"nobody{number}@example.com" for number in range(count)]
        for email in list(dict.fromkeys(emails))[:count]:
            self.wingfield.add_relation(str(uuid5(NAMESPACE_URL, email)), email)

    def swap(self, share: float) -> list[list[int]]:
        """Let this share of the bookings change places in pairs, across courts; return the pairs."""
        step = round(1 / share)
        pairs = [[a, b] for a, b in zip(self.ids[::step], self.ids[step // 2 :: step], strict=False)]
        pairs = pairs[: round(len(self.ids) * share / 2)]
        for one, other in pairs:
            ours, theirs = (self.place_of(id_) for id_ in (one, other))
            self.launch27.edit(one, **theirs)
            self.launch27.edit(other, **ours)
        return pairs

    def place_of(self, id_: int) -> dict[str, Any]:
        return {name: deepcopy(self.launch27.bookings[id_][name]) for name in ("service_date", "services")}

    def delay(self, milliseconds: float) -> None:
        """Wait so long before every answer."""
        self.launch27.delay_seconds = self.wingfield.delay_seconds = milliseconds / 1000

    def stats(self) -> dict[str, Any]:
        """Return what was asked since the last time, and the CPU seconds spent so far."""
        logs = [*self.launch27.log, *self.wingfield.log]
        reads = sum(entry.path.endswith("/customer/bookings") for entry in logs)
        errors = sorted({f"{entry.status} {entry.error_type}" for entry in logs if entry.status >= 400})
        self.launch27.log.clear()
        self.wingfield.log.clear()
        return {
            "cpu_seconds": time.process_time(),
            "requests": len(logs),
            "pages": reads,
            "errors": errors,
            "stored": len(self.wingfield.bookings),
        }

    def introduction(self) -> dict[str, Any]:
        """Return what a client needs to know."""
        return introduction(self.launch27, self.wingfield)


def main() -> None:
    """Serve until standard input ends."""
    worlds = Worlds(int(sys.argv[1]))
    with Sandbox.in_thread(worlds.launch27, worlds.wingfield):
        print(json.dumps(worlds.introduction()), flush=True)
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            print(json.dumps(getattr(worlds, name)(*arguments)), flush=True)


if __name__ == "__main__":
    main()
