"""Agents' loops: calls on one growing prefix, each after the last answer and the tool that it asked for.

Turns of agents begin as a Poisson process. A turn has one of a few sets of instructions and tools, a
question, and 50 to 150 calls, evenly drawn. The prompt of a call is all that was said before: the last
prompt, the answer, and the result of a tool. Results are mostly short and now and then a whole file
(log-normal, median RESULT_TOKENS); tools take TOOL_S on average (exponential), answers have ANSWER_TOKENS
(log-normal, too). The times at which calls come depend on the router, as they do with real agents; what is
said does not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate, count
from random import Random

import numpy as np

from rb_litellm.core.types import Prompt
from rb_litellm.sim.engine import Served
from rb_litellm.sim.servers.prefix_cache import BLOCK_TOKENS
from rb_litellm.sim.workloads.workload import Request

FEWEST_CALLS, MOST_CALLS = 50, 150
KINDS = 4
"""Sets of instructions and tools; all turns of one kind begin alike."""
INSTRUCTION_TOKENS = 8_192
QUESTION_TOKENS = 400
RESULT_TOKENS, RESULT_SPREAD = 300, 1.0
ANSWER_TOKENS, ANSWER_SPREAD = 90, 0.7
TOOL_S = 3.0
_NAMES = 1 << 20
"""Blocks of one turn that can be told apart."""


@dataclass(slots=True)
class _Turn:
    number: int
    kind: int
    calls: int
    random: Random
    tokens: int = INSTRUCTION_TOKENS + QUESTION_TOKENS
    """Of the next prompt."""
    done: int = 0


@dataclass(slots=True)
class AgentLoops:
    """The turns of one run. `first` has their first calls, `follow` says what comes after each."""

    rate: float
    """Turns that begin in a second."""
    turns: int
    seed: int = 0
    lasted_s: dict[int, float] = field(default_factory=dict)
    """Of the turns that came to their end: from the first call to the last answer."""
    _running: dict[int, _Turn] = field(default_factory=dict)
    _begun_s: dict[int, float] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=count)

    def first(self) -> list[Request]:
        """The first call of each turn."""
        random = Random(f"agents {self.seed}")
        starts = accumulate(random.expovariate(self.rate) for _ in range(self.turns))
        asked = []
        for number, start in enumerate(starts):
            calls = random.randint(FEWEST_CALLS, MOST_CALLS)
            its = Random(f"agents {self.seed} {number}")
            turn = self._running[number] = _Turn(number, random.randrange(KINDS), calls, its)
            self._begun_s[number] = start
            asked.append(self._call(turn, start))
        return asked

    def follow(self, served: Served) -> Request | None:
        """The next call of the turn, after the tool that this one asked for; None at its end."""
        number = served.request.conversation
        assert number is not None
        turn, now = self._running[number], served.request.arrival_s + served.e2e_s
        if turn.done == turn.calls:
            self.lasted_s[number] = now - self._begun_s[number]
            return None
        result = turn.random.lognormvariate(np.log(RESULT_TOKENS), RESULT_SPREAD)
        turn.tokens += served.output_tokens + min(max(round(result), 1), 8_192)
        return self._call(turn, now + turn.random.expovariate(1.0 / TOOL_S))

    def _call(self, turn: _Turn, at: float) -> Request:
        turn.done += 1
        answer = max(round(turn.random.lognormvariate(np.log(ANSWER_TOKENS), ANSWER_SPREAD)), 1)
        prompt = Prompt(text=_text(turn), input_tokens=turn.tokens, tools=20)
        return Request(
            next(self._numbers),
            at,
            prompt,
            np.array([0.5]),
            np.array([float(answer)]),
            conversation=turn.number,
            prefix=_blocks(turn, turn.tokens),
            leaves=_blocks(turn, turn.tokens + answer),
        )


def _blocks(turn: _Turn, tokens: int) -> tuple[int, ...]:
    shared = INSTRUCTION_TOKENS // BLOCK_TOKENS
    own = range((turn.number + 1) * _NAMES, (turn.number + 1) * _NAMES + tokens // BLOCK_TOKENS - shared)
    return (*range(turn.kind * shared, (turn.kind + 1) * shared), *own)


def _text(turn: _Turn) -> str:
    """Words that are the same for what is the same; a character a token, which spares memory."""
    shared = f"kind {turn.kind} " * (INSTRUCTION_TOKENS // 7 + 1)
    own = f"turn {turn.number} " * ((turn.tokens - INSTRUCTION_TOKENS) // 7 + 1)
    return shared[:INSTRUCTION_TOKENS] + own[: turn.tokens - INSTRUCTION_TOKENS]
