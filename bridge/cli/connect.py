"""``courtbridge connect TOKEN``: claims a club's connect token. The token is neither shown nor kept."""

from __future__ import annotations

from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.errors import ExitStatus
from bridge.sync.clients import connected


async def run(options: Options) -> ExitStatus:
    """Claim the token for the Launch27 account of the configuration. Raises ServiceError where it is not taken."""
    options.set_up_log()
    config = options.load_config(require_courts=False)
    async with connected(config) as services:
        claim = await services.wingfield.claim(options.token.strip(), config.launch27.tenant)
    if options.json:
        output.show_json(claim.model_dump())
    else:
        name, id_ = claim.external_organization_id, claim.organization_id
        output.line(f'Connected as "{name}": the courts of organization {id_} may be written now.', "green")
    return ExitStatus.OK
