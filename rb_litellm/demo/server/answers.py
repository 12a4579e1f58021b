"""What a mock server writes: as many tokens for the same prompt and model every time, and some words."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from hashlib import blake2b, sha256
from pathlib import Path
from statistics import NormalDist
from typing import Any

from rb_litellm.demo.truth import Truth
from rb_litellm.sim.servers.prefix_cache import BLOCK_TOKENS

_SIGMA = 0.6
"""Spread of the log-normal lengths; the answers of one model to AlpacaEval's prompts spread about so."""
_TEXT = (
    "a balance is found when each part carries what it can and no more so the whole keeps moving while "
    "small things wait their turn and large ones are placed first"
)
_WORDS = _TEXT.split()
MAX_MODEL_LEN = 8192
"""Prompt and answer together, in tokens."""
_CHARS_PER_TOKEN = 4.0
_THINKING = {"minimal": 0.8, "low": 1.0, "medium": 3.0, "high": 8.0}
"""Length of an answer with its thoughts at each reasoning effort, in answers without."""


class AnswerLengths:
    """Output tokens by prompt and model: from a table where it knows the prompt, else drawn by hash.

    The draw is log-normal around `mean_tokens`, times what `truth` knows of the prompt's answers. It depends
    on nothing but prompt and model, so every strategy and every run meets the same answers.
    """

    def __init__(
        self,
        mean_tokens: float,
        table: Mapping[str, Mapping[str, int]] | None = None,
        truth: Truth | None = None,
    ) -> None:
        self._mu = math.log(mean_tokens) - _SIGMA**2 / 2.0
        self._table = table or {}
        self._truth = truth

    def output_tokens(self, prompt: str, model: str) -> int:
        """Length of the model's whole answer, before any limit of the client."""
        told = self._table.get(prompt_id(prompt), {}).get(model)
        if told is not None:
            return max(int(told), 1)
        digest = blake2b(f"{model}\0{prompt}".encode("utf-8", "replace"), digest_size=8).digest()
        uniform = (int.from_bytes(digest, "big") + 0.5) / 2.0**64
        known = None if self._truth is None else self._truth.of(prompt)
        longer = 1.0 if known is None else known.longer
        return max(round(longer * math.exp(self._mu + _SIGMA * NormalDist().inv_cdf(uniform))), 1)


def thinking(body: Mapping[str, Any]) -> float:
    """How many times longer the answer is for the reasoning effort that a request asks for."""
    reasoning = body.get("reasoning")
    asked = reasoning.get("effort") if isinstance(reasoning, Mapping) else body.get("reasoning_effort")
    return _THINKING.get(asked, 1.0) if isinstance(asked, str) else 1.0


def read_table(path: Path) -> dict[str, dict[str, int]]:
    """Lengths from JSON lines of `prompt` (or `prompt_id`), `model`, `output_tokens`."""
    table: dict[str, dict[str, int]] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            key = row.get("prompt_id") or prompt_id(row["prompt"])
            if row.get("output_tokens") is not None:
                table.setdefault(key, {})[row["model"]] = int(row["output_tokens"])
    return table


def prompt_id(prompt: str) -> str:
    """A digest that stands for a prompt: the first 16 hex digits of its SHA-256."""
    return sha256(prompt.encode("utf-8", "replace")).hexdigest()[:16]


def words(first: int, count: int) -> str:
    """Words `first` .. `first + count` of an endless answer; one word stands for one token."""
    size = len(_WORDS)
    return "".join(f" {_WORDS[n % size]}" for n in range(first, first + count))


def text_of(body: Mapping[str, Any]) -> str:
    """Text of a chat, completion, Responses or embedding request."""
    turns = body.get("messages", body.get("input"))
    if isinstance(turns, list) and all(isinstance(turn, Mapping) for turn in turns):
        return "\n\n".join(_content(turn.get("content")) for turn in turns)
    return _content(body.get("prompt", turns))


def count_tokens(text: str) -> int:
    """About four characters a token, and a few tokens for the chat template."""
    return round(len(text) / _CHARS_PER_TOKEN) + 4


def block_names(text: str) -> tuple[int, ...]:
    """A number for each full block of a prompt that stands for all text up to the block's end."""
    size = round(BLOCK_TOKENS * _CHARS_PER_TOKEN)
    names, running = [], blake2b(digest_size=8)
    for end in range(size, len(text) + 1, size):
        running.update(text[end - size : end].encode("utf-8", "replace"))
        names.append(int.from_bytes(running.digest(), "big"))
    return tuple(names)


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(
            _content(part.get("text", "") if isinstance(part, Mapping) else part) for part in content
        )
    return ""
