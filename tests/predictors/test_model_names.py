"""Names as people write them, and what the default predictor takes them for."""

import numpy as np
import pytest

from rb_litellm.predictors.default import naming
from rb_litellm.predictors.default.abilities import KINDS
from rb_litellm.predictors.default.artifact import packaged
from rb_litellm.predictors.default.naming import CERTAINTY, resolve
from rb_litellm.predictors.default.table import entries
from rb_litellm.predictors.priors import ModelInfo, size_billions

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
    ("gemini/gemini-2.5-flash-preview-05-20", "gemini-2.5-flash", "dated"),
    ("gemini/gemini-2.5-flash-lite-preview-09-2025", "gemini-2.5-flash-lite", "dated"),
    ("anthropic/claude-sonnet-4-5", "claude-sonnet-4-5-20250929", "name"),
    ("Claude 3.5 Sonnet", "claude-3-5-sonnet-20241022", "name"),
]
OF_PROVIDERS = [
    ("bedrock/anthropic.claude-v2:1", "claude-2.1", "name"),
    ("bedrock/anthropic.claude-v2:0:100k", "claude-2.0", "name"),
    ("bedrock/anthropic.claude-instant-v1", "claude-instant-1", "name"),
    ("bedrock/mistral.mistral-7b-instruct-v0:2", "mistral-7b-instruct-v0.2", "name"),
    ("bedrock/us.deepseek.r1-v1:0", "deepseek-r1", "name"),
    ("bedrock/deepseek.v3-v1:0", "deepseek-v3.1", "name"),
    ("bedrock/openai.gpt-oss-120b-1:0", "gpt-oss-120b", "name"),
    ("bedrock/us.meta.llama3-2-11b-instruct-v1:0", "llama-3.2-11b-vision-instruct", "name"),
    ("bedrock/us.meta.llama4-maverick-17b-instruct-v1:0", "llama-4-maverick", "name"),
    ("vertex_ai/meta/llama-4-scout-17b-16e-instruct-maas", "llama-4-scout", "name"),
    ("vertex_ai/claude-3-5-sonnet-v2@20241022", "claude-3-5-sonnet-20241022", "name"),
    ("groq/llama3-70b-8192", "llama-3-70b-instruct", "name"),
    ("openrouter/mistralai/mistral-small-3.2-24b-instruct", "mistral-small-3.2-24b-instruct-2506", "name"),
    ("openrouter/anthropic/claude-3.7-sonnet:thinking", "claude-3-7-sonnet-20250219", "derived"),
    ("openrouter/moonshotai/kimi-k2-thinking", "kimi-k2-instruct", "derived"),
    ("ollama/deepseek-r1:7b", "deepseek-r1-distill-qwen-7b", "name"),
    ("ollama/deepseek-r1:671b", "deepseek-r1", "name"),
    ("ollama/command-r:35b", "command-r", "name"),
    ("ollama/mistral-nemo:12b", "mistral-nemo-instruct-2407", "name"),
    ("ollama/mistral-small3.1:24b", "mistral-small-3.1-24b-instruct-2503", "name"),
    ("ollama/qwq", "qwq-32b", "name"),
    ("microsoft/Phi-4-multimodal-instruct", "phi-4-mini", "name"),
    ("watsonx/ibm/granite-3-8b-instruct", "granite-3.0-8b-instruct", "name"),
    ("meta/code-llama-instruct-34b-chat", "codellama-34b-instruct", "name"),
    ("ollama/falcon3", "falcon3-7b-instruct", "name"),
    ("tiiuae/Falcon3-10B-Instruct", "falcon3-10b-instruct", "name"),
    ("tiiuae/falcon-7b-instruct", "falcon-7b-instruct", "name"),
    ("minimax/MiniMax-M2", "minimax-m2", "name"),
    ("deepseek/deepseek-v4-flash", "deepseek-v4-flash", "name"),
    ("THUDM/glm-4-9b-chat", "glm-4-9b-chat", "name"),
]
TUNED = [
    ("ft:gpt-3.5-turbo-0125:acme::8xY2", "gpt-3.5-turbo-0125"),
    ("openai/ft:gpt-4o-2024-08-06:acme:mini-bot:AbC", "gpt-4o-2024-08-06"),
]
PATHS = [
    ("/mnt/models/Qwen2.5-72B-Instruct-AWQ/", "qwen2.5-72b-instruct", "quantised"),
    ("/models/llama-3.1-8b-sft/checkpoint-1500", "llama-3.1-8b-instruct", "derived"),
    (
        "/hub/models--Qwen--Qwen2.5-7B-Instruct/snapshots/a09a35458c702b33eeacc393d103063234e8bc28",
        "qwen2.5-7b-instruct",
        "derived",
    ),
    ("qwen2.5-7b-instruct-q5_k_m-00001-of-00002.gguf", "qwen2.5-7b-instruct", "quantised"),
]
WITHOUT_A_POINT = [
    ("azure/gpt-41-mini", "gpt-4.1-mini-2025-04-14"),
    ("gpt35_turbo_instruct", "gpt-3.5-turbo-0125"),
    ("llama31-8b", "llama-3.1-8b-instruct"),
    ("claude35sonnet", "claude-3-5-sonnet-20241022"),
    ("llama-13b", None),
]
LATER = [
    ("gemini/gemini-3-pro-preview", "gemini-2.5-pro"),
    ("gemini/gemini-3.1-flash-lite", "gemini-2.5-flash-lite"),
    ("gpt-5.4", "gpt-5-2025-08-07"),
    ("gpt-5.4-nano", "gpt-5-nano-2025-08-07"),
    ("claude-sonnet-4-6", "claude-sonnet-4-5-20250929"),
    ("claude-opus-4-6", "claude-sonnet-4-5-20250929"),
    ("claude-5", "claude-sonnet-4-5-20250929"),
    ("deepseek/deepseek-v5-pro", "deepseek-v4-pro"),
    ("openrouter/minimax/minimax-m2.5", "minimax-m2"),
    ("openrouter/z-ai/glm-5", "glm-4.6"),
    ("gemma-4-27b-it", "gemma-3-27b-it"),
    ("bedrock/us.amazon.nova-premier-v1:0", "nova-pro"),
    ("hermes-3-llama-3-8b", "llama-3-8b-instruct"),
]
UNKNOWN = [
    "small",
    "text-embedding-3-small",
    "house-model",
    "qwen2.5-math-7b",
    "llama-3.1-900b",
    "gemma-3-270m-it",
    "qwen2.5vl:7b",
    "gemini-3-pro-image-preview",
    "mistral-ocr-3",
    "claude-mythos-5",
    "gpt-image-1",
    "alpaca-farm-ppo-sim-gpt4-20k",
    "mistral-tuned-on-gpt4-answers",
    "",
    "a" * 10_000,
]


