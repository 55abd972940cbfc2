"""``courtbridge check --rehearse COURT_ID``: Wingfield's rules, tried one by one on that court, and removed again."""

from __future__ import annotations

import asyncio
import signal

from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.cli.findings import STYLES, Findings
from bridge.config.schema import Config
from bridge.errors import ExitStatus, worst
from bridge.http.loop import run as run_loop
from bridge.sync.survey import Level
from bridge.wingfield.client import Wingfield
from bridge.wingfield.rehearsal import DAYS_AHEAD, Rehearsal


def rehearse(options: Options, court_id: str) -> ExitStatus:
    """Ask, try every rule and print what came of it; return 0 where all went as documented."""
    config = options.load_config(require_courts=False)
    what = f"Write a few bookings to court {court_id}, {DAYS_AHEAD} days ahead, and delete them again?"
    findings = Findings() if options.json else _Told()
    if options.yes or output.is_confirmed(what):
        run_loop(_rehearse(config, court_id, findings))
    else:
        words = 'nothing was tried; confirm with "y" on a terminal, or with --yes'
        findings.note("problem", "rehearsal", words, ExitStatus.ATTENTION)
    if options.json:
        findings.show(as_json=True)
    return worst(findings.statuses)


async def _rehearse(config: Config, court_id: str, findings: Findings) -> None:
    """Try every rule, and remove everything whatever happens: at the first signal, too."""
    wingfield = Wingfield(config.wingfield)
    rehearsal = Rehearsal(wingfield, court_id.lower(), config.launch27.accounts[0].email.lower())
    trying = asyncio.create_task(_try_all(rehearsal, findings))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, trying.cancel)
    try:
        with findings.noting("rehearsal"):
            await trying
    except asyncio.CancelledError:
        findings.note("problem", "rehearsal", "interrupted", ExitStatus.TRY_LATER)
    finally:
        await rehearsal.clean_up()
        await wingfield.http.aclose()
    for key in rehearsal.left:
        words = f"{key} is still there; rehearse again, or delete it in Wingfield"
        findings.note("problem", "rehearsal", words, ExitStatus.ATTENTION)


async def _try_all(rehearsal: Rehearsal, findings: Findings) -> None:
    async for tried in rehearsal.run():
        if tried.is_as_documented:
            findings.note("ok", tried.rule.words, str(tried))
        else:
            findings.note("problem", tried.rule.words, str(tried), ExitStatus.ATTENTION)


class _Told(Findings):
    """Findings that are told as they are made."""

    def note(self, level: Level, about: str, detail: str, status: ExitStatus = ExitStatus.OK) -> None:
        super().note(level, about, detail, status)
        output.line(f"{about}: {detail}", STYLES[level])
