#!/usr/bin/env bash
# LiteLLM 1.110.2 (and 1.108.7), routing_strategy simple-shuffle: where one deployment of a model group states
# `weight` (or `rpm`, or `tpm`) and another states none, the other one gets no request at all. A reader of the
# documentation would expect a default weight: adding `rpm` to one of two servers takes the other out of service.
# Seen: 100 of 100 picks go to the deployment that states a figure, for each of the three.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'litellm==1.110.2'
cat > "$work/partial.py" <<'PY'
import asyncio
import collections
import sys

from litellm import Router


def server(name, **stated):
    params = {"model": f"openai/{name}", "api_key": "none", "mock_response": name, **stated}
    return {"model_name": "chat", "litellm_params": params, "model_info": {"id": name}}


async def shares(**stated):
    router = Router(model_list=[server("stated", **stated), server("silent")], routing_strategy="simple-shuffle")
    picks = collections.Counter()
    for _ in range(100):
        answer = await router.acompletion(model="chat", messages=[{"role": "user", "content": "Hello"}])
        picks[answer.choices[0].message.content] += 1
    return dict(picks)


async def main():
    seen = {name: await shares(**{name: value}) for name, value in (("weight", 1), ("rpm", 10_000), ("tpm", 10_000_000))}
    print(seen)
    sys.exit(0 if all(picks == {"stated": 100} for picks in seen.values()) else 1)


asyncio.run(main())
PY
LITELLM_LOCAL_MODEL_COST_MAP=True "$work/venv/bin/python" -W ignore "$work/partial.py"
