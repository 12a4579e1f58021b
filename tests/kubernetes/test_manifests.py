"""What `config/kubernetes` applies: valid by the API's schemas, hardened, and fitting together."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from rb_litellm.config import parse_deployment, parse_settings
from rb_litellm.litellm_adapter.proxy.starting.preflight import strategies

FOLDER = Path(__file__).parents[2] / "config" / "kubernetes"
RELEASES = ("1.29", "1.37")
"""Of Kubernetes: the oldest and the newest that are looked at."""
NOT_OF_THE_API = {"Kustomization", "Component", "PodMonitor"}


def documents(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((FOLDER / folder).glob("*.yaml")):
        if path.name not in ("settings.yaml", "values.yaml"):
            for document in yaml.safe_load_all(path.read_text()):
                name = document.get("metadata", {}).get("name", "")
                yield f"{folder}/{path.name}:{document['kind']}:{name}", document


MANIFESTS = dict(item for folder in ("base", "monitoring", "predictor") for item in documents(folder))
BASE = [document for name, document in MANIFESTS.items() if name.startswith("base/")]


def of(kind: str, name: str = "litellm") -> dict[str, Any]:
    [found] = [d for d in BASE if d["kind"] == kind and d["metadata"]["name"] == name]
    return found


def read(path: str) -> Any:
    return yaml.safe_load((FOLDER / path).read_text())


def pods() -> dict[str, dict[str, Any]]:
    return {d["metadata"]["name"]: d["spec"]["template"] for d in BASE if d["kind"] == "Deployment"}


def patched() -> dict[str, Any]:
    """The proxy's Deployment with the predictor's patch: lists merge by name, as kustomize merges them."""
    return merged(of("Deployment"), MANIFESTS["predictor/from-image.yaml:Deployment:litellm"])


def merged(base: Any, patch: Any) -> Any:
    if isinstance(base, dict) and isinstance(patch, dict):
        return {key: merged(base.get(key), patch.get(key)) for key in base | patch}
    if isinstance(base, list) and isinstance(patch, list):
        key = "mountPath" if "mountPath" in (base + patch)[0] else "name"
        named = {item[key]: item for item in base}
        return list((named | {item[key]: merged(named.get(item[key]), item) for item in patch}).values())
    return base if patch is None else patch


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    "name", [name for name, document in MANIFESTS.items() if document["kind"] not in NOT_OF_THE_API]
)
def test_a_manifest_is_valid_by_the_schema_of_its_kind(name: str, release: str) -> None:
    document = patched() if name.startswith("predictor/") else MANIFESTS[name]
    kubernetes_validate.validate(document, release, strict=True)


@pytest.mark.parametrize("folder", ["base", "monitoring", "predictor"])
def test_a_kustomization_names_every_file_beside_it(folder: str) -> None:
    kustomization = read(f"{folder}/kustomization.yaml")
    named = {*kustomization.get("resources", ()), *(p["path"] for p in kustomization.get("patches", ()))}
    for generator in kustomization.get("configMapGenerator", ()):
        named |= {file.rpartition("=")[2] for file in generator["files"]}
    assert named == {path.name for path in (FOLDER / folder).iterdir()} - {"kustomization.yaml"}


@pytest.mark.parametrize("kind", ["Kustomization", "Component"])
def test_kustomizations_have_the_api_version_of_their_kind(kind: str) -> None:
    version = {"Kustomization": "v1beta1", "Component": "v1alpha1"}[kind]
    found = {d["apiVersion"] for d in MANIFESTS.values() if d["kind"] == kind}
    assert found == {f"kustomize.config.k8s.io/{version}"}


@pytest.mark.parametrize("name", pods())
def test_no_container_is_root_or_writes_to_its_root(name: str) -> None:
    spec = (patched()["spec"]["template"] if name == "litellm" else pods()[name])["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not spec["automountServiceAccountToken"]
    for container in [*spec["containers"], *spec.get("initContainers", ())]:
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", pods())
def test_every_mount_has_its_volume_and_every_empty_folder_its_bound(name: str) -> None:
    spec = (patched()["spec"]["template"] if name == "litellm" else pods()[name])["spec"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    containers = [*spec["containers"], *spec.get("initContainers", ())]
    assert {m["name"] for c in containers for m in c["volumeMounts"]} == set(volumes)
    assert all("sizeLimit" in v["emptyDir"] for v in volumes.values() if "emptyDir" in v)


def test_the_image_writes_only_where_something_is_mounted() -> None:
    [proxy] = pods()["litellm"]["spec"]["containers"]
    mounted = {mount["mountPath"] for mount in proxy["volumeMounts"] if not mount.get("readOnly")}
    assert mounted == {"/var/lib/routebalance", "/var/lib/routebalance-scraping", "/tmp"}


def test_a_changed_configmap_arrives() -> None:
    generator = read("base/kustomization.yaml")
    assert generator["generatorOptions"]["disableNameSuffixHash"]
    [proxy] = pods()["litellm"]["spec"]["containers"]
    [config] = [mount for mount in proxy["volumeMounts"] if mount["name"] == "config"]
    assert (config["mountPath"], "subPath" in config) == ("/etc/routebalance", False)
    assert generator["configMapGenerator"][0]["files"] == ["proxy.yaml=settings.yaml"]


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_the_proxy_is_asked_how_it_is_at_a_port_that_it_has(probe: str) -> None:
    [proxy] = pods()["litellm"]["spec"]["containers"]
    asked = proxy[probe]["httpGet"]
    assert asked["path"] == ("/health/readiness" if probe == "readinessProbe" else "/health/liveliness")
    assert asked["port"] in {port["name"] for port in proxy["ports"]}


@pytest.mark.parametrize("name", pods())
def test_services_budgets_and_policies_select_the_pods(name: str) -> None:
    labels = pods()[name]["metadata"]["labels"]
    assert of("Deployment", name)["spec"]["selector"]["matchLabels"] == labels
    assert of("Service", name)["spec"]["selector"] == labels
    assert of("NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"] == labels
    ports = {port["name"] for c in pods()[name]["spec"]["containers"] for port in c["ports"]}
    assert {port["targetPort"] for port in of("Service", name)["spec"]["ports"]} <= ports


def test_the_autoscaler_has_the_number_of_pods_to_itself() -> None:
    scaled = of("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    deployment = of("Deployment")
    assert scaled == {key: deployment[key] for key in ("apiVersion", "kind")} | {"name": "litellm"}
    assert "replicas" not in deployment["spec"]
    assert of("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == {"app": "litellm"}


def test_redis_hears_the_proxies_alone_and_reaches_nobody() -> None:
    policy = of("NetworkPolicy", "litellm-redis")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    [allowed] = policy["ingress"]
    assert allowed["from"] == [{"podSelector": {"matchLabels": {"app": "litellm"}}}]
    assert policy["egress"] == []


def test_the_proxy_does_not_reach_the_clouds_metadata() -> None:
    blocks = [
        to["ipBlock"]
        for rule in of("NetworkPolicy")["spec"]["egress"]
        for to in rule["to"]
        if "ipBlock" in to
    ]
    metadata = ipaddress.ip_address("169.254.169.254")
    for block in blocks:
        assert any(metadata in ipaddress.ip_network(hole) for hole in block["except"])


def test_the_monitor_scrapes_our_metrics_with_their_key() -> None:
    monitor = MANIFESTS["monitoring/podmonitor.yaml:PodMonitor:litellm"]
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["spec"]["selector"]["matchLabels"] == pods()["litellm"]["metadata"]["labels"]
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("http", "/routebalance/metrics")
    assert endpoint["authorization"]["credentials"]["key"] == "ROUTEBALANCE_METRICS_KEY"


def test_the_settings_are_understood_and_name_the_redis_that_is_there() -> None:
    settings = read("base/settings.yaml")
    for where, _, args in strategies(settings):
        parse_settings(args, where)
    for entry in settings["model_list"]:
        parse_deployment(entry["model_info"]["routebalance"], entry["model_name"])
    assert settings["router_settings"]["redis_host"] == of("Service", "litellm-redis")["metadata"]["name"]


def test_the_charts_values_say_the_same_as_the_manifests() -> None:
    values, template = read("chart/values.yaml"), pods()["litellm"]["spec"]
    [proxy] = template["containers"]
    assert values["podSecurityContext"] == template["securityContext"]
    assert values["securityContext"] == proxy["securityContext"]
    assert values["resources"] == proxy["resources"]
    assert values["terminationGracePeriodSeconds"] == template["terminationGracePeriodSeconds"]
    assert values["lifecycle"] == proxy["lifecycle"]
    autoscaler = of("HorizontalPodAutoscaler")["spec"]
    assert values["autoscaling"]["minReplicas"] == autoscaler["minReplicas"]
    assert values["autoscaling"]["maxReplicas"] == autoscaler["maxReplicas"]


def test_the_charts_proxy_reads_a_file_in_a_folder_that_is_mounted_whole() -> None:
    values = read("chart/values.yaml")
    config = Path(values["args"][values["args"].index("--config") + 1])
    [mount] = [m for m in values["volumeMounts"] if m["mountPath"] == str(config.parent)]
    assert "subPath" not in mount
    assert {m["name"] for m in values["volumeMounts"]} == {v["name"] for v in values["volumes"]}
