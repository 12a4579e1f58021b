#!/usr/bin/env bash
# LiteLLM 1.108.7: a configuration file's own `environment_variables` are set after every `os.environ/NAME` of the file
# has been resolved. So a deployment that refers to a variable which the same file sets gets None, without a log line,
# while the variable is there for whoever reads it later.
# Seen: the deployment's api_base is None, and the variable is set.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'litellm[proxy]==1.108.7'
cat > "$work/config.yaml" <<'YAML'
environment_variables:
  CHAT_API_BASE: http://127.0.0.1:9/v1
model_list:
  - model_name: chat
    litellm_params:
      model: hosted_vllm/chat
      api_base: os.environ/CHAT_API_BASE
YAML
cat > "$work/late.py" <<'PY'
import asyncio
import os
import sys

from litellm.proxy.proxy_server import ProxyConfig


async def main():
    router, *_ = await ProxyConfig().load_config(router=None, config_file_path=sys.argv[1])
    seen = router.model_list[0]["litellm_params"].get("api_base"), os.environ.get("CHAT_API_BASE")
    print(f"api_base of the deployment and the variable: {seen}")
    # Threads of LiteLLM's keep a process that ends in the usual way waiting.
    os._exit(0 if seen == (None, "http://127.0.0.1:9/v1") else 1)


asyncio.run(main())
PY
LITELLM_LOCAL_MODEL_COST_MAP=True "$work/venv/bin/python" -W ignore "$work/late.py" "$work/config.yaml"
