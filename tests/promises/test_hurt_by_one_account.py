"""2. One account of several that fails keeps nobody else waiting."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from bridge.http import client as http
from bridge.sandbox import Sandbox
from tests.support.builders import PASSWORD, SECOND
from tests.support.club import QUICK, is_listing
from tests.support.daemons import Here, book

pytestmark = pytest.mark.hurt(2)


@pytest.fixture
def config(sandbox: Sandbox, write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two accounts, a pass every fifth of a second, and requests that give up soon."""
    assert http.Http.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(http.Http.__init__.__kwdefaults__, "backoff", QUICK)
    sandbox.launch27.add_account(SECOND, PASSWORD)
    account = f'[[launch27.accounts]]\nemail = "{SECOND}"\npassword = "{PASSWORD}"\n'
    return write_config({"[wingfield]": account + "[wingfield]"}, more='[sync]\ninterval = "1s"\n')


async def test_one_failing_listing_slowed_everybodys_passes(sandbox: Sandbox, config: Path) -> None:
    book(sandbox)
    failing = sandbox.launch27.faults.add("status", times=None, match=is_listing, part=SECOND, status=503)
    async with Here(config) as here:
        await here.passes(8)
    begun = [record.started_ms for record in here.records]
    assert max(later - earlier for earlier, later in pairwise(begun)) < 1000, "no pass waits for the failing account"
    assert failing.hits < 8 * QUICK.tries, "which is asked less and less"
    assert len(sandbox.wingfield.bookings) == 1
    assert {record.outcome for record in here.records} == {"incomplete"}


async def test_one_refused_password_kept_the_other_account_waiting(sandbox: Sandbox, config: Path) -> None:
    book(sandbox)
    config.write_text(config.read_text().replace(f'{SECOND}"\npassword = "{PASSWORD}"', f'{SECOND}"\npassword = "no"'))
    async with Here(config) as here:
        await here.passes(5)
    refused = [entry for entry in sandbox.launch27.log if entry.path.endswith("/login") and entry.status == 401]
    assert len(refused) == 1, "five refused logins within a minute lock an account"
    assert len(sandbox.wingfield.bookings) == 1
