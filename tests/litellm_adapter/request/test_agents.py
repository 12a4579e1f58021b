"""A loop's calls have one name, and go to those that can read what they bring along, while any is there."""

from __future__ import annotations

from typing import Any

import pytest
from litellm.responses.utils import ResponsesAPIRequestUtils

from rb_litellm.config import AgentSettings
from rb_litellm.litellm_adapter.request.agents import MAX_PARTS, Agents, bond_of, thread_of
from rb_litellm.litellm_adapter.request.arrival import Arrival
from rb_litellm.litellm_adapter.shared.origins import Origins, origin_of
from rb_litellm.litellm_adapter.worker import Worker

TOOLS = [{"type": "function", "function": {"name": "run"}}]
QUESTION = {"role": "user", "content": "Make the test pass."}
THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"}
REASONING = {"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAAA"}


def entry(name: str, model: str = "openai/large", key: str = "k1") -> dict[str, Any]:
    return {
        "model_name": "auto",
        "litellm_params": {"model": model, "api_key": key},
        "model_info": {"id": name},
    }


ONE, TWIN = entry("one"), entry("twin")
SMALL, OTHER = entry("small", model="openai/small"), entry("other", key="k2")
ALL = [ONE, TWIN, SMALL, OTHER]


@pytest.fixture
def agents() -> Agents:
    return Agents(AgentSettings(), Worker().runtime)


def asked(
    agents: Agents, healthy: list[dict[str, Any]], body: object, **kwargs: Any
) -> tuple[set[str], Arrival]:
    arrival = Arrival.now("auto", kwargs)
    left = agents.narrowed(arrival, healthy, body, {"tools": TOOLS, **kwargs})
    return {e["model_info"]["id"] for e in left}, arrival


def served(agents: Agents, by: dict[str, Any], body: object, **kwargs: Any) -> None:
    _, arrival = asked(agents, ALL, body, **kwargs)
    agents.sent(arrival, by, agents._runtime.clock())


def test_a_loop_keeps_its_name_while_it_grows():
    later = [QUESTION, {"role": "assistant", "content": "Running."}, {"role": "tool", "content": "1 failed"}]
    assert thread_of([QUESTION], {"tools": TOOLS}) == thread_of(later, {"tools": TOOLS})


def test_loops_of_one_session_that_were_asked_different_things_are_told_apart():
    other = [{"role": "user", "content": "Look for callers."}]
    assert thread_of([QUESTION], {"litellm_session_id": "s"}) != thread_of(other, {"litellm_session_id": "s"})


def test_a_request_without_session_and_tools_is_no_agents():
    assert thread_of([QUESTION], {}) == ""


def test_a_response_goes_on_where_it_is_kept(agents: Agents):
    made = ResponsesAPIRequestUtils._build_responses_api_response_id("openai", "other", "resp_x")
    assert asked(agents, ALL, "Go on", previous_response_id=made)[0] == {"other"}
    assert asked(agents, [ONE], "Go on", previous_response_id=made)[0] == {"one"}


def test_encrypted_reasoning_stays_in_its_account(agents: Agents):
    served(agents, ONE, [QUESTION])
    assert asked(agents, ALL, [QUESTION, REASONING])[0] == {"one", "twin", "small"}


def test_signed_thinking_stays_with_its_model_and_account(agents: Agents):
    served(agents, ONE, [QUESTION])
    body = [QUESTION, {"role": "assistant", "content": [THINKING, {"type": "text", "text": "So."}]}]
    assert asked(agents, ALL, body)[0] == {"one", "twin"}


def test_what_litellm_has_marked_needs_no_memory(agents: Agents):
    marked = {
        "type": "reasoning",
        "encrypted_content": ResponsesAPIRequestUtils.wrap_encrypted_content_with_model_id("gAAAA", "other"),
    }
    assert asked(agents, ALL, [QUESTION, marked])[0] == {"other"}


def test_where_no_reader_is_left_the_request_goes_on_and_the_loop_comes_back_to_its_origin(agents: Agents):
    served(agents, ONE, [QUESTION])
    left, arrival = asked(agents, [OTHER], [QUESTION, REASONING])
    assert left == {"other"}
    agents.sent(arrival, OTHER, agents._runtime.clock())
    assert asked(agents, ALL, [QUESTION, REASONING])[0] == {"one", "twin", "small"}


def test_what_everybody_can_read_goes_anywhere(agents: Agents):
    served(agents, ONE, [QUESTION])
    plain = [
        QUESTION,
        {"role": "assistant", "tool_calls": [{"id": "call_1"}]},
        {"role": "tool", "content": "ok"},
    ]
    assert asked(agents, ALL, plain)[0] == {"one", "twin", "small", "other"}


@pytest.mark.parametrize(
    "body",
    [None, "text", 3, [None, 3, {"content": [None, {"type": "thinking"}]}], [{"encrypted_content": 3}]],
)
def test_whatever_a_client_sends_is_read(body: object):
    assert bond_of(body, {}) is None


def test_origins_are_bounded():
    origins = Origins(most=3)
    for n in range(9):
        origins.sent(str(n), origin_of(ONE))
        assert len(origins) <= 3


def test_what_is_looked_through_is_bounded_over_all_messages():
    signed = {"role": "assistant", "content": [THINKING]}
    many = [
        {"role": "user", "content": [{"type": "text", "text": "x"}] * 100} for _ in range(MAX_PARTS // 100)
    ]
    assert bond_of([signed, *many[:5]], {}) is not None
    assert bond_of([signed, *many, *many], {}) is None
