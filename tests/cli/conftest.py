"""The command line in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from bridge.cli.main import main
from tests.cli.calls import Ran, Run, restored_signals
from tests.support.builders import EMAIL, PASSWORD


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Return a function that calls the command line in this process."""

    def run(*arguments: str | Path) -> Ran:
        capsys.readouterr()
        try:
            code = main(list(map(str, arguments)))
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        assert PASSWORD not in said.out + said.err
        assert EMAIL not in said.out + said.err
        return Ran(int(code), said.out, said.err)

    with restored_signals():
        yield run
    structlog.reset_defaults()
