"""`routebalance calibrate`: it asks first, sends nothing where it is told so, and overwrites nothing."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from rb_litellm.calibration.document import read_document
from rb_litellm.cli import main
from rb_litellm.config import parse_deployment
from rb_litellm.demo.processes import Child, free_port, listens


def calibrate(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, ["calibrate", *arguments], input=answer)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A mock server with three slots, ten times as fast as real."""
    port = free_port()
    command = [sys.executable, "-m", "rb_litellm.demo.backend", "--port", str(port), "--tier", "paper-3b"]
    more = ["--model", "m", "--slots", "3", "--time-scale", "10"]
    log = tmp_path_factory.mktemp("server") / "log"
    with Child("mock server", [*command, *more], log, os.environ) as child:
        child.wait_until(lambda: listens(port), 60.0)
        yield f"http://127.0.0.1:{port}/v1"


def test_a_dry_run_sends_nothing() -> None:
    result = calibrate("--url", f"http://127.0.0.1:{free_port()}/v1", "--dry-run", "--json")
    assert result.exit_code == 0
    bounds = json.loads(result.stdout)
    assert bounds["dry_run"] is True
    assert {"requests", "prompt_tokens", "answer_tokens", "seconds"} <= set(bounds)
    assert f"at most {bounds['requests']} requests" in result.stderr


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_without_a_yes_nothing_is_sent(answer: str) -> None:
    result = calibrate("--url", f"http://127.0.0.1:{free_port()}/v1", answer=answer)
    assert result.exit_code == 1
    assert "Aborted" in result.stderr


def test_a_dead_server_is_a_failure_on_standard_error() -> None:
    result = calibrate("--url", f"http://127.0.0.1:{free_port()}/v1", "--yes")
    assert result.exit_code == 1
    assert "does not answer" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("how", ["--yes", "--dry-run"])
def test_an_address_that_is_none_is_wrong(how: str) -> None:
    result = calibrate("--url", "gpu-3:8000", how)
    assert result.exit_code == 2
    assert "'gpu-3:8000' is no address; allowed is one such as http://gpu-3:8000/v1" in result.stderr


def test_a_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    result = calibrate("--url", "http://127.0.0.1:9/v1", "--yes", "--out", str(tmp_path / "there"))
    assert result.exit_code == 1
    assert "nothing is overwritten" in result.stderr
    assert (tmp_path / "there").read_text() == "mine"


def test_what_is_written_are_settings_and_a_calibration(server: str, tmp_path: Path) -> None:
    file = tmp_path / "measured.yaml"
    result = calibrate("--url", server, "--yes", "--json", "--quiet", "--out", str(file))
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert set(told) >= {
        "url", "model", "ttft_ms", "tpot_ms", "slots", "context_window", "prefix_cache", "fit_error"
    }  # fmt: skip
    assert read_document(file).model_dump(mode="json") == told
    info = yaml.safe_load(file.read_text())["model_info"]
    # Real time on a busy machine: which slots are found is for the tests in virtual time.
    assert parse_deployment(info["routebalance"], "it").max_num_seqs == told["slots"]
    assert info["max_input_tokens"] == told["context_window"]


class Measured:
    """What was found, as far as it is printed and written."""

    def as_yaml(self) -> str:
        return "x" * 100_000

    def model_dump_json(self) -> str:
        return '{"slots": 3}'


def test_what_was_measured_is_told_where_the_file_finds_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def measured(*_: object) -> Measured:
        return Measured()

    monkeypatch.setattr("rb_litellm.cli.operate.calibrate._measure", measured)
    file = tmp_path / "measured.yaml"
    bound = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, bound[1]))
    try:
        result = calibrate("--url", "http://127.0.0.1:9/v1", "--yes", "--json", "--out", str(file))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, bound)
    assert (result.exit_code, json.loads(result.stdout)) == (1, {"slots": 3})
    assert f"Error: {file}: File too large" in result.stderr
    assert not file.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("model_info: {}", "holds no `calibration`"),
        ("calibration: {url: u}", "missing, and needed"),
        ("a: [", "is not YAML"),
        (f"a: {'[' * 3000}{']' * 3000}", "more than 100 levels"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_none_says_why(content: str | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_document(file)
