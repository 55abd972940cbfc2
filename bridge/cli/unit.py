"""What the service itself would be able to read and write, for ``check``, which somebody else calls by hand.

The unit says which secrets systemd gives it, and where it may write. Any other file it can read only if everybody
can: its user owns nothing but the state. Source: systemd.exec(5), ``LoadCredential`` and ``DynamicUser``.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from bridge.cli.arguments import Options
from bridge.config.paths import SYSTEM_CONFIG, SYSTEM_STATE, is_there
from bridge.config.schema import Config
from bridge.errors import ConfigError, Problem
from bridge.sync.survey import Finding

UNITS = Path("/etc/systemd/system")
_STAND_IN = "https://stand-in.example"
"""In place of a secret that systemd reads as root: valid as a password, as a token and as an address."""


def findings(options: Options, own: Collection[Problem]) -> Iterator[Finding]:
    """Yield what the service could not do beyond ``own``, what is wrong for this user already; else that all is well.

    Nothing where no unit of ours has secrets for this configuration (a draft), or where it is the service that asks.
    Raises OSError where this user may not see enough of it.
    """
    config = options.find_config().absolute()
    unit = _unit_of(config)
    settings = _settings(unit)
    given = sorted(_credentials(settings.get("LoadCredential", [])))
    if not given or settings.get("DynamicUser") != ["yes"] or "CREDENTIALS_DIRECTORY" in os.environ:
        return
    state = str(SYSTEM_STATE.parent / settings["StateDirectory"][-1])
    has_variables = settings.keys() & {"Environment", "EnvironmentFile"}
    environ = {**(os.environ if has_variables else {}), "STATE_DIRECTORY": state}
    doubts, files = list[str](), [config]
    try:
        found = _load(options, environ, given)
    except ConfigError as error:
        doubts = [str(each) for each in error.problems if each.place not in {known.place for known in own}]
    else:
        files = [*found.files]
        if not (found.sync.state.is_relative_to(state) or "ReadWritePaths" in settings):
            doubts = [f"may not write {found.sync.state}; leave sync.state out"]
    for path in files:
        if path.name not in given and is_there(path) and not _everybody_can_read(path):
            remedy = f"add LoadCredential={path.name}:{path} below [Service] with: systemctl edit {unit}"
            doubts.append(f"may not read {path}; {f'chmod 644 {path}' if path == config else remedy}")
    if not doubts:
        words = f"may read the configuration, gets {', '.join(given)} from systemd, and may write to {state}"
        yield Finding("ok", unit, f"the service itself {words}")
    yield from (Finding("problem", unit, f"the service itself: {doubt}") for doubt in doubts)


def _load(options: Options, environ: Mapping[str, str], given: Iterable[str]) -> Config:
    """Return the configuration as the service loads it, with something in place of the secrets. Raises ConfigError."""
    with TemporaryDirectory(prefix="credentials-") as folder:
        for name in given:
            Path(folder, name).write_text(_STAND_IN)
        try:
            return options.load_config({**environ, "CREDENTIALS_DIRECTORY": folder})
        except ConfigError as error:
            told = ((each.place, each.message.replace(folder, "its credentials")) for each in error.problems)
            raise ConfigError(Problem(*each) for each in told) from None


def _unit_of(config: Path) -> str:
    """Return the name of the unit for a configuration; for one that no unit is for, a name that no unit has."""
    named = {SYSTEM_CONFIG: "courtbridge.service", SYSTEM_CONFIG.with_name("clubs"): "courtbridge-clubs.service"}
    template = f"courtbridge@{config.stem}.service" if config.parent == SYSTEM_CONFIG.parent else "none"
    return named.get(config) or named.get(config.parent) or template


def _settings(unit: str) -> dict[str, list[str]]:
    """Return what is set in a unit's file and in those that ``systemctl edit`` makes; an empty value takes all back."""
    template, at, instance = unit.removesuffix(".service").partition("@")
    names = dict.fromkeys((f"{template}{at}.service", unit))
    files = [UNITS / name for name in names] + [each for name in names for each in UNITS.glob(f"{name}.d/*.conf")]
    found: dict[str, list[str]] = {}
    for line in (line for path in filter(is_there, files) for line in path.read_text().splitlines()):
        key, _, value = (part.strip() for part in line.partition("="))
        found[key] = [*found.get(key, ()), value.replace("%i", instance)] if value else []
    return found


def _credentials(loaded: Collection[str]) -> Iterator[str]:
    """Yield the names under which systemd gives the service a secret; one of a directory has a name for each file."""
    for name, _, source in (each.partition(":") for each in loaded):
        if (path := Path(source)).is_dir():
            yield from (f"{name}_{each.name}" for each in path.iterdir())
        elif is_there(path):
            yield name


def _everybody_can_read(path: Path) -> bool:
    folders = path.resolve().parents
    return bool(path.stat().st_mode & 0o004) and all(folder.stat().st_mode & 0o001 for folder in folders)
