"""One call from the public data to the folder of the default predictor."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rb_litellm.predictors.default.artifact import load, manifest, to_files
from rb_litellm.predictors.default.predictor import DefaultPredictor
from rb_litellm.predictors.default.table import entries
from rb_litellm.predictors.trained.model import PROMPTS
from rb_litellm.train.data.dataset import Dataset
from rb_litellm.train.default import own_answers
from rb_litellm.train.default.fit import fit_default
from rb_litellm.train.default.held_out import predicted_pairs, report
from rb_litellm.train.default.unseen import predicted_unseen
from rb_litellm.train.folder import check_free, write_files

ID_DIGITS = 8
"""Of a prompt's id, in the list of those that were trained on."""
SOURCES = {
    "table of models": "LLM-Stats (JonathanChavezTamales/llm-leaderboard at 24a9ccf, CC BY 4.0), model "
    "cards and papers (among them openai/simple-evals at ee3b031, QwenLM/qwenlm.github.io at 1f89f8c, "
    "QwenLM/Qwen3's report at 7a2f61f, meta-llama/llama-models at a9c89c4, MoonshotAI/Kimi-K2 at c6157be), "
    "Chatbot Arena leaderboards to March 2025, ZeroEval's summaries (Apache-2.0)",
    "quality_tasks": "ulab-uiuc/LLMRouter at 4e7a796, MIT",
    "quality_math_code": "WildEval/ZeroEval at 8c1485e, Apache-2.0",
    "quality_chat_wide, quality_length_chat": "tatsu-lab/alpaca_eval at cd543a1, Apache-2.0",
}


def train_default(
    data: Dataset,
    out: Path,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, of: None,
    held_out: bool = False,
) -> DefaultPredictor:
    """Train on `data`, write the folder `out` and load it; its card tells how well it does on models and
    prompts held out, if that is wanted: that trains some eighty times more.

    Raises:
        DataError: too little to learn from.
        FileExistsError: `out` holds something.
    """
    check_free(out)
    fitted = fit_default(data, seed, progress)
    files = to_files(fitted.tables)
    files[PROMPTS] = "\n".join(name[:ID_DIGITS] for name in data.prompt_ids).encode()
    card = _card(data, seed)
    if held_out:
        unseen, pairs = predicted_unseen(data, seed, progress), predicted_pairs(data, seed, progress)
        card["held_out"] = report(data, unseen, pairs, seed)
        card["own_answers"] = own_answers.report(data, seed, progress)
    files["card.json"] = json.dumps(card, indent=1).encode()
    return write_files(out, {**files, "manifest.json": manifest(files)}, load)


def _card(data: Dataset, seed: int) -> dict[str, Any]:
    tasks: dict[str, int] = {}
    for task in data.tasks:
        tasks[task] = tasks.get(task, 0) + 1
    return {
        "data_sha256": data.sha256,
        "rows": data.rows,
        "prompts": len(data.prompts),
        "prompts_of_task": dict(sorted(tasks.items())),
        "models": list(data.models),
        "models_of_table": len(entries()),
        "sources": SOURCES,
        "seed": seed,
    }
