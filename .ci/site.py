"""Builds the pages as a site: ``.venv/bin/python .ci/site.py [FOLDER]``, by default ``site/``.

It needs the extra ``[docs]``, and no network.

The pages link to files of the checkout, as on a forge. A site has its own root: what they link to is put there as well,
and a link to a folder becomes plain text. Ends with 1 when a link leads nowhere.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
DOCS = CHECKOUT / "docs"
OUTSIDE = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
PAGES = {
    "README.md": "Courtbridge",
    "docs/first-club.md": "First club in ten minutes",
    "docs/trying-out.md": "Trying out",
    "docs/setting-up.md": "Courts, times and players",
    "docs/configuration.md": "Configuration",
    "docs/operating.md": "Operating",
    "docs/troubleshooting.md": "What to do when",
    "docs/monitoring.md": "Monitoring",
    "docs/json.md": "JSON",
    "docs/promises.md": "Promises",
    "docs/how-it-works.md": "How it works",
    "docs/life-of-a-booking.md": "Life of a booking",
    "docs/speed.md": "Speed",
    "CONTRIBUTING.md": "Contributing",
    "SECURITY.md": "Security",
    "CHANGELOG.md": "Changelog",
}
"""In the order of the menu."""
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)#\s:]+)(#[^)\s]*)?\)")
PICTURE = re.compile(r'(!\[[^\]]*\]\(|src(?:set)?=")docs/')
SETTINGS = """\
[project]
site_name = "Courtbridge"
site_description = "Keeps Wingfield's courts in sync with the bookings of Launch27"
docs_dir = "pages"
site_dir = "site"
use_directory_urls = false
nav = [{nav}]

[project.theme]
font = false
features = ["navigation.top", "content.code.copy"]

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
"""


def place(path: Path) -> str:
    """Return where a file of the checkout lies on the site."""
    name = path.relative_to(CHECKOUT).as_posix()
    if name in OUTSIDE:
        return "index.md" if name == "README.md" else name.lower()
    return name.removeprefix("docs/") if name.startswith("docs/") else f"files/{name}"


def staged(page: Path, pages: Path, dead: list[str]) -> str:
    """Return the text of a page as the site has it, and put there what it links to."""

    def link(found: re.Match[str]) -> str:
        text, target, anchor = found[1], (page.parent / found[2]).resolve(), found[3] or ""
        if not target.exists():
            dead.append(f"{page.relative_to(CHECKOUT)}: {found[2]}")
        if target.is_dir() or not target.exists():
            return text
        where = place(target)
        if target.suffix != ".md":
            (pages / where).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(target, pages / where)
        return f"[{text}]({where}{anchor})"

    return indented(PICTURE.sub(r"\1", LINK.sub(link, page.read_text(encoding="utf-8"))))


def indented(text: str) -> str:
    """Return the text with four spaces where an item of a list goes on: three are enough on a forge, not here."""
    parts = re.split(r"(^```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)
    return "".join(
        part if part.startswith("```") else re.sub("^   ", "    ", part, flags=re.MULTILINE) for part in parts
    )


def build(site: Path) -> int:
    """Stage the pages, build the site, and return the exit status."""
    dead: list[str] = []
    with tempfile.TemporaryDirectory(prefix="courtbridge-site-") as folder:
        pages = Path(folder, "pages")
        shutil.copytree(DOCS / "pictures", pages / "pictures")
        for name in PAGES:
            page = CHECKOUT / name
            (pages / place(page)).write_text(staged(page, pages, dead), encoding="utf-8")
        nav = ", ".join(f'{{"{title}" = "{place(CHECKOUT / name)}"}}' for name, title in PAGES.items())
        Path(folder, "zensical.toml").write_text(SETTINGS.format(nav=nav), encoding="utf-8")
        if dead:
            sys.exit("links that lead nowhere:\n" + "\n".join(dead))
        zensical = Path(sys.executable).with_name("zensical")
        done = subprocess.run([zensical, "build", "--strict", "--clean"], cwd=folder, check=False)
        if not done.returncode:
            shutil.rmtree(site, ignore_errors=True)
            shutil.copytree(Path(folder, "site"), site)
    return done.returncode


if __name__ == "__main__":
    sys.exit(build(Path(*sys.argv[1:2] or [CHECKOUT / "site"])))
