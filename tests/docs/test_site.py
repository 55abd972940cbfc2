"""The pages link to what is there, every page is in the menu, and the site is built where its builder is installed."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
SCRIPT = CHECKOUT / ".ci" / "site.py"


def test_no_link_to_a_file_is_dead_and_every_page_is_in_the_menu(tmp_path: Path) -> None:
    site = runpy.run_path(str(SCRIPT))
    dead: list[str] = []
    for name in site["PAGES"]:
        site["staged"](CHECKOUT / name, tmp_path, dead)
    assert dead == []
    assert {f"docs/{page.name}" for page in (CHECKOUT / "docs").glob("*.md")} <= site["PAGES"].keys()


@pytest.mark.skipif(not Path(sys.executable).with_name("zensical").exists(), reason="needs the extra [docs]")
def test_the_site_is_built_without_a_dead_anchor(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, SCRIPT, tmp_path / "site"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site" / "index.html").exists()


def test_the_readme_is_short_and_its_pictures_are_light() -> None:
    assert len((CHECKOUT / "README.md").read_text().splitlines()) <= 150
    assert all(picture.stat().st_size < 150_000 for picture in (CHECKOUT / "docs" / "pictures").iterdir())
