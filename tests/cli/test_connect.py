"""``connect``: a club's connect token is claimed, or refused with a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.planning.refusals import MEANINGS
from bridge.sandbox import CONNECT_TOKEN, ConnectToken, Sandbox
from tests.cli.calls import COURT_1, Run, WriteConfig, book

TOKEN = CONNECT_TOKEN + "hush"


def test_a_claimed_token_lets_the_courts_be_written(run: Run, sandbox: Sandbox, config_file: Path) -> None:
    book(sandbox)
    sandbox.wingfield.denied_courts.add(COURT_1)
    sandbox.wingfield.connect_tokens[TOKEN] = ConnectToken("the-club")
    ran = run("--once", "--config", config_file)
    assert (ran.code, "courtbridge connect" in ran.out) == (1, True)
    ran = run("connect", TOKEN, "--config", config_file)
    assert (ran.code, sandbox.wingfield.organizations) == (0, {"127": "the-club"})
    assert 'Connected as "127"' in ran.out
    assert "hush" not in ran.out + ran.err
    assert not sandbox.wingfield.denied_courts


def test_connect_answers_in_json(run: Run, sandbox: Sandbox, config_file: Path) -> None:
    sandbox.wingfield.connect_tokens[TOKEN] = ConnectToken("the-club")
    ran = run("connect", TOKEN, "--json", "--config", config_file)
    assert ran.json == {"organization_id": "the-club", "external_organization_id": "127"}


@pytest.mark.parametrize(
    ("token", "type_"),
    [
        (None, "connect_token_not_found"),
        (ConnectToken("c", state="used"), "connect_token_unusable"),
        (ConnectToken("c", known_as="another"), "external_organization_id_mismatch"),
        (ConnectToken("other"), "external_organization_id_already_in_use"),
        (ConnectToken("c", state="expired"), "expired_connect_token"),
    ],
)
def test_each_refusal_is_said_with_a_remedy(
    run: Run, sandbox: Sandbox, config_file: Path, token: ConnectToken | None, type_: str
) -> None:
    sandbox.wingfield.organizations["127"] = "c"
    if token is not None:
        sandbox.wingfield.connect_tokens[TOKEN] = token
    ran = run("connect", TOKEN, "--log-level", "debug", "--config", config_file)
    assert (ran.code, f"{MEANINGS[type_]} ({type_})" in ran.err) == (1, True)
    assert "hush" not in ran.out + ran.err


def test_half_a_token_is_said_to_be_one(run: Run, config_file: Path) -> None:
    ran = run("connect", "hush", "--config", config_file)
    assert (ran.code, "not a whole connect token" in ran.err) == (1, True)


def test_refused_credentials_and_no_answer_have_their_own_exit_status(
    run: Run, sandbox: Sandbox, config_file: Path, write_config: WriteConfig
) -> None:
    sandbox.wingfield.scopes["organization"] = "read"
    assert run("connect", TOKEN, "--config", config_file).code == 77
    assert run("connect", TOKEN, "--config", write_config({sandbox.wingfield.token: "tok_ext_v1_other"})).code == 77
    sandbox.wingfield.faults.add("redirect", times=None)
    ran = run("connect", TOKEN, "--config", config_file)
    assert (ran.code, "hush" in ran.out + ran.err) == (75, False)


def test_connect_needs_a_token(run: Run, config_file: Path) -> None:
    assert run("connect", "--config", config_file).code == 2
