"""The courts: both sides, the blocks to paste, and the guesses between them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from bridge.cli import courts
from bridge.launch27.wire import CatalogueService
from bridge.planning.memory import Lengths
from bridge.sandbox import Sandbox
from bridge.wingfield.client import Court
from tests.cli.calls import COURT_1, COURT_2, Run, WriteConfig, book
from tests.support.builders import PASSWORD


def test_courts_prints_blocks_that_make_a_valid_configuration(run: Run, sandbox: Sandbox, config_file: Path) -> None:
    text = config_file.read_text()
    config_file.write_text(text[: text.index("[[courts]]")])
    ran = run("courts", "--config", config_file)
    assert ran.code == 0
    assert "add --facility ID" in ran.out
    assert "[[courts]]" not in ran.out
    facility = next(iter(sandbox.wingfield.courts.values())).facility_id
    ran = run("courts", "--facility", facility, "--config", config_file)
    assert ran.code == 0
    printed = ran.out[ran.out.index("[[courts]]") :]
    assert [rule["service_ids"] for rule in tomllib.loads(printed)["courts"]] == [[1], [2]]
    config_file.write_text(config_file.read_text() + printed)
    assert run("--once", "--config", config_file).code == 0


def test_courts_are_found_in_mappings_and_bookings(run: Run, sandbox: Sandbox, config_file: Path) -> None:
    book(sandbox)
    run("--once", "--config", config_file)
    mapping = {"externalCourtId": "2", "externalCourtName": "Platz 2", "updatedAt": "2026-11-20T09:00:00Z"}
    sandbox.wingfield.mappings[COURT_2] = {"courtId": COURT_2, **mapping}
    ran = run("courts", "--json", "--config", config_file)
    assert ran.code == 0
    assert [(court["id"], court["service_ids"]) for court in ran.json["courts"]] == [(COURT_1, [1]), (COURT_2, [2])]
    assert [service["id"] for service in ran.json["services"]] == [1, 2, 9]


def test_courts_shows_the_one_side_when_the_other_is_refused(
    run: Run, sandbox: Sandbox, write_config: WriteConfig
) -> None:
    facility = next(iter(sandbox.wingfield.courts.values())).facility_id
    for secret, seen, error in (
        (PASSWORD, "Court 2", "Launch27: account 1: the e-mail address or the password was refused"),
        (sandbox.wingfield.token, "Racket hire", "Wingfield: the token was refused"),
    ):
        config = write_config({secret: "tok_ext_v1_other"})
        ran = run("courts", "--facility", facility, "--config", config)
        assert ran.code == 77
        assert seen in ran.out
        assert error in ran.out


def test_a_court_that_is_gone_is_left_out_and_a_service_that_is_down_is_said(
    run: Run, sandbox: Sandbox, config_file: Path
) -> None:
    book(sandbox)
    run("--once", "--config", config_file)
    del sandbox.wingfield.courts[COURT_1]
    assert run("courts", "--json", "--config", config_file).json["courts"] == []
    sandbox.launch27.faults.add("redirect", times=None)
    assert run("courts", "--config", config_file).code == 75


def test_a_service_fits_a_court_by_its_name() -> None:
    for court, service in (("Court 1", "court 1"), ("Court 01", "Court 1 (60 min)"), ("Platz 3", "Platz 3 – Sand")):
        assert courts.fits(court, service)
    for court, service in (("Court 1", "Court 10"), ("Court 1", "Racket hire 1"), ("", "Anything")):
        assert not courts.fits(court, service)


def test_a_service_that_fits_two_courts_is_guessed_for_neither() -> None:
    halls = [Court(id=id_, name="Court 1") for id_ in ("a", "b")]
    assert courts.Sides(halls, {1: CatalogueService("Court 1", Lengths())}).guesses == {"a": [], "b": []}


def test_names_from_the_services_can_neither_break_the_block_nor_steer_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = 'Court "1"\\ \x1b[31m\nhacked = true \U0001f3be\x7f'
    sides = courts.Sides([Court(id=COURT_1, name=name)], {1: CatalogueService(name, Lengths(45))})
    printed = courts.blocks(sides)
    assert tomllib.loads(printed) == {"courts": [{"name": name, "court_id": COURT_1, "service_ids": [1]}]}
    courts.report(sides)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert shown.count("\nhacked") == 0


def test_courts_counts_the_bookings_that_go_to_no_court(run: Run, sandbox: Sandbox, config_file: Path) -> None:
    for court in (1, 9, 9, 50):
        book(sandbox, court=court)
    shown = run("courts", "--config", config_file).out
    assert "service 9, Racket hire: 2 bookings go to no court\nservice 50: 1 booking goes to no court\n" in shown
    services = run("courts", "--json", "--config", config_file).json["services"]
    assert [each["to_no_court"] for each in services] == [0, 0, 2]
    config_file.write_text(config_file.read_text().partition("[[courts]]")[0])
    assert "service 1, Court 1: 1 booking goes to no court" in run("courts", "--config", config_file).out
