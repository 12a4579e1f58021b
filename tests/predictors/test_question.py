"""Listed answers are no part of what is asked."""

import pytest

from rb_litellm.core.types import Prompt
from rb_litellm.predictors.default.question import without_options

QUESTION = "Which planet has the most moons?"


@pytest.mark.parametrize(
    "options",
    [
        "\nA. Mars\nB. Venus\nC. Saturn\nD. Earth\nAnswer:",
        "\n(A) Mars\n(B) Venus\n(C) Saturn\n",
        "\nA) Mars\nB) Venus\nC) Saturn\nThe answer is",
    ],
)
def test_lines_of_options_are_left_out(options):
    assert without_options(Prompt(QUESTION + options)).text == QUESTION


@pytest.mark.parametrize("text", ["", QUESTION, "A. One\nB. Two", "C. x\nB. y\nA. z", "A. B. C. are letters"])
def test_all_else_is_read_as_it_is(text):
    assert without_options(Prompt(text)).text == text
