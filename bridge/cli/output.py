"""What a person or a script reads: the summary of a pass, the status, tables, and the bar while a pass runs.

A report is a list of lines and tables, data first. For a terminal rich draws it, anything else gets plain
text; the JSON beside it is built from the same data. Rich is imported only where it draws.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import StringIO
from typing import TYPE_CHECKING, Any, TextIO

from bridge.errors import BridgeError, ExitStatus, Problem
from bridge.model import Held, PassRecord, Slot, Watermark, Write, from_ms, isoformat

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from bridge.sync.narrator import Narrator
    from bridge.sync.result import PassResult

SHOWN = 50
"""Rows of a table that people read; ``--json`` has all."""
MANY = 25
"""From more writes or questions than this on, a terminal gets a bar."""
COUNTS = ("seen", "created", "updated", "deleted", "unchanged", "ignored")


# --- lines and tables ---


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text; ``style`` is one of rich's, for a terminal."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a title; every row has a cell for each of ``columns``."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]


Report = Iterable[Line | Table]


def render(report: Report, stream: TextIO | None) -> str:
    """Return the report as text: drawn where ``stream`` is a terminal, plain where it is none."""
    safe = [_safe(block) for block in report]
    if stream is not None and stream.isatty():
        return _drawn(safe)
    return "".join(f"{line}\n" for block in safe for line in _plain(block))


def _safe(block: Line | Table) -> Line | Table:
    """Return the block with whatever could steer a terminal made visible: names come from the services."""
    if isinstance(block, Line):
        return Line(visible(block.text), block.style)
    return Table(block.title, block.columns, [[visible(cell) for cell in row] for row in block.rows])


def visible(text: str) -> str:
    """Return ``text`` as a terminal may show it. The log's rule, whose module takes long to import."""
    if text.isprintable():
        return text
    from bridge.log import printable

    return printable(text)


def _plain(block: Line | Table) -> list[str]:
    if isinstance(block, Line):
        return [block.text]
    rows = [block.columns, *block.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in rows)
    return ["", *filter(None, [block.title]), *(f"  {line}".rstrip() for line in lines)]


def _drawn(report: Report) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    out = StringIO()
    width = shutil.get_terminal_size().columns
    console = Console(file=out, force_terminal=True, width=width, highlight=False, markup=False, emoji=False)
    for block in report:
        if isinstance(block, Line):
            # Soft: a line that is to be copied must stay one.
            console.print(Text(block.text, style=block.style), soft_wrap=True)
            continue
        console.print()
        table = Drawn(
            title=Text(block.title, "bold"), title_justify="left", box=box.SIMPLE_HEAD, show_edge=False
        )
        for column in block.columns:
            table.add_column(Text(column), overflow="fold")
        for row in block.rows:
            table.add_row(*map(Text, row))
        console.print(table)
    return out.getvalue()


# --- standard output ---


def say(text: str) -> None:
    """Write a result to standard output.

    A reader that has gone (``| head``) changes nothing about what was done. Raises BridgeError when the
    result cannot be written for another reason.
    """
    out = sys.stdout
    if out is None:
        return
    try:
        out.write(text)
        out.flush()
    except BrokenPipeError:
        abandon(out)
    except OSError as error:
        abandon(out)
        raise BridgeError(f"the result could not be written to standard output: {error.strerror}") from None


def abandon(stream: TextIO) -> None:
    """Let what is still buffered for ``stream`` go nowhere, so that ending does not fail over it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def show(report: Report) -> None:
    """Write a report to standard output."""
    say(render(report, sys.stdout))


def show_json(value: Mapping[str, Any]) -> None:
    """Write one JSON object to standard output, in ASCII: no name in it can steer a terminal."""
    say(json.dumps(value) + "\n")


# --- times for people ---


def moment(ms: int) -> str:
    """Return a time in the zone of this computer, to the minute."""
    return f"{from_ms(ms).astimezone():%Y-%m-%d %H:%M}"


def age(ms: int, now: datetime) -> str:
    """Return how long ago a time was, in words; ``now`` is an aware datetime."""
    seconds = (now - from_ms(ms)).total_seconds()
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return "just now"


def since(ms: int, now: datetime) -> str:
    """Return a time and how long ago it was."""
    return f"{moment(ms)} ({age(ms, now)})"


def several(count: int, thing: str) -> str:
    """Return ``1 booking``, ``2 bookings``."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


