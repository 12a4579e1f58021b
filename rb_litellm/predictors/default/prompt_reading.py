"""What a prompt says whatever model answers it: its kind, how hard it is, how far ability matters, how long
an answer will be.

The trees give scores of the tasks of the training data and four figures: the level (share of right answers of
a middling model), the steepness (log odds that one unit of ability adds), the logarithm of the length of an
answer, and what ability adds to that. What is known well is what prompts of a task are like; of the single
prompt less. So each figure is the mean over the tasks by their probability, plus a part of how far the trees'
own figure is from that. A prompt that is longer than others of its task is harder, or easier, by the kind;
where answers are worked out in steps ability decides more, or less, by the task.
Where neither words nor task are known the figures of all prompts remain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from rb_litellm.core.types import FloatArray, Prompt
from rb_litellm.predictors.default.abilities import KINDS
from rb_litellm.predictors.default.question import without_options
from rb_litellm.predictors.reading.encoder import Encoder
from rb_litellm.predictors.reading.lexicon import Floats
from rb_litellm.predictors.reading.structure import WORDS

FIGURES = ("level", "steepness", "log_length", "length_gap")
LONG_TOKENS = 16_000
"""From this many input tokens on, half of what is asked is to find one's way in a long text."""
_LONGER = 1.5
"""Logarithm of the words beyond which a prompt that is longer, or shorter, counts as no harder or easier."""
_TOOLS_SHARE = 0.5
"""How much of a request with tools is the use of tools."""


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """R prompts as read."""

    kinds: FloatArray
    """(R, K) probability of each of KINDS."""
    tasks: FloatArray
    """(R, C) probability of each task of the training data, less what of the prompt training had not seen."""
    certainty: FloatArray
    """(R,) in [0, 1]: how sure the kind is, and how much of the prompt training had seen."""
    figures: FloatArray
    """(R, F) by FIGURES."""


@dataclass(frozen=True, slots=True, eq=False)
class PromptReader:
    """From prompts to readings."""

    encoder: Encoder
    evaluate: Callable[[Floats], Floats]
    """Features (R, W) to raw scores of C tasks and F figures, the latter in units of `scale`."""
    log_prior: FloatArray
    """(C,) of each task."""
    kind_of_task: FloatArray
    """(C, K) 0 or 1."""
    task_figures: FloatArray
    """(C, F) means of each task."""
    offset: FloatArray
    """(F,) means of all prompts."""
    scale: FloatArray
    """(F,)"""
    own: FloatArray
    """(F,) weight in [0, 1] of the trees' own figure."""
    usual_words: FloatArray
    """(C,) logarithm of the words of a prompt of each task."""
    level_by_words: FloatArray
    """(C,) what one more in that logarithm adds to the level."""
    steepness_by_words: FloatArray
    """(C,) what it adds to the logarithm of the steepness."""
    familiar: float
    """Share of known n-grams from which a prompt counts as familiar."""

    _chance: float = field(init=False, repr=False)
    """Share of made-up n-grams that share their bucket with a known one."""

    def __post_init__(self) -> None:
        used = float(np.count_nonzero(self.encoder.idf)) / self.encoder.idf.size
        object.__setattr__(self, "_chance", min(used, self.familiar - 0.05))

    def _known(self, familiarity: Floats) -> FloatArray:
        """How far prompts (R,) are known, in [0, 1]."""
        known = (familiarity - self._chance) / (self.familiar - self._chance)
        return np.asarray(np.minimum(np.maximum(known, 0.0), 1.0), dtype=np.float64)

    def read(self, prompts: Sequence[Prompt]) -> Readings:
        """Read each prompt once, however many models there are.

        Raises:
            ValueError: the trees give no finite figures.
        """
        features, familiarity = self.encoder.encode([*map(without_options, prompts)])
        raw = self.evaluate(features).astype(np.float64)
        if not np.isfinite(raw).all():
            raise ValueError("the trees give no finite figures")
        tasks, figures = self.blend(raw, familiarity, features[:, WORDS])
        kinds, known = tasks @ self.kind_of_task, self._known(familiarity)
        return Readings(_by_form(kinds, prompts), tasks * known[:, None], kinds.max(axis=1) * known, figures)

    def longer(self, words: Floats) -> FloatArray:
        """By how much (R, C) prompts are longer than those of each task, as logarithms, within bounds."""
        apart = words[:, None] - self.usual_words
        return np.asarray(np.minimum(np.maximum(apart, -_LONGER), _LONGER), dtype=np.float64)

    def blend(self, raw: FloatArray, familiarity: Floats, words: Floats) -> tuple[FloatArray, FloatArray]:
        """Probabilities of the tasks (R, C) and figures (R, F) from the trees' raw scores (R, C + F) and the
        logarithm of the number of words (R,)."""
        count = len(self.log_prior)
        scores = raw[:, :count] + self.log_prior
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        tasks = scores / scores.sum(axis=1, keepdims=True)
        known = self._known(familiarity)[:, None]
        of_tasks = tasks @ self.task_figures
        own = self.offset + self.scale * raw[:, count:]
        figures = of_tasks + self.own * (own - of_tasks)
        longer = tasks * self.longer(words)
        figures[:, 0] += longer @ self.level_by_words
        figures[:, 1] *= np.exp(longer @ self.steepness_by_words)
        return tasks, np.asarray(self.offset + known * (figures - self.offset))


def _by_form(kinds: FloatArray, prompts: Sequence[Prompt]) -> FloatArray:
    """Kinds (R, K), moved to those that the form of a request gives away."""
    for row, prompt in enumerate(prompts):
        if prompt.tools:
            kinds[row] *= 1.0 - _TOOLS_SHARE
            kinds[row, KINDS.index("tools")] += _TOOLS_SHARE
        if prompt.input_tokens >= LONG_TOKENS:
            kinds[row] *= 0.5
            kinds[row, KINDS.index("long_context")] += 0.5
    return kinds
