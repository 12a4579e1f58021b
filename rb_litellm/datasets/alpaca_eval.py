"""AlpacaEval 2: how likely a judge prefers a model's answer to GPT-4-1106's, and the answer's length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rb_litellm.datasets.repository import Files, Source, SourceError
from rb_litellm.datasets.rows import GradedRow, Tokens, field, graded, read_list

SOURCE = Source("tatsu-lab/alpaca_eval", "cd543a149df89434d8a54582c0151c0b945c3d20", "Apache-2.0")

_JUDGED_TWICE = ("vicuna-13b-v1.5", "vicuna-7b-v1.5")
"""Models whose folder holds another run of the judge below the first."""
_JUDGE = "weighted_alpaca_eval_gpt4_turbo"


def rows(files: Files, models: Iterable[str]) -> Iterator[GradedRow]:
    """A row per model and prompt, in the order of the judge's files; empty answers are left out."""
    tokens = Tokens()
    for model in models:
        folder = f"results/{model}/{_JUDGE}"
        paths = [f"{folder}/annotations.json"]
        if model in _JUDGED_TWICE:
            paths.append(f"{folder}/{_JUDGE}/annotations.json")
        for path in paths:
            for number, row in enumerate(read_list(files, path), start=1):
                where = f"{path}, row {number}"
                answer = field(row, "output_2", str, where)
                # 1 where the judge is certain of the other's answer, 2 where it is of this model's.
                preference = field(row, "preference", float, where)
                if not 1.0 <= preference <= 2.0:
                    raise SourceError(f"{where}: `preference` is {preference:g}; allowed is 1 to 2")
                if answer:
                    task = field(row, "dataset", str, where)
                    prompt = field(row, "instruction", str, where)
                    yield graded(task, prompt, model, round(preference - 1.0, 4), answer, tokens)
