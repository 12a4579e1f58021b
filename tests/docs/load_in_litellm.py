"""Load configuration files as the proxy does, one after the other, and tell who routes; run by a test."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from litellm.proxy.proxy_server import ProxyConfig

from rb_litellm import register
from rb_litellm.litellm_adapter.hosts.host import routed_by_us


async def load(file: Path) -> bool:
    """Whether RouteBalance routes something in the router that LiteLLM builds of this file."""
    router, _, _ = await ProxyConfig().load_config(router=None, config_file_path=str(file))
    return bool(routed_by_us(router))


if __name__ == "__main__":
    register()
    for name in sys.argv[1:]:
        print(json.dumps({"file": Path(name).name, "ours": asyncio.run(load(Path(name)))}), flush=True)
