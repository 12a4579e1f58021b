"""Requests of Google's own API are read, limited and followed as chat requests of the same content are."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.litellm_adapter.request.agents import thread_of
from rb_litellm.litellm_adapter.request.body.google_api import MAX_CONTENTS, google_messages
from rb_litellm.litellm_adapter.request.body.prompt import read_prompt
from rb_litellm.litellm_adapter.request.budget import allowance_of, api_of, clamp, unclamp

QUESTION = {
    "role": "user",
    "parts": [{"text": "What is in the picture?"}, {"inlineData": {"mimeType": "image/png"}}],
}
CALL = {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {"at": "the corner"}}}]}
RESULT = {"role": "user", "parts": [{"functionResponse": {"name": "look", "response": {"output": "A cat."}}}]}
REQUEST = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "contents": [QUESTION, CALL, RESULT],
    "tools": [{"functionDeclarations": [{"name": "look"}, {"name": "zoom"}]}],
    "generationConfig": {"maxOutputTokens": 300, "responseMimeType": "application/json"},
}


def read(**request):
    return read_prompt(google_messages(None, None, request), None, request)


def test_it_is_read_as_a_chat_request_is():
    prompt = read(**REQUEST)
    assert prompt.text == "Be brief.\n\nWhat is in the picture?\n\nA cat."
    assert prompt.system_chars == len("Be brief.")
    assert (prompt.turns, prompt.images, prompt.tools) == (1, 1, 2)
    assert prompt.max_tokens == 300
    assert prompt.json_output


@pytest.mark.parametrize(
    "contents",
    ["Why?", {"parts": [{"text": "Why?"}]}, ["Why?"], [{"parts": {"text": "Why?"}}], [{"text": "Why?"}]],
)
def test_each_form_of_contents_is_read(contents):
    assert read(contents=contents).text == "Why?"


def test_the_spelling_with_underscores_is_read_as_well():
    """Google's SDK and its servers know both, and LiteLLM sends on both."""
    same = {
        "system_instruction": REQUEST["systemInstruction"],
        "contents": REQUEST["contents"],
        "tools": [{"function_declarations": [{"name": "look"}, {"name": "zoom"}]}],
        "generationConfig": {"max_output_tokens": 300, "response_mime_type": "application/json"},
    }
    assert read(**same) == read(**REQUEST)


def test_what_litellm_leaves_out_is_not_read():
    assert not read(contents="Why?", generation_config={"response_mime_type": "application/json"}).json_output


def test_requests_of_other_apis_are_left_as_they_are():
    assert google_messages([{"role": "user", "content": "Hi"}], None, REQUEST) is None
    assert google_messages(None, "Hi", REQUEST) is None
    assert google_messages(None, None, {"model": "auto"}) is None
    assert google_messages(None, None, None) is None


def test_of_a_long_one_the_beginning_and_the_end_are_read():
    texts = [f"<{n}>" for n in range(3 * MAX_CONTENTS)]
    text = read(contents=[{"parts": [{"text": text}]} for text in texts]).text
    assert texts[0] in text
    assert texts[-1] in text
    assert len(text.split()) == MAX_CONTENTS


def test_the_calls_of_a_loop_are_told_by_its_first_question():
    later = [QUESTION, CALL, RESULT, CALL, RESULT]
    names = {
        thread_of(google_messages(None, None, request), request)
        for request in (REQUEST, {**REQUEST, "contents": later})
    }
    assert len(names) == 1
    assert names != {""}


@pytest.mark.parametrize(
    ("settings", "limited"),
    [
        ({}, {"generationConfig": {"maxOutputTokens": 120}}),
        ({"generationConfig": {}}, {"generationConfig": {"maxOutputTokens": 120}}),
        ({"generationConfig": {"maxOutputTokens": 500}}, {"generationConfig": {"maxOutputTokens": 120}}),
        ({"generationConfig": {"maxOutputTokens": 50}}, {"generationConfig": {"maxOutputTokens": 50}}),
        (
            {"config": {"max_output_tokens": 500}},
            {"config": {"max_output_tokens": 120, "maxOutputTokens": 120}},
        ),
        (
            {"config": {"max_output_tokens": 50}},
            {"config": {"max_output_tokens": 50, "maxOutputTokens": 50}},
        ),
        (
            {"config": {"max_output_tokens": "none"}},
            {"config": {"max_output_tokens": 120, "maxOutputTokens": 120}},
        ),
    ],
)
def test_a_budget_limits_it_where_its_api_has_the_limit(settings, limited):
    request = copy.deepcopy(settings)
    clamp(request, 120.0, "google")
    assert request == limited
    unclamp(request)
    assert {name: its for name, its in request.items() if its} == {
        n: its for n, its in settings.items() if its
    }


@pytest.mark.parametrize(
    "config",
    [
        {"candidateCount": 3, "thinkingConfig": {"thinkingBudget": 512}},
        {"candidate_count": 3, "thinking_config": {"thinking_budget": 512}},
    ],
)
def test_its_candidates_share_a_budget_and_thinking_comes_before_an_answer(config):
    request = {"contents": "Why?", "config": config}
    messages = google_messages(None, None, request)
    allowance = allowance_of(1.0, read(**request), messages, request, api_of(messages, None))
    assert allowance.answers == 3
    assert allowance.min_output_tokens == 3 * 513


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("parts", "text", "role", "functionResponse", "response", "inlineData", "config"),
                    *("thinking_config", "max_output_tokens", "maxOutputTokens", "function_declarations"),
                ]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@given(values, values, values, values)
def test_nothing_in_it_is_an_error(contents, system, config, tools):
    request = {"contents": contents, "systemInstruction": system, "generationConfig": config, "tools": tools}
    messages = google_messages(None, None, request)
    prompt = read_prompt(messages, None, request)
    thread_of(messages, request)
    allowance_of(1.0, prompt, messages, request, "google")
    clamp(request, 120.0, "google")
    unclamp(request)
