"""The server that is measured, asked by OpenAI's API: its models, what it states, and streamed answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from rb_litellm.calibration.facts import PATHS, Facts, facts_of, whole
from rb_litellm.calibration.streams import Stream
from rb_litellm.redaction import one_line, shown_address, without_secrets
from rb_litellm.state.servers.metrics import beside_api

KEY_VARIABLE = "ENGINE_API_KEY"
_PIECES_PER_TOKEN = 4
"""Pieces of a stream that are read, for each token asked for, and as many more as for 16."""

_BUSY = (429, 503)
_HINTS = {
    404: "; the address of the API often ends in /v1",
    **dict.fromkeys(_BUSY, "; measure it while it has nothing else to do, and without a limit of requests"),
}


class CannotCalibrate(Exception):
    """The server cannot be measured; the message says what it did and what may help."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model of the server, and the tokens that prompt and answer may have, where it says so."""

    model: str
    context_window: int | None


class Engine:
    """One model of one server."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, key: str | None, clock: Callable[[], float]
    ) -> None:
        """`url` is what `api_base` would be; `clock` tells the time in s."""
        self._client = client
        self._url = url.rstrip("/")
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._clock = clock
        self._shown = shown_address(url)
        self.model = ""
        self._ignores_ends = True

    async def choose(self, model: str | None) -> Served:
        """Take this model from now on, or the only one that the server has.

        Raises:
            CannotCalibrate: the server has it not, or several.
        """
        told = await self._json(f"{self._url}/models")
        cards = told.get("data") if isinstance(told, dict) else None
        windows = {
            str(card["id"]): whole(card.get("max_model_len"))
            for card in (cards if isinstance(cards, list) else ())
            if isinstance(card, dict) and card.get("id")
        }
        if model is None and len(windows) != 1:
            names = ", ".join(list(windows)[:8]) or "none"
            raise CannotCalibrate(f"{self._shown} has these models: {names}; name one with --model")
        # Some servers list other names than those that they answer to.
        self.model = next(iter(windows)) if model is None else model
        return Served(self.model, windows.get(self.model))

    async def facts(self) -> Facts:
        """What the server states of itself, at addresses beside its API."""
        told = {path: await self._text(beside_api(self._url, path)) for path in PATHS}
        return facts_of(told)

    async def _text(self, address: str | None) -> str:
        """What is there; nothing where there is no such address."""
        try:
            answer = await self._client.get(address or "", headers=self._headers)
        except (httpx.HTTPError, httpx.InvalidURL):
            return ""
        return answer.text if answer.status_code == 200 else ""

    async def ask(self, prompt: str, tokens: int) -> Stream:
        """One answer of so many tokens, streamed.

        Raises:
            CannotCalibrate: there is none, or it does not tell what is to be measured.
        """
        try:
            return await self._ask(prompt, tokens)
        except Refused as refused:
            if not self._ignores_ends or refused.status not in (400, 422):
                raise
        # A strict server may not know the option by which answers do not end early.
        self._ignores_ends = False
        return await self._ask(prompt, tokens)

    async def _ask(self, prompt: str, tokens: int) -> Stream:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            **({"ignore_eos": True} if self._ignores_ends else {}),
        }
        sent = self._clock()
        pieces: list[float] = []
        usage: Mapping[str, Any] = {}
        try:
            async with self._client.stream(
                "POST", f"{self._url}/chat/completions", json=body, headers=self._headers
            ) as answer:
                if answer.status_code != 200:
                    await answer.aread()
                    raise self._refused(answer)
                async for line in answer.aiter_lines():
                    piece = self._piece(line)
                    usage = piece.get("usage") or usage
                    if _text_of(piece):
                        pieces.append(self._clock())
                    if len(pieces) > _PIECES_PER_TOKEN * (tokens + 16):
                        raise CannotCalibrate(f"{self._shown} writes on after the {tokens} tokens asked for")
        except httpx.HTTPError as error:
            raise self._silent(error) from error
        return self._stream(sent, pieces, usage)

    def _stream(self, sent: float, pieces: list[float], usage: Mapping[str, Any]) -> Stream:
        if not pieces:
            raise CannotCalibrate(f"{self._shown} answers {self.model} with nothing: no text came")
        read, written = whole(usage.get("prompt_tokens")), whole(usage.get("completion_tokens"))
        if read is None or written is None:
            raise CannotCalibrate(
                f"{self._shown} tells no usage in its streams, so that tokens cannot be counted; it "
                "must know stream_options.include_usage"
            )
        details = usage.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else None
        return Stream(sent, tuple(pieces), read, written, whole(cached))

    def _piece(self, line: str) -> Mapping[str, Any]:
        told = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if told in ("", "[DONE]"):
            return {}
        try:
            piece = json.loads(told)
        except ValueError:
            piece = None
        if not isinstance(piece, dict):
            raise CannotCalibrate(f"{self._shown} streams what is no JSON object: {one_line(told)!r}")
        if piece.get("error"):
            raise CannotCalibrate(f"{self._shown} breaks its stream off: {one_line(str(piece['error']))}")
        return piece

    async def _json(self, address: str) -> Any:
        try:
            answer = await self._client.get(address, headers=self._headers)
            if answer.status_code != 200:
                raise self._refused(answer)
            return answer.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._silent(error) from error
        except ValueError:
            raise CannotCalibrate(
                f"{self._shown} is no OpenAI-compatible API: its /models is no JSON"
            ) from None

    def _refused(self, answer: httpx.Response) -> CannotCalibrate:
        status = answer.status_code
        if status in (401, 403):
            return CannotCalibrate(f"{self._shown} refuses the key ({status}); set --key, or {KEY_VARIABLE}")
        hint = _HINTS.get(status, "")
        said = one_line(without_secrets(answer.text.strip()))
        return Refused(
            f"{self._shown} answers with {status}: {said}{hint}",
            status,
            _seconds(answer.headers.get("Retry-After", "")),
        )

    def _silent(self, error: Exception) -> CannotCalibrate:
        told = without_secrets(f"{type(error).__name__}: {error}".rstrip(": "))
        return CannotCalibrate(f"{self._shown} does not answer ({told})")


class Refused(CannotCalibrate):
    """An HTTP status other than 200, and not for the key."""

    def __init__(self, message: str, status: int, retry_after_s: float) -> None:
        """`retry_after_s` is what the server asks to wait; 0 where it does not say."""
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s

    @property
    def busy(self) -> bool:
        """Whether the server takes no more for now, and may be sound."""
        return self.status in _BUSY


def _seconds(told: str) -> float:
    """Of a `Retry-After` in whole seconds; 0 of any other, such as a date."""
    return float(told) if told.isascii() and told.isdigit() else 0.0


def _text_of(piece: Mapping[str, Any]) -> bool:
    """Whether a piece of a stream holds a part of the answer, of its thinking or of a tool call."""
    choices = piece.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if isinstance(delta, dict) and any(
            delta.get(name) for name in ("content", "reasoning_content", "reasoning", "tool_calls")
        ):
            return True
    return False
