"""What `docker compose up --wait` has started is as closed as its file says; skipped where nothing runs.

The same COMPOSE_PROJECT_NAME, COMPOSE_FILE and DOCKER_HOST as for the start count.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
NOBODY_ELSE = ("redis", "postgres", "backends")
NETWORKS = {"proxy": 2, "redis": 1, "postgres": 1, "backends": 1, "prometheus": 1, "grafana": 1}


def docker(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60, cwd=ROOT)


@cache
def services() -> dict[str, dict[str, Any]]:
    """What runs, by service, as the engine tells of it."""
    if shutil.which("docker") is None:
        return {}
    listed = docker("compose", "--profile", "monitoring", "ps", "--quiet").stdout.split()
    found = json.loads(docker("inspect", *listed).stdout) if listed else []
    return {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in found}


def inside(service: str, *words: str) -> str:
    """What a command prints in a service, its errors with it."""
    done = docker("compose", "--profile", "monitoring", "exec", "-T", service, *words)
    return done.stdout + done.stderr


pytestmark = pytest.mark.skipif(not services(), reason="docker compose has started nothing here")


def test_services_run_without_privileges() -> None:
    for name, one in services().items():
        host = one["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert host["SecurityOpt"] == ["no-new-privileges:true"], name
        assert not host["Privileged"], name
        status = inside(name, "cat", "/proc/1/status")
        assert "NoNewPrivs:\t1" in status, name
        if name != "postgres":
            assert "CapEff:\t0000000000000000" in status, name
            assert "Uid:\t0\t" not in status, name


def test_ports_are_open_on_this_machine_alone() -> None:
    for name, one in services().items():
        bound = [where for ports in one["NetworkSettings"]["Ports"].values() for where in ports or ()]
        assert all(where["HostIp"] == "127.0.0.1" for where in bound), name
        assert not bound or name not in NOBODY_ELSE, name


def test_whoever_is_not_the_proxy_reaches_no_store() -> None:
    for name, one in services().items():
        assert len(one["NetworkSettings"]["Networks"]) == NETWORKS[name], name
    ask = (
        "import socket\nfor at in (('redis', 6379), ('postgres', 5432)):\n    socket.create_connection(at, 3)"
    )
    assert inside("proxy", "routebalance-python", "-c", ask) == ""
    assert "gaierror" in inside("backends", "routebalance-python", "-c", ask)


def test_nothing_can_be_written_but_state_and_scratch() -> None:
    for path in ("/opt/routebalance/x", "/etc/routebalance/proxy.yaml", "/usr/local/bin/x", "/x"):
        assert "Read-only" in inside("proxy", "sh", "-c", f"echo > {path}")


def test_the_image_tells_what_is_in_it() -> None:
    bill = json.loads(inside("proxy", "cat", "/opt/routebalance/sbom.json"))
    assert bill["bomFormat"] == "CycloneDX"
    named = {one["name"]: one["version"] for one in bill["components"]}
    there = json.loads(inside("proxy", "routebalance-python", "-m", "pip", "list", "--format", "json"))
    assert {one["name"].lower() for one in there} <= {name.lower() for name in named}
    assert {"litellm", "rb_litellm"} <= set(named) | {name.replace("-", "_") for name in named}
    assert not {"cyclonedx-bom", "hatchling"} & set(named)


def test_prometheus_reads_the_metrics_and_no_other_key() -> None:
    if "prometheus" not in services():
        pytest.skip("started without --profile monitoring")
    targets = json.loads(inside("prometheus", "wget", "-qO-", "http://127.0.0.1:9090/api/v1/targets"))
    (target,) = targets["data"]["activeTargets"]
    assert target["health"] == "up", target["lastError"]
    assert "No such file" in inside("prometheus", "ls", "/var/lib/routebalance")
    key = inside("prometheus", "cat", "/var/lib/routebalance-scraping/metrics-key").strip()
    ask = (
        "import sys, urllib.request as u\n"
        "for path in ('/routebalance/status', '/v1/models', '/key/list'):\n"
        "    sent = u.Request('http://127.0.0.1:4000' + path)\n"
        "    sent.add_header('Authorization', 'Bearer ' + sys.argv[1])\n"
        "    try: u.urlopen(sent)\n"
        "    except u.HTTPError as error: print(error.code)"
    )
    codes = inside("proxy", "routebalance-python", "-c", ask, key).split()
    assert len(codes) == 3
    assert set(codes) <= {"400", "401", "403"}


def test_no_key_is_one_that_somebody_else_knows() -> None:
    known = inside("proxy", "cat", "/var/lib/routebalance/master-key").strip()
    assert len(known) >= 40
    assert "-rw-------" in inside("proxy", "ls", "-l", "/var/lib/routebalance/master-key")
