"""Whether a limit on tokens bounds a request's answer; else its API refuses a request that has one."""

import pytest

from rb_litellm.litellm_adapter.request.body.answer_kind import answers_in_text

HELLO = [{"role": "user", "content": "Hello"}]
PLACEHOLDER = [{"role": "user", "content": "prompt"}]
"""What LiteLLM's Router passes to a strategy for images and audio."""


def at(path):
    return {"proxy_server_request": {"url": f"http://proxy:4000{path}"}}


@pytest.mark.parametrize(
    "path",
    [
        "/v1/images/generations",
        "/images/edits",
        "/v1/audio/speech",
        "/v1/audio/transcriptions?x=1",
        "/v1/rerank",
    ],
)
def test_other_endpoints_of_the_proxy_are_told_by_their_path(path):
    assert not answers_in_text(PLACEHOLDER, None, at(path))


@pytest.mark.parametrize(
    "path", ["/v1/embeddings", "/openai/deployments/m/embeddings", "/engines/m/embeddings/"]
)
def test_embeddings_are_told_from_responses(path):
    assert not answers_in_text(None, ["a"], at(path))
    assert answers_in_text(None, "a", at("/v1/responses"))


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/openai/deployments/rerank/chat/completions", "//[", ""]
)
def test_a_chat_is_one_whatever_it_says_and_whatever_its_path_holds(path):
    assert answers_in_text(PLACEHOLDER, None, at(path))


def test_without_a_proxy_it_is_told_by_what_litellm_passes():
    assert answers_in_text(HELLO, None, {"metadata": {}})
    assert answers_in_text(None, "a", {"litellm_metadata": {}})
    assert not answers_in_text(None, ["a"], {"metadata": {}})
    assert answers_in_text(None, None, None)
