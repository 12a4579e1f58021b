"""Whether a reply in JSON holds the gold answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.datasets.grading import answer_of, right_literal, right_number


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ('```json\n{"reasoning": "two and two", "answer": "4"}\n```', "4"),
        ('{"reasoning": "an unescaped " quote", "answer": "4"\n', "4"),
        ('{"answer": "___"} is the form; {"answer": "7"}', "7"),
        ('{"answer": -1}', "-1"),
        ('{"answer": ["a", "b"]\n}', '["a", "b"]'),
        ('{"answer": "say \\"x\\""}', 'say "x"'),
        ("I do not know.", None),
    ],
)
def test_the_last_answer_counts_whole_json_or_not(reply, answer):
    assert answer_of(reply) == answer


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("$10,455", "10455", True),
        ("20%", "20", True),
        ("x = -4", "-4", True),
        ("102/17", "6", True),
        ("6.0", "6", True),
        ("7 * 7 * 4 = 196", "196", False),
        ("-15", "15", False),
        ("1/0", "0", False),
        ("(1,2)", "(1, 2)", True),
    ],
)
def test_numbers_are_compared_without_their_dress(answer, gold, right):
    assert right_number(answer, gold) is right


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("{1:1, 2:2}", "{1: 1, 2: 2}", True),
        ('["a"]', "['a']", True),
        ("abc", "'abc'", True),
        ("assert f([]) == []", "[]", True),
        ("`False`", "False", True),
        ("f([]) == []", "[]", False),
        ("'a  b'", "'a b'", False),
        ("'a\nb'", r"'a\nb'", False),
        ("__import__('os')", "0", False),
    ],
)
def test_literals_are_compared_by_value_and_texts_but_for_their_quotes(answer, gold, right):
    assert right_literal(answer, gold) is right


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_texts_can_be_compared(answer, gold):
    assert isinstance(right_literal(answer, gold), bool)
    assert isinstance(right_number(answer, gold), bool)
