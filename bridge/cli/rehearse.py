"""``courtbridge check --rehearse COURT_ID``: Wingfield's rules, tried one by one on that court, and removed again."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, field

from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.config.schema import Config
from bridge.errors import ExitStatus, ServiceError, worst
from bridge.http.loop import run as run_loop
from bridge.wingfield.client import Wingfield
from bridge.wingfield.rehearsal import DAYS_AHEAD, Finding, Rehearsal


def rehearse(options: Options, court_id: str) -> ExitStatus:
    """Ask, try every rule and print what came of it; return 0 where all went as documented."""
    config = options.load_config(require_courts=False)
    what = f"Write a few bookings to court {court_id}, {DAYS_AHEAD} days ahead, and delete them again?"
    if not (options.yes or output.is_confirmed(what)):
        report = _Report(options.json)
        report.failed('nothing was tried; confirm with "y" on a terminal, or with --yes', ExitStatus.ATTENTION)
        return report.end()
    return run_loop(_rehearse(config, court_id, as_json=options.json))


async def _rehearse(config: Config, court_id: str, *, as_json: bool) -> ExitStatus:
    """Try every rule, and remove everything whatever happens: at the first signal, too."""
    wingfield = Wingfield(config.wingfield)
    rehearsal = Rehearsal(wingfield, court_id.lower(), config.launch27.accounts[0].email.lower())
    report = _Report(as_json)
    trying = asyncio.create_task(_try_all(rehearsal, report))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, trying.cancel)
    try:
        await trying
    except asyncio.CancelledError:
        report.failed("interrupted", ExitStatus.TRY_LATER)
    except ServiceError as error:
        report.failed(str(error), error.exit_status)
    finally:
        await rehearsal.clean_up()
        await wingfield.http.aclose()
    for key in rehearsal.left:
        report.failed(f"{key} is still there; rehearse again, or delete it in Wingfield", ExitStatus.ATTENTION)
    return report.end()


async def _try_all(rehearsal: Rehearsal, report: _Report) -> None:
    async for finding in rehearsal.run():
        report.tell(finding)


@dataclass(slots=True)
class _Report:
    """Tells each rule as it is tried; with ``--json`` everything at the end, in the shape of ``check``'s findings."""

    as_json: bool
    findings: list[dict[str, str]] = field(default_factory=list)
    statuses: set[ExitStatus] = field(default_factory=set)

    def tell(self, finding: Finding) -> None:
        if not finding.is_as_documented:
            self.statuses.add(ExitStatus.ATTENTION)
        self._note("ok" if finding.is_as_documented else "problem", finding.rule.words, str(finding))

    def failed(self, error: str, status: ExitStatus) -> None:
        self.statuses.add(status)
        self._note("problem", "rehearsal", error)

    def _note(self, level: str, about: str, detail: str) -> None:
        self.findings.append({"level": level, "about": about, "detail": detail})
        if not self.as_json:
            output.line(f"{about}: {detail}", "" if level == "ok" else "red")

    def end(self) -> ExitStatus:
        if self.as_json:
            problems = sum(finding["level"] == "problem" for finding in self.findings)
            output.show_json({"problems": problems, "warnings": 0, "findings": self.findings})
        return worst(self.statuses)