@pytest.mark.parametrize(("written", "entry", "how"), WRITTEN)
def test_a_name_is_found_however_it_is_written(written, entry, how):
    found = resolve(written)
    assert found.entry is not None
    assert (found.entry.name, found.how, found.certainty) == (entry, how, CERTAINTY[how])


@pytest.mark.parametrize(("written", "entry", "how"), OF_PROVIDERS + PATHS)
def test_forms_of_providers_and_paths_are_no_other_model(written, entry, how):
    found = resolve(written)
    assert found.entry is not None
    assert (found.entry.name, found.how) == (entry, how)


@pytest.mark.parametrize(("written", "entry"), TUNED)
def test_of_a_fine_tuned_model_the_one_that_was_tuned_counts_and_nothing_of_its_own_name(written, entry):
    found = resolve(written)
    assert found.entry is not None
    assert (found.entry.name, found.how) == (entry, "derived")


@pytest.mark.parametrize(("written", "entry"), WITHOUT_A_POINT)
def test_a_version_without_its_point_is_a_version(written, entry):
    found = resolve(written).entry
    assert (found and found.name) == entry


@pytest.mark.parametrize(("written", "entry"), LATER)
def test_a_version_after_the_table_is_taken_for_the_newest_before_it(written, entry):
    found = resolve(written)
    assert found.entry is not None
    assert (found.entry.name, found.how) == (entry, "version")


