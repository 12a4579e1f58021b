"""One answer of a mock server in the words of the endpoint that was asked: whole, or as a stream's events."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from rb_litellm.demo.server.answers import words


@dataclass(frozen=True)
class Answer:
    """Chat and text completions."""

    kind: str
    """`chat.completion` or `text_completion`."""
    model: str
    input_tokens: int
    output_tokens: int
    finish_reason: str
    mark: str = ""
    """What a complete answer ends with, beside its tokens."""
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self) -> dict[str, Any]:
        """The answer in one piece."""
        text = self._words(0, self.output_tokens)
        said = {"message": {"role": "assistant", "content": text}} if self._chats else {"text": text}
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": self.finish_reason}
        return {**self._head(self.kind), "choices": [choice], "usage": self._usage()}

    def opening(self) -> Iterator[bytes]:
        """Events before the first token."""
        return iter(())

    def chunk(self, first: int, count: int) -> bytes:
        """The event of `count` tokens from number `first` on."""
        text = self._words(first, count)
        delta = {"role": "assistant", "content": text} if first == 0 else {"content": text}
        said = {"delta": delta} if self._chats else {"text": text}
        ended = self.finish_reason if first + count >= self.output_tokens else None
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": ended}
        return _event({**self._head(self._chunk_kind), "choices": [choice]})

    def closing(self, include_usage: bool) -> Iterator[bytes]:
        """Events after the last token."""
        if include_usage:
            yield _event({**self._head(self._chunk_kind), "choices": [], "usage": self._usage()})
        yield b"data: [DONE]\n\n"

    def _words(self, first: int, count: int) -> str:
        ends = first + count >= self.output_tokens and self.finish_reason == "stop"
        return words(first, count) + (self.mark if ends else "")

    @property
    def _chats(self) -> bool:
        return self.kind == "chat.completion"

    @property
    def _chunk_kind(self) -> str:
        return f"{self.kind}.chunk" if self._chats else self.kind

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _usage(self) -> dict[str, int]:
        total = self.input_tokens + self.output_tokens
        return {
            "prompt_tokens": self.input_tokens,
            "completion_tokens": self.output_tokens,
            "total_tokens": total,
        }


class ResponsesAnswer(Answer):
    """The Responses API."""

    def whole(self) -> dict[str, Any]:
        """The answer in one piece."""
        ended = "completed" if self.finish_reason == "stop" else "incomplete"
        return self._response(
            ended, [self._message(self._words(0, self.output_tokens), ended)], self._usage()
        )

    def opening(self) -> Iterator[bytes]:
        """Events before the first token."""
        yield _named("response.created", response=self._response("in_progress", [], None))
        item = {**self._message("", "in_progress"), "content": []}
        yield _named("response.output_item.added", output_index=0, item=item)
        yield _named("response.content_part.added", **self._place, part=_part(""))

    def chunk(self, first: int, count: int) -> bytes:
        """The event of `count` tokens from number `first` on."""
        return _named("response.output_text.delta", **self._place, delta=self._words(first, count))

    def closing(self, include_usage: bool) -> Iterator[bytes]:
        """Events after the last token; they always tell the usage."""
        whole = self.whole()
        (item,) = whole["output"]
        text = self._words(0, self.output_tokens)
        yield _named("response.output_text.done", **self._place, text=text)
        yield _named("response.content_part.done", **self._place, part=_part(text))
        yield _named("response.output_item.done", output_index=0, item=item)
        yield _named(f"response.{whole['status']}", response=whole)

    @property
    def _place(self) -> dict[str, Any]:
        return {"item_id": self._message_id, "output_index": 0, "content_index": 0}

    @property
    def _message_id(self) -> str:
        return f"msg_{self.id[-16:]}"

    def _message(self, text: str, status: str) -> dict[str, Any]:
        content = [_part(text)]
        return {
            "type": "message",
            "id": self._message_id,
            "status": status,
            "role": "assistant",
            "content": content,
        }

    def _response(
        self, status: str, output: list[dict[str, Any]], usage: dict[str, int] | None
    ) -> dict[str, Any]:
        cut = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return {
            "id": f"resp_{self.id[-32:]}",
            "object": "response",
            "created_at": self.created,
            "status": status,
            "model": self.model,
            "output": output,
            "usage": usage,
            "error": None,
            "incomplete_details": cut,
            "instructions": None,
            "metadata": {},
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
        }

    def _usage(self) -> dict[str, int]:
        total = self.input_tokens + self.output_tokens
        return {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens, "total_tokens": total}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}


def _named(kind: str, **content: Any) -> bytes:
    return f"event: {kind}\n".encode() + _event({"type": kind, **content})


def _event(document: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n"
