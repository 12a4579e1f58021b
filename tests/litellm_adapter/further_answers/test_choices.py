"""Several answers of one call: which of them a judge is shown, and what the client gets."""

import pytest
from litellm import ModelResponse

from rb_litellm.litellm_adapter.further_answers.choices import answers_of, only, shown_to_judge


def response(*texts, finish="stop"):
    return ModelResponse(
        choices=[
            {"index": n, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
            for n, text in enumerate(texts)
        ],
        usage={"prompt_tokens": 3, "completion_tokens": 12, "total_tokens": 15},
    )


def test_the_client_gets_one_answer_and_litellm_keeps_all():
    whole = response("one", "two")
    whole._hidden_params["response_cost"] = 0.5
    answer = only(whole, 1)
    assert [(choice.index, choice.message.content) for choice in answer.choices] == [(0, "two")]
    assert answer.usage.completion_tokens == 12
    assert answer._hidden_params["response_cost"] == 0.5
    answer._hidden_params["more"] = 1
    assert "more" not in whole._hidden_params
    assert len(answers_of(whole)) == 2
    assert whole.choices[1].index == 1


@pytest.mark.parametrize("finish", ["length", "content_filter"])
@pytest.mark.parametrize("nothing", ["", None, " \n"])
def test_what_is_empty_or_cut_is_not_shown_while_there_is_something_else(finish, nothing):
    cut = response("a", finish=finish).choices[0]
    empty, good = response(nothing, "good").choices
    assert shown_to_judge([cut, empty, good]) == [2]
    assert shown_to_judge([cut, empty]) == [0]
    assert shown_to_judge([empty]) == []
