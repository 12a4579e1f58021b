"""One name, one model: provider's and LiteLLM's names meet, and what may be several is an error that lists
them."""

from __future__ import annotations

import pytest

from rb_litellm.predictors.names import AmbiguousName, UnknownName, resolve, same_model, trained_name


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


OWN = ("small", "vllm/qwen-7b", "qwen-7b")
"""Group, LiteLLM's and the provider's name of one model."""


@pytest.mark.parametrize("name", OWN)
def test_each_name_of_a_model_finds_it_among_the_predictors(name: str) -> None:
    assert trained_name(OWN, [name, "llama"], {}) == name
    assert trained_name(OWN, ["mine", "llama"], {name: "mine"}) == "mine"
    assert trained_name(OWN, ["vllm/mine", "llama"], {name: "mine"}) == "vllm/mine"


def test_a_model_that_the_predictor_knows_by_several_names_is_an_error_unless_one_is_given() -> None:
    known = ["small", "qwen-7b"]
    with pytest.raises(AmbiguousName, match="by several names: qwen-7b, small"):
        trained_name(OWN, known, {})
    assert trained_name(OWN, known, {"small": "qwen-7b"}) == "qwen-7b"
    with pytest.raises(AmbiguousName, match="said to be any of qwen-7b, small"):
        trained_name(OWN, known, {"small": "qwen-7b", "vllm/qwen-7b": "small"})


def test_providers_of_one_name_are_an_error_and_strangers_are_unknown() -> None:
    with pytest.raises(AmbiguousName, match="a/qwen-7b, b/qwen-7b"):
        trained_name(("x", "qwen-7b"), ["a/qwen-7b", "b/qwen-7b"], {})
    assert trained_name(("x", "c/qwen-7b"), ["a/qwen-7b"], {}) is None
