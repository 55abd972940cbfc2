"""Where the configuration and the state are found, and how a file is read."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from bridge.config.problems import Wrong, has_control_character, quoted_path
from bridge.errors import ConfigError, Problem

SYSTEM_CONFIG = Path("/etc/courtbridge/config.toml")
SYSTEM_STATE = Path("/var/lib/courtbridge")
STATE_NAME = "courtbridge.db"


def find_config(explicit: str | Path | None, environ: Mapping[str, str]) -> Path:
    """Return the configuration file to use: ``explicit``, $COURTBRIDGE_CONFIG, ./config.toml, or /etc's.

    The first two are wishes: where one is given, nothing else is tried. Raises ConfigError with every place
    that was looked at.
    """
    named = explicit or environ.get("COURTBRIDGE_CONFIG")
    places = [Path(named)] if named else [Path("config.toml"), SYSTEM_CONFIG]
    if found := next(filter(is_there, places), None):
        return found
    looked = ", ".join("./config.toml" if place == Path("config.toml") else quoted_path(place) for place in places)
    remedy = "copy config.example.toml there, or say where it is with --config or $COURTBRIDGE_CONFIG"
    raise ConfigError([Problem("", f"no configuration found (looked at {looked}); {remedy}")], files=places)


def is_there(path: Path) -> bool:
    """Whether something has that name; what may not be looked at counts: reading it says why."""
    try:
        path.stat()
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def state_path(config: Path, environ: Mapping[str, str], *, is_one_of_many: bool = False) -> Path:
    """Return where the state of the configuration ``config`` is kept, unless ``sync.state`` says otherwise.

    That of one of many clubs has the club's name.

    The path is taken as it is written: a link in /etc/courtbridge counts as a file there, because the units
    see it so.
    """
    directory = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    written = Path(os.path.normpath(config.absolute()))
    if is_one_of_many:
        is_of_the_unit = written.parent == SYSTEM_CONFIG.with_name("clubs")
        return Path(directory or (SYSTEM_STATE if is_of_the_unit else written.parent), f"{config.stem}.db")
    if directory:
        return Path(directory, STATE_NAME)
    if written == SYSTEM_CONFIG:
        return SYSTEM_STATE / STATE_NAME
    if written.parent == SYSTEM_CONFIG.parent and written.suffix == ".toml":
        return SYSTEM_STATE / written.stem / STATE_NAME
    return config.absolute().parent / STATE_NAME


def file_named(text: str) -> Path:
    """Return the path a text of the configuration names, its ``~`` replaced. Raises Wrong where it names none."""
    if not text.strip() or text.endswith("/") or has_control_character(text):
        raise Wrong("names no file; write the path of one")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise Wrong('"~" names nobody\'s home here; write the whole path') from None


def text_and_mode(path: Path, most_bytes: int, *, pipes: bool) -> tuple[str, int]:
    """Return a file's text and its permissions; without ``pipes`` nothing that may be waited for is read.

    Raises Wrong where it cannot be read; ValueError for what can be no name.
    """
    try:
        kind = path.stat().st_mode
        if not (pipes or stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise Wrong("is not a regular file; name one")
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
        # Editors on Windows put a byte order mark in front.
        text = content.decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        problem = "no such file; check the path"
    except IsADirectoryError:
        problem = "is a directory; name the file in it"
    except PermissionError:
        problem = f"may not be read by this user ({os.geteuid()}); use sudo, or change its owner or its mode"
    except OSError as error:
        problem = f"cannot be read: {error.strerror or 'no reason given'}"
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = f"line {line} is not valid UTF-8 text; save the file as UTF-8"
    else:
        if len(content) <= most_bytes:
            return text, stat.S_IMODE(kind)
        problem = f"cannot be read: it is longer than {most_bytes} bytes"
    raise Wrong(problem)
