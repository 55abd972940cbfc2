"""Passwords, tokens and secret addresses: one of three forms in the file, text that never shows itself afterwards.

What stands in the file is no part of any message, even where it should be a name: it may be the secret
itself, put under the wrong key.
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import SecretStr

from bridge.config.paths import file_named, is_there, text_and_mode
from bridge.config.problems import Location, Reading, Wrong, has_control_character, not_valid

STEMS = ("password", "token", "heartbeat_url", "webhook_url", "apprise_url")
STEM_OF = {stem + form: stem for stem in STEMS for form in ("", "_env", "_file")}
"""The keys under which a secret may be given, each with the one the models know."""


_ASSIGNED = re.compile(r"(?:export )?(?:[A-Z][A-Z0-9_]*_)?(?:TOKEN|PASSWORD|URL|token) ?=[^=]|(?i:bearer) ")
"""What a line of a script, or of a header, has before the secret itself."""
_USUAL = frozenset({"launch27-password", "launch27-token", "wingfield-token", "web-password"})
"""Names of files that are shown: any other could be the secret itself, put under the wrong key."""


def forms(name: str) -> list[str]:
    """Return the keys of the file that stand for a field: its name, and for a secret three."""
    return [key for key, stem in STEM_OF.items() if stem == name] or [name]


class Secret(SecretStr):
    """Text that never shows itself: not in ``repr``, not in a log, not in an error."""

    def reveal(self) -> str:
        """Return the text itself, for the one place that sends it."""
        return self.get_secret_value()


def resolve(table: object, owner: Location, stem: str, reading: Reading, *, fetch: bool) -> None:
    """Put the secret of a table under its one key, whatever form it is given in; note what is wrong with it.

    Without ``fetch`` it is empty.
    """
    if not isinstance(table, dict):
        return
    given = {key: table.pop(key) for key in forms(stem) if key in table}
    if given:
        table[stem] = Secret("")
    if len(given) > 1:
        reading.found((*owner, stem), f"is given as {' and as '.join(given)}; keep one of them")
    for key, value in given.items():
        if not isinstance(value, str):
            reading.found((*owner, key), not_valid((*owner, key), value))
        elif len(given) == 1 and fetch:
            try:
                table[stem] = Secret(_fetched(value, (*owner, key), stem, reading))
            except Wrong as wrong:
                reading.found((*owner, key), str(wrong))


def _fetched(given: str, location: Location, stem: str, reading: Reading) -> str:
    """Return the secret from where ``given`` says. Raises Wrong where it is not there, or cannot be sent."""
    secret, source, then = given, "", ""
    match str(location[-1]).removeprefix(stem):
        case "_env":
            secret, source = _from_variable(given, reading)
        case "_file":
            secret, source, then = _from_file(given, location, reading)
        case _:
            reading.warn_of_readers(location, reading.path.name, reading.mode, f", or use {stem}_file")
    if not secret:
        raise Wrong(f"{source}is empty; put the {stem} there{then}")
    # An unusable one must not get as far as a library that shows it.
    if has_control_character(secret):
        raise Wrong(f"{source}has more than one line, or a control character; put the {stem} there, alone{then}")
    if stem != "password" and secret[0] == secret[-1] and secret[0] in "\"'":
        raise Wrong(f"{source}has quotes around it; put the {stem} there, alone{then}")
    if _ASSIGNED.match(secret):
        raise Wrong(f"{source}begins with more than the {stem}; put the {stem} there, alone{then}")
    if stem == "token" and not (secret.isascii() and " " not in secret):
        raise Wrong(f"{source}has a character that no token has; put the token there, alone")
    return secret


def _from_variable(name: str, reading: Reading) -> tuple[str, str]:
    # Only what can hardly be a password is shown: LAUNCH27_PASSWORD, but not hunter2.
    shown = f"${name}" if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", name) else "the variable it names"
    if name not in reading.environ:
        raise Wrong(f"{shown} is not set; set it, or use a file")
    return reading.environ[name].strip(), f"{shown} "


def _from_file(name: str, location: Location, reading: Reading) -> tuple[str, str, str]:
    """Return the text, where it is from, and what is to be done after a change of it."""
    given = file_named(name)
    credentials = reading.environ.get("CREDENTIALS_DIRECTORY")
    originals = _originals(given, reading.path)
    beside = reading.path.parent / given
    candidates = list(dict.fromkeys([Path(credentials) / given, beside] if credentials else originals))
    reading.files += [path for path in candidates if path not in reading.files]
    for path in filter(is_there, candidates):
        is_copy = bool(credentials) and path.resolve().is_relative_to(Path(credentials or "").resolve())
        original = next(filter(is_there, originals), None) if is_copy else None
        source, then = (original, ", and restart the service") if original else (path, "")
        try:
            text, mode = text_and_mode(path, most_bytes=65_536, pipes=False)
        except Wrong as wrong:
            raise Wrong(f"{source} {wrong}{then}") from None
        if not is_copy:
            reading.warn_of_readers(location, path, mode)
        return text.strip(), f"{source} ", then
    directories = dict.fromkeys(path.parent for path in candidates)
    looked = " nor in ".join(str(directory) for directory in directories if is_there(directory))
    where = f" in {looked}" if looked else ""
    what = f"no file {given.name}" if given.name in _USUAL else "no such file"
    raise Wrong(f"{what}{where}; put the secret there, or correct the name")


def _originals(given: Path, config: Path) -> list[Path]:
    """Return where a secret may be: beside the configuration, or where the units for several clubs have it from."""
    if given.is_absolute():
        return [given]
    found = [config.parent / f"{config.stem}.{given}", config.parent / given]
    if str(given).startswith("clubs_"):
        found.append(config.parent.with_name("secrets") / str(given).removeprefix("clubs_"))
    return found
