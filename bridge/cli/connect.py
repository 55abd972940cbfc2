"""``courtbridge connect TOKEN``: claims a club's connect token. The token is neither shown nor kept."""

from __future__ import annotations

import asyncio

from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.config.schema import Config
from bridge.errors import ExitStatus
from bridge.sync.clients import connected
from bridge.wingfield.wire import Claim


def run(options: Options) -> ExitStatus:
    """Claim the token for the Launch27 account of the configuration. Raises ServiceError where it is not taken."""
    options.set_up_log()
    claim = asyncio.run(_claim(options.load_config(require_courts=False), options.token))
    if options.json:
        output.show_json(claim.model_dump())
    else:
        name, id_ = claim.external_organization_id, claim.organization_id
        output.line(f'Connected as "{name}": the courts of organization {id_} may be written now.', "green")
    return ExitStatus.OK


async def _claim(config: Config, token: str) -> Claim:
    async with connected(config) as services:
        return await services.wingfield.claim(token.strip(), config.launch27.tenant)
