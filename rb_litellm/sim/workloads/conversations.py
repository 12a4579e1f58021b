"""Conversations: requests that share a system prompt with others and their past with those before them.

Conversations begin as a Poisson process. Each has one of a few system prompts, the first ones far more
popular than the last, and one to MAX_TURNS turns; a turn asks a prompt of the corpus after all that was
said before. The next turn comes a thinking time after the one before, whatever that one took: arrivals
stay the same for every policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, count
from random import Random

from rb_litellm.sim.servers.prefix_cache import BLOCK_TOKENS
from rb_litellm.sim.workloads.workload import Corpus, Request, rounds

GOES_ON = 0.75
"""Probability that another turn follows, which makes four turns on average, the cut left aside."""
MAX_TURNS = 12
SYSTEM_PROMPTS = 8
SYSTEM_TOKENS = 768
SHORTEST_PAUSE_S = 8.0
"""Between two turns; the answer before has mostly come by then."""
MEAN_PAUSE_S = 20.0


@dataclass(frozen=True, slots=True)
class _Past:
    """What a turn is asked after."""

    text: str
    tokens: int
    blocks: tuple[int, ...]
    turns: int = 0


def conversations(corpus: Corpus, rate: float, number: int, seed: int) -> list[Request]:
    """The first `number` requests of conversations, `rate` per second on average once under way."""
    random = Random(f"conversations {seed}")
    rows = iter(rounds(len(corpus), (number + 1) * MAX_TURNS, seed))
    turns_each = (1.0 - GOES_ON**MAX_TURNS) / (1.0 - GOES_ON)
    starts = accumulate(random.expovariate(rate / turns_each) for _ in count())
    systems = [_system(n) for n in range(SYSTEM_PROMPTS)]
    popularity = [1.0 / (n + 1) for n in range(SYSTEM_PROMPTS)]
    names = count(SYSTEM_PROMPTS * (SYSTEM_TOKENS // BLOCK_TOKENS))
    asked: list[Request] = []
    # A turn follows 28 s after the last on average: half as many conversations as requests are plenty.
    for conversation, start in zip(range(number // 2 + 1), starts, strict=False):
        past = random.choices(systems, popularity)[0]
        at = start
        while True:
            request, past = _turn(corpus, next(rows), conversation, at, past, names)
            asked.append(request)
            if past.turns >= MAX_TURNS or random.random() >= GOES_ON:
                break
            at += SHORTEST_PAUSE_S + random.expovariate(1.0 / MEAN_PAUSE_S)
    # Later conversations begin before earlier ones end: only now is the order known.
    asked.sort(key=lambda request: request.arrival_s)
    return [replace(request, number=n) for n, request in enumerate(asked[:number])]


def _system(number: int) -> _Past:
    blocks = SYSTEM_TOKENS // BLOCK_TOKENS
    names = range(number * blocks, (number + 1) * blocks)
    return _Past(
        f"You are assistant number {number}. " + "Keep to the rules. " * 190, SYSTEM_TOKENS, tuple(names)
    )


def _turn(
    corpus: Corpus, row: int, conversation: int, at: float, past: _Past, names: Iterator[int]
) -> tuple[Request, _Past]:
    question = corpus.prompts[row]
    # One answer stands in the text for those of all tiers: arrivals and prompts are given beforehand.
    answer_tokens = round(float(corpus.output_tokens[row].mean()))
    text = f"{past.text}\n\n{question.text}"
    tokens = past.tokens + question.input_tokens
    asked = _filled(past.blocks, tokens, names)
    said = _filled(asked, tokens + answer_tokens, names)
    prompt = question._replace(
        text=text,
        input_tokens=tokens,
        system_chars=len(past.text) if past.turns == 0 else question.system_chars,
        turns=past.turns + 1,
    )
    request = Request(
        0,
        at,
        prompt,
        corpus.quality[row],
        corpus.output_tokens[row],
        conversation,
        asked,
        said,
        corpus.task(row),
    )
    answer = f"Answer {conversation}.{past.turns}. " + "and so on " * (answer_tokens // 3)
    return request, _Past(f"{text}\n\n{answer}", tokens + answer_tokens, said, past.turns + 1)


def _filled(blocks: tuple[int, ...], tokens: int, names: Iterator[int]) -> tuple[int, ...]:
    return blocks + tuple(next(names) for _ in range(tokens // BLOCK_TOKENS - len(blocks)))
