#!/usr/bin/env bash
# LiteLLM 1.108.7's Router never cools a deployment down whose streams break off. It ends such a stream with an
# APIConnectionError, and errors of that name count for no cooldown, as if the client's own network had failed. Nor is the
# stream tried again. A server that answers 500 is left out after the first failure.
# Expected: a deployment none of whose streams comes to its end is left out like one that answers 500.
# Seen, with two deployments, `allowed_fails: 0`, `cooldown_time: 600` and 40 streams: the one that answers 500 is asked
# once; the one that closes its connection after three chunks is asked about 20 times, and each time the client is left
# with a part of an answer. 1.110.2 does the same.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'litellm==1.108.7' 'aiohttp==3.14.5'
cat > "$work/cut.py" <<'PY'
import asyncio
import json
import sys
from collections import Counter

from aiohttp import web
from litellm import Router

asked = Counter()


def chunk(text, reason=None):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    body = {"id": "a", "object": "chat.completion.chunk", "created": 0, "model": "small", "choices": [choice]}
    return f"data: {json.dumps(body)}\n\n".encode()


async def serve(request):
    """`well` writes a whole stream, `cuts` closes its connection after three chunks, `fails` answers 500."""
    name = request.match_info["name"]
    asked[name] += 1
    if name == "fails":
        return web.json_response({"error": {"message": "broken"}}, status=500)
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await stream.prepare(request)
    for _ in range(3):
        await stream.write(chunk("Hello. "))
        await asyncio.sleep(0.01)
    if name == "cuts":
        request.transport.abort()
        return stream
    await stream.write(chunk("", "stop") + b"data: [DONE]\n\n")
    return stream


async def ask(router):
    """The class of the error that a stream ends with, or nothing."""
    try:
        stream = await router.acompletion(
            model="chat", messages=[{"role": "user", "content": "Hi."}], stream=True
        )
        async for _ in stream:
            pass
    except Exception as error:
        return type(error).__name__
    return "complete"


async def main():
    app = web.Application()
    app.router.add_post("/{name}/chat/completions", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    found = {}
    for bad in ("fails", "cuts"):
        asked.clear()
        router = Router(
            [
                {
                    "model_name": "chat",
                    "litellm_params": {
                        "model": f"hosted_vllm/{name}",
                        "api_base": f"http://127.0.0.1:{port}/{name}",
                        "api_key": "none",
                    },
                    "model_info": {"id": name},
                }
                for name in ("well", bad)
            ],
            num_retries=0,
            allowed_fails=0,
            cooldown_time=600,
        )
        ends = Counter()
        for _ in range(40):
            ends[await ask(router)] += 1
            await asyncio.sleep(0.05)
        found[bad] = asked[bad], dict(ends)
        print(f"{bad}: {asked[bad]} of 40 requests; streams ended as {dict(ends)}")
    await runner.cleanup()
    return found["fails"][0] == 1 and found["cuts"][0] > 8


sys.exit(0 if asyncio.run(main()) else 1)
PY
LITELLM_LOCAL_MODEL_COST_MAP=True "$work/venv/bin/python" -W ignore "$work/cut.py"
