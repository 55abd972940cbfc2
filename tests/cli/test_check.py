"""The check: every problem at once, each with its place, and the exit status of the worst."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.cli import check
from bridge.errors import AccessDenied
from bridge.sandbox import Sandbox
from bridge.wingfield.client import Wingfield
from tests.cli.calls import COURT_1, COURT_2, Run, WriteConfig, writes
from tests.support.builders import PASSWORD


def test_a_check_without_problems_exits_0_and_lists_what_it_looked_at(
    run: Run, sandbox: Sandbox, config_file: Path
) -> None:
    ran = run("check", "--json", "--config", config_file)
    assert ran.code == 0
    assert ran.json["problems"] == ran.json["warnings"] == 0
    checked = "\n".join(detail for _, detail in ran.found("ok"))
    for part in ("account 1: logged in", "services 1 Court 1", f"{COURT_2}: Court 2", "none yet"):
        assert part in checked
    assert not writes(sandbox)
    assert [path.name for path in config_file.parent.iterdir()] == ["config.toml"]
    run("--once", "--config", config_file)
    shown = run("check", "--config", config_file).out
    assert "0 bookings in Wingfield" in shown
    assert shown.endswith("All is well.\n")


def test_a_check_lists_every_problem_at_once(run: Run, sandbox: Sandbox, write_config: WriteConfig) -> None:
    sandbox.launch27.settings.update(timezone="Nowhere/City", status="frozen")
    config = write_config(
        {COURT_2: "00000000-0000-4000-8000-000000000000", "service_ids = [1]": "service_ids = [1, 77]"},
        more="[mapping.service_minutes]\n88 = 30",
    )
    config.with_name("courtbridge.db").write_text("no database at all" * 100)
    ran = run("check", "--json", "--config", config)
    assert ran.code == 78
    assert ran.places == ["launch27.timezone", "courts[0].service_ids", "courts[1].court_id", "sync.state"]
    assert "no service 77" in ran.found("problem")[1][1]
    assert (ran.json["problems"], ran.json["warnings"]) == (4, 2)
    assert ["frozen" in detail or "no service 88" in detail for _, detail in ran.found("warning")] == [True, True]
    assert [each["level"] for each in ran.json["findings"]][:7] == ["problem"] * 4 + ["warning"] * 2 + ["ok"]
    shown = run("check", "--config", config).out
    assert "problem  courts[0].service_ids: Launch27 has no service 77" in shown
    assert shown.endswith("4 problems found.\n")


@pytest.mark.parametrize(
    ("replace", "code", "places"),
    [
        ({COURT_1: "court-one", COURT_2: "court-two"}, 78, ["courts[0].court_id", "courts[1].court_id"]),
        ({PASSWORD: "hunter2-hunter2", "TOKEN": "tok_ext_v1_x"}, 77, ["launch27.accounts[0]", "wingfield"]),
        ({"reads_per_second": 'role = "staff"\nreads_per_second'}, 77, ["launch27.accounts[0]"]),
    ],
)
def test_a_check_names_what_is_wrong_and_the_credentials_that_are_refused(
    run: Run, sandbox: Sandbox, write_config: WriteConfig, replace: dict[str, str], code: int, places: list[str]
) -> None:
    token = sandbox.wingfield.token
    config = write_config({old.replace("TOKEN", token): new for old, new in replace.items()})
    ran = run("check", "--json", "--config", config)
    assert (ran.code, ran.places) == (code, places)
    assert "hunter2" not in ran.out + ran.err
    assert "tok_ext" not in ran.out + ran.err
    assert ('role is \\"staff' in ran.out) is ("reads_per_second" in replace)
    if code == 78:
        assert (sandbox.launch27.requests, sandbox.wingfield.requests) == (0, 0)


def test_a_check_warns_of_what_it_may_not_see(run: Run, sandbox: Sandbox, write_config: WriteConfig) -> None:
    config = write_config({"reads_per_second": 'timezone = "Europe/Paris"\nreads_per_second'})
    sandbox.wingfield.scopes["organization"] = "none"
    sandbox.launch27.faults.add("status", times=None, status=404, match=lambda _, path: path.endswith("/services"))
    ran = run("check", "--json", "--config", config)
    assert ran.code == 0
    assert [about for about, _ in ran.found("warning")] == ["launch27.timezone", "launch27", "wingfield"]
    assert run("check", "--config", config).out.endswith("No problem, 3 warnings.\n")


def test_a_check_tells_a_court_that_is_denied_from_services_that_fail_and_says_once_that_one_is_down(
    run: Run, sandbox: Sandbox, config_file: Path
) -> None:
    sandbox.wingfield.faults.add("status", times=None, status=403, match=lambda _, path: path.endswith(COURT_1))
    sandbox.wingfield.faults.add("redirect", times=None, match=lambda _, path: path.endswith(COURT_2))
    sandbox.launch27.faults.add("redirect", match=lambda _, path: path.endswith("/services"))
    ran = run("check", "--json", "--config", config_file)
    assert (ran.code, ran.places) == (75, ["launch27", "courts[1].court_id"])
    for service in (sandbox.launch27, sandbox.wingfield):
        service.faults.add("redirect", times=None)
    ran = run("check", "--json", "--config", config_file)
    assert (ran.code, ran.places) == (75, ["launch27.base_url", "wingfield"])


def test_a_court_of_an_organization_that_gave_no_access_needs_a_person(
    run: Run, sandbox: Sandbox, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def denied(_: Wingfield, __: str) -> None:
        raise AccessDenied("Wingfield", "the court's organization has not given access")

    monkeypatch.setattr(Wingfield, "court", denied)
    ran = run("check", "--json", "--config", config_file)
    assert (ran.code, ran.places) == (1, ["courts[0].court_id", "courts[1].court_id"])


def test_a_check_sees_that_the_state_cannot_be_written(
    run: Run, write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(more='[sync]\nstate = "deep/below/courtbridge.db"')
    monkeypatch.setattr("bridge.cli.check.os.access", lambda *_: False)
    ran = run("check", "--json", "--config", config)
    assert ran.code == 74
    assert str(config.parent) in ran.found("problem")[0][1]


def test_a_login_that_another_role_would_fit_is_warned_about(
    run: Run, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(check._ROLES, "Tenant::Customer", "staff")
    ran = run("check", "--json", "--config", config_file)
    ((about, detail),) = ran.found("warning")
    assert (ran.code, about) == (0, "launch27.accounts[0]")
    assert detail.endswith('launch27.role = "staff" would fit this login')
