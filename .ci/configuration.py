"""Writes ``docs/configuration.md`` anew: the keys from the models, their meaning from ``config.example.toml``."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

CHECKOUT = Path(__file__).parents[1]
sys.path.insert(0, str(CHECKOUT))

from bridge.config.schema import TABLES, Table  # noqa: E402 (the checkout's modules are found only now)
from bridge.config.secrets import Secret, forms  # noqa: E402

PAGE = CHECKOUT / "docs" / "configuration.md"
LISTS = {("launch27", "accounts"), ("courts",)}
UNITS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)), ("s", timedelta(seconds=1)))
OTHERWISE = {("sync", "state"): "see [below](#where-the-state-is)", ("sync", "full_interval"): '`"5m"`'}
"""Defaults that depend on something."""
FURTHER = {
    "courts.court_id": "Wingfield's id of the court.",
    "courts.custom_field": "Only where this custom field (code, label or id) has one of `custom_values`.",
    "courts.custom_values": "What the custom field may contain; goes together with `custom_field`.",
    "courts.service_ids": "Services of Launch27: the booking has one of them.",
    "launch27.accounts.email": "The e-mail address of the login.",
    "sync.near": "The near days: today and so many more. With `0d` today only.",
    "web.listen": "An IP address and a port.",
    "web.password": "Needed to listen anywhere but on this machine. Browsers ask for it; the user is `courtbridge`.",
}
"""What the example leaves unsaid, or says for several keys at once."""
HEAD = """\
# Configuration

<!-- Made by .ci/configuration.py from the models and config.example.toml. Change those, and run it again. -->

The configuration is one TOML file. [`config.example.toml`](../config.example.toml) has every key with its explanation;
copy it and change what is yours. This page is made from the program itself, so it lists every key that there is.
[Courts, times and players](setting-up.md) explains what the keys do together.

- The first of these is used: `--config PATH`, `$COURTBRIDGE_CONFIG`, `./config.toml`,
  `/etc/courtbridge/config.toml`.
- Unknown keys, wrong values and missing keys are reported in one go, each with its place and what would be right
  (exit status 78). Not one request is sent before they are corrected.
- An edit changes the running daemon within seconds. A broken one is reported (`config_rejected`), and the
  configuration before stays in force. To try an edit first, copy the file, edit the copy, and run
  `courtbridge --dry-run --config COPY` beside the daemon; put the copy beside the original, so that the same secrets
  are found.
- A secret has three forms, `KEY`, `KEY_env` and `KEY_file`, of which exactly one is given: the secret itself, the name
  of an environment variable, the name of a file. A relative file name is looked for in `$CREDENTIALS_DIRECTORY`
  first, then beside the configuration.
- A length of time is written `"30s"`, `"5m"`, `"1h"` or `"2d"`.
"""
TAIL = """
## Where the state is

The state is one SQLite file. Without `sync.state` it is here:

| when | where |
|---|---|
| `$STATE_DIRECTORY` is set, as in the systemd units | `courtbridge.db` in that directory |
| the configuration is `/etc/courtbridge/config.toml` | `/var/lib/courtbridge/courtbridge.db` |
| the configuration is `/etc/courtbridge/NAME.toml` | `/var/lib/courtbridge/NAME/courtbridge.db` |
| otherwise | `courtbridge.db` beside the configuration |
| `--config` is `/etc/courtbridge/clubs` | `NAME.db` in `$STATE_DIRECTORY`, else in `/var/lib/courtbridge` |
| `--config` is another directory of clubs | `NAME.db` in `$STATE_DIRECTORY`, else beside `NAME.toml` |

