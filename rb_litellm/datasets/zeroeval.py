"""ZeroEval: answers of many models to hard mathematics, and to questions of what a function returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rb_litellm.datasets.grading import answer_of, right_literal, right_number
from rb_litellm.datasets.repository import Files, Source, SourceError
from rb_litellm.datasets.rows import GradedRow, Tokens, field, graded, read_list
from rb_litellm.datasets.selection import selected

SOURCE = Source("WildEval/ZeroEval", "8c1485edf12c6efb5f69135a562927c5ad484059", "Apache-2.0")


@dataclass(frozen=True, slots=True)
class _Part:
    folder: str
    task: str
    prompt: str
    """Field that holds the prompt."""
    right: Callable[[str, str], bool]
    """Whether an answer is the gold one."""


_PARTS = (
    _Part("math-l5", "math_level5", "problem", right_number),
    _Part("crux", "code_output", "question", right_literal),
)


def rows(files: Files, others: tuple[str, ...] = ()) -> Iterator[GradedRow]:
    """A row per model and prompt, in the order of the files; `others` are models beside the selected ones.

    An answer is right where the last `answer` of its JSON is the gold one. Empty replies are left out.
    """
    tokens = Tokens()
    for part in _PARTS:
        for model in sorted((*selected(f"zeroeval: models of {part.folder}"), *others)):
            path = f"result_dirs/{part.folder}/{model}.json"
            for number, row in enumerate(read_list(files, path), start=1):
                where = f"{path}, row {number}"
                replies = field(row, "output", list, where)
                if not replies or not isinstance(replies[0], str):
                    raise SourceError(
                        f"{where}: `output` is {str(replies)[:60]}; allowed is a list with a text"
                    )
                if not replies[0]:
                    continue
                answer, gold = answer_of(replies[0]), field(row, "answer", str, where)
                quality = float(answer is not None and part.right(answer, gold))
                prompt = field(row, part.prompt, str, where)
                yield graded(part.task, prompt, model, quality, replies[0], tokens)
