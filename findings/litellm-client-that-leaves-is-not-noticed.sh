#!/usr/bin/env bash
# LiteLLM 1.108.7's proxy looks for a client that has left only between the chunks of a stream. One that leaves before an
# answer in one piece, or before a stream's first chunk, is not noticed until the server has come that far: the server
# goes on computing what nobody will read, and its time is spent and billed.
# Expected: the call to the server is broken off when the client has left, as it is in the middle of a stream.
# Seen, with clients that leave after 2 s: an answer of 6 s is computed to its end, a stream whose first chunk takes 6 s
# is broken off then and not sooner, and a stream that has begun is broken off at about 2 s.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'uv==0.13.9'
"$work/venv/bin/uv" pip install --quiet --python "$work/venv/bin/python" 'litellm[proxy]==1.108.7' 'aiohttp==3.14.5'
cat > "$work/leaves.py" <<'PY'
import asyncio
import json
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
from aiohttp import web

KEY = f"sk-{secrets.token_hex(24)}"
ended = {}


def chunk(text, reason=None):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    body = {"id": "a", "object": "chat.completion.chunk", "created": 0, "model": "small", "choices": [choice]}
    return f"data: {json.dumps(body)}\n\n".encode()


async def serve(request):
    """Answers after 6 s, or streams for 6 s, at once or after 6 s; notes how and when that ended."""
    asked = await request.json()
    case, begin, how = asked["messages"][0]["content"], time.monotonic(), "broken off"
    try:
        if not asked.get("stream"):
            await asyncio.sleep(0 if case == "warm" else 6)
            how = "complete"
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}
            return web.json_response(
                {"id": "a", "object": "chat.completion", "created": 0, "model": "small", "choices": [choice]}
            )
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        if case == "late stream":
            await asyncio.sleep(6)
        for _ in range(12):
            await stream.write(chunk("Hello. "))
            await asyncio.sleep(0.5)
        await stream.write(chunk("", "stop") + b"data: [DONE]\n\n")
        how = "complete"
        return stream
    finally:
        ended[case] = how, round(time.monotonic() - begin, 1)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def ready(session, url):
    for _ in range(600):
        try:
            async with session.get(f"{url}/health/liveliness") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.5)
    sys.exit("the proxy does not start")


async def ask(session, url, case, patience_s=2):
    """Whether the answer came before the client left."""
    body = {"model": "chat", "messages": [{"role": "user", "content": case}], "stream": "stream" in case}
    try:
        async with session.post(
            f"{url}/v1/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=aiohttp.ClientTimeout(total=patience_s),
        ) as answer:
            await answer.read()
            return True
    except asyncio.TimeoutError:
        return False


async def main(folder):
    app = web.Application()
    app.router.add_post("/v1/chat/completions", serve)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    server, port = free_port(), free_port()
    await web.TCPSite(runner, "127.0.0.1", server).start()
    params = {"model": "openai/small", "api_base": f"http://127.0.0.1:{server}/v1", "api_key": "none"}
    settings = {
        "model_list": [{"model_name": "chat", "litellm_params": params}],
        "general_settings": {"master_key": KEY},
    }
    (folder / "config.yaml").write_text(json.dumps(settings))  # JSON is YAML, too.
    litellm = Path(sys.executable).with_name("litellm")
    with open(folder / "log", "w") as log:
        proxy = subprocess.Popen(
            [litellm, "--config", folder / "config.yaml", "--host", "127.0.0.1", "--port", str(port)],
            stdout=log,
            stderr=log,
        )
    try:
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{port}"
            await ready(session, url)
            assert await ask(session, url, "warm", patience_s=60)  # The first request loads what it needs.
            asked = [ask(session, url, case) for case in ("one piece", "late stream", "stream")]
            assert not any(await asyncio.gather(*asked))
            await asyncio.sleep(7)
    finally:
        proxy.terminate()
        proxy.wait()
        await runner.cleanup()
    del ended["warm"]
    print(ended)
    (whole, whole_s), (late, late_s), (begun, begun_s) = (ended[c] for c in ("one piece", "late stream", "stream"))
    as_seen = (whole, late, begun) == ("complete", "broken off", "broken off")
    return as_seen and min(whole_s, late_s) >= 5.5 and begun_s < 4


sys.exit(0 if asyncio.run(main(Path(sys.argv[1]))) else 1)
PY
NO_PROXY=127.0.0.1 LITELLM_LOCAL_MODEL_COST_MAP=True "$work/venv/bin/python" -W ignore "$work/leaves.py" "$work"
