"""A directory of clubs for tests: each with an account of its own at one sandbox."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

from bridge.sandbox import Sandbox
from tests.support.builders import PASSWORD
from tests.support.configuration import configuration, introduction, write_config
from tests.support.daemons import PATIENCE_SECONDS


class Directory:
    """Clubs by name; what one has booked stands in Wingfield under ``NAME-`` and the id, on a court of its own."""

    def __init__(self, path: Path, sandbox: Sandbox, interval: str = "1s") -> None:
        self.path, self.sandbox, self.interval = path, sandbox, interval
        path.mkdir()
        self._hours: dict[str, int] = {}

    def file(self, name: str) -> Path:
        return self.path / f"{name}.toml"

    def text(self, name: str, *, more: str = "") -> str:
        """Return a club's configuration."""
        world = introduction(self.sandbox.launch27, self.sandbox.wingfield, email_of(name))
        index = int.from_bytes(name.encode()) % len(world["courts"])
        world["courts"] = [world["courts"][index]]
        sync = ["[sync]", f'interval = "{self.interval}"', f'full_interval = "{self.interval}"']
        tables = [*sync, "[mapping]", f'id_prefix = "{name}-"', more]
        return configuration(world, more=tables)

    def add(self, name: str, bookings: int = 0, *, more: str = "") -> Path:
        """Add a club, with so many bookings."""
        if name not in self._hours:
            self._hours[name] = 20 + 30 * len(self._hours)
            self.sandbox.launch27.add_account(email_of(name), PASSWORD)
        self.book(name, bookings)
        return write_config(self.file(name), self.text(name, more=more))

    def book(self, name: str, count: int = 1) -> None:
        """Book so many hours; no two clubs have the same."""
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        for _ in range(count):
            self._hours[name] += 1
            start = hour + timedelta(hours=self._hours[name])
            self.sandbox.launch27.add_booking(
                owner=email_of(name), email="a@b.co", service_date=start, services=[1], minutes=60
            )

    def bridged(self, name: str) -> int:
        """How many court bookings a club has in Wingfield."""
        return sum(key.startswith(f"{name}-") for key in tuple(self.sandbox.wingfield.bookings))

    def until_bridged(self, name: str, count: int) -> float:
        """Wait until a club has so many court bookings; return how many seconds that took."""
        return self.until(lambda: self.bridged(name) == count)

    @staticmethod
    def until(holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> float:
        """Wait for something that another process does; return how many seconds that took."""
        began = monotonic()
        while not holds():
            assert monotonic() - began < seconds
            sleep(0.02)
        return monotonic() - began


def email_of(name: str) -> str:
    return f"{name}@club.example"
