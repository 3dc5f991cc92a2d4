"""The Kubernetes examples: valid, restricted, with a configuration that loads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import kubernetes_validate
import pytest
import yaml

from tests.configs import load
from tonwatch.config.models import Config
from tonwatch.targets.liteserver.config import LiteServer

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"
DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"
EXAMPLES = ("sidecar.yaml", "standalone.yaml")
OLDEST_AND_NEWEST = ("1.29", kubernetes_validate.latest_version())

Manifest = dict[str, Any]


class Container(NamedTuple):
    """A container of an example, with the pod it runs in."""

    example: str
    pod: Manifest
    spec: Manifest

    def effective(self, key: str) -> Any:
        """The container's own security setting, or else the pod's."""
        own = self.spec.get("securityContext", {})
        return own.get(key, self.pod.get("securityContext", {}).get(key))


def documents(example: str) -> list[Manifest]:
    text = (KUBERNETES / example).read_text(encoding="utf-8")
    return [document for document in yaml.safe_load_all(text) if document is not None]


def pod_specs(example: str) -> Iterator[Manifest]:
    for document in documents(example):
        if "template" in document.get("spec", {}):
            yield document["spec"]["template"]["spec"]


def containers() -> list[Container]:
    return [
        Container(example, pod, spec)
        for example in EXAMPLES
        for pod in pod_specs(example)
        for spec in [*pod.get("initContainers", []), *pod["containers"]]
    ]


ALL = containers()
TONWATCH = [container for container in ALL if container.spec["name"] == "tonwatch"]


def label(container: Container) -> str:
    return f"{container.example}:{container.spec['name']}"


@pytest.fixture
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    """The configuration inside an example, loaded as `tonwatch config check` would."""
    example: str = request.param
    [text] = [
        document["data"]["tonwatch.yaml"]
        for document in documents(example)
        if document["kind"] == "ConfigMap"
    ]
    (tmp_path / "api-key").write_text("not-a-real-key", encoding="utf-8")
    path = tmp_path / "tonwatch.yaml"
    path.write_text(text.replace("/run/secrets/toncenter", str(tmp_path)), encoding="utf-8")
    return load(path)


each_config = pytest.mark.parametrize(
    ("config", "example"), [(e, e) for e in EXAMPLES], indirect=["config"], ids=EXAMPLES
)
each_container = pytest.mark.parametrize("container", ALL, ids=label)
each_tonwatch = pytest.mark.parametrize("container", TONWATCH, ids=label)


@pytest.mark.parametrize("version", OLDEST_AND_NEWEST)
def test_every_object_fits_the_schema_without_unknown_fields(
    version: str, subtests: pytest.Subtests
) -> None:
    for example in EXAMPLES:
        for document in documents(example):
            with subtests.test(f"{example}:{document['kind']}/{document['metadata']['name']}"):
                kubernetes_validate.validate(document, version, strict=True)


# The restricted profile of the pod security standards, setting by setting.
RESTRICTED: dict[str, list[Any]] = {
    "runAsNonRoot": [True],
    "allowPrivilegeEscalation": [False],
    "privileged": [None, False],
    "capabilities": [{"drop": ["ALL"]}],
    "seccompProfile": [{"type": "RuntimeDefault"}],
    "procMount": [None, "Default"],
    "seLinuxOptions": [None],
    "windowsOptions": [None],
    "sysctls": [None],
}


@each_container
def test_every_container_meets_the_restricted_profile(
    container: Container, subtests: pytest.Subtests
) -> None:
    for setting, allowed in RESTRICTED.items():
        with subtests.test(setting):
            assert container.effective(setting) in allowed


@each_container
def test_no_container_runs_as_user_0(container: Container) -> None:
    assert container.effective("runAsUser") > 0


@pytest.mark.parametrize("example", EXAMPLES)
def test_pods_share_nothing_with_their_host(example: str) -> None:
    for pod in pod_specs(example):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        allowed = {"configMap", "secret", "emptyDir", "persistentVolumeClaim"}
        assert all(set(volume) - {"name"} <= allowed for volume in pod["volumes"])
    for container in ALL:
        assert all("hostPort" not in port for port in container.spec["ports"])


@pytest.mark.parametrize("example", EXAMPLES)
def test_namespace_enforces_the_profile(example: str) -> None:
    [namespace] = [d for d in documents(example) if d["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    others = [d for d in documents(example) if d["kind"] != "Namespace"]
    assert {d["metadata"]["namespace"] for d in others} == {namespace["metadata"]["name"]}


@pytest.mark.parametrize("example", EXAMPLES)
def test_pods_get_no_token_and_no_service_variables(example: str) -> None:
    for pod in pod_specs(example):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False


@each_container
def test_every_container_has_requests_and_a_memory_limit(container: Container) -> None:
    resources = container.spec["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert "memory" in resources["limits"]


@each_container
def test_images_are_pinned(container: Container) -> None:
    _, _, tag = container.spec["image"].rpartition(":")
    assert tag not in ("", "latest")


@each_tonwatch
def test_tonwatch_writes_nothing(container: Container) -> None:
    assert container.effective("readOnlyRootFilesystem") is True
    assert all(mount["readOnly"] for mount in container.spec["volumeMounts"])


@each_tonwatch
def test_tonwatch_runs_as_the_user_of_its_image(container: Container) -> None:
    user = container.effective("runAsUser")
    assert f"\nUSER {user}:{container.effective('runAsGroup')}\n" in DOCKERFILE.read_text("utf-8")


@pytest.mark.parametrize(
    ("example", "probe", "path"),
    [
        ("sidecar.yaml", "startupProbe", "/live"),
        ("sidecar.yaml", "livenessProbe", "/live"),
        ("sidecar.yaml", "readinessProbe", "/ready"),  # the pod leaves its Service with the node
        ("standalone.yaml", "startupProbe", "/live"),
        ("standalone.yaml", "livenessProbe", "/live"),
        ("standalone.yaml", "readinessProbe", "/live"),  # the page stays when the provider is out
    ],
)
def test_the_kubelet_asks_the_right_endpoint(example: str, probe: str, path: str) -> None:
    [container] = [c for c in TONWATCH if c.example == example]
    assert container.spec[probe]["httpGet"] == {"path": path, "port": "tonwatch"}


def test_the_sidecar_starts_before_the_node_and_outlives_it() -> None:
    [pod] = pod_specs("sidecar.yaml")
    [sidecar] = pod["initContainers"]
    assert (sidecar["name"], sidecar["restartPolicy"]) == ("tonwatch", "Always")


def test_the_sidecar_reads_the_key_where_the_node_writes_it() -> None:
    [sidecar, node] = [c.spec for c in ALL if c.example == "sidecar.yaml"]
    mounts = [{m["name"]: m["mountPath"] for m in c["volumeMounts"]} for c in (sidecar, node)]
    assert mounts[0]["db"] == mounts[1]["db"] == "/var/ton-work/db"


@each_config
def test_the_configuration_loads_and_agrees_with_the_pod(config: Config, example: str) -> None:
    [container] = [c for c in TONWATCH if c.example == example]
    assert container.spec["ports"][0]["containerPort"] == config.serve.port
    assert container.pod["terminationGracePeriodSeconds"] > config.readiness.drain_delay


@pytest.mark.parametrize("config", ["sidecar.yaml"], indirect=True)
def test_the_sidecar_asks_the_port_that_the_node_opens(config: Config) -> None:
    [node] = [c.spec for c in ALL if c.spec["name"] == "node"]
    environment = {entry["name"]: entry["value"] for entry in node["env"]}
    [server] = config.liteservers
    assert isinstance(server, LiteServer)
    assert (server.host, server.role) == ("127.0.0.1", "primary")
    assert environment["LITESERVER"] == "true"
    assert environment["LITE_PORT"] == str(server.port)
    ports = {port["name"]: str(port["containerPort"]) for port in node["ports"]}
    assert ports == {
        "adnl": environment["VALIDATOR_PORT"],
        "quic": environment["QUIC_PORT"],
        "liteserver": environment["LITE_PORT"],
    }
