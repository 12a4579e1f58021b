#!/usr/bin/env bash
# LiteLLM 1.110.2: `max_parallel_requests` of a deployment is looked at after the pick. simple-shuffle picks a deployment
# whose places are all taken as readily as an idle one, and the request is then refused with a 429, though another
# deployment of its model group is idle. It neither waits for a place nor goes on to the idle one; only a retry may.
# Expected: the idle deployment, or a wait: `calculate_max_parallel_requests` speaks of a semaphore.
# Seen, with two deployments of one place each and two requests at a time, no retries, 20 times: about 10 of the 40
# requests are refused, where none had to be.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'litellm==1.110.2'
cat > "$work/refused.py" <<'PY'
import asyncio
import sys
from collections import Counter

from litellm import Router


def server(name):
    """A deployment that takes one request at a time, for half a second each."""
    params = {"model": f"openai/{name}", "api_key": "none", "mock_response": "Hello.", "mock_delay": 0.5}
    return {
        "model_name": "chat",
        "litellm_params": {**params, "max_parallel_requests": 1},
        "model_info": {"id": name},
    }


async def main():
    found = Counter()
    for _ in range(20):
        router = Router([server("first"), server("second")], num_retries=0)
        ask = [router.acompletion(model="chat", messages=[{"role": "user", "content": "Hi."}]) for _ in range(2)]
        found.update(type(result).__name__ for result in await asyncio.gather(*ask, return_exceptions=True))
    print(dict(found))
    return set(found) == {"ModelResponse", "RateLimitError"} and found["ModelResponse"] >= 20


sys.exit(0 if asyncio.run(main()) else 1)
PY
LITELLM_LOCAL_MODEL_COST_MAP=True "$work/venv/bin/python" -W ignore "$work/refused.py"
