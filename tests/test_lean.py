"""What is imported for no use of ours is left out, and is there afterwards for whoever wants it."""

import subprocess
import sys

import pytest

from bridge.lean import without


def test_a_module_is_missing_only_meanwhile() -> None:
    import colorsys

    with without("colorsys", "no_such_module"), pytest.raises(ImportError):
        import colorsys as again  # noqa: F401
    assert sys.modules["colorsys"] is colorsys
    assert "no_such_module" not in sys.modules


def test_it_comes_back_after_an_error_too() -> None:
    with pytest.raises(RuntimeError), without("no_such_module"):
        raise RuntimeError
    assert "no_such_module" not in sys.modules


def test_the_transport_draws_in_no_command_line() -> None:
    code = "import sys, bridge.http; print([n for n in ('click', 'pygments', 'rich') if n in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
