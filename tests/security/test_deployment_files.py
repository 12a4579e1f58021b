"""The compose file and the image give away no more than they must. Read here, not run: that takes Docker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
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


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"postgres"}))
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
    assert "sbom.json" in IMAGE
