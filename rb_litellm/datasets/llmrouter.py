"""LLMRouter's graded answers to fourteen tasks, by nine models."""

from __future__ import annotations

from collections.abc import Iterator

from rb_litellm.datasets.repository import Files, Source, SourceError
from rb_litellm.datasets.rows import GradedRow, Tokens, field, graded, prompt_id, read_lines, read_list

SOURCE = Source("ulab-uiuc/LLMRouter", "4e7a796942ce26e9d5f2b93191c7c2585c99c2e3", "MIT")
_SCORES = ("data/dcrouter_preprocessed/train.json", "data/dcrouter_preprocessed/test.json")
_TASKS = (
    "data/example_data/query_data/default_query_train.jsonl",
    "data/example_data/query_data/default_query_test.jsonl",
)
_BEGINNING = 400
"""Characters by which a prompt is found again: the same question is asked with several endings."""


def rows(files: Files) -> Iterator[GradedRow]:
    """A row per prompt and model, in the order of the files.

    A prompt that comes twice counts once, with the scores it has first. Which task it is of stands in other
    files, with the same prompts: of those that begin alike the last one counts. There are no texts of
    answers, hence no lengths.
    """
    tokens, task_of, seen = Tokens(), _tasks(files), set[str]()
    for path in _SCORES:
        for number, row in enumerate(read_list(files, path), start=1):
            where = f"{path}, row {number}"
            prompt = field(row, "question", str, where)
            if prompt_id(prompt) in seen:
                continue
            seen.add(prompt_id(prompt))
            if prompt[:_BEGINNING] not in task_of:
                raise SourceError(f"{where}: no file of {', '.join(_TASKS)} has its question")
            scores = field(row, "scores", dict, where)
            for model in scores:
                quality = field(scores, model, float, f"{where}, scores")
                if not 0.0 <= quality <= 1.0:
                    raise SourceError(f"{where}, scores: `{model}` is {quality:g}; allowed is 0 to 1")
                yield graded(task_of[prompt[:_BEGINNING]], prompt, model, round(quality, 4), None, tokens)


def _tasks(files: Files) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in _TASKS:
        for where, row in read_lines(files, path):
            found[field(row, "query", str, where)[:_BEGINNING]] = field(row, "task_name", str, where)
    return found
