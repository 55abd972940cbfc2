"""What each call of the command line does, from the configuration to the exit status.

Every function prints its result to standard output, logs to standard error, and returns the exit status;
BridgeErrors go to whoever called. Clients and logs are imported where they are used: ``status`` needs none.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.cli import output as report
from bridge.config.loading import load_config
from bridge.config.paths import find_config
from bridge.config.schema import Config
from bridge.errors import ConfigError, ExitStatus, worst
from bridge.ledger.store import Ledger, hold

if TYPE_CHECKING:
    from bridge.sync.run import Narrator, PassResult

STOP_SECONDS = 5.0
"""How long requests in flight may take after a signal. The executor keeps to the same, and then stores."""
_STORE_SECONDS = 0.5
PASSES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Options:
    """What was said on the command line for every command, and the environment."""

    config: str | None = None
    json: bool = False
    log_level: str = "info"
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    def find(self) -> Path:
        """Return the configuration file. Raises ConfigError where there is none."""
        return find_config(self.config, self.environ)


# --- one pass ---


def once(options: Options, *, allow_mass_delete: bool, dry_run: bool) -> ExitStatus:
    """Run one pass, or only say what it would do; ``dry_run`` writes nothing anywhere."""
    # A pass makes many objects and hardly a circle of them: looking for circles less often saves a tenth.
    gc.set_threshold(50_000, 20, 20)
    from bridge import log as logs
    from bridge.sync.narrator import withheld_advice

    logs.configure(options.log_level)
    config = load_config(options.find(), options.environ)
    for warning in config.warnings:
        logs.get_logger().warning("config_warning", detail=warning)
    with ExitStack() as held:
        if not dry_run:
            held.enter_context(hold(config.sync.state))
        ledger = held.enter_context(closing(_ledger(config, dry_run=dry_run)))
        narrator = held.enter_context(_narrator(options.log_level, dry_run=dry_run))
        result = asyncio.run(
            _run_pass(config, ledger, narrator, allow_mass_delete=allow_mass_delete, dry_run=dry_run)
        )
    if result is None:
        logs.get_logger().warning("pass_interrupted")
        return ExitStatus.TRY_LATER
    if options.json:
        report.show_json(report.pass_json(result, dry_run=dry_run))
    else:
        names = {rule.court_id: rule.name for rule in config.courts if rule.name}
        now = datetime.now(UTC)
        report.show(report.pass_report(result, withheld_advice(result), names, now, dry_run=dry_run))
    return result.status


def _ledger(config: Config, *, dry_run: bool) -> Ledger:
    opened = Ledger.snapshot if dry_run else Ledger.open
    return opened(config.sync.state, config.identity)


@contextmanager
def _narrator(log_level: str, *, dry_run: bool) -> Iterator[Narrator]:
    """Yield who tells the log, and shows a bar where standard error is a terminal."""
    from bridge import log as logs
    from bridge.sync.narrator import LogNarrator

    narrator = LogNarrator(log=logs.get_logger(**({"dry_run": True} if dry_run else {})))
    if sys.stderr is None or not sys.stderr.isatty():
        yield narrator
        return
    from rich.console import Console

    relog = functools.partial(logs.configure, log_level)
    bar = report.Bar(narrator, Console(stderr=True), relog, writes=not dry_run)
    try:
        yield bar
    finally:
        bar.stop()


async def _run_pass(
    config: Config, ledger: Ledger, narrator: Narrator, *, allow_mass_delete: bool, dry_run: bool
) -> PassResult | None:
    """Return how the pass went; None when it had to be cut off after a signal."""
    from bridge.sync.clients import connected
    from bridge.sync.run import Synchronizer

    stop = asyncio.Event()
    async with connected(config) as services:
        synchronizer = Synchronizer(
            config,
            services.launch27,
            services.sessions,
            services.wingfield,
            ledger,
            narrator,
            clock=lambda: datetime.now(UTC),
            stop=stop,
        )
        run = synchronizer.run_pass(allow_mass_delete=allow_mass_delete, dry_run=dry_run)
        task = asyncio.create_task(run)

        def begin_to_stop() -> None:
            stop.set()
            services.stop()
            asyncio.get_running_loop().call_later(STOP_SECONDS + _STORE_SECONDS, task.cancel)

        with _signals(begin_to_stop):
            try:
                return await task
            except asyncio.CancelledError:
                return None


@contextmanager
def _signals(begin_to_stop: Callable[[], None]) -> Iterator[None]:
    """Call ``begin_to_stop`` on the first SIGTERM or SIGINT; the second ends the process at once."""
    from bridge import log as logs

    loop = asyncio.get_running_loop()
    both = (signal.SIGTERM, signal.SIGINT)

    def first(number: signal.Signals) -> None:
        for each in both:
            loop.remove_signal_handler(each)
            signal.signal(each, end_at_once)
        logs.get_logger().info("stopping", signal=number.name, within_seconds=STOP_SECONDS)
        begin_to_stop()

    for each in both:
        loop.add_signal_handler(each, first, each)
    try:
        yield
    finally:
        for each in both:
            loop.remove_signal_handler(each)


def end_at_once(number: int, _frame: object) -> None:
    """Signal handler: end the process here and now. The next pass finds out what was sent."""
    line = {"event": "ended_at_once", "signal": signal.Signals(number).name, "level": "warning"}
    os.write(2, (json.dumps(line) + "\n").encode())
    os._exit(ExitStatus.TRY_LATER)


# --- status ---


def status(options: Options) -> ExitStatus:
    """Show what the state says; works beside a running daemon, and asks no service."""
    config = load_config(options.find(), options.environ, require_courts=False, require_secrets=False)
    with closing(Ledger.snapshot(config.sync.state, config.identity)) as ledger:
        found = report.Status(
            str(config.sync.state),
            sum(known.is_bridged for known in ledger.known().values()),
            ledger.held(),
            ledger.watermarks(),
            ledger.passes(PASSES_SHOWN),
            config.sync.interval,
            holder(config.sync.state),
        )
    if options.json:
        report.show_json(report.status_json(found))
    else:
        report.show(report.status_report(found, datetime.now(UTC)))
    return found.exit_status


def holder(state: Path, locks: Path = Path("/proc/locks")) -> report.Holder | None:
    """Return which process holds the state; None when none does, or it cannot be known.

    The lock file outlives its holder, and trying the lock might turn a starting daemon away: so the kernel's
    own list is read. Source: Linux, proc_locks(5).
    """
    lock = state.with_name(state.name + ".lock")
    try:
        written = json.loads(lock.read_bytes())
        found = report.Holder(int(written["pid"]), datetime.fromisoformat(written["since"]))
        inode = str(lock.stat().st_ino)
        held = [line.split() for line in locks.read_text().splitlines()]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_held = any(
        "FLOCK" in words and str(found.pid) in words and words[-3].endswith(f":{inode}") for words in held
    )
    return found if is_held else None


# --- check and courts ---


def check(options: Options) -> ExitStatus:
    """Look at the configuration, the credentials, the courts and the state; list every problem found."""
    from bridge import log as logs
    from bridge.cli.check import Checkup

    logs.configure(options.log_level)
    findings = report.Findings()
    try:
        config = load_config(options.find(), options.environ)
    except ConfigError as error:
        for problem in error.problems:
            findings.wrong(problem.place, problem.message, error.exit_status)
    else:
        asyncio.run(Checkup(config, findings).run())
    if options.json:
        report.show_json(report.check_json(findings))
    else:
        report.show(report.check_report(findings))
    return worst(status for _, status in findings.problems)


def courts(options: Options, facility: str | None) -> ExitStatus:
    """Show both services' side of ``[[courts]]``, with blocks ready to paste."""
    from bridge import log as logs
    from bridge.cli.courts import look, pairs, pairs_json, pairs_report

    logs.configure(options.log_level)
    config = load_config(options.find(), options.environ, require_courts=False)
    sides = asyncio.run(look(config, facility))
    found = pairs(sides.courts, sides.services)
    if options.json:
        report.show_json(pairs_json(sides, found))
    else:
        report.show(pairs_report(sides, found))
    return worst(error.exit_status for error in sides.errors)
