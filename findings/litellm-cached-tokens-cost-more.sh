#!/usr/bin/env bash
# LiteLLM 1.110.2: a deployment whose name is in the bundled cost map and whose own prices are stated, as for a server of
# one's own behind `openai/gpt-4o`, gets input and output at its prices, but tokens that its server had cached at the
# price of the map. Where one's own price is lower, a cached prompt is billed above one that was not cached; a free
# server is not free. An own `input_cost_per_token` alone does drop the map's price of output, which is then 0.
# Expected: the map's prices replaced together, cached tokens at no more than the input's own price.
# Seen, for 10,000 tokens in and 100 out: 0.0102 USD without the cache and 0.01245 with 9,000 cached; 0 and 0.01125
# for the free one; 0.01 with an input price alone.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'litellm==1.110.2'
cat > "$work/cached.py" <<'PY'
import asyncio
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from litellm import Router

cached = 0


class Server(BaseHTTPRequestHandler):
    """A server that tells how much of each prompt it had cached."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"role": "assistant", "content": "Hello."}
        answer = {
            "id": "answer",
            "object": "chat.completion",
            "created": 0,
            "model": "gpt-4o",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {
                "prompt_tokens": 10_000,
                "completion_tokens": 100,
                "total_tokens": 10_100,
                "prompt_tokens_details": {"cached_tokens": cached},
            },
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


async def costs(**prices):
    """What an answer costs by LiteLLM without the cache, and with most of the prompt from it."""
    global cached
    params = {"model": "openai/gpt-4o", "api_base": f"http://127.0.0.1:{server.server_port}/v1", "api_key": "none"}
    router = Router([{"model_name": "chat", "litellm_params": {**params, **prices}}])
    found = []
    for cached in (0, 9_000):
        answer = await router.acompletion(model="chat", messages=[{"role": "user", "content": "Hi."}])
        found.append(round(answer._hidden_params["response_cost"], 6))
    return found


async def main():
    own = await costs(input_cost_per_token=1e-6, output_cost_per_token=2e-6)
    free = await costs(input_cost_per_token=0, output_cost_per_token=0)
    half = await costs(input_cost_per_token=1e-6)
    print(f"USD without and with the cache: own prices {own}, free {free}, input price alone {half}")
    return own == [0.0102, 0.01245] and free == [0, 0.01125] and half[0] == 0.01


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
sys.exit(0 if asyncio.run(main()) else 1)
PY
NO_PROXY=127.0.0.1 LITELLM_LOCAL_MODEL_COST_MAP=True "$work/venv/bin/python" -W ignore "$work/cached.py"
