"""A small made-up corpus of prompts for four tiers."""

from __future__ import annotations

import numpy as np

from rb_litellm.core.types import Prompt
from rb_litellm.sim.workloads.workload import Corpus

_random = np.random.default_rng(7)
CORPUS = Corpus(
    prompts=tuple(Prompt(f"question {n} " + "why " * (n % 9), 10 + n) for n in range(60)),
    ids=tuple(f"{n * 71_582_788:08x}" + "0" * 8 for n in range(60)),
    quality=np.clip(_random.normal((0.3, 0.5, 0.65, 0.7), 0.2, (60, 4)), 0.0, 1.0),
    output_tokens=np.round(_random.uniform(5, 300, (60, 4))),
)
TRAIN, TEST = CORPUS.split()
