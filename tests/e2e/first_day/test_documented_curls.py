"""The commands of docs/controls.md, run as they are written there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from rb_litellm.bench.real.testbed import BIN
from tests.docs.pages import ROOT, Block, blocks
from tests.e2e.proxy import Proxy, Servers, running_proxy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here"),
]
_PAGE = ROOT / "docs" / "controls.md"
_NEEDS_DATABASE = ("/key/", "/team/")


@pytest.fixture(scope="module")
def proxy(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    entries = []
    for number, (group, quality, usd) in enumerate((("small", 0.4, 1e-7), ("large", 0.8, 1e-6))):
        entry = servers.deployment(
            number, group, routebalance={"quality": quality, "tpot_ms": 1.2, "ttft_ms": 5.0}
        )
        entry["litellm_params"] |= {"input_cost_per_token": usd, "output_cost_per_token": usd}
        entries.append(entry)
    levels = {"low": {"quality": 0.5, "output_tokens": 40}, "high": {"quality": 0.7, "output_tokens": 60}}
    entries.append(servers.deployment(2, "thinker", routebalance={"efforts": levels}))
    group = {"group_name": "auto", "models": ["small", "large"], "routing_strategy": "routebalance"}
    alone = {"group_name": "alone", "models": ["thinker"], "routing_strategy": "routebalance"}
    config = {"model_list": entries, "router_settings": {"routing_groups": [group, alone]}}
    with running_proxy(tmp_path_factory.mktemp("curls"), config) as running:
        yield running


@pytest.mark.parametrize("block", blocks(_PAGE, "sh"), ids=str)
def test_a_documented_command_is_answered(proxy: Proxy, block: Block) -> None:
    if any(part in block.text for part in _NEEDS_DATABASE):
        pytest.skip("needs LiteLLM's database")
    script = block.text.replace("localhost:4000", proxy.url.removeprefix("http://"))
    if script.startswith("routebalance"):
        script = f"{script.rstrip()} --url {proxy.url}"
    done = subprocess.run(
        ["bash", "-euc", script],
        env={**os.environ, "KEY": proxy.key, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    if "-si " in script:
        assert done.stdout.startswith("HTTP/1.1 200"), done.stdout
        reason = re.findall(r"(?m)^x-routebalance-reason: ([\w-]+)", done.stdout)
        # The first requests to a deployment that nobody has measured may be trials.
        assert reason in (["joint"], ["exploration"])
    else:
        assert "large" in done.stdout, done.stdout