# --- what is held back and withheld ---


def held_json(held: Iterable[Held]) -> list[dict[str, str]]:
    """Return held bookings as the interface shows them."""
    return [
        {
            "id": entry.id,
            "reason": entry.reason,
            "detail": entry.detail,
            "since": isoformat(from_ms(entry.since_ms)),
        }
        for entry in held
    ]


def held_table(held: Sequence[Held], now: datetime) -> list[Line | Table]:
    """Return the table of what is held back; nothing where nothing is."""
    rows = [
        (entry.id or "(no id)", entry.reason, since(entry.since_ms, now), entry.detail)
        for entry in held[:SHOWN]
    ]
    table = Table(f"Held back ({len(held)})", ("booking", "reason", "since", "detail"), rows)
    return [table, *_more(len(held))] if held else []


def _more(count: int) -> list[Line]:
    return [Line(f"  … and {count - SHOWN} more; --json lists all")] if count > SHOWN else []


def ids(withheld: Sequence[str]) -> str:
    """Return ids in one line, not too many of them."""
    more = f" … and {len(withheld) - SHOWN} more" if len(withheld) > SHOWN else ""
    return ", ".join(withheld[:SHOWN]) + more


# --- one pass ---

_VERDICTS = {
    "in_sync": ("In step.", "green"),
    "attention": ("Something needs a person.", "yellow"),
    "incomplete": ("Not complete; the next pass goes on where this one stopped.", "red"),
    "refused": ("Credentials were refused.", "red"),
}


def pass_json(result: PassResult, *, dry_run: bool) -> dict[str, Any]:
    """Return a pass as ``--once --json`` prints it."""
    record = result.record
    value = {
        "outcome": record.outcome,
        **{name: getattr(record, name) for name in COUNTS},
        "held": held_json(result.held),
        "withheld_deletes": len(record.withheld),
        "withheld": list(record.withheld),
        "duration_ms": record.duration_ms,
    }
    return {**value, "actions": [_action_json(write) for write in result.planned]} if dry_run else value


def _action_json(write: Write) -> dict[str, str | None]:
    slot = write.slot
    return {
        "action": write.verb.value,
        "id": write.id,
        "court": slot.court_id if slot else None,
        "start": isoformat(slot.start) if slot else None,
        "end": isoformat(slot.end) if slot else None,
        "why": write.why,
    }


def pass_report(
    result: PassResult, advice: str, courts: Mapping[str, str], now: datetime, *, dry_run: bool
) -> list[Line | Table]:
    """Return a pass for people; ``courts`` are names by id, ``advice`` says how to let deletes through."""
    verdict, style = _VERDICTS[result.record.outcome]
    if dry_run:
        verdict = f"Dry run, nothing was written. {verdict}"
    report: list[Line | Table] = [Line(verdict, style), Line(counts(result.record, dry_run=dry_run))]
    if dry_run and result.planned:
        report.append(_actions(result.planned, courts))
        report += _more(len(result.planned))
    report += held_table(result.held, now)
    if result.record.withheld:
        report += [
            Line(""),
            Line(f"Deletes withheld: {ids(result.record.withheld)}", "yellow"),
            Line(f"  {advice}"),
        ]
    errors = dict.fromkeys(map(str, result.errors))
    return [*report, *([Line("")] if errors else []), *(Line(error, "red") for error in errors)]


def counts(record: PassRecord, *, dry_run: bool = False) -> str:
    """Return the counts of a pass in a sentence."""
    would = "would be " if dry_run else ""
    return (
        f"{several(record.seen, 'booking')} seen: {record.created} {would}created, {record.updated} "
        f"{would}updated, {record.unchanged} unchanged, {record.ignored} ignored (no court), "
        f"{record.held} held back; {record.deleted} {would}deleted."
    )


