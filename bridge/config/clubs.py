"""A directory of clubs: every ``NAME.toml`` in it is a club's configuration, but for the one of the process."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from bridge.config.loading import load_config, load_process
from bridge.config.problems import quoted_path
from bridge.config.schema import Config, ProcessTables
from bridge.errors import ConfigError, Problem

PROCESS = "courtbridge"
"""The name of the file that is no club."""
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def club_files(directory: Path) -> dict[str, Path]:
    """Return the clubs' files by the clubs' names, in the order of these. Raises OSError.

    What begins with a dot is an editor's, or the way in which Kubernetes changes all files at once. A name that is no
    text, which no club can have, is shown by its bytes.
    """
    # Not iterdir: states stand there too, and thousands of paths, twice a second, take long.
    found = sorted(name for name in os.listdir(directory) if name.endswith(".toml") and name[0] != ".")  # noqa: PTH208
    stems = (name.removesuffix(".toml") for name in found)
    return {
        os.fsencode(stem).decode(errors="backslashreplace"): directory / f"{stem}.toml"
        for stem in stems
        if stem != PROCESS
    }


def process_of(directory: Path, environ: Mapping[str, str], *, require_secrets: bool = True) -> ProcessTables:
    """Return what holds for all clubs of the directory. Raises ConfigError."""
    return load_process(directory / f"{PROCESS}.toml", environ, require_secrets=require_secrets)


def load_club(path: Path, environ: Mapping[str, str], process: ProcessTables, **require: bool) -> Config:
    """Return one club's configuration, with the ``[notify]`` of the process. Raises ConfigError."""
    name = path.stem
    if not _LABEL.fullmatch(name):
        better = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63].strip("-") or "club-1"
        words = f'a club\'s name has small letters, digits and dashes, at most 63; rename it to "{better}.toml"'
        raise ConfigError([Problem(quoted_path(Path(path.name)), words)], files=[path])
    config = load_config(path, environ, is_one_of_many=True, **require)
    return config.model_copy(update={"notify": process.notify})


def check_unlike(config: Config, others: Mapping[str, Config]) -> None:
    """Raise ConfigError where another club has the same state, or writes the same bookings."""
    found = []
    for other in (each for each in others.values() if each.path != config.path):
        both, shared = f"{config.path.stem} and {other.path.stem}", config.claims & other.claims
        if any(len(claim) == 1 for claim in shared):
            found.append(Problem("sync.state", f"{both} have the same state; give each its own"))
        elif shared:
            words = f"{both} bridge the same account with the same external service and prefix; remove one of them"
            found.append(Problem("launch27.accounts", words))
    if found:
        raise ConfigError(found, files=config.files)
