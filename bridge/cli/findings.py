"""What a command has found so far, and how a check shows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bridge.cli import output
from bridge.errors import BridgeError, ExitStatus
from bridge.sync.survey import Finding, Level

STYLES: dict[Level, str] = {"problem": "red", "warning": "yellow", "ok": ""}
"""The levels, from the worst on, each with its style on a terminal."""


@dataclass(slots=True)
class Findings:
    """Findings, each of them once, and the exit statuses that the problems mean."""

    found: list[Finding] = field(default_factory=list)
    statuses: set[ExitStatus] = field(default_factory=set)

    def note(self, level: Level, about: str, detail: str, status: ExitStatus = ExitStatus.OK) -> None:
        """Note a finding; a problem with the exit status that it means."""
        if (finding := Finding(level, about, detail)) not in self.found:
            self.found.append(finding)
        self.statuses.add(status)

    @contextmanager
    def noting(self, about: str) -> Iterator[None]:
        """Note what is raised as a problem; what fails several requests (a service is down) is noted once."""
        try:
            yield
        except BridgeError as error:
            if all(each.detail != str(error) for each in self.found):
                self.note("problem", about, str(error), error.exit_status)

    def show(self, *, as_json: bool) -> None:
        """Tell the problems, then what to think about, then what is well."""
        found = sorted(self.found, key=lambda each: [*STYLES].index(each.level))
        problems, warned = (sum(each.level == level for each in found) for level in ("problem", "warning"))
        if as_json:
            listed = [each._asdict() for each in found]
            output.show_json({"problems": problems, "warnings": warned, "findings": listed})
            return
        for level, about, detail in found:
            output.line(f"{level:7}  {about}: {detail}", STYLES[level])
        if problems:
            output.line(f"{output.several(problems, 'problem')} found.", "red")
        else:
            output.line(f"No problem, {output.several(warned, 'warning')}." if warned else "All is well.", "green")
