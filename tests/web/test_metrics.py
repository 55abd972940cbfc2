"""The metrics: names, labels, values, and promtool's opinion."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bridge import __version__
from bridge.model import Verb
from bridge.sync.figures import Figures
from bridge.web.metrics import render
from tests.support.views import RECORD, busy, status

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"
promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is in Debian's package prometheus")


def lines(text: bytes) -> list[str]:
    return [line for line in text.decode().splitlines() if not line.startswith("#")]


def counted() -> Figures:
    figures = Figures()
    figures.passed("full", RECORD.outcome, RECORD.duration_ms)
    figures.writes[Verb.CREATE, "rejected"] += 1
    figures.requests.update({("Launch27", "200"): 3, ("Wingfield", "none"): 1})
    figures.drift["extra"] = 2
    figures.is_push_connected = True
    return figures


def test_the_metrics_are_those_of_the_interface() -> None:
    text, media_type = render({"config": busy()}, "")
    assert media_type.startswith("text/plain; version=")
    standing = lines(text)
    for state, count in (("in_sync", 1), ("pending", 1), ("held", 2), ("withheld", 1)):
        assert f'courtbridge_bookings{{state="{state}"}} {count}.0' in standing
    assert f'courtbridge_build_info{{version="{__version__}"}} 1.0' in standing
    found = lines(render({"config": status(figures=counted())}, "")[0])
    for line in (
        "courtbridge_last_pass_timestamp_seconds 1.795175940184e+09",
        "courtbridge_last_success_timestamp_seconds 1.795175940184e+09",
        'courtbridge_passes_total{kind="full",outcome="attention"} 1.0',
        'courtbridge_pass_duration_seconds_bucket{kind="full",le="0.1"} 0.0',
        'courtbridge_pass_duration_seconds_bucket{kind="full",le="0.25"} 1.0',
        'courtbridge_pass_duration_seconds_bucket{kind="full",le="+Inf"} 1.0',
        'courtbridge_pass_duration_seconds_count{kind="full"} 1.0',
        'courtbridge_pass_duration_seconds_sum{kind="full"} 0.184',
        'courtbridge_writes_total{action="create",result="rejected"} 1.0',
        'courtbridge_writes_total{action="delete",result="ok"} 0.0',
        'courtbridge_requests_total{service="launch27",status="200"} 3.0',
        'courtbridge_requests_total{service="wingfield",status="none"} 1.0',
        'courtbridge_drift_total{kind="extra"} 2.0',
        "courtbridge_push_connected 1.0",
    ):
        assert line in found, line


def test_every_club_but_the_first_has_its_name() -> None:
    found = lines(render({"one": busy(), "two": busy()}, "")[0])
    assert 'courtbridge_bookings{state="held"} 2.0' in found
    assert 'courtbridge_bookings{club="two",state="held"} 2.0' in found
    assert not [line for line in found if 'club="one"' in line]
    assert sum(line.startswith("courtbridge_build_info") for line in found) == 1


def test_openmetrics_is_there_for_who_asks_and_a_new_state_has_no_times() -> None:
    text, media_type = render({"config": status(passes=())}, "application/openmetrics-text; version=1.0.0")
    assert media_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")
    assert b"timestamp_seconds " not in b"\n".join(line.encode() for line in lines(text))


@promtool
def test_promtool_finds_nothing() -> None:
    views = {"one": status(figures=counted()), "two": busy(figures=counted())}
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=render(views, "")[0], capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    rules = subprocess.run(["promtool", "check", "rules", DEPLOY / "courtbridge-rules.yml"], check=False)
    assert rules.returncode == 0


def test_the_dashboard_and_the_rules_name_metrics_that_there_are() -> None:
    dashboard, rules = (
        DEPLOY.joinpath(name).read_text() for name in ("grafana-dashboard.json", "courtbridge-rules.yml")
    )
    assert json.loads(dashboard)["title"] == "Courtbridge"
    there = set(
        re.findall(
            r"^(courtbridge_\w+)", "\n".join(lines(render({"a": status(figures=counted())}, "")[0])), re.MULTILINE
        )
    )
    named = set(re.findall(r"courtbridge_\w+", dashboard + rules))
    assert named - there == set()
