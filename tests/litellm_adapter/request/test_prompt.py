"""Reading requests: every endpoint's shape, and whatever else a client may send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.litellm_adapter.request.body.prompt import (
    MAX_CHARS,
    MAX_MESSAGES,
    counted,
    output_limit,
    read_prompt,
    read_uncounted,
)


def test_a_chat_is_read_turn_by_turn():
    prompt = read_prompt(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi!"},
            {"role": "user", "content": "Why is the sky blue?"},
        ],
        None,
        {"max_tokens": 50},
    )
    assert prompt.text == "Be brief.\n\nHello\n\nHi!\n\nWhy is the sky blue?"
    assert prompt.turns == 2
    assert prompt.system_chars == len("Be brief.")
    assert prompt.max_tokens == 50
    assert 10 < prompt.input_tokens < 20


def test_text_parts_and_images_are_told_apart():
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_000}},
        {"type": "image", "source": {"type": "base64", "data": "B" * 10_000}},
    ]
    prompt = read_prompt([{"role": "user", "content": content}], None, None)
    assert prompt.text == "What is this?"
    assert prompt.images == 2


def test_tools_and_a_structured_format_are_noticed():
    prompt = read_prompt(
        [{"role": "user", "content": "x"}],
        None,
        {"tools": [{"type": "function"}] * 3, "response_format": {"type": "json_object"}},
    )
    assert (prompt.tools, prompt.json_output) == (3, True)
    assert read_prompt([], None, {"response_format": {"type": "text"}}).json_output is False


def test_a_conversation_of_tool_calls_is_read():
    prompt = read_prompt(
        [
            {"role": "user", "content": "Weather in Paris?"},
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "weather"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "18 degrees"},
        ],
        None,
        None,
    )
    assert prompt.text == "Weather in Paris?\n\n18 degrees"


def test_an_anthropic_request_is_read_with_its_system_prompt_and_tool_results():
    prompt = read_prompt(
        [
            {"role": "user", "content": [{"type": "text", "text": "List the files"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "name": "ls", "input": {}}]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "1", "content": "a.txt"},
                    {"type": "tool_result", "content": [{"type": "text", "text": "b.txt"}]},
                ],
            },
        ],
        None,
        {"system": [{"type": "text", "text": "You are a shell."}], "max_tokens": 9},
    )
    assert prompt.text == "You are a shell.\n\nList the files\n\na.txt\n\nb.txt"
    assert prompt.system_chars == len("You are a shell.")


def test_a_responses_request_is_read_with_its_instructions():
    assert read_prompt(None, "Hello", {"instructions": "Be brief."}).text == "Be brief.\n\nHello"
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Look:"}, {"type": "input_image"}]},
        {"type": "function_call_output", "output": "42"},
    ]
    prompt = read_prompt(None, items, {"max_output_tokens": 12})
    assert prompt.text == "Look:\n\n42"
    assert (prompt.images, prompt.max_tokens) == (1, 12)


def test_a_message_object_is_read_like_a_mapping():
    from litellm import Message

    prompt = read_prompt([Message(role="assistant", content="Hi!")], None, None)
    assert prompt.text == "Hi!"


@pytest.mark.parametrize(
    ("body", "text"),
    [("one text", "one text"), (["one", "two"], "one\n\ntwo"), ([[1, 2, 3]], ""), ([1, 2, 3], "")],
)
def test_completion_prompts_and_embedding_inputs_are_read(body, text):
    assert read_prompt(None, body, None).text == text


def test_prompts_counted_together_are_those_that_are_read_alone():
    bodies = ["one text", "", [5, 6, 7], "another, longer text", "a third"]
    together = counted([read_uncounted(None, body, None) for body in bodies])
    assert together == [read_prompt(None, body, None) for body in bodies]
    assert [prompt.input_tokens for prompt in together] == [2, 0, 3, 4, 2]


@pytest.mark.parametrize(("body", "tokens"), [([5, 6, 7], 3), ([[5, 6], [7]], 3)])
def test_tokens_instead_of_text_are_counted(body, tokens):
    assert read_prompt(None, body, None).input_tokens == tokens


@pytest.mark.parametrize(
    "messages",
    [
        None,
        [],
        "",
        "just text",
        b"bytes",
        7,
        {},
        [None],
        [[]],
        [{}],
        [{"role": None, "content": None}],
        [{"role": ["user"], "content": 7}],
        [{"role": "user", "content": {"text": "x"}}],
        [{"role": "user", "content": [None, 7, [], {"type": None}, {"type": "text"}, {"text": 9}]}],
        [{"role": "user"}],
        [{"role": "user", "content": "\ud800 lone surrogate"}],
        [{"role": "user", "content": b"\xff\xfe not utf-8"}],
        [{"role": "user", "content": "<|endoftext|><|im_start|>"}],
        [{"role": "user", "content": "\x00\x1b[31m"}],
    ],
    ids=repr,
)
def test_malformed_messages_make_a_prompt_all_the_same(messages):
    prompt = read_prompt(messages, None, None)
    assert prompt.input_tokens >= 0
    assert prompt.turns >= 1


def test_bytes_that_are_no_utf8_are_replaced_and_not_refused():
    assert (
        read_prompt([{"role": "user", "content": b"caf\xe9 cr\xc3\xa8me"}], None, None).text == "caf� crème"
    )


def test_200_kb_are_read_whole():
    text = "All work and no play makes Jack a dull boy. " * 4600
    prompt = read_prompt([{"role": "user", "content": text}], None, None)
    assert prompt.text == text
    assert len(text) / 8 < prompt.input_tokens < len(text) / 2


def test_what_is_kept_is_bounded_and_the_question_at_the_end_survives():
    many = [{"role": "user", "content": "x" * 10_000}] * (3 * MAX_MESSAGES)
    prompt = read_prompt([*many, {"role": "user", "content": "the question"}], None, None)
    assert len(prompt.text) <= MAX_CHARS
    assert prompt.text.endswith("the question")
    assert prompt.turns <= MAX_MESSAGES


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.sampled_from(["role", "content", "text", "type", "output"]), st.text()),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=20,
)
settings_of_a_request = st.dictionaries(
    st.sampled_from(
        [
            "system",
            "instructions",
            "tools",
            "response_format",
            "max_tokens",
            "max_completion_tokens",
            "stream",
        ]
    ),
    anything,
)


@given(anything, anything, st.one_of(st.none(), settings_of_a_request))
def test_nothing_that_a_client_sends_raises(messages, input, kwargs):
    prompt = read_prompt(messages, input, kwargs)
    assert prompt.input_tokens >= 0
    assert prompt.turns >= 1
    assert prompt.max_tokens is None or prompt.max_tokens >= 1


@pytest.mark.parametrize(
    ("kwargs", "limit"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_output_tokens": 9}, 9),
        ({"max_tokens": 5, "max_completion_tokens": 3}, 3),
        ({"max_tokens": 0}, None),
        ({"max_tokens": -4}, None),
        ({"max_tokens": None}, None),
        ({"max_tokens": "5"}, 5),
        ({"max_tokens": "five"}, None),
        ({"max_tokens": True}, None),
        ({"max_tokens": float("nan")}, None),
        ({"max_tokens": float("inf")}, None),
        ({}, None),
    ],
)
def test_the_clients_limit_on_output_is_its_smallest(kwargs, limit):
    assert output_limit(kwargs) == limit


@pytest.mark.parametrize(
    ("kwargs", "session"),
    [
        ({"litellm_session_id": "s1"}, "s1"),
        ({"metadata": {"session_id": "s2"}}, "s2"),
        ({"litellm_session_id": "s1", "metadata": {"session_id": "s2"}}, "s1"),
        ({"litellm_session_id": "s" * 500}, "s" * 128),
        ({"litellm_session_id": 7, "metadata": []}, ""),
        ({}, ""),
    ],
)
def test_the_clients_session_is_read_where_it_gives_one(kwargs, session):
    assert read_prompt("Hi", None, kwargs).session == session
