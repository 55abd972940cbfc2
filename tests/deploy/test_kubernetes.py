"""The manifests: valid by Kubernetes' own schemas, and as careful as they say."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.config.loading import load_config
from tests.deploy.podman import CHECKOUT

kubernetes_validate = pytest.importorskip("kubernetes_validate")
KUBERNETES = CHECKOUT / "deploy" / "kubernetes"
SHARDS = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())
Manifest = dict[str, Any]


def built(shard: str) -> list[Manifest]:
    """Return what ``kubectl apply -k`` would apply."""
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl: apt install kubernetes-client")
    command = ["kubectl", "kustomize", str(KUBERNETES / "overlays" / shard)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return list(yaml.safe_load_all(text))


@pytest.mark.parametrize("path", sorted(KUBERNETES.glob("base/s*.yaml")), ids=lambda path: path.name)
def test_what_stands_in_a_file_is_valid(path: Path) -> None:
    manifest = yaml.safe_load(path.read_text())
    if manifest["kind"] == "StatefulSet":  # kustomize adds these two
        manifest["spec"]["selector"] = {"matchLabels": {"app": "x"}}
        manifest["spec"]["template"]["metadata"] = {"labels": {"app": "x"}}
    kubernetes_validate.validate(manifest, "1.32", strict=True)


@pytest.mark.parametrize("shard", SHARDS)
def test_what_kustomize_makes_of_it_is_valid(shard: str) -> None:
    manifests = built(shard)
    assert [manifest["kind"] for manifest in manifests] == ["ConfigMap", "Service", "StatefulSet", "PodMonitor"]
    for manifest in manifests[:3]:  # the last one is the Prometheus operator's own
        kubernetes_validate.validate(manifest, "1.32", strict=True)


def test_no_club_stands_in_two_shards_and_none_is_without_its_own_pod() -> None:
    clubs = [path.name for path in KUBERNETES.glob("overlays/*/clubs/*.toml") if path.name != "courtbridge.toml"]
    assert len(clubs) == len(set(clubs)) == len(SHARDS)
    names = {built(shard)[2]["metadata"]["name"] for shard in SHARDS}
    assert len(names) == len(SHARDS)


@pytest.mark.parametrize("shard", SHARDS)
def test_each_shard_selects_its_own_pod_alone(shard: str) -> None:
    """Prometheus too: it would read a pod twice that the monitors of two shards select."""
    _, service, workload, monitor = built(shard)
    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/instance"] == shard
    selectors = [each["spec"]["selector"] for each in (workload, monitor)]
    assert [service["spec"]["selector"], *(each["matchLabels"] for each in selectors)] == [labels] * 3
    assert labels[monitor["spec"]["jobLabel"]] == "courtbridge", "as the alerts name it"


@pytest.mark.parametrize("path", sorted(KUBERNETES.glob("overlays/*/clubs/*-park.toml")), ids=lambda path: path.stem)
def test_the_clubs_of_the_example_load(path: Path, tmp_path: Path) -> None:
    for name in ("launch27-password", "wingfield-token"):
        (tmp_path / f"{path.stem}-{name}").write_text("secret")
    load_config(path, {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_there_is_one_replica_that_nothing_but_its_own_silence_restarts() -> None:
    workload = yaml.safe_load((KUBERNETES / "base" / "statefulset.yaml").read_text())
    container = workload["spec"]["template"]["spec"]["containers"][0]
    assert (workload["kind"], workload["spec"]["replicas"]) == ("StatefulSet", 1)
    probed = {probe: container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe")}
    assert probed == {"startupProbe": "/livez", "livenessProbe": "/livez"}
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