def _actions(writes: Sequence[Write], courts: Mapping[str, str]) -> Table:
    rows = [(write.verb.value, write.id, *_place(write.slot, courts), write.why) for write in writes[:SHOWN]]
    return Table("A pass would", ("do", "booking", "court", "when", "why"), rows)


def _place(slot: Slot | None, courts: Mapping[str, str]) -> tuple[str, str]:
    if slot is None:
        return "", ""
    start, end = slot.start.astimezone(), slot.end.astimezone()
    return courts.get(slot.court_id) or slot.court_id, f"{start:%Y-%m-%d %H:%M}–{end:%H:%M}"


# --- the status ---


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds the state, since when."""

    pid: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """What the state says at one moment; ``bookings`` counts those that Wingfield has from us."""

    state: str
    bookings: int
    held: Sequence[Held]
    watermarks: Sequence[Watermark]
    passes: Sequence[PassRecord]
    interval: timedelta
    holder: Holder | None = None

    @property
    def withheld(self) -> tuple[str, ...]:
        """The ids of the deletes that the last pass withheld."""
        return self.passes[0].withheld if self.passes else ()

    @property
    def exit_status(self) -> ExitStatus:
        """Whether something needs a person."""
        is_refused = bool(self.passes) and self.passes[0].outcome == "refused"
        return ExitStatus.ATTENTION if self.held or self.withheld or is_refused else ExitStatus.OK


def status_json(status: Status) -> dict[str, Any]:
    """Return the status as ``status --json`` prints it."""
    return {
        "bookings": status.bookings,
        "held": held_json(status.held),
        "withheld_deletes": len(status.withheld),
        "watermarks": [
            {
                "account": mark.number,
                "listed_at": _instant(mark.listed_ms),
                "source_updated_at": _instant(mark.source_updated_ms),
            }
            for mark in status.watermarks
        ],
        "passes": [_pass_record_json(record) for record in status.passes],
    }


def _instant(ms: int | None) -> str | None:
    return None if ms is None else isoformat(from_ms(ms))


def _pass_record_json(record: PassRecord) -> dict[str, Any]:
    return {
        "started_at": _instant(record.started_ms),
        "outcome": record.outcome,
        **{name: getattr(record, name) for name in COUNTS},
        "held": record.held,
        "withheld_deletes": len(record.withheld),
        "duration_ms": record.duration_ms,
    }


def status_report(status: Status, now: datetime) -> list[Line | Table]:
    """Return the status for people."""
    if not status.passes:
        nothing = f"No pass has finished yet (state: {status.state})."
        return [Line(nothing), Line(_who_runs(status, now))]
    verdict, style = _VERDICTS[status.passes[0].outcome]
    report: list[Line | Table] = [
        Line(f"Last pass {age(status.passes[0].started_ms, now)}: {verdict}", style),
        Line(f"{several(status.bookings, 'booking')} in Wingfield, {len(status.held)} held back."),
        Line(_who_runs(status, now)),
        *held_table(status.held, now),
    ]
    if status.withheld:
        report += [Line(""), *_withheld(status.withheld)]
    return [*report, _listings(status.watermarks, now), _passes(status.passes, now)]


def _who_runs(status: Status, now: datetime) -> str:
    holder = status.holder
    if holder is None:
        return "No bridge is running on this state."
    runs = f"A bridge is running (process {holder.pid}, since {holder.since.astimezone():%Y-%m-%d %H:%M})"
    if not status.passes:
        return f"{runs}."
    next_pass = from_ms(status.passes[0].started_ms) + status.interval
    due = "due now" if next_pass <= now else f"at {next_pass.astimezone():%H:%M:%S}"
    return f"{runs}; next pass {due}."


def _withheld(withheld: Sequence[str]) -> list[Line]:
    return [
        Line(f"The last pass withheld {several(len(withheld), 'delete')}: {ids(withheld)}", "yellow"),
        Line(
            "  If they really are gone from Launch27: stop the daemon, run "
            '"courtbridge --once --allow-mass-delete", start it again.'
        ),
    ]


def _listings(watermarks: Sequence[Watermark], now: datetime) -> Table:
    rows = [
        (
            str(mark.number),
            "never" if mark.listed_ms is None else since(mark.listed_ms, now),
            "" if mark.listed_count is None else str(mark.listed_count),
            "" if mark.source_updated_ms is None else moment(mark.source_updated_ms),
        )
        for mark in watermarks
    ]
    return Table("Listings", ("account", "last complete", "bookings", "newest change"), rows)


def _passes(passes: Sequence[PassRecord], now: datetime) -> Table:
    names = ("seen", "created", "updated", "deleted", "held")
    rows = [
        (
            since(record.started_ms, now),
            record.outcome,
            *(str(getattr(record, name)) for name in names),
            str(len(record.withheld)),
            f"{record.duration_ms} ms",
        )
        for record in passes
    ]
    return Table("Last passes", ("started", "outcome", *names, "withheld", "took"), rows)


# --- a check ---


@dataclass(slots=True)
class Findings:
    """What a check found: problems, each with the exit status it means; warnings; and what is well."""

    problems: list[tuple[Problem, ExitStatus]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)

    def wrong(self, place: str, message: str, status: ExitStatus) -> None:
        """Note a problem."""
        self.problems.append((Problem(place, message), status))


def check_json(findings: Findings) -> dict[str, Any]:
    """Return a check as ``check --json`` prints it."""
    return {
        "ok": not findings.problems,
        "problems": [
            {"place": problem.place, "message": problem.message} for problem, _ in findings.problems
        ],
        "warnings": findings.warnings,
        "checked": findings.checked,
    }


def check_report(findings: Findings) -> list[Line | Table]:
    """Return a check for people: what is well, what to think about, what is wrong."""
    problems = len(findings.problems)
    verdict = (
        Line(f"{several(problems, 'problem')} found.", "red") if problems else Line("All is well.", "green")
    )
    return [
        *(Line(f"ok       {text}") for text in findings.checked),
        *(Line(f"warning  {text}", "yellow") for text in findings.warnings),
        *(Line(f"problem  {problem}", "red") for problem, _ in findings.problems),
        verdict,
    ]


# --- while a pass runs ---


class Bar:
    """A narrator that shows, on a terminal, how far a long pass is, and passes everything on to another.

    With ``writes`` false (a dry run) what is planned is not going to happen, and gets no bar. ``relog`` sets
    the log up anew: rich takes standard error over while a bar is there, so that lines go above it.
    """

    def __init__(
        self, inner: Narrator, console: Console, relog: Callable[[], object], *, writes: bool
    ) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._inner = inner
        self._relog = relog
        self._writes = writes
        self._progress = Progress(*columns, console=console, transient=True)
        self._questions: TaskID | None = None
        self._requests: TaskID | None = None

    def pass_started(self) -> None:
        """Show nothing yet."""
        self._inner.pass_started()

    def asking(self, answered: int) -> None:
        """Show how many questions by id are answered, once there are many."""
        if answered > MANY:
            if self._questions is None:
                self._questions = self._begin("asking Launch27 by id", None)
            self._progress.update(self._questions, completed=answered)
        self._inner.asking(answered)

    def planned(self, writes: int) -> None:
        """Show a bar, if many requests are planned."""
        if self._writes and writes > MANY:
            self._requests = self._begin("writing to Wingfield", writes)
        self._inner.planned(writes)

    def _begin(self, what: str, total: int | None) -> TaskID:
        self._progress.start()
        self._relog()
        return self._progress.add_task(what, total=total)

    def wrote(self, write: Write) -> None:
        """Move the bar."""
        if self._requests is not None:
            self._progress.advance(self._requests)
        self._inner.wrote(write)

    def participants_skipped(self, id_: str, count: int) -> None:
        """Pass it on."""
        self._inner.participants_skipped(id_, count)

    def held_changed(self, began: Sequence[Any], ended: Sequence[Held]) -> None:
        """Pass it on."""
        self._inner.held_changed(began, ended)

    def pass_finished(self, result: PassResult) -> None:
        """Take the bar away."""
        self.stop()
        self._inner.pass_finished(result)

    def stop(self) -> None:
        """Take the bar away, if it is there."""
        self._progress.stop()
        self._relog()
