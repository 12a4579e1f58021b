"""What each kind of server tells of its load, in the words of its releases."""

import pytest

from rb_litellm.state.servers.facts import facts_url, stated_slots, stated_window
from rb_litellm.state.servers.metrics import MetricsError, ServerLoad, read_metrics

LLAMA = """\
# HELP llamacpp:requests_processing Number of requests processing.
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 2
llamacpp:requests_deferred 6
llamacpp:n_busy_slots_per_decode 1.9
"""
TGI = "tgi_queue_size 7\ntgi_batch_current_size 4\n"
LMDEPLOY = """\
lmdeploy:num_requests_running{engine="0",model_name="m"} 3.0
lmdeploy:num_requests_running{engine="1",model_name="m"} 1.0
lmdeploy:num_requests_waiting{engine="0",model_name="m"} 2.0
lmdeploy:gpu_cache_usage_perc{engine="0",model_name="m"} 0.75
"""
TRTLLM = "trtllm_num_requests_running 5\ntrtllm_num_requests_waiting 1\ntrtllm_kv_cache_utilization 0.5\n"
TRITON = """\
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="scheduled",version="1"} 5
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="waiting",version="1"} 3
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="max",version="1"} 8
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="tensorrt_llm",version="1"} 0.25
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="tensorrt_llm",version="1"} 900
"""
ITERATIONS = """\
[{"numActiveRequests": 99}, {"numActiveRequests": 4, "numQueuedRequests": 2, "maxNumActiveRequests": 16,
  "kvCacheStats": {"usedNumBlocks": 25, "maxNumBlocks": 100}}]
"""


@pytest.mark.parametrize(
    ("text", "load"),
    [
        (LLAMA, ServerLoad(2, 6, None, "llama.cpp")),
        (TGI, ServerLoad(4, 7, None, "TGI")),
        (LMDEPLOY, ServerLoad(4, 2, 0.75, "LMDeploy")),
        (TRTLLM, ServerLoad(5, 1, 0.5, "TensorRT-LLM")),
        (TRITON, ServerLoad(5, 3, 0.25, "TensorRT-LLM on Triton", 8)),
        (ITERATIONS, ServerLoad(4, 2, 0.25, "TensorRT-LLM", 16)),
        ("[]", ServerLoad(0, 0, None, "TensorRT-LLM")),
    ],
)
def test_the_load_is_found(text, load):
    assert read_metrics(text) == load


@pytest.mark.parametrize("name", ["kv_cache_usage_perc", "gpu_cache_usage_perc"])
def test_a_name_that_changed_between_releases_is_found(name):
    assert read_metrics(f"vllm:num_requests_running 1\nvllm:{name} 0.97").cache_use == 0.97


def test_data_parallel_ranks_are_added_and_tensor_parallel_ones_are_not():
    lines = [
        f'sglang:num_running_reqs{{dp_rank="{dp}",tp_rank="{tp}"}} {3 + dp}' for dp in (0, 1) for tp in (0, 1)
    ]
    assert read_metrics("\n".join(lines)).running == 7


def test_a_rank_without_a_figure_of_its_cache_leaves_the_others():
    page = (
        'sglang:num_running_reqs{dp_rank="0"} 4\n'
        'sglang:token_usage{dp_rank="0"} 0.28\n'
        'sglang:token_usage{dp_rank="1"} NaN\n'
    )
    assert read_metrics(page) == ServerLoad(4, 0, 0.28, "SGLang")


def test_running_requests_that_are_no_number_are_refused():
    with pytest.raises(MetricsError, match="num_requests_running is nan"):
        read_metrics('vllm:num_requests_running{engine="0"} NaN\nvllm:num_requests_running{engine="1"} 2')


def test_one_broken_line_does_not_make_another_number():
    with pytest.raises(MetricsError):
        read_metrics('vllm:num_requests_running{engine="0"} 5\nvllm:num_requests_running{engine="1} x')


@pytest.mark.parametrize("text", ["[{}]", '{"error": "no"}', '[{"numActiveRequests": true}]', "[" * 100_000])
def test_other_json_is_refused(text):
    with pytest.raises(MetricsError):
        read_metrics(text)


@pytest.mark.parametrize(
    ("told", "slots"),
    [
        ('{"total_slots": 4, "model_path": "m.gguf"}', 4),
        ('{"max_running_requests": 128}', 128),
        ('{"max_running_requests": null, "internal_states": [{"effective_max_running_requests_per_dp": 64}, '
         '{"effective_max_running_requests_per_dp": 64}]}', 128),
        ('{"total_slots": true}', None),
        ('{"total_slots": 0}', None),
        ("[]", None),
        ("no", None),
    ],
)  # fmt: skip
def test_stated_slots_are_found(told, slots):
    assert stated_slots(told) == slots


@pytest.mark.parametrize(
    ("told", "window"),
    [
        ('{"data": [{"id": "m", "max_model_len": 32768}]}', 32_768),
        ('{"data": [{"id": "m", "max_model_len": 32768}, {"id": "lora", "max_model_len": null}]}', 32_768),
        ('{"data": [{"id": "m", "max_model_len": 32768}, {"id": "n", "max_model_len": 4096}]}', None),
        ('{"data": [{"id": "m"}, 3]}', None),
        ('{"data": "m"}', None),
        ('{"total_slots": 4, "default_generation_settings": {"n_ctx": 4096}}', 4_096),
        ('{"context_length": 8192, "max_running_requests": 8}', 8_192),
        ('{"context_length": true}', None),
        ('{"context_length": -1}', None),
        ('{"context_length": 1e300}', None),
        ("[]", None),
        ("no", None),
    ],
)
def test_stated_windows_are_found(told, window):
    assert stated_window(told) == window


def test_facts_are_beside_the_metrics():
    assert facts_url("http://gpu:8080/metrics", "llama.cpp") == "http://gpu:8080/props"
    assert facts_url("http://gpu:8080/metrics", "") == "http://gpu:8080/props"
    assert facts_url("http://gpu:8080/metrics", "vLLM") == "http://gpu:8080/v1/models"
    assert facts_url("http://gpu:8080/metrics", "TGI") is None
    assert facts_url("http://gpu:9090/elsewhere", "llama.cpp") is None
