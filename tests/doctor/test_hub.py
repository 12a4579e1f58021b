"""The doctor names models for which LiteLLM asks the Hugging Face hub on its event loop."""

from tests.doctor.conftest import Write, auto, model
from tests.doctor.test_doctor import found


def test_a_name_that_asks_the_hub_is_told_with_the_remedy(write: Write) -> None:
    entries = [model("small", name="hosted_vllm/llama-3-8b"), model("large")]
    file = write(model_list=entries, router_settings=auto("small", "large"))
    ((level, message),) = found(file, "tokenizers")
    assert (level, "llama-3-8b" in message) == ("warn", True)


def test_where_the_download_is_switched_off_nothing_is_told(write: Write) -> None:
    entries = [model("small", name="hosted_vllm/llama-3-8b"), model("large")]
    settings = {"disable_hf_tokenizer_download": True}
    assert not found(
        write(model_list=entries, router_settings=auto("small", "large"), litellm_settings=settings),
        "tokenizers",
    )
