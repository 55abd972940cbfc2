"""The configuration: models that say what the file may hold, and are what the rest of the bridge reads."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from hashlib import blake2b
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationInfo

from bridge.config import values
from bridge.config.problems import Wrong
from bridge.config.secrets import Secret
from bridge.records import Identity


class Table(BaseModel):
    """A table of the file: frozen, as strict about types as TOML is, and never showing what it was given."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, defer_build=True)


class Account(Table):
    """One Launch27 login whose bookings are bridged; it has a password, or a bearer token in its place."""

    email: values.Address = Field(repr=False)
    password: Secret = Secret("")
    token: Secret | None = None
    _number: int = PrivateAttr(1)

    @property
    def number(self) -> int:
        """Its place in the file, counted from 1."""
        return self._number

    @cached_property
    def key(self) -> str:
        """Sixteen hex digits by which the state and the logs know the address, in whatever case it is written."""
        return blake2b(self.email.lower().encode(), digest_size=8).hexdigest()


class Service(Table):
    """Where a service is."""

    base_url: values.Url

    @property
    def host(self) -> str:
        """The host in lower case, with its port where that is not the scheme's own."""
        parts = urlsplit(self.base_url.lower())
        return parts.netloc.removesuffix(":443" if parts.scheme == "https" else ":80")


class Launch27Config(Service):
    """Where bookings are read, by whom, and how fast."""

    base_url: values.Launch27Url
    accounts: Annotated[tuple[Account, ...], Field(strict=False, min_length=1)]
    role: Literal["customer", "staff"] = "customer"
    timezone: values.TimeZone | None = None
    service_dates: Literal["utc", "wall"] = "utc"
    push: bool = True
    page_size: Annotated[int, values.between(1, 1000)] = 100
    reads_per_second: Annotated[float, values.between(0.01, 1000)] = 2.0
    read_burst: Annotated[int, values.between(1, 10_000)] = 30

    def model_post_init(self, _context: object, /) -> None:
        """Give each account its number."""
        for number, account in enumerate(self.accounts, 1):
            account._number = number  # noqa: SLF001 -- only who holds them all knows it

    @property
    def hostname(self) -> str:
        """The host in lower case, without a port."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def tenant(self) -> str:
        """The account's name, the first label of its host. Source: Launch27, Introduction."""
        return self.hostname.partition(".")[0]


class WingfieldConfig(Service):
    """Where court bookings are written, and as which external service."""

    external_service_id: Annotated[str, values.uuid("copy the one that came with the token"), AfterValidator(str.lower)]
    token: Secret
    concurrency: Annotated[int, values.between(1, 64)] = 8
    connected_users: bool = False
    court_mappings: values.CourtMappings | None = None


class SyncConfig(Table):
    """How often and for which days the two are compared, what may be deleted, and where the state is."""

    state: values.StateFile
    interval: values.Interval = timedelta(seconds=20)
    near: values.Window = timedelta(days=2)
    full_interval: values.FullInterval = Field(default_factory=values.full_interval)
    past: values.Window = timedelta(days=1)
    future: values.Window = timedelta(days=60)
    verify_interval: values.Interval = timedelta(days=1)
    drift: Literal["repair", "report"] = "repair"
    max_delete_count: Annotated[int, values.between(0, 1_000_000)] = 5
    max_delete_fraction: Annotated[float, values.between(0, 1)] = 0.2
    delete_window: values.Window = timedelta(hours=1)


class MappingConfig(Table):
    """What a court booking is made of where a booking alone does not say it."""

    default_minutes: values.Minutes | None = None
    updated_at_field: str = "updated_at"
    participant_fields: values.Names = ()
    fallback_email: Annotated[values.UsableAddress, AfterValidator(str.lower)] | None = Field(None, repr=False)
    id_prefix: values.IdPrefix = ""
    service_minutes: dict[values.ServiceId, values.Minutes] = {}


class NotifyConfig(Table):
    """Where trouble is told, and how long it must have lasted; all addresses are secrets."""

    heartbeat_url: values.SecretUrl | None = None
    webhook_url: values.SecretUrl | None = None
    apprise_url: Secret | None = None
    after: values.Window = timedelta(minutes=10)
    remind: values.Interval = timedelta(days=1)


class CourtRule(Table):
    """One ``[[courts]]`` block: every condition given must hold; a list holds with any of its values."""

    court_id: Annotated[str, values.uuid('copy it from "courtbridge courts"'), AfterValidator(str.lower)]
    name: str = ""
    service_ids: values.Ids = frozenset()
    location_ids: values.Ids = frozenset()
    team_ids: values.Ids = frozenset()
    custom_field: values.Name | None = None
    custom_values: Annotated[values.Names, Field(min_length=1)] = ()


