"""One TOML file and its secrets → one frozen :class:`Config`, or every problem at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path


class Secret:
    """Text that never shows itself: not in ``repr``, not in a log, not in an error."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True)
class Account:
    """One Launch27 login whose bookings are bridged. ``number`` counts from 1, as in the file."""

    number: int
    email: str = field(repr=False)
    password: Secret
    key: str
    """A fingerprint of the address: what the state and the logs know the account by."""


@dataclass(frozen=True, slots=True)
class Launch27Config:
    base_url: str
    accounts: tuple[Account, ...]
    role: str = "customer"
    timezone: str | None = None
    page_size: int = 100
    reads_per_second: float = 2.0
    read_burst: int = 30

    @property
    def host(self) -> str:
        """The host, with its port where the URL names one: whose bookings the state holds."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class WingfieldConfig:
    base_url: str
    external_service_id: str
    token: Secret
    concurrency: int = 8


@dataclass(frozen=True, slots=True)
class SyncConfig:
    state: Path
    interval: timedelta = timedelta(minutes=1)
    past: timedelta = timedelta(days=1)
    future: timedelta = timedelta(days=60)
    max_delete_count: int = 5
    max_delete_fraction: float = 0.2


@dataclass(frozen=True, slots=True)
class MappingConfig:
    default_minutes: int | None = None
    updated_at_field: str = "updated_at"
    participant_fields: tuple[str, ...] = ()
    fallback_email: str | None = field(default=None, repr=False)
    id_prefix: str = ""
    service_minutes: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CourtRule:
    """One ``[[courts]]`` block: every condition given must hold; a list holds with any of its values."""

    court_id: str
    name: str = ""
    service_ids: frozenset[int] = frozenset()
    location_ids: frozenset[int] = frozenset()
    team_ids: frozenset[int] = frozenset()
    custom_field: str | None = None
    custom_values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration, as valid as it can be known without asking anybody."""

    path: Path
    launch27: Launch27Config
    wingfield: WingfieldConfig
    sync: SyncConfig
    mapping: MappingConfig
    courts: tuple[CourtRule, ...]
    warnings: tuple[str, ...] = ()
