"""Priors of deployments that nobody has described: bigger is slower, hosted shows no queue."""

import math
from itertools import pairwise

import pytest

from rb_litellm.core.latency.hardware import billions_of_parameters, latency_prior

SIZES = [
    "qwen2.5-0.5b",
    "qwen2.5-3b-instruct",
    "llama-3.1-8b",
    "phi-14b",
    "qwen-32b",
    "llama-3-70b",
    "x-405b",
]


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("llama-3.1-8b", 8.0),
        ("hosted_vllm/Qwen/Qwen2.5-72B-Instruct", 72.0),
        ("qwen2.5-0.5b", 0.5),
        ("mixtral-8x7b-instruct", 56.0),
        ("ollama/llama3:70b", 70.0),
        ("gemma-3-270m-it", 0.27),
        ("gemma-3n-e4b-it", 4.0),
        ("qwen2.5-14b-instruct-1m", 14.0),
        ("gpt-4o", None),
        ("claude-3-5-sonnet", None),
        ("text-embedding-3-small", None),
        ("gpt-3.5-turbo-16k", None),
    ],
)
def test_the_size_is_read_from_the_name(name, billions):
    assert billions_of_parameters(name) == billions


def test_larger_models_are_slower_in_everything():
    priors = [latency_prior(name, hosted=False) for name in SIZES]
    for small, large in pairwise(priors):
        assert small.tpot_s <= large.tpot_s
        assert small.ttft_s <= large.ttft_s
        assert small.prefill_s_per_token < large.prefill_s_per_token
    assert priors[0].tpot_s < priors[-1].tpot_s


@pytest.mark.parametrize(("name", "tpot_ms"), [("a-3b", 12.0), ("a-8b", 20.0), ("a-72b", 47.0)])
def test_the_papers_sizes_have_the_papers_times(name, tpot_ms):
    assert latency_prior(name, hosted=False).tpot_s == pytest.approx(tpot_ms / 1000)


def test_a_name_without_a_size_gets_a_middling_prior():
    unknown = latency_prior("my-model", hosted=False).tpot_s
    assert latency_prior("a-3b", hosted=False).tpot_s < unknown < latency_prior("a-32b", hosted=False).tpot_s


def test_a_hosted_api_is_flat_in_load_and_starts_later():
    hosted, own = latency_prior("a-8b", hosted=True), latency_prior("a-8b", hosted=False)
    assert hosted.slots == math.inf
    assert hosted.tpot_s_per_running == 0.0
    assert hosted.ttft_s > own.ttft_s


def test_what_the_settings_say_outranks_the_table():
    prior = latency_prior("a-8b", hosted=False, tpot_ms=33.0, ttft_ms=77.0, max_num_seqs=12)
    assert (prior.tpot_s, prior.ttft_s, prior.slots) == (pytest.approx(0.033), pytest.approx(0.077), 12.0)
