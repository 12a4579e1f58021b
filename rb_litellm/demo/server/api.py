"""The HTTP side of a mock vLLM server: OpenAI's endpoints, vLLM's metrics, and an endpoint for faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from rb_litellm.demo.server.answers import (
    MAX_MODEL_LEN,
    AnswerLengths,
    block_names,
    count_tokens,
    text_of,
    thinking,
)
from rb_litellm.demo.server.faults import HEADER, NO_FAULTS, Faults, asked_for
from rb_litellm.demo.server.live import LiveInstance
from rb_litellm.demo.server.shapes import Answer, ResponsesAnswer
from rb_litellm.demo.truth import RIGHT, WRONG, Truth
from rb_litellm.sim.servers.instance import Job

MAX_BODY_BYTES = 16 * 1024 * 1024
_EMBEDDING_SIZE = 64
_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")


@dataclass
class MockServer:
    """One server: its model's name, its engine, its answers, its faults and what it has counted."""

    model: str
    live: LiveInstance
    lengths: AnswerLengths
    random: Random
    truth: Truth | None = None
    """Which of its answers are right, where that is known."""
    prefix_cache: bool = False
    """It keeps the beginnings of prompts."""
    faults: Faults = NO_FAULTS
    last: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("requests", "succeeded", "failed", "aborted", "prompt_tokens", "generation_tokens", "open"), 0
        )
    )

    def application(self) -> web.Application:
        """The aiohttp application that serves it."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.add_routes(
            [
                web.get("/health", self.health),
                web.get("/v1/models", self.models),
                web.get("/metrics", self.metrics),
                web.post("/v1/chat/completions", self.chat),
                web.post("/v1/completions", self.complete),
                web.post("/v1/responses", self.respond),
                web.post("/v1/embeddings", self.embed),
                web.get("/admin/faults", self.show_faults),
                web.post("/admin/faults", self.set_faults),
                web.delete("/admin/faults", self.clear_faults),
                web.get("/admin/stats", self.stats),
                web.get("/admin/last", self.show_last),
            ]
        )
        return app

    async def health(self, request: web.Request) -> web.Response:
        """200 while the server answers; a hanging one does not."""
        if self.faults.hang:
            await asyncio.Event().wait()
        return web.Response()

    async def models(self, request: web.Request) -> web.Response:
        """The one model served here."""
        card = {"id": self.model, "object": "model", "owned_by": "mock", "max_model_len": MAX_MODEL_LEN}
        return web.json_response({"object": "list", "data": [card]})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """OpenAI's chat completions, streamed or whole."""
        return await self._generate(request, "chat.completion")

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """OpenAI's text completions, streamed or whole."""
        return await self._generate(request, "text_completion")

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """OpenAI's Responses, streamed or whole."""
        return await self._generate(request, "response")

    async def embed(self, request: web.Request) -> web.StreamResponse:
        """OpenAI's embeddings: unit-free vectors that depend on the text alone."""
        body = await _json(request)
        inputs = body.get("input")
        texts = [inputs] if isinstance(inputs, str) else inputs
        if not isinstance(texts, list) or not texts:
            return _error(400, "input must be a string or a list of strings")
        tokens = sum(count_tokens(str(text)) for text in texts)
        with _Counted(self.counts):
            refused = await self._faulty(request, text_of(body))
            if refused is not None:
                return refused
            job = self.live.submit(min(tokens, MAX_MODEL_LEN - 1), 1)
            try:
                await job.tag.get()
            finally:
                self.live.cancel(job)
        self.counts["prompt_tokens"] += tokens
        self.counts["succeeded"] += 1
        data = [
            {"object": "embedding", "index": i, "embedding": _vector(str(text))}
            for i, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return web.json_response({"object": "list", "data": data, "model": self.model, "usage": usage})

    async def show_faults(self, request: web.Request) -> web.Response:
        """The faults in force."""
        return web.json_response(self.faults.model_dump())

    async def set_faults(self, request: web.Request) -> web.Response:
        """Replace the faults by those of the body; what it leaves out is not faulty."""
        try:
            self._apply(Faults.model_validate_json(await request.text()))
        except ValidationError as error:
            return _error(400, str(error))
        return web.json_response(self.faults.model_dump())

    async def clear_faults(self, request: web.Request) -> web.Response:
        """No faults any more."""
        self._apply(NO_FAULTS)
        return web.json_response(self.faults.model_dump())

    async def stats(self, request: web.Request) -> web.Response:
        """What was counted since the start, and what is open now."""
        engine = self.live.instance
        now = {"running": len(engine.running), "waiting": len(engine.waiting)}
        return web.json_response({"model": self.model, **self.counts, **now})

    async def show_last(self, request: web.Request) -> web.Response:
        """Headers and body of the last request for a completion, as they arrived."""
        return web.json_response(self.last)

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus text under vLLM's names (those of its first engine for the cache as well)."""
        engine = self.live.instance
        usage = engine.cached_tokens / engine.hardware.kv_tokens
        rows = (
            ("vllm:num_requests_running", "gauge", len(engine.running)),
            ("vllm:num_requests_waiting", "gauge", len(engine.waiting)),
            ("vllm:kv_cache_usage_perc", "gauge", usage),
            ("vllm:gpu_cache_usage_perc", "gauge", usage),
            ("vllm:num_preemptions_total", "counter", engine.preemptions),
            ("vllm:prompt_tokens_total", "counter", self.counts["prompt_tokens"]),
            ("vllm:generation_tokens_total", "counter", self.counts["generation_tokens"]),
            ("vllm:request_success_total", "counter", self.counts["succeeded"]),
        )
        text = "".join(
            f'# TYPE {name} {kind}\n{name}{{engine="0",model_name="{self.model}"}} {value}\n'
            for name, kind, value in rows
        )
        return web.Response(text=text, content_type="text/plain")

    def _apply(self, faults: Faults) -> None:
        self.faults = faults
        self.live.instance.slowdown = faults.slowdown

    async def _faulty(self, request: web.Request, prompt: str) -> web.Response | None:
        """Act out the faults before the engine is reached; a response if the request ends here."""
        try:
            wish = asked_for(request.headers.get(HEADER), prompt)
        except ValidationError as error:
            return _error(400, str(error))
        for faults in (self.faults, wish):
            if faults is None:
                continue
            if faults.hang:
                await asyncio.Event().wait()
            if faults.delay_first_token_s:
                await asyncio.sleep(faults.delay_first_token_s)
            if faults.fails(self.random):
                self.counts["failed"] += 1
                return _error(faults.status, "a fault was asked for")
        return None

    async def _generate(self, request: web.Request, kind: str) -> web.StreamResponse:
        body = await _json(request)
        self.last = {"headers": dict(request.headers), "body": body}
        if body.get("model") != self.model:
            return _error(404, f"The model `{body.get('model')}` does not exist.")
        prompt = text_of(body)
        input_tokens = count_tokens(prompt)
        if input_tokens >= MAX_MODEL_LEN:
            return _error(
                400,
                f"This model's maximum context length is {MAX_MODEL_LEN} tokens. "
                f"However, your request has {input_tokens} input tokens.",
            )
        asked = next((body[name] for name in _LIMITS if body.get(name)), None)
        limit = min(int(asked) if asked else MAX_MODEL_LEN, MAX_MODEL_LEN - input_tokens)
        whole = limit if body.get("ignore_eos") else self.lengths.output_tokens(prompt, self.model)
        whole = round(whole * thinking(body))
        answer = (ResponsesAnswer if kind == "response" else Answer)(
            kind=kind,
            model=self.model,
            input_tokens=input_tokens,
            output_tokens=max(min(whole, limit), 1),
            finish_reason="stop" if whole <= limit else "length",
            mark=self._mark(prompt),
        )
        with _Counted(self.counts):
            refused = await self._faulty(request, prompt)
            if refused is not None:
                return refused
            prefix = block_names(prompt) if self.prefix_cache else ()
            job = self.live.submit(input_tokens, answer.output_tokens, prefix)
            try:
                if body.get("stream"):
                    usage = bool((body.get("stream_options") or {}).get("include_usage"))
                    response = await self._stream(request, job, answer, usage)
                else:
                    while not job.done:
                        await job.tag.get()
                    response = web.json_response(answer.whole())
            finally:
                self.live.cancel(job)
                self.counts["prompt_tokens"] += input_tokens
                self.counts["generation_tokens"] += job.written
                self.counts["succeeded" if job.done else "aborted"] += 1
        return response

    def _mark(self, prompt: str) -> str:
        right = None if self.truth is None else self.truth.right(prompt, self.model)
        return "" if right is None else RIGHT if right else WRONG

    async def _stream(
        self, request: web.Request, job: Job, answer: Answer, include_usage: bool
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        for event in answer.opening():
            await response.write(event)
        break_after = self.faults.break_after_tokens
        sent = 0
        while sent < answer.output_tokens:
            tokens = await job.tag.get()
            # What has gathered while this handler was waiting goes out together, as vLLM does it.
            while not job.tag.empty():
                tokens += job.tag.get_nowait()
            if break_after is not None and sent + tokens > break_after:
                assert request.transport is not None
                request.transport.abort()
                return response
            await response.write(answer.chunk(sent, tokens))
            sent += tokens
        for event in answer.closing(include_usage):
            await response.write(event)
        await response.write_eof()
        return response


class _Counted:
    """Counts a request as open for as long as it is."""

    def __init__(self, counts: dict[str, int]) -> None:
        self._counts = counts

    def __enter__(self) -> None:
        self._counts["requests"] += 1
        self._counts["open"] += 1

    def __exit__(self, *_: object) -> None:
        self._counts["open"] -= 1


async def _json(request: web.Request) -> Mapping[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text=json.dumps({"error": {"message": "the body must be a JSON object"}}))
    return body


def _error(status: int, message: str) -> web.Response:
    name = {400: "BadRequestError", 404: "NotFoundError", 429: "RateLimitError"}.get(
        status, "InternalServerError"
    )
    error = {"message": message, "type": name, "param": None, "code": status}
    return web.json_response({"error": error}, status=status)


def _vector(text: str) -> list[float]:
    digest = blake2b(text.encode("utf-8", "replace"), digest_size=_EMBEDDING_SIZE).digest()
    return [byte / 127.5 - 1.0 for byte in digest]
