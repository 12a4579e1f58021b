#!/usr/bin/env bash
# LiteLLM 1.110.2: a strategy registered by `Router.register_plugin` is dropped when any later settings change names a
# `routing_strategy`, without a log line; naming the former strategy again does not bring it back. In the proxy a
# saved form of the Admin UI's Router Settings is such a change.
# Seen: the plugin picks 1 request before the change, and none of the 2 after it.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'litellm==1.110.2'
cat > "$work/dropped.py" <<'PY'
import asyncio
import sys

from litellm import Router
from litellm.types.router import CustomRoutingStrategyBase

SERVER = {
    "model_name": "chat",
    "litellm_params": {"model": "openai/server", "api_key": "none", "mock_response": "Hello"},
    "model_info": {"id": "server"},
}


class Plugin(CustomRoutingStrategyBase):
    def __init__(self, deployment):
        self.deployment, self.picks = deployment, 0

    async def async_get_available_deployment(self, *args, **kwargs):
        self.picks += 1
        return self.deployment

    def get_available_deployment(self, *args, **kwargs):
        self.picks += 1
        return self.deployment


async def main():
    router = Router(model_list=[SERVER], routing_strategy="simple-shuffle")
    plugin = Plugin(router.model_list[0])
    router.register_plugin(plugin)
    picks = []
    for change in (None, "least-busy", "simple-shuffle"):
        if change is not None:
            router.update_settings(routing_strategy=change)
        await router.acompletion(model="chat", messages=[{"role": "user", "content": "Hello"}])
        picks.append(plugin.picks)
    print(f"picks by the plugin after each request: {picks}")
    sys.exit(0 if picks == [1, 1, 1] else 1)


asyncio.run(main())
PY
LITELLM_LOCAL_MODEL_COST_MAP=True "$work/venv/bin/python" -W ignore "$work/dropped.py"
