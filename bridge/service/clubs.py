"""Many clubs in one process: every file of a directory is one. What one of them does is in ``club.py``.

    a file appears           ──▶ a club begins          a club crashes, hangs, has no state or no lock
    a file is edited         ──▶ its club reads it          ──▶ it begins again, later and later
    a file goes              ──▶ its club ends          a file is wrong from the start ──▶ it waits for an edit

Nothing of this stops or delays another club.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic

import structlog
from apscheduler.schedulers.base import BaseScheduler  # type: ignore[import-untyped]
from structlog.contextvars import bind_contextvars, bound_contextvars

from bridge.config.clubs import PROCESS, check_unlike, club_files, load_club, process_of
from bridge.config.problems import quoted_path
from bridge.config.schema import Config, ProcessTables, WebConfig
from bridge.errors import BridgeError, ConfigError, Problem
from bridge.http.loop import LAST_ANSWER_SECONDS, in_daemon_thread
from bridge.ledger.lock import Lock, lock
from bridge.ledger.store import Ledger
from bridge.log import Aside, origin
from bridge.service import watch
from bridge.service.club import Club
from bridge.service.schedule import place_of
from bridge.service.systemd import Notifier
from bridge.service.turns import Turns
from bridge.sync.narrator import LogNarrator
from bridge.sync.status import Status

AGAIN_SECONDS = 1.0
LONGEST_SECONDS = 300.0
"""A club that fails begins again after the first of these, then twice as late each time, up to the second."""
PATIENCE_SECONDS = 0.25
"""So long a club waits for another program that has its state. All clubs wait with it: a pass ends rather, and the next
one tries again."""
_GROUPS = 2
"""With every beat one of so many groups of clubs has its files looked at."""

log = structlog.get_logger()


class Member:
    """One club of many: the task that runs it, and begins it again where it fails."""

    def __init__(self, name: str, home: Clubs) -> None:
        self.name = name
        self.club: Club | None = None
        self.config: Config | None = None
        self.problems: tuple[Problem, ...] = ()
        """What is wrong with a configuration that keeps it from beginning."""
        self._home = home
        self._watch = watch.Watch()
        self._is_told = False
        self._rejected: tuple[Problem, ...] = ()
        """The problems that were told."""
        self._again = asyncio.Event()
        self._is_over = False
        self._run: asyncio.Task[None] | None = None
        self.task = asyncio.create_task(self._keep())

    def look(self, *, asked: bool) -> None:
        """Look after the files, and after a pass that hangs."""
        with bound_contextvars(club=self.name):
            try:
                if self.club is None:
                    self._rejected = () if asked else self._rejected
                    if self._watch.look(monotonic()) or asked:
                        self.begin_again()
                    return
                self.club.look_after_configuration(asked=asked)
                self.club.tell()
                is_hung = self.club.is_hung
            except Exception as error:  # noqa: BLE001 (nobody else's trouble)
                log.critical("club_crashed", **origin(error))
                is_hung = True
            if is_hung and self._run is not None:
                self._run.cancel()

    def begin_again(self) -> None:
        """Begin now, where it waits to begin again."""
        self.problems = ()
        self._again.set()

    def stop(self) -> None:
        """Begin nothing new; the task ends when what is in flight is answered and stored."""
        self._is_over = True
        self.begin_again()
        if self.club is not None:
            self.club.stop()
        elif self._run is not None:
            self._run.cancel()  # it waits for its turn, or has just ended

    async def _keep(self) -> None:
        bind_contextvars(club=self.name)
        failures = 0
        while not self._is_over:
            began, self.problems = monotonic(), ()
            self._again.clear()
            self._run = asyncio.create_task(self._begin())
            try:
                await self._run
            except ConfigError as error:
                self._reject(error)
                await self._again.wait()
                continue
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise
                if self._is_over:
                    return
                words = {"error": "it hung, or crashed"}
            except BridgeError as error:
                words = {"error": str(error)}
            except Exception as error:  # noqa: BLE001 (the last resort: it begins again)
                log.critical("club_crashed", **origin(error))
                words = {"error": "a bug in Courtbridge"}
            else:
                continue
            failures = failures + 1 if monotonic() - began < LONGEST_SECONDS else 1
            seconds = min(AGAIN_SECONDS * 2.0 ** min(failures - 1, 30), LONGEST_SECONDS)
            log.error("club_failed", **words, again_in_seconds=seconds)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._again.wait(), seconds)

    async def _begin(self) -> None:
        """Run the club until there is a stop. Raises what keeps it from running."""
        home, is_begun = self._home, asyncio.Event()
        if home.leaving:  # one of them may be this club, under another name
            await asyncio.wait(home.leaving)
        await home.turns.take(is_begun)
        try:
            self.config = config = home.load(self)
            self._watch.take(config.files)
            with lock(config.sync.state) as held:
                ledger = Ledger.open(config.sync.state, config.identity, PATIENCE_SECONDS)
                try:
                    await self._run_club(config, ledger, held, is_begun)
                finally:
                    self.club = None
                    home.gone(self)
                    await in_daemon_thread(ledger.close)  # the disk is waited for, by many at once as long as by one
        finally:
            is_begun.set()
            self.config = None

    async def _run_club(self, config: Config, ledger: Ledger, held: Lock, is_begun: asyncio.Event) -> None:
        home = self._home
        narrator = LogNarrator(lasting=True, aside=home.aside)
        club = Club(config, home.environ, ledger, home.scheduler, Notifier(), narrator, held, place_of(self.name))
        club.load, club.is_begun = partial(home.load, self), is_begun
        self.club, home.looks[self.name] = club, club.look
        if not self._is_told:
            log.info("club_added")
        self._is_told = True
        try:
            await club.run()
        finally:
            club.schedule.end()

    def _reject(self, error: ConfigError) -> None:
        self.problems = error.problems
        self._watch.take(error.files)
        if error.problems == self._rejected:
            return
        self._rejected = error.problems
        log.error("config_rejected", problems=list(map(str, error.problems)), detail="this club is not begun")


class Clubs:
    """The clubs of a directory, as one to whoever runs the process."""

    def __init__(
        self, directory: Path, environ: Mapping[str, str], scheduler: BaseScheduler, notifier: Notifier, aside: Aside
    ) -> None:
        self.looks: dict[str, Callable[[], Status] | None] = {}
        """How each club stands, for the page; None for one that could not be started."""
        self.trouble = ""
        """What is wrong beside the clubs, in a sentence."""
        self.environ, self.scheduler, self.aside = environ, scheduler, aside
        self._directory = directory
        self._notifier = notifier
        self._told = ""
        self._members: dict[str, Member] = {}
        self.leaving: set[asyncio.Task[None]] = set()
        """Clubs that are ending, since their files have gone."""
        self._changed_at: dict[str, float] = {}
        """When a file that has appeared or gone was first missed, in seconds of the monotonic clock."""
        self._process: ProcessTables | None = None
        self._process_watch = watch.Watch()
        self._process_problems: tuple[Problem, ...] = ()
        self._directory_trouble = ""
        self._turns = itertools.count()
        self._failure: ConfigError | None = None
        self._over = asyncio.Event()
        self.turns = Turns()

    # --- what the process asks for ---

    @property
    def web(self) -> WebConfig | None:
        """Where the page is served."""
        return self._process.web if self._process else None

    @property
    def is_hung(self) -> bool:
        """Whether all of it hangs: never, since a club that does is ended and begun again."""
        return False

    @property
    def described(self) -> dict[str, object]:
        """What the log says of it at the start."""
        return {"clubs": len(self._members)}

    @property
    def status(self) -> str:
        """How many clubs stand how, in words for ``systemctl status``; what is wrong comes first."""
        clubs = {name: member.club for name, member in self._members.items() if member.club}
        rejected = [name for name, club in clubs.items() if club.is_rejected]
        words = [f"{PROCESS}.toml is wrong: {self._process_problems[0]}"] if self._process_problems else []
        if self.trouble:
            words.append(self.trouble)
        for what, names in (("configuration rejected", rejected), ("not running", self._members.keys() - clubs)):
            if names:
                more = f" and {len(names) - 5} more" if len(names) > 5 else ""
                words.append(f"{what}: {', '.join(sorted(names)[:5])}{more}")
        kinds = Counter(club.standing.partition(":")[0] for club in clubs.values())
        return "; ".join([*words, *(f"{count} {kind}" for kind, count in kinds.most_common())])

    def tell(self) -> None:
        """Tell systemd how things stand, where that has changed."""
        if (words := self.status) != self._told:
            self._told = words
            self._notifier.status(words)

    def stop(self) -> None:
        """Begin nothing new; ``run`` returns when what is in flight is answered and stored."""
        self._over.set()
        for member in self._members.values():
            member.stop()

    async def run(self) -> None:
        """Run the clubs until there is a stop. Raises ConfigError when none is left."""
        try:
            await self._over.wait()
            self.stop()
            await asyncio.gather(*self.leaving, *(member.task for member in self._members.values()))
        finally:
            left = [*self.leaving, *(member.task for member in self._members.values())]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        if self._failure is not None:
            raise self._failure

    # --- the directory ---

    def look_after_configuration(self, *, asked: bool = False) -> None:
        """Take in files that have appeared, changed or gone; ``asked``, read all of them anew."""
        if self._over.is_set():
            return
        is_first = self._process is None
        self._look_at_process(asked=asked)
        files = self._files()
        if files is not None:
            self._take_in(files, is_first=is_first)
        turn = next(self._turns) % _GROUPS
        for number, member in enumerate(self._members.values()):
            if asked or number % _GROUPS == turn:
                member.look(asked=asked)
        if files is not None and not self.leaving and all(member.problems for member in self._members.values()):
            self._give_up()

    def _files(self) -> dict[str, Path] | None:
        """Return the files; None, said once, where the directory has gone: the clubs go on."""
        trouble = ""
        try:
            return club_files(self._directory)
        except OSError as error:
            trouble = f"cannot be read: {error.strerror}"
        finally:
            before, self._directory_trouble = self._directory_trouble, trouble
        if not self._members:
            raise ConfigError([Problem(quoted_path(self._directory), trouble)])
        if trouble != before:
            log.error("clubs_unreadable", error=f"{self._directory}: {trouble}", detail="the clubs that run go on")
        return None

    def _take_in(self, files: Mapping[str, Path], *, is_first: bool) -> None:
        now = monotonic()
        changed = files.keys() ^ self._members.keys()
        self._changed_at = {name: self._changed_at.get(name, now) for name in sorted(changed)}
        settled = 0.0 if is_first else watch.SETTLED_SECONDS
        for name in [name for name, since in self._changed_at.items() if now - since >= settled]:
            if name in files:
                self.looks[name] = None
                self._members[name] = Member(name, self)
            else:
                self._remove(name)

    def _remove(self, name: str) -> None:
        member = self._members.pop(name)
        del self.looks[name]
        task = asyncio.create_task(self._see_off(member))
        self.leaving.add(task)
        task.add_done_callback(self.leaving.discard)

    async def _see_off(self, member: Member) -> None:
        member.stop()
        await asyncio.wait({member.task}, timeout=LAST_ANSWER_SECONDS)
        member.task.cancel()
        await asyncio.gather(member.task, return_exceptions=True)
        log.info("club_removed", club=member.name, detail="what it brought stays in Wingfield")
        for other in self._members.values():
            if other.problems:
                other.begin_again()  # what was wrong may have been that club

    def _give_up(self) -> None:
        problems = [
            Problem(f"{name}: {each.place}".removesuffix(": "), each.message)
            for name, member in self._members.items()
            for each in member.problems
        ]
        nothing = Problem(quoted_path(self._directory), "there is no club in it; put a NAME.toml there for each")
        self._failure = ConfigError(problems or [nothing])
        self._over.set()

    def _look_at_process(self, *, asked: bool) -> None:
        """Take the file of the process, where it was edited; while it is wrong, what was in force before stays."""
        is_edited = self._process_watch.look(monotonic())
        before = self._process
        if not (asked or is_edited or before is None):
            return
        self._process = before or ProcessTables()
        told, self._process_problems = () if asked else self._process_problems, ()
        try:
            self._process = process_of(self._directory, self.environ)
            self._process_watch.take(self._process.files)
        except ConfigError as error:
            self._process_problems = error.problems
            self._process_watch.take(error.files)
        if self._process_problems not in ((), told):
            log.error("config_rejected", problems=list(map(str, self._process_problems)), file=f"{PROCESS}.toml")
        if before is not None and before.notify != self._process.notify:
            for member in self._members.values():
                member.look(asked=True)

    # --- what a member asks for ---

    def load(self, member: Member) -> Config:
        """Return a club's configuration, which no other club's may be in the way of. Raises ConfigError."""
        path = self._directory / f"{member.name}.toml"
        config = load_club(path, self.environ, self._process or ProcessTables())
        others = {
            name: found
            for name, other in self._members.items()
            if other is not member and (found := other.club.config if other.club else other.config)
        }
        check_unlike(config, others)
        return config

    def gone(self, member: Member) -> None:
        """Take note that a club does not run any more."""
        if self._members.get(member.name) is member:
            self.looks[member.name] = None
