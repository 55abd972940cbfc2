"""The vocabulary of the configuration, and where it is found: what the rest of the bridge reads.

How the file is read and checked is ``config_file.py``'s, which is only imported where a file is loaded.
"""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import timedelta
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bridge.errors import ConfigError, Problem
from bridge.model import Identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


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
        """The host in lower case, with its port where that is not the scheme's own."""
        parts = urlsplit(self.base_url)
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        usual = {"http": 80, "https": 443}.get(parts.scheme)
        return host if parts.port in (None, usual) else f"{host}:{parts.port}"


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

    @property
    def identity(self) -> Identity:
        """Whose bookings a state under this configuration holds."""
        return Identity(self.launch27.host, self.wingfield.external_service_id, self.mapping.id_prefix)


# ---------------------------------------------------------------------- where things are

SYSTEM_CONFIG = Path("/etc/courtbridge/config.toml")
SYSTEM_STATE = Path("/var/lib/courtbridge")
STATE_NAME = "courtbridge.db"


def find_config(explicit: str | Path | None, environ: Mapping[str, str]) -> Path:
    """Return the configuration file to use: ``explicit``, $COURTBRIDGE_CONFIG, ./config.toml, or /etc's.

    The first two are wishes: where one is given, nothing else is tried. Raises ConfigError with every place
    that was looked at.
    """
    if explicit is not None:
        places, remedy = [Path(explicit)], "give --config the path of your configuration"
    elif named := environ.get("COURTBRIDGE_CONFIG"):
        places, remedy = [Path(named)], "set $COURTBRIDGE_CONFIG to the path of your configuration"
    else:
        places = [Path("config.toml"), SYSTEM_CONFIG]
        remedy = "start from config.example.toml, or say where it is with --config or $COURTBRIDGE_CONFIG"
    for place in places:
        if is_there(place):
            return place
    from bridge.config.loading import quoted_path

    looked = ", ".join(
        "./config.toml" if place == Path("config.toml") else quoted_path(place) for place in places
    )
    raise ConfigError([Problem("", f"no configuration found (looked at {looked}); {remedy}")])


def is_there(path: Path) -> bool:
    """Whether something has that name; what may not be looked at counts: reading it says why."""
    try:
        path.stat()
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def config_path_state(path: Path, environ: Mapping[str, str]) -> Path:
    """Return where the state of the configuration at ``path`` is kept, unless ``sync.state`` says otherwise.

    The path is taken as it is written: a link in /etc/courtbridge counts as a file there, because the units
    see it so.
    """
    if directory := environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(directory, STATE_NAME)
    written = Path(os.path.normpath(path.absolute()))
    if written == SYSTEM_CONFIG:
        return SYSTEM_STATE / STATE_NAME
    if written.parent == SYSTEM_CONFIG.parent and written.suffix == ".toml":
        return SYSTEM_STATE / written.stem / STATE_NAME
    return path.absolute().parent / STATE_NAME


def load_config(
    path: Path, environ: Mapping[str, str], *, require_courts: bool = True, require_secrets: bool = True
) -> Config:
    """Return the configuration in the TOML file at ``path``, its secrets fetched.

    Without ``require_courts`` the ``[[courts]]`` are not looked at, and the result has none: for the command
    that helps to write them. Without ``require_secrets`` no secret is fetched, and all are empty: for
    ``status``, which asks no service and may run where the daemon's secrets are out of reach.

    Raises ConfigError with everything that is wrong, never just the first.
    """
    from bridge.config.loading import load

    return load(path, environ, require_courts=require_courts, require_secrets=require_secrets)


# ---------------------------------------------------------------------- comparing two configurations


def changed_keys(old: Config, new: Config) -> list[str]:
    """Return the places that differ (``sync.interval``, ``courts[1].service_ids``), never the values."""
    return list(_differences(old, new, ""))


_NO_KEYS = frozenset({"path", "warnings", "number", "key"})


def _differences(old: object, new: object, place: str) -> Iterator[str]:
    if is_dataclass(old) and is_dataclass(new):
        for name in (each.name for each in fields(old) if each.name not in _NO_KEYS):
            below = f"{place}.{name}" if place else name
            yield from _differences(getattr(old, name), getattr(new, name), below)
    elif isinstance(old, tuple) and isinstance(new, tuple) and any(map(is_dataclass, (*old, *new))):
        for index, pair in enumerate(itertools.zip_longest(old, new)):
            yield from _differences(*pair, f"{place}[{index}]")
    elif old != new:
        yield place


def mapping_fingerprint(config: Config) -> str:
    """Return 16 hex digits that differ when the same booking might be sent differently, or elsewhere.

    No secret goes into it, and neither do names that are only for people, nor the order of the rules.
    """
    mapping, launch27, wingfield = config.mapping, config.launch27, config.wingfield
    content = {
        "launch27": [launch27.base_url, launch27.role, launch27.timezone],
        "wingfield": [wingfield.base_url, wingfield.external_service_id],
        "mapping": {each.name: getattr(mapping, each.name) for each in fields(mapping)},
        "courts": sorted(json.dumps([rule.court_id, *_conditions_of(rule)]) for rule in config.courts),
    }
    return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()


def _conditions_of(rule: CourtRule) -> tuple[object, ...]:
    numbers = (sorted(rule.service_ids), sorted(rule.location_ids), sorted(rule.team_ids))
    return (*numbers, rule.custom_field, sorted(set(rule.custom_values)))


def account_key(email: str) -> str:
    """Return the 16 hex digits by which state and logs know a login, in whatever case it is written."""
    return blake2b(email.lower().encode(), digest_size=8).hexdigest()
