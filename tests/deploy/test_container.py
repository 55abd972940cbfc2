"""The image and the pod, run by podman where it is there, with both services simulated on this machine."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
import yaml

from bridge.sandbox import Sandbox
from tests.deploy.podman import CHECKOUT, IMAGE, Podman
from tests.support.builders import PASSWORD
from tests.support.club import WRITES
from tests.support.configuration import configuration, introduction
from tests.support.daemons import book

PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Podman:
    podman = Podman(tmp_path_factory.mktemp("podman"))
    podman.build(tmp_path_factory.getbasetemp().parent / "build.lock")
    return podman


@pytest.fixture
def page() -> str:
    """An address of this machine where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def folder(tmp_path: Path, sandbox: Sandbox, page: str) -> Path:
    """A directory of one club, with its secrets beside it."""
    clubs = tmp_path / "clubs"
    clubs.mkdir()
    text = configuration(introduction(sandbox.launch27, sandbox.wingfield))
    (clubs / "park.toml").write_text(text)
    (clubs / "courtbridge.toml").write_text(f'[web]\nlisten = "{page}"\n')
    tmp_path.chmod(0o755)
    return clubs


def answer(page: str, path: str) -> int:
    """Return the status of the page's answer; 0 while there is none."""
    try:
        with urlopen(f"http://{page}{path}", timeout=5) as response:
            return int(response.status)
    except HTTPError as error:
        with error:
            return error.code
    except URLError:
        return 0


def writes(sandbox: Sandbox) -> int:
    """Return how many writes reached Wingfield."""
    return sum(entry.method in WRITES for entry in sandbox.wingfield.log)


def wait_for(page: str, path: str, status: int) -> None:
    """Wait until the page answers so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while answer(page, path) != status:
        assert time.monotonic() < deadline, f"{path} did not answer {status}"
        time.sleep(0.1)


def test_the_image_is_run_by_nobody_special_and_knows_whether_it_is_well(podman: Podman) -> None:
    image = podman.inspect(IMAGE)
    assert image["Config"]["User"] == "10001:10001"
    assert "--max-age" in image["Healthcheck"]["Test"]
    assert podman.call("run", "--rm", "--read-only", IMAGE, "--version").stdout.startswith("courtbridge ")


def test_compose_and_kubernetes_give_the_image_its_three_places_and_nothing_to_write_but_one() -> None:
    (service,) = yaml.safe_load((CHECKOUT / "deploy/compose.yaml").read_text())["services"].values()
    (container,) = _workload()["spec"]["template"]["spec"]["containers"]
    mounted = {f"{each['mountPath']}{':ro' * each.get('readOnly', False)}" for each in container["volumeMounts"]}
    assert {each.partition(":")[2] for each in service["volumes"]} == mounted
    assert mounted == {"/etc/courtbridge:ro", "/run/secrets:ro", "/var/lib/courtbridge"}
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    secure = container["securityContext"]
    assert (secure["readOnlyRootFilesystem"], secure["capabilities"]) == (True, {"drop": ["ALL"]})


@pytest.fixture
def container(podman: Podman, folder: Path) -> Iterator[str]:
    options = [
        "--read-only",
        "--cap-drop=ALL",
        "--network=host",
        "--memory=256m",
        f"--volume={folder}:/etc/courtbridge:ro",
    ]
    name = podman.call("run", "--detach", *options, IMAGE).stdout.strip()
    yield name
    podman.call("rm", "--force", "--time=0", name)


def test_a_container_bridges_its_clubs_and_is_healthy(podman: Podman, container: str, page: str) -> None:
    wait_for(page, "/readyz", 200)
    assert podman.call("healthcheck", "run", container, check=False).returncode == 0
    podman.call("stop", "--time=10", container)
    ended = json.loads(podman.call("inspect", container).stdout)[0]["State"]
    assert ended["ExitCode"] == 0


def test_a_pod_that_lost_its_state_writes_nothing_twice(
    podman: Podman, folder: Path, sandbox: Sandbox, page: str
) -> None:
    """What the manifest says of its emptyDir; the probes are asked here, since podman would want curl in the image."""
    book(sandbox, 3)
    pod = folder.parent / "pod.yaml"
    pod.write_text(yaml.safe_dump_all(_pod(folder)))
    try:
        podman.call("kube", "play", str(pod))
        wait_for(page, "/readyz", 200)
        written = writes(sandbox)
        assert written == 3
        podman.call("kube", "down", str(pod))
        wait_for(page, "/livez", 0)
        podman.call("kube", "play", str(pod))
        wait_for(page, "/readyz", 200)
        assert writes(sandbox) == written
    finally:
        podman.call("kube", "down", str(pod), check=False)


def _workload() -> Any:
    return yaml.safe_load((CHECKOUT / "deploy/kubernetes/base/statefulset.yaml").read_text())


def _pod(folder: Path) -> list[dict[str, object]]:
    """Return the StatefulSet's pod as podman takes it, and what it mounts."""
    spec = _workload()["spec"]["template"]["spec"] | {"hostNetwork": True}
    container = spec["containers"][0] | {"image": IMAGE, "imagePullPolicy": "Never"}
    for name in ("startupProbe", "livenessProbe", "readinessProbe", "ports"):  # ports: podman shares this machine's
        container.pop(name)
    spec["containers"] = [container]
    clubs = {path.name: path.read_text() for path in folder.iterdir()}
    secrets = {"launch27-password": base64.b64encode(PASSWORD.encode()).decode()}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "clubs"}, "data": clubs},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secrets"}, "data": secrets},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "courtbridge"}, "spec": spec},
    ]
