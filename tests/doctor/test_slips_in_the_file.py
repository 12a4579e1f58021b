"""Slips on which LiteLLM ends without naming the place, or that it takes without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from rb_litellm.doctor import repeated_keys
from rb_litellm.doctor.configuration import Configuration
from rb_litellm.litellm_adapter.proxy.starting.config_files import merged, read_files
from tests.doctor.test_doctor import examine

GOOD = """\
model_list:
  - model_name: small
    litellm_params: {model: hosted_vllm/qwen2.5-7b, api_base: "http://127.0.0.1:9/v1"}
  - model_name: small
    litellm_params: {model: hosted_vllm/qwen2.5-7b, api_base: "http://127.0.0.1:8/v1"}
router_settings:
  routing_strategy: routebalance
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "config.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("model_name: small", "model_name: 405", "model_list.0.model_name: holds 405; allowed is a text"),
        ("- model_name: small\n    ", "- ", "model_list.0.model_name: missing, and needed"),
        ("model: hosted_vllm/qwen2.5-7b, ", "", "model_list.0.litellm_params.model: missing, and needed"),
        (
            "api_base",
            "input_cost_per_token: free, api_base",
            "model_list.0.litellm_params.input_cost_per_token: holds 'free'; allowed is a number, 0",
        ),
        ("model_list:\n", "model_list:\n  -\n", "model_list.0: is empty; allowed is a mapping"),
    ],
)
def test_an_entry_that_litellm_cannot_take_is_an_error_with_its_place(
    before: str, after: str, told: str, tmp_path: Path
) -> None:
    config = Configuration(Path("c"), merged(read_files(written(tmp_path, GOOD.replace(before, after, 1)))))
    (message,) = config.misshapen
    assert message.startswith(told)


@pytest.mark.parametrize("price", ["6e-8", "0", "os.environ/PRICE_THAT_NOBODY_SET"])
def test_a_price_that_litellm_takes_is_none(price: str, tmp_path: Path) -> None:
    text = GOOD.replace("api_base", f"input_cost_per_token: {price}, api_base")
    assert not Configuration(Path("c"), merged(read_files(written(tmp_path, text)))).misshapen


def test_a_section_that_stands_twice_is_told_with_its_lines(tmp_path: Path) -> None:
    """The lines were added; another section of that name further down hides them."""
    file = written(tmp_path, f"{GOOD}router_settings:\n  num_retries: 2\n")
    status, findings = examine(file)
    told = [finding for finding in findings if finding["check"] == "file"]
    assert [(one["level"], one["message"]) for one in told] == [
        ("warn", f"{file}: router_settings stands in line 6 and again in line 8; the last one counts alone")
    ]
    assert status == 1  # nothing routes by RouteBalance then


def test_keys_below_are_told_by_their_path_and_anchors_are_read_once(tmp_path: Path) -> None:
    text = GOOD.replace("api_base", "model: x, api_base", 1)
    doubling = "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 16))
    merging = "base: &b {x: 1}\nmore: {<<: *b, <<: *b}\n"
    files = read_files(written(tmp_path, f"a0: &a0 [x]\n{doubling}{merging}{text}"))
    (finding,) = repeated_keys.check(files)
    assert "model_list.0.litellm_params.model stands in line" in finding.message
