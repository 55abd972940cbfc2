"""The configuration under which a simulated club is bridged."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.sandbox.launch27 import Launch27
from bridge.sandbox.wingfield import Wingfield

WEB = """\
[web]
listen = "{listen}"
"""
_LOGINS = """\
[launch27]
base_url = "{launch27.url}"
reads_per_second = 1000
read_burst = 1000
[[launch27.accounts]]
email = "{email}"
password = "{password}"
[wingfield]
base_url = "{wingfield.url}"
external_service_id = "{wingfield.service_id}"
token = "{wingfield.token}"
"""
_RULE = """\
[[courts]]
name = "{name}"
court_id = "{court_id}"
service_ids = [{service}]
"""


def configuration(
    launch27: Launch27, wingfield: Wingfield, courts: Mapping[int, str], login: tuple[str, str], *tables: str
) -> str:
    """Return the text of a ``config.toml`` for two services that are listening.

    ``courts`` are the courts' ids by the service of Launch27 that books them, ``login`` is an address and its
    password, ``tables`` are more of the file.
    """
    email, password = login
    logins = _LOGINS.format(launch27=launch27, wingfield=wingfield, email=email, password=password)
    rules = (
        _RULE.format(name=wingfield.courts[court_id].name, court_id=court_id, service=service)
        for service, court_id in courts.items()
    )
    return logins + "".join([*tables, *rules])
