#!/usr/bin/env bash
# LiteLLM 1.108.7: what a time limit is called that ends a stream hangs on the provider in the model's name. The same
# silent server gives a Timeout with status 408 as `openai/...`, and a MidStreamFallbackError with status 500 as
# `hosted_vllm/...`: whoever retries, counts or alerts by class or status takes the one for a slow server and the other
# for a broken one. (1.110.2 gives the second the status 408, and keeps its name.)
# Expected: one class and one status for one cause.
# Seen: {'openai': 'Timeout, status 408', 'hosted_vllm': 'MidStreamFallbackError, status 500'}
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'litellm==1.108.7' 'aiohttp==3.14.5'
cat > "$work/stall.py" <<'PY'
import asyncio
import json
import sys

import litellm
from aiohttp import web


def chunk(text):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    body = {"id": "a", "object": "chat.completion.chunk", "created": 0, "model": "small", "choices": [choice]}
    return f"data: {json.dumps(body)}\n\n".encode()


async def serve(request):
    """Three chunks, then silence."""
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await stream.prepare(request)
    for _ in range(3):
        await stream.write(chunk("Hello. "))
    await asyncio.sleep(30)
    return stream


async def end_of(provider, port):
    """How a stream ends whose server falls silent for longer than the time limit of 1 s."""
    try:
        stream = await litellm.acompletion(
            model=f"{provider}/small",
            api_base=f"http://127.0.0.1:{port}",
            api_key="none",
            messages=[{"role": "user", "content": "Hi."}],
            stream=True,
            timeout=1.0,
            max_retries=0,
        )
        async for _ in stream:
            pass
    except Exception as error:
        return f"{type(error).__name__}, status {getattr(error, 'status_code', None)}"
    return "complete"


async def main():
    app = web.Application()
    app.router.add_post("/chat/completions", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    found = {provider: await end_of(provider, port) for provider in ("openai", "hosted_vllm")}
    print(found)
    await runner.cleanup()
    return found == {
        "openai": "Timeout, status 408",
        "hosted_vllm": "MidStreamFallbackError, status 500",
    }


sys.exit(0 if asyncio.run(main()) else 1)
PY
LITELLM_LOCAL_MODEL_COST_MAP=True "$work/venv/bin/python" -W ignore "$work/stall.py"
