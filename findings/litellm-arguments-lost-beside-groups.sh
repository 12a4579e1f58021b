#!/usr/bin/env bash
# LiteLLM 1.110.2: a settings change that brings `routing_strategy_args` together with `routing_groups` leaves the
# router's own strategy with its old arguments; brought alone, the same arguments are taken. No log line says so.
# Seen: ttl 7 is in force after an update of its own, and ttl 100 after the same update beside routing groups.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'litellm==1.110.2'
cat > "$work/lost.py" <<'PY'
import sys

import litellm
from litellm import Router

SERVER = {"model_name": "chat", "litellm_params": {"model": "openai/server", "api_key": "none"}}
GROUP = {"group_name": "all", "models": ["chat"], "routing_strategy": "least-busy"}


def lifetime_s(**beside):
    """What the latency strategy keeps its figures for after `ttl` was changed from 100 to 7."""
    litellm.callbacks = []
    router = Router(
        model_list=[SERVER], routing_strategy="latency-based-routing", routing_strategy_args={"ttl": 100}
    )
    router.update_settings(routing_strategy_args={"ttl": 7}, **beside)
    (strategy,) = [c for c in litellm.callbacks if type(c).__name__ == "LowestLatencyLoggingHandler"]
    return strategy.routing_args.ttl, router.get_settings()["routing_strategy_args"]["ttl"]


alone, beside_groups = lifetime_s(), lifetime_s(routing_groups=[GROUP])
print(f"(in force, reported) alone: {alone}, beside routing groups: {beside_groups}")
sys.exit(0 if alone[0] == 7 and beside_groups[0] == 100 else 1)
PY
LITELLM_LOCAL_MODEL_COST_MAP=True "$work/venv/bin/python" -W ignore "$work/lost.py"
