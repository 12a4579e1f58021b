#!/usr/bin/env bash
# LiteLLM 1.110.2: fields that a server of the OpenAI API adds to an answer, as llama.cpp's server its `timings` on the
# last chunk of a stream, reach the caller or not by the deployment's prefix and by what else was asked for. A whole
# answer has them under `openai/` and `hosted_vllm/`. A stream has them under `openai/` without `stream_options`; with
# `include_usage`, which moves the server's last chunk behind the one with the finish reason, they are gone; under
# `hosted_vllm/` they are gone from any stream.
# Expected: the same fields in each case.
# Seen: whole openai True, hosted_vllm True; stream openai True, hosted_vllm False; with usage openai False,
# hosted_vllm False.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'litellm==1.110.2'
cat > "$work/fields.py" <<'PY'
import asyncio
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import litellm

TIMES = {"timings": {"prompt_ms": 12.5, "predicted_ms": 30.0}}
USAGE = {"usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}}
NAMED = {"id": "answer", "created": 0, "model": "m"}


def chunk(delta, finish=None, **more):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {**NAMED, "object": "chat.completion.chunk", "choices": [choice], **more}


class Server(BaseHTTPRequestHandler):
    """A server that says with the end of each answer how long it took."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked.get("stream"):
            chunks = [chunk({"role": "assistant", "content": "Hello."}), chunk({}, "stop")]
            if (asked.get("stream_options") or {}).get("include_usage"):
                chunks.append({**chunk({}), "choices": [], **USAGE})
            chunks[-1].update(TIMES)
            events = [f"data: {json.dumps(one)}\n\n" for one in chunks] + ["data: [DONE]\n\n"]
            self.answer("text/event-stream", "".join(events))
        else:
            choice = {"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}
            whole = {**NAMED, "object": "chat.completion", "choices": [choice], **USAGE, **TIMES}
            self.answer("application/json", json.dumps(whole))

    def answer(self, kind, text):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


async def has_times(prefix, **how):
    """Whether the caller gets to see the times."""
    answer = await litellm.acompletion(
        model=f"{prefix}/m",
        api_base=f"http://127.0.0.1:{server.server_port}/v1",
        api_key="none",
        messages=[{"role": "user", "content": "Hi."}],
        **how,
    )
    parts = [part async for part in answer] if how else [answer]
    return any(getattr(part, "timings", None) for part in parts)


async def main():
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    found = []
    for name, how in (("whole", {}), ("stream", {"stream": True}), ("with usage", usage)):
        seen = [await has_times(prefix, **how) for prefix in ("openai", "hosted_vllm")]
        print(f"{name}: openai {seen[0]}, hosted_vllm {seen[1]}")
        found += seen
    return found == [True, True, True, False, False, False]


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
sys.exit(0 if asyncio.run(main()) else 1)
PY
NO_PROXY=127.0.0.1 LITELLM_LOCAL_MODEL_COST_MAP=True "$work/venv/bin/python" -W ignore "$work/fields.py"
