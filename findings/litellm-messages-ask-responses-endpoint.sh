#!/usr/bin/env bash
# LiteLLM 1.110.2: a call of Anthropic's Messages API to a deployment `openai/NAME` is asked at `/responses` of its
# `api_base`, also where that is a server of one's own. Many servers that are set up as `openai/...` know
# `/chat/completions` alone: chat works with them, and every call of a client that speaks Anthropic's API fails.
# Expected: the endpoint by which the same deployment answers chats, as it is for the same server as `hosted_vllm/NAME`.
# Seen, with a server that has chat completions alone: chat is answered under both names; messages end in NotFoundError
# under `openai/`, after a call of /v1/responses, and are answered under `hosted_vllm/`.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'litellm==1.110.2'
cat > "$work/messages.py" <<'PY'
import asyncio
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from litellm import Router

ANSWER = {
    "id": "answer",
    "object": "chat.completion",
    "created": 0,
    "model": "small",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}],
    "usage": {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4},
}
asked = []


class Server(BaseHTTPRequestHandler):
    """Chat completions, and nothing else."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        asked.append(self.path)
        known = self.path == "/v1/chat/completions"
        body = json.dumps(ANSWER if known else {"error": {"message": "There is no such endpoint."}}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


async def outcome(provider):
    """How a chat and a message end at the same server under a provider's name, and which endpoints were asked."""
    asked.clear()
    params = {"model": f"{provider}/small", "api_base": f"http://127.0.0.1:{server.server_port}/v1", "api_key": "none"}
    router = Router([{"model_name": "chat", "litellm_params": params}], num_retries=0)
    say = {"model": "chat", "messages": [{"role": "user", "content": "Hi."}], "max_tokens": 10}
    ends = []
    for call in (router.acompletion, router.aanthropic_messages):
        try:
            await call(**say)
            ends.append("answer")
        except Exception as error:
            ends.append(type(error).__name__)
    return ends, list(asked)


async def main():
    found = {provider: await outcome(provider) for provider in ("openai", "hosted_vllm")}
    print(found)
    return found == {
        "openai": (["answer", "NotFoundError"], ["/v1/chat/completions", "/v1/responses"]),
        "hosted_vllm": (["answer", "answer"], ["/v1/chat/completions"] * 2),
    }


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
sys.exit(0 if asyncio.run(main()) else 1)
PY
NO_PROXY=127.0.0.1 LITELLM_LOCAL_MODEL_COST_MAP=True "$work/venv/bin/python" -W ignore "$work/messages.py"
