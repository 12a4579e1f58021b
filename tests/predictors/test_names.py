"""One name, one model: provider's and LiteLLM's names meet, and what may be several is an error that lists
them."""

from __future__ import annotations

import pytest

from rb_litellm.predictors.names import AmbiguousName, UnknownName, resolve, same_model


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [
        ("qwen", ["qwen", "vllm/qwen"], "qwen"),
        ("vllm/qwen", ["qwen"], "qwen"),
        ("qwen", ["vllm/qwen", "llama"], "vllm/qwen"),
        ("azure/gpt-4o", ["openai/gpt-4o"], None),
        ("qwen", ["llama"], None),
    ],
)
def test_names_that_differ_by_the_provider_alone_are_one_models(
    name: str, known: list[str], found: str | None
) -> None:
    assert same_model(name, known) == found


def test_a_name_of_several_models_is_an_error_that_lists_them() -> None:
    with pytest.raises(AmbiguousName, match="azure/gpt-4o, openai/gpt-4o"):
        same_model("gpt-4o", ["openai/gpt-4o", "azure/gpt-4o"])
    with pytest.raises(AmbiguousName, match="large, small"):
        resolve("auto", {"auto": {"small", "large"}}, "--quality")


def test_an_unknown_name_is_an_error_that_lists_what_there_is() -> None:
    with pytest.raises(
        UnknownName, match="--quality 'medium': there is no such name; there are large, small"
    ):
        resolve("medium", {"small": {"a"}, "large": {"b"}}, "--quality")