def _protected(password: Secret | None, info: ValidationInfo) -> Secret | None:
    listen = info.data.get("listen")
    if password is None and listen and not ip_address(values.listen_address(listen)[0]).is_loopback:
        raise Wrong(f"is missing, and {listen} is not on loopback; give one of password, password_env, password_file")
    return password


class WebConfig(Table):
    """Where the page is served; a password is needed to listen anywhere but on loopback."""

    listen: values.Listen = "127.0.0.1:8027"
    password: Annotated[Secret | None, Field(validate_default=True), AfterValidator(_protected)] = None


class ProcessTables(Table):
    """All that the file of the process may hold, beside the files of many clubs."""

    web: WebConfig | None = None
    notify: NotifyConfig | None = None
    files: tuple[Path, ...] = ()
    """Every file that was read or looked for."""


class Tables(Table):
    """All that the file may hold."""

    launch27: Launch27Config
    wingfield: WingfieldConfig
    sync: SyncConfig
    mapping: MappingConfig = Field(default_factory=MappingConfig)
    courts: Annotated[tuple[CourtRule, ...], Field(strict=False)] = ()
    web: WebConfig | None = None
    notify: NotifyConfig | None = None


TABLES: Mapping[tuple[str, ...], type[Table]] = {
    (): Tables,
    ("launch27",): Launch27Config,
    ("launch27", "accounts"): Account,
    ("wingfield",): WingfieldConfig,
    ("sync",): SyncConfig,
    ("mapping",): MappingConfig,
    ("courts",): CourtRule,
    ("web",): WebConfig,
    ("notify",): NotifyConfig,
}
"""What may stand under each header."""


class Config(Tables):
    """The whole configuration, as valid as it can be known without asking anybody."""

    path: Path
    warnings: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    """Every file that was read or looked for: an edit of one of them may change this configuration."""

    @property
    def identity(self) -> Identity:
        """Whose bookings a state under this configuration holds."""
        wingfield = self.wingfield
        return Identity(self.launch27.host, wingfield.host, wingfield.external_service_id, self.mapping.id_prefix)

    @cached_property
    def claims(self) -> frozenset[tuple[object, ...]]:
        """What no other club may have: the state, wherever links lead, and each account with where it is bridged to."""
        accounts = {(self.identity, account.key) for account in self.launch27.accounts}
        return frozenset({(os.path.realpath(self.sync.state),), *accounts})


def changed_keys(old: Config, new: Config) -> list[str]:
    """Return the places that differ (``sync.interval``, ``courts[1].service_ids``), never the values."""
    names = Tables.model_fields
    return [place for name in names for place in _differences(getattr(old, name), getattr(new, name), name)]


def _differences(old: object, new: object, place: str) -> Iterator[str]:
    if isinstance(old, Table) and isinstance(new, Table):
        for name in type(old).model_fields:
            yield from _differences(getattr(old, name), getattr(new, name), f"{place}.{name}")
    elif isinstance(old, tuple) and isinstance(new, tuple) and isinstance((*old, *new, None)[0], Table):
        for index, pair in enumerate(itertools.zip_longest(old, new)):
            yield from _differences(*pair, f"{place}[{index}]")
    elif old != new:
        yield place


def mapping_fingerprint(config: Config) -> str:
    """Return 16 hex digits that differ when the same booking might be sent differently, or elsewhere.

    No secret goes into it, and neither do names that are only for people, nor the order of the rules.
    """
    launch27, wingfield = config.launch27, config.wingfield
    rules = (
        [sorted(set(value)) if isinstance(value, frozenset | tuple) else value for key, value in rule if key != "name"]
        for rule in config.courts
    )
    dates = ["wall"] if launch27.service_dates == "wall" else []  # nothing for the default: so it was in 0.1
    content: Mapping[str, object] = {
        "launch27": [launch27.base_url, launch27.role, launch27.timezone, *dates],
        "wingfield": [wingfield.base_url, wingfield.external_service_id],
        "mapping": config.mapping.model_dump(),
        "courts": sorted(map(json.dumps, rules)),
    }
    if wingfield.connected_users or wingfield.court_mappings:  # else it is what older versions stored
        content = {**content, "names": [wingfield.connected_users, wingfield.court_mappings]}
    return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()
