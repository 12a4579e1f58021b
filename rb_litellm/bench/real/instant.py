"""An upstream that answers at once: `python -m rb_litellm.bench.real.instant PORT`.

What a proxy costs shows only behind servers that cost nothing.
"""

from __future__ import annotations

import json
import sys

from aiohttp import web

_ANSWER = json.dumps(
    {
        "id": "chatcmpl-instant",
        "object": "chat.completion",
        "created": 0,
        "model": "mock",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "At once."}}
        ],
        "usage": {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23},
    }
).encode()


async def _answer(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=_ANSWER, content_type="application/json")


async def _health(request: web.Request) -> web.Response:
    return web.Response()


def main() -> None:
    """Serve until ended."""
    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", _answer), web.get("/health", _health)])
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


if __name__ == "__main__":
    main()
