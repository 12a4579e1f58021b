"""Aliases that stand for too much are refused before they are written out."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rb_litellm.bounded_yaml import MAX_DEPTH, BeyondBounds, load
from rb_litellm.litellm_adapter.proxy.starting.config_files import ConfigUnreadable, read_config

LISTS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 30))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 30))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (LISTS, "line 20: aliases (*) stand for more than 1,000,000 values; allowed are so many"),
        (MERGES, "line 19: aliases (*) stand for more than 1,000,000 values; allowed are so many"),
        ("x: 1\na: &a [*a]\n", "line 2: an alias (*) stands inside of what it stands for"),
        ("a: &a {b: {c: *a}}\n", "line 1: an alias (*) stands inside of what it stands for"),
        (f"a: {'[' * 200}{']' * 200}", f"has more than {MAX_DEPTH} levels; allowed are so many"),
        (f"a: {'[' * 3000}{']' * 3000}", f"has more than {MAX_DEPTH} levels; allowed are so many"),
    ],
)
def test_a_file_that_stands_for_too_much_is_named_with_its_line(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigUnreadable) as caught:
        read_config(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert told in str(caught.value)
    with pytest.raises(BeyondBounds):
        load(text)


@pytest.mark.parametrize("text", ["", "# nothing\n", "null", "a: 1", "- 1\n- 2", f"{'[' * 90}{']' * 90}"])
def test_what_is_within_bounds_is_what_yaml_says(text: str) -> None:
    assert load(text) == yaml.safe_load(text)


def test_one_default_for_a_thousand_deployments_is_within_bounds(tmp_path: Path) -> None:
    """What aliases are for."""
    entries = "".join(
        f"  - {{model_name: m{n}, litellm_params: {{<<: *b, model: x}}}}\n" for n in range(1000)
    )
    text = f"base: &b {{rpm: 60, api_base: http://here}}\nmodel_list:\n{entries}"
    file = tmp_path / "config.yaml"
    file.write_text(text)
    assert read_config(file) == yaml.safe_load(text)
