"""Names as people write them, and what the default predictor takes them for."""

import numpy as np
import pytest

from rb_litellm.predictors.default.artifact import packaged
from rb_litellm.predictors.default.naming import CERTAINTY, resolve
from rb_litellm.predictors.default.table import entries
from rb_litellm.predictors.priors import ModelInfo

WRITTEN = [
    ("hosted_vllm/Qwen/Qwen2.5-7B-Instruct-AWQ", "qwen2.5-7b-instruct", "quantised"),
    ("bedrock/anthropic.claude-3-5-haiku-20241022-v1:0", "claude-3-5-haiku-20241022", "name"),
    ("bedrock/us.anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet-20241022", "name"),
    ("bedrock/meta.llama3-1-70b-instruct-v1:0", "llama-3.1-70b-instruct", "name"),
    ("bedrock/mistral.mixtral-8x7b-instruct-v0:1", "mixtral-8x7b-instruct-v0.1", "name"),
    ("vertex_ai/claude-3-5-sonnet@20240620", "claude-3-5-sonnet-20240620", "name"),
    ("gpt-4o-mini-2024-07-18", "gpt-4o-mini-2024-07-18", "name"),
    ("azure/gpt-35-turbo", "gpt-3.5-turbo-0125", "name"),
    ("azure/my-gpt4o-deployment", "gpt-4o-2024-08-06", "derived"),
    ("ollama/llama3.1:8b-instruct-q4_K_M", "llama-3.1-8b-instruct", "quantised"),
    ("fireworks_ai/accounts/fireworks/models/llama-v3p1-8b-instruct", "llama-3.1-8b-instruct", "name"),
    ("together_ai/meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo", "llama-3.1-8b-instruct", "name"),
    ("groq/llama-3.1-8b-instant", "llama-3.1-8b-instruct", "name"),
    ("hosted_vllm/TheBloke/Mistral-7B-Instruct-v0.2-GPTQ", "mistral-7b-instruct-v0.2", "quantised"),
    ("hosted_vllm/deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", "deepseek-r1-distill-qwen-32b", "name"),
    ("FuseChat-Qwen-2.5-7B-Instruct", "qwen2.5-7b-instruct", "derived"),
    ("gemini/gemini-2.5-flash-preview-05-20", "gemini-2.5-flash", "version"),
    ("anthropic/claude-sonnet-4-5", "claude-sonnet-4-5-20250929", "name"),
    ("Claude 3.5 Sonnet", "claude-3-5-sonnet-20241022", "name"),
]
UNKNOWN = [
    "small",
    "text-embedding-3-small",
    "house-model",
    "qwen2.5-math-7b",
    "llama-3.1-900b",
    "",
    "a" * 10_000,
]


@pytest.mark.parametrize(("written", "entry", "how"), WRITTEN)
def test_a_name_is_found_however_it_is_written(written, entry, how):
    found = resolve(written)
    assert found.entry is not None
    assert (found.entry.name, found.how, found.certainty) == (entry, how, CERTAINTY[how])


@pytest.mark.parametrize("written", UNKNOWN, ids=lambda name: name[:20])
def test_a_name_of_no_known_model_stands_for_none(written):
    assert resolve(written).entry is None


def test_every_name_and_alias_of_the_table_means_its_own_entry():
    for entry in entries():
        for name in (entry.name, *entry.aliases):
            assert resolve(name).entry is entry, name


def test_a_deployment_of_any_name_is_known_by_its_base_model():
    known = packaged().known(ModelInfo("chat", "azure/prod-eu-2", base_model="azure/gpt-4o-mini"))
    assert known.name == "gpt-4o-mini-2024-07-18"


def test_like_overrides_the_name():
    known = packaged().known(ModelInfo("chat", "gpt-4o", like="mistral-7b"))
    assert known.name == "mistral-7b-instruct-v0.3"
    assert known.how == "like mistral-7b-instruct-v0.3"


def test_what_is_in_no_table_is_judged_by_family_size_price_and_then_by_nothing():
    by = [
        packaged().known(info)
        for info in (
            ModelInfo("m", "qwen2.5-40b"),
            ModelInfo("m", "houseware-40b"),
            ModelInfo("m", "house", usd_per_million_tokens=0.5),
            ModelInfo("m", "house"),
        )
    ]
    assert [known.how for known in by] == ["family and size", "size", "price", "unknown"]
    certainty = [known.certainty for known in by]
    assert certainty == sorted(certainty, reverse=True)
    assert len(set(certainty)) == 4


def test_of_an_unknown_family_the_larger_model_is_the_abler_one():
    sizes = [packaged().known(ModelInfo("m", f"house-{size}b")).abilities for size in (1, 7, 30, 120)]
    assert np.all(np.diff(sizes, axis=0) > 0.0)
