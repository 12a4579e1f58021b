"""Levels of effort on a request: offered where nothing speaks against it, set where the client is silent."""

import pytest

from rb_litellm.litellm_adapter.request.budget import THOUGHTS
from rb_litellm.litellm_adapter.request.efforts import OfferedLevels, asking
from rb_litellm.litellm_adapter.shared.catalog import Catalog

STATED = {"low": {"quality": 0.5, "output_tokens": 200}, "high": {"quality": 0.8, "output_tokens": 2000}}


def entry(id, **routebalance):
    return {
        "model_name": "auto",
        "litellm_params": {"model": "openai/o4-mini"},
        "model_info": {"id": id, "routebalance": routebalance},
    }


ENTRIES = [entry("thinks", efforts=STATED), entry("plain")]
FACTS = tuple(Catalog().facts(ENTRIES))
LEVELS = OfferedLevels()
"""One for all tests: what it keeps must not differ from what it works out."""


class Call:
    def __init__(self, call_type):
        self.call_type = call_type


def candidates(call_type="acompletion", max_tokens=None, **kwargs):
    """Ids and levels of the candidates of a request with these arguments."""
    asked = {"litellm_logging_obj": Call(call_type), **kwargs}
    entries, facts = LEVELS.of(ENTRIES, FACTS, asked, max_tokens)
    assert [e["model_info"]["id"] for e in entries] == [d.id for d in facts]
    return [(d.id, d.effort) for d in facts]


ALL = [("thinks", "low"), ("thinks", "high"), ("plain", "")]
AS_THEY_ARE = [("thinks", ""), ("plain", "")]


@pytest.mark.parametrize("call_type", ["acompletion", "aresponses"])
def test_every_stated_level_is_a_candidate(call_type):
    assert candidates(call_type) == ALL


@pytest.mark.parametrize(
    "call_type", ["atext_completion", "aembedding", "anthropic_messages", "completion", None]
)
def test_other_endpoints_know_no_levels(call_type):
    assert candidates(call_type) == AS_THEY_ARE


def test_a_request_of_an_unknown_kind_has_none():
    assert LEVELS.of(ENTRIES, FACTS, {}, None) == (ENTRIES, FACTS)
    assert LEVELS.of(ENTRIES, FACTS, None, None) == (ENTRIES, FACTS)


@pytest.mark.parametrize(
    "own",
    [
        {"reasoning_effort": "high"},
        {"reasoning": {"effort": "high"}},
        {"extra_body": {"reasoning_effort": "high"}},
        {"extra_body": {"reasoning": {"effort": "high"}}},
    ],
)
def test_the_clients_own_level_is_the_only_one(own):
    assert candidates(**own) == [("thinks", "high"), ("plain", "")]


@pytest.mark.parametrize(
    "own",
    [
        {"reasoning_effort": "medium"},
        {"reasoning_effort": {"effort": "high"}},
        {"thinking": {"type": "enabled", "budget_tokens": 2048}},
        {"reasoning": {"max_tokens": 2000}},
        {"reasoning": {"effort": 3}},
        {"extra_body": {"chat_template_kwargs": {"enable_thinking": False}}},
    ],
)
def test_a_client_that_says_it_in_other_words_gets_no_level(own):
    assert candidates(**own) == AS_THEY_ARE
    assert asking(own, "low", False) is None


def test_a_level_whose_thoughts_exceed_the_clients_limit_is_left_out():
    assert candidates(max_tokens=THOUGHTS["high"]) == [("thinks", "low"), ("plain", "")]
    assert candidates(max_tokens=50) == AS_THEY_ARE


def test_the_level_is_set_where_the_client_is_silent_and_on_a_copy():
    kwargs = {"temperature": 0.5}
    assert asking(kwargs, "low", False) == {"temperature": 0.5, "reasoning_effort": "low"}
    assert kwargs == {"temperature": 0.5}