@pytest.mark.parametrize(
    ("written", "entry"),
    [("gpt-4o-minni", "gpt-4o-mini-2024-07-18"), ("lama-3.1-8b", "llama-3.1-8b-instruct")],
)
def test_a_slip_of_the_pen_is_seen_and_less_sure(written, entry):
    found = resolve(written)
    assert found.entry is not None
    assert (found.entry.name, found.how) == (entry, "derived")


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


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_of_whom_nothing_is_known_is_a_medium_model_and_none_of_the_known_ones(kind):
    small, medium, large, nothing, window = (
        packaged().known(info)
        for info in (
            ModelInfo("m", "house-7b"),
            ModelInfo("m", "house-14b"),
            ModelInfo("m", "house-30b"),
            ModelInfo("m", "house"),
            ModelInfo("m", "house", context_window=32_768),
        )
    )
    assert small.abilities[kind] < nothing.abilities[kind] < large.abilities[kind]
    assert nothing.abilities[kind] == window.abilities[kind] == medium.abilities[kind]
    assert nothing.spread[kind] > medium.spread[kind]
    everybody = [packaged().known(ModelInfo("m", entry.name)).abilities[kind] for entry in entries()]
    assert nothing.abilities[kind] < np.mean(everybody)


def test_sizes_in_millions_and_of_effective_parameters_are_sizes():
    assert size_billions("gemma-3-270m-it") == 0.27
    assert size_billions("gemma-3n-e4b-it") == 4.0
    assert size_billions("qwen2.5-14b-instruct-1m") == 14.0
    assert size_billions("bge-m3") is None


@pytest.mark.parametrize(
    ("later", "known"),
    [
        ("qwen3.5-9b", "qwen3-8b"),
        ("qwen3.6-35b-a3b", "qwen3-32b"),
        ("qwen4-72b", "qwen2.5-72b-instruct"),
        ("llama-5-13b", "llama-3.1-8b-instruct"),
        ("gemma-4-31b-it", "gemma-3-27b-it"),
    ],
)
def test_a_later_version_of_no_smaller_size_is_no_lesser_one(later, known):
    told = packaged().known(ModelInfo("m", later))
    assert told.how == "family and size"
    assert np.all(told.abilities >= packaged().known(ModelInfo("m", known)).abilities)


def test_a_variant_of_a_later_version_is_not_held_to_the_versions_before():
    plain, eyed = (
        packaged().known(ModelInfo("m", name)).abilities for name in ("qwen3.5-9b", "qwen3.5-vl-9b")
    )
    assert np.all(eyed < plain)


def test_of_an_unknown_family_the_larger_model_is_the_abler_one():
    sizes = [packaged().known(ModelInfo("m", f"house-{size}b")).abilities for size in (1, 7, 30, 120)]
    assert np.all(np.diff(sizes, axis=0) > 0.0)


def test_a_name_of_many_strange_words_takes_no_long_search(monkeypatch):
    searched = []
    monkeypatch.setattr(naming, "get_close_matches", lambda word, *_: searched.append(word) or [])
    strange = "/".join("-".join(f"strange{letter}" for letter in "abcdefgh") for _ in range(4))
    looked = []
    fit = naming._fit
    monkeypatch.setattr(naming, "_fit", lambda segment: looked.append(segment) or fit(segment))
    assert resolve(strange).entry is None
    assert len(searched) <= 2
    assert len(looked) <= 4
