"""LiteLLM writes the deployment into ids of responses and into encrypted reasoning, and we read it there."""

from litellm.responses.utils import ResponsesAPIRequestUtils

from rb_litellm.litellm_adapter.request.agents import Bond, bond_of


def test_a_response_names_its_deployment():
    made = ResponsesAPIRequestUtils._build_responses_api_response_id("openai", "here", "resp_x")
    assert bond_of([], {"previous_response_id": made}) == Bond("response", "here")


def test_marked_reasoning_names_its_deployment_and_unmarked_none():
    marked = ResponsesAPIRequestUtils.wrap_encrypted_content_with_model_id("gAAAA", "here")
    for encrypted, deployment in ((marked, "here"), ("gAAAA", None)):
        item = {"type": "reasoning", "id": "rs_1", "encrypted_content": encrypted}
        assert bond_of([item], {}) == Bond("account", deployment)
