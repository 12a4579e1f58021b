"""The compose file and the image give away no more than they must. Here they are read."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
IMAGE = (ROOT / "config" / "Dockerfile").read_text()


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_on_this_machine_alone(name: str) -> None:
    for port in SERVICES[name].get("ports", ()):
        assert port.startswith("${LISTEN:-127.0.0.1}:")


@pytest.mark.parametrize("name", ["redis", "postgres", "backends"])
def test_what_the_proxy_alone_needs_is_not_published(name: str) -> None:
    assert "ports" not in SERVICES[name]


@pytest.mark.parametrize("name", SERVICES)
def test_services_have_least_privilege(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not str(service.get("user", "1")).startswith(("0", "root"))


def test_prometheus_has_a_key_of_its_own_and_not_the_masters() -> None:
    mounts = [volume.split(":")[0] for volume in SERVICES["prometheus"]["volumes"]]
    assert "state" not in mounts
    told = (ROOT / "config/prometheus/prometheus.yml").read_text()
    assert "master-key" not in told
    assert "metrics-key" in told


def test_the_image_runs_as_nobody_in_particular() -> None:
    users = re.findall(r"^USER (\S+)", IMAGE, re.MULTILINE)
    assert users[-1] == "10001:10001"


def test_stores_are_in_a_network_of_their_own() -> None:
    assert COMPOSE["networks"]["stores"]["internal"] is True
    inside = {name for name, service in SERVICES.items() if "stores" in service.get("networks", ())}
    assert inside == {"proxy", "redis", "postgres"}
    assert all(SERVICES[name]["networks"] == ["stores"] for name in ("redis", "postgres"))


def test_the_image_installs_by_hash_alone() -> None:
    installs = [line for line in IMAGE.splitlines() if " pip install " in line or " pip wheel " in line]
    assert len(installs) == 4
    assert all("--no-deps" in line for line in installs)
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)


@pytest.mark.parametrize("name", ["requirements.txt", "build.txt"])
def test_every_requirement_of_the_image_is_one_release_with_hashes(name: str) -> None:
    found = list(missing_module().entries((ROOT / "config" / name).read_text()))
    assert len(found) > 10
    for entry in found:
        assert re.match(r"\S+==\S+ ", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_what_a_base_image_brings_along_is_not_installed_again(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("PyTest==0.1 \\\n    --hash=sha256:0\nno_such.one==2 \\\n    --hash=sha256:1\n")
    missing_module().main(file)
    assert capsys.readouterr().out == "no_such.one==2 \\\n    --hash=sha256:1\n"


def missing_module() -> Any:
    spec = importlib.util.spec_from_file_location("missing", ROOT / "config" / "missing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