The state belongs to one Launch27 host, one Wingfield host, one external service and one `mapping.id_prefix`. Decide on
these before the first pass: with a different one, Courtbridge refuses to use the state.
"""


def explained(text: str) -> dict[tuple[tuple[str, ...], str], str]:
    """Return what the example says of each key: the comment above it, and the one behind it."""
    found: dict[tuple[tuple[str, ...], str], str] = {}
    table: tuple[str, ...] = ()
    comment: list[str] = []
    is_over = True
    for line in text.splitlines():
        if header := re.fullmatch(r"(?:# )?\[+([\w.]+)\]+", line):
            table, is_over = tuple(header[1].split(".")), True
        elif key := re.fullmatch(r"(?:# ){0,2}([a-z_0-9]+) = (?:\"[^\"]*\"|[^#]*?)(?:\s+# (.*))?", line):
            found.setdefault((table, key[1]), sentence(key[2] or " ".join(comment)))
            is_over = True
        elif line.startswith("#"):
            comment = [*(() if is_over else comment), line.removeprefix("#").strip()]
            is_over = False
        elif not line:
            comment, is_over = [], True
    return found


def sentence(text: str) -> str:
    """Return a remark as a sentence."""
    text = text.strip(" .")
    return f"{text[:1].upper()}{text[1:]}." if text and not text.startswith("dev.") else text


def base(kind: Any) -> Any:
    """Return the type inside annotations and options."""
    if get_origin(kind) in {None, Literal, tuple, frozenset, dict}:
        return kind
    inner = [each for each in get_args(kind) if each is not NoneType]
    return base(inner[0])


def checks(kind: Any, own: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Yield what the checks of a type were made with."""
    for check in own:
        if isinstance(check, AfterValidator | BeforeValidator) and inspect.isfunction(check.func):
            yield dict(inspect.getclosurevars(check.func).nonlocals)
    if hasattr(kind, "__metadata__"):
        yield from checks(None, kind.__metadata__)
    for inner in get_args(kind):
        if hasattr(inner, "__metadata__") or get_args(inner):
            yield from checks(inner, ())


def takes(field: FieldInfo) -> str:
    """Say in words what a key may hold."""
    kind = base(field.annotation)
    limits = ""
    for made_with in checks(field.annotation, field.metadata):
        if match := re.search(r"not between (\S+) and (\S+)", str(made_with.get("otherwise", ""))):
            limits = f", {match[1]} to {match[2]}"
        elif "least" in made_with:
            limits = f", {made_with['least']} to {made_with['most']}"
    if get_origin(kind) is Literal:
        return " or ".join(f'`"{each}"`' for each in get_args(kind))
    if get_origin(kind) in {tuple, frozenset}:
        return "a list of " + ("whole numbers" if base(get_args(kind)[0]) is int else "texts")
    words = {bool: "`true` or `false`", int: "a whole number", float: "a number", timedelta: "a length of time"}
    more = {dict: "a table: service id = minutes"}
    special = more.get(get_origin(kind), "a secret" if kind is Secret else words.get(kind, "a text"))
    return special + limits


def default(location: tuple[str, ...], name: str, field: FieldInfo) -> str:
    """Return the default as it would be written."""
    if words := OTHERWISE.get((*location, name)):
        return words
    value = field.default
    if field.is_required():
        return "needed"
    if value is PydanticUndefined or value is None or isinstance(value, Secret) or value in ((), frozenset(), "", {}):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, timedelta):
        unit, size = next(each for each in UNITS if not value % each[1])
        return f'`"{value // size}{unit}"`'
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def section(location: tuple[str, ...], model: type[Table], meanings: dict[tuple[tuple[str, ...], str], str]) -> str:
    """Return the heading and the table of the keys under one header."""
    name = ".".join(location)
    header = f"[[{name}]]" if location in LISTS else f"[{name}]"
    rows = []
    for field_name, field in model.model_fields.items():
        if (*location, field_name) in TABLES:
            continue
        keys = forms(field_name)
        told = [meanings[location, key] for key in keys if meanings.get((location, key))]
        if field_name == "service_minutes":
            told = [meanings[(*location, field_name), "7"]]
        told = [FURTHER[place]] if (place := f"{name}.{field_name}") in FURTHER else told
        if not told:
            sys.exit(f"config.example.toml does not explain {place}")
        shown = ", ".join(f"`{key}`" for key in keys)
        rows.append(f"| {shown} | {takes(field)} | {default(location, field_name, field)} | {told[0]} |")
    lead = textwrap.fill(" ".join((model.__doc__ or "").replace("``", "`").split()), 120)
    return f"\n## `{header}`\n\n{lead}\n\n| key | takes | default | |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"


def page() -> str:
    """Return the whole page."""
    text = (CHECKOUT / "config.example.toml").read_text(encoding="utf-8")
    meanings = explained(re.sub(r'^(# )?"7" =', r"\g<1>7 =", text, flags=re.MULTILINE))
    sections = [section(location, model, meanings) for location, model in TABLES.items() if location]
    return HEAD + "".join(sections) + TAIL


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
