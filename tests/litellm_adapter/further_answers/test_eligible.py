"""Which requests may be answered more than once."""

from types import SimpleNamespace

import pytest

from rb_litellm.litellm_adapter.further_answers.eligible import may_be_answered_twice

ASKED = {"messages": [{"role": "user", "content": "What is a balance?"}]}


def test_a_chat_in_one_piece_may():
    assert may_be_answered_twice(ASKED)
    assert may_be_answered_twice({**ASKED, "n": 1, "stream": False, "tools": []})
    assert may_be_answered_twice(
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}
    )


@pytest.mark.parametrize(
    "more",
    [
        {"stream": True},
        {"n": 2},
        {"tools": [{"type": "function"}]},
        {"functions": [{}]},
        {"modalities": ["text", "audio"]},
        {"mock_response": "x"},
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}, *ASKED["messages"]]},
        {"messages": "What?"},
        {"messages": []},
        {"messages": [*ASKED["messages"], {"role": "assistant", "content": "It"}]},
        {"messages": [*ASKED["messages"], {"role": "tool", "content": "7"}]},
        {"litellm_logging_obj": SimpleNamespace(call_type="aresponses")},
    ],
)
def test_what_cannot_be_judged_or_repeated_may_not(more):
    assert not may_be_answered_twice({**ASKED, **more})
