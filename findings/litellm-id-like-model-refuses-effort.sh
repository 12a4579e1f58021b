#!/usr/bin/env bash
# LiteLLM 1.108.7: whether `reasoning_effort` is taken hangs on what a deployment is called. A model of one's own behind
# `openai/...` with stated prices takes it, and `get_supported_openai_params` says so; with `model_info.id` set to the
# model's own name, as a hand-written id often is, the same request is refused as unsupported, and
# `supports_reasoning: true` in model_info does not help. (1.110.2 takes it under any id.)
# Expected: an id is a label, and changes nothing of what a model takes.
# Seen: {'one-id': 'listed, taken', 'house-model': 'listed, UnsupportedParamsError', 'house-thinker': 'listed, UnsupportedParamsError'}
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'litellm==1.108.7'
cat > "$work/ids.py" <<'PY'
import sys

import litellm

PRICES = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}


def asked(id, model, **info):
    """What LiteLLM says of the parameter, and what becomes of a request with it."""
    params = {"model": f"openai/{model}", "api_key": "none", "mock_response": "Hi.", **PRICES}
    entry = {"model_name": "small", "litellm_params": params, "model_info": {"id": id, **info}}
    router = litellm.Router(model_list=[entry], num_retries=0)
    listed = "reasoning_effort" in litellm.get_supported_openai_params(model, "openai")
    try:
        router.completion(
            model="small", messages=[{"role": "user", "content": "Hi."}], reasoning_effort="low"
        )
        came = "taken"
    except Exception as error:
        came = type(error).__name__
    return f"{'listed' if listed else 'not listed'}, {came}"


found = {
    "one-id": asked("one-id", "plain-model"),
    "house-model": asked("house-model", "house-model"),
    "house-thinker": asked("house-thinker", "house-thinker", supports_reasoning=True),
}
print(found)
sys.exit(
    0
    if found
    == {
        "one-id": "listed, taken",
        "house-model": "listed, UnsupportedParamsError",
        "house-thinker": "listed, UnsupportedParamsError",
    }
    else 1
)
PY
LITELLM_LOCAL_MODEL_COST_MAP=True "$work/venv/bin/python" -W ignore "$work/ids.py" 2>/dev/null
