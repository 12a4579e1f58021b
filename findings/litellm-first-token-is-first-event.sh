#!/usr/bin/env bash
# LiteLLM 1.110.2: what callbacks and spend logs hold as the time of the first token (`completion_start_time`) is the
# time of a stream's first event. Streams of the Responses API begin with `response.created`, which servers send before
# they have read the prompt, so the time to first token comes out as next to nothing, however slow the server is. The
# latency strategy reads that field for streams.
# Expected: the time of the first event with text, as a client measures it.
# Seen, with a server that needs 1.5 s for its first token: the client sees text after 1.5 s, LiteLLM notes less than
# 0.5 s.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'litellm==1.110.2'
cat > "$work/first.py" <<'PY'
import asyncio
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import litellm
from litellm import Router
from litellm.integrations.custom_logger import CustomLogger

RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 0,
    "model": "small",
    "status": "in_progress",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
TEXT = {"type": "output_text", "text": "Hello.", "annotations": []}
MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [TEXT]}
USAGE = {"input_tokens": 2, "output_tokens": 2, "total_tokens": 4}
PLACE = {"item_id": "msg_1", "output_index": 0, "content_index": 0}


class Server(BaseHTTPRequestHandler):
    """Takes 1.5 s to its first token."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.event("response.created", 0, response=RESPONSE)
        time.sleep(1.5)
        self.event("response.output_text.delta", 1, delta="Hello.", **PLACE)
        done = {**RESPONSE, "status": "completed", "output": [MESSAGE], "usage": USAGE}
        self.event("response.completed", 2, response=done)

    def event(self, kind, number, **content):
        data = json.dumps({"type": kind, "sequence_number": number, **content})
        self.wfile.write(f"event: {kind}\ndata: {data}\n\n".encode())

    def log_message(self, *_):
        pass


class Log(CustomLogger):
    first_s = None

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        self.first_s = (kwargs["completion_start_time"] - start_time).total_seconds()


async def main():
    log = Log()
    litellm.callbacks = [log]
    params = {"model": "openai/small", "api_base": f"http://127.0.0.1:{server.server_port}/v1", "api_key": "none"}
    router = Router([{"model_name": "chat", "litellm_params": params}], num_retries=0)
    for _ in range(2):  # The first call loads what it needs.
        log.first_s, seen_s, begin = None, None, time.monotonic()
        async for event in await router.aresponses(model="chat", input="Hi.", stream=True):
            if event.type == "response.output_text.delta":
                seen_s = time.monotonic() - begin
        for _ in range(100):
            if log.first_s is None:
                await asyncio.sleep(0.1)
    print(f"first token after {seen_s:.2f} s as the client sees it, after {log.first_s:.2f} s by LiteLLM")
    return seen_s >= 1.5 and log.first_s < 0.5


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
sys.exit(0 if asyncio.run(main()) else 1)
PY
NO_PROXY=127.0.0.1 LITELLM_LOCAL_MODEL_COST_MAP=True "$work/venv/bin/python" -W ignore "$work/first.py"
