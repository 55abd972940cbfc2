"""``courtbridge notify``: a test message through every configured channel, by the same code as real ones."""

from __future__ import annotations

from bridge.cli import output
from bridge.cli.arguments import Options
from bridge.config.clubs import PROCESS
from bridge.errors import ExitStatus
from bridge.http.loop import run as run_loop
from bridge.notify.notifier import test


def run(options: Options) -> ExitStatus:
    """Send the message; return 0 only if every channel took it, and 1 also where none is configured."""
    if options.process is None:
        config = options.load_config(require_courts=False)
        notify, club = config.notify, config.path.stem
    else:
        notify, club = options.process.notify, options.club or PROCESS
    said = run_loop(test(notify, club)) if notify else {}
    if options.json:
        output.show_json({"channels": {name: error or None for name, error in said.items()}})
    elif not said:
        output.line("Nobody would be told: [notify] names no heartbeat_url, webhook_url or apprise_url.", "red")
    else:
        for name, error in said.items():
            output.line(f"{name}: {error or 'took the test message'}", "red" if error else "green")
    return ExitStatus.OK if said and not any(said.values()) else ExitStatus.ATTENTION
