"""The Hugging Face hub that LiteLLM asks on its event loop is named, with the remedy."""

import logging

import litellm.utils
import pytest

from rb_litellm.litellm_adapter.shared.upkeep.hub_stalls import HubNotice, asking_the_hub


def entry(model, id="d-1"):
    return {"model_name": "m", "litellm_params": {"model": model}, "model_info": {"id": id}}


NAMES = ("hosted_vllm/Llama-3.1-8B", "ollama/llama-2-7b", "replicate/x", "hosted_vllm/qwen2.5-3b")


@pytest.mark.parametrize("name", NAMES)
def test_the_names_are_those_for_which_litellm_asks(name):
    kind_of = getattr(litellm.utils, "huggingface_tokenizer_kind", None)
    if kind_of is None:
        pytest.skip("this LiteLLM has another name for it")
    assert bool(asking_the_hub([entry(name)])) == (kind_of(name) is not None)


def test_a_deployments_id_is_enough():
    assert asking_the_hub([entry("hosted_vllm/m", id="rack-2-llama-3")]) == ["rack-2-llama-3"]


def test_it_is_said_once_with_the_remedy(caplog):
    notice = HubNotice()
    with caplog.at_level(logging.WARNING, "rb_litellm"):
        for _ in range(3):
            notice.tell([entry("hosted_vllm/llama-3-8b")], off=False)
    (record,) = caplog.records
    assert "disable_hf_tokenizer_download: true" in record.getMessage()


def test_where_it_is_off_nothing_is_said(caplog):
    HubNotice().tell([entry("hosted_vllm/llama-3-8b")], off=True)
    assert not caplog.records
    assert hasattr(litellm, "disable_hf_tokenizer_download")