def test_the_responses_api_has_it_beside_what_the_client_says_of_summaries():
    kwargs = {"reasoning": {"summary": "auto"}}
    assert asking(kwargs, "high", True) == {"reasoning": {"summary": "auto", "effort": "high"}}
    assert kwargs == {"reasoning": {"summary": "auto"}}


def test_it_is_not_set_where_a_budget_leaves_no_room_for_its_thoughts():
    assert asking({"max_tokens": 1000}, "high", False) is None
    assert asking({"max_output_tokens": 1000}, "high", True) is None


@pytest.mark.parametrize(
    "kwargs",
    [
        {"temperature": 0.0},
        {"top_p": 0.9},
        {"top_k": 40},
        {"tool_choice": "required"},
        {"tool_choice": {"type": "function", "function": {"name": "look"}}},
        {"messages": [{"role": "assistant", "tool_calls": [{}]}, {"role": "tool", "content": "4"}]},
    ],
)
def test_what_a_hosted_api_refuses_beside_thinking_leaves_it_without_levels(kwargs):
    assert candidates(**kwargs) == AS_THEY_ARE
    own = entry("own", efforts=STATED)
    own["litellm_params"] = {"model": "hosted_vllm/qwen3-32b", "api_base": "http://gpu-3:8000/v1"}
    asked = {"litellm_logging_obj": Call("acompletion"), **kwargs}
    _, facts = LEVELS.of([own], tuple(Catalog().facts([own])), asked, None)
    assert [d.effort for d in facts] == ["low", "high"]


def test_usual_requests_keep_their_levels():
    said = [{"role": "assistant", "content": "Yes."}, {"role": "user", "content": "Why?"}]
    assert candidates(temperature=1, tool_choice="auto", messages=said) == ALL


def test_what_a_client_writes_is_no_key_that_is_kept():
    levels = OfferedLevels()
    for number in range(100):
        asked = {"litellm_logging_obj": Call("acompletion"), "reasoning_effort": f"made up {number}"}
        levels.of(ENTRIES, FACTS, asked, None)
    assert len(levels._found) == 1


def paid(max_cost_usd, usd):
    """Levels of a self-hosted deployment at this price of a token, for a request with this budget."""
    own = entry("own", efforts=STATED)
    own["litellm_params"] = {
        "model": "hosted_vllm/qwen3-32b", "api_base": "http://gpu-3:8000/v1",
        "input_cost_per_token": usd, "output_cost_per_token": usd,
    }  # fmt: skip
    asked = {"litellm_logging_obj": Call("acompletion")}
    _, facts = LEVELS.of([own], tuple(Catalog().facts([own])), asked, None, max_cost_usd)
    return [d.effort for d in facts]


def test_a_deployments_own_limit_counts_where_the_client_has_none():
    own = entry("own", efforts=STATED)
    own["litellm_params"] = {"model": "hosted_vllm/m", "api_base": "http://gpu-3/v1", "max_tokens": 2000}
    facts = tuple(Catalog().facts([own]))
    asked = {"litellm_logging_obj": Call("acompletion")}
    assert [d.effort for d in LEVELS.of([own], facts, asked, None)[1]] == ["low"]
    assert [d.effort for d in LEVELS.of([own], facts, asked, 9000)[1]] == ["low", "high"]


@pytest.mark.parametrize(("budget", "levels"), [(0.01, [""]), (0.03, ["low"]), (1.0, ["low", "high"])])
def test_a_level_is_a_candidate_where_the_budget_pays_for_its_thoughts(budget, levels):
    assert paid(max_cost_usd=budget, usd=1e-5) == levels


@pytest.mark.parametrize("reasoning", ["high", 5, ["low"]])
def test_a_reasoning_that_is_no_mapping_is_the_clients_own(reasoning):
    assert candidates(call_type="aresponses", reasoning=reasoning) == AS_THEY_ARE
    assert asking({"reasoning": reasoning}, "high", responses=True) is None
