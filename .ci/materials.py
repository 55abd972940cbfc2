"""What the pins stand for: ``audit`` looks for known vulnerabilities, ``bill`` writes a bill of materials."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

LOCK = Path("requirements.lock")
WITH_PYTHON = {"pip"}  # comes with an environment, and is never among its pins; sqlite-utils names it
UNREACHABLE = re.compile(r"ConnectionError|ConnectTimeout|ReadTimeout|ServiceError|HTTPError|ProxyError|SSLError")


def verdict(report: dict[str, Any]) -> tuple[int, list[str]]:
    """Return the exit status and the sentences that pip-audit's report comes to."""
    found = [
        f"{each['name']} {each['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'no version'}"
        for each in report["dependencies"]
        for flaw in each.get("vulns", [])
    ]
    unknown = [each["name"] for each in report["dependencies"] if "skip_reason" in each]
    audited = len(report["dependencies"]) - len(unknown)
    if not audited:
        return 0, ["audit: NOT DONE, the index answers for none of the pinned versions"]
    said = [*found, f"audit: {audited} pinned versions audited, {len(found)} known vulnerabilities"]
    if unknown:
        said.append(f"audit: nothing is known of {', '.join(unknown)}")
    return int(bool(found)), said


def audit() -> int:
    """Ask an index for the advisories; one that cannot be reached is no failure, a vulnerability is."""
    command = [sys.executable, "-m", "pip_audit", "-r", str(LOCK), "--no-deps", "--disable-pip"]
    ran = subprocess.run(
        [*command, "--progress-spinner", "off", "-f", "json"], capture_output=True, text=True, check=False
    )
    if ran.stdout.startswith("{"):
        status, said = verdict(json.loads(ran.stdout))
    elif UNREACHABLE.search(ran.stderr):
        status, said = 0, ["audit: NOT DONE, the index cannot be reached"]
    else:
        status, said = 1, [ran.stderr, "audit: pip-audit failed"]
    print("\n".join(said))
    return status


def needed(name: str) -> dict[str, set[str]]:
    """Return what an installed distribution needs here, and what those need, all by normalized names."""
    from packaging.requirements import Requirement

    graph: dict[str, set[str]] = {}
    waiting = [name]
    while waiting:
        each = waiting.pop()
        try:
            lines = distribution(each).requires or []
        except PackageNotFoundError:
            continue
        needs = [Requirement(line) for line in lines]
        graph[each] = {
            normal(need.name) for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})
        }
        graph[each] -= WITH_PYTHON
        waiting += graph[each] - graph.keys()
    return graph


def normal(name: str) -> str:
    """Return a name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def bill() -> int:
    """Write CycloneDX: what the bridge runs with is required, the development tools are excluded."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentScope, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    def component(name: str, version: str, scope: ComponentScope | None = None) -> Component:
        purl = PackageURL("pypi", None, name, version)
        return Component(name=name, version=version, purl=purl, bom_ref=str(purl), scope=scope)

    graph = needed("courtbridge")
    root = component("courtbridge", distribution("courtbridge").version)
    root.type = ComponentType.APPLICATION
    parts = {"courtbridge": root}
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            key = normal(name)
            scope = ComponentScope.REQUIRED if key in graph else ComponentScope.EXCLUDED
            parts[key] = component(key, version, scope)
    if missing := graph.keys() - parts.keys():
        print(f"bill: {LOCK} does not pin {', '.join(sorted(missing))}")
        return 1
    bom = Bom(components=[part for part in parts.values() if part is not root])
    bom.metadata.component = root
    for key, needs in graph.items():
        bom.register_dependency(parts[key], [parts[each] for each in sorted(needs)])
    path = Path("dist", f"courtbridge-{root.version}.cdx.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(JsonV1Dot6(bom).output_as_string(indent=2) + "\n", encoding="utf-8")
    print(f"bill: {path}, {len(parts) - 1} components, {len(graph) - 1} of them required")
    return 0


if __name__ == "__main__":
    sys.exit({"audit": audit, "bill": bill}[sys.argv[1]]())
