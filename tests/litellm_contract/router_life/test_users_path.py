"""The documented way from one's own data to a predictor that routes, run as it is written there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import litellm
import pytest
import yaml
from click.testing import CliRunner

from rb_litellm.cli import main
from rb_litellm.predictors.trained.model import Predictor
from tests.litellm_contract.routers import QUALITY_ONLY, deployment
from tests.train.conftest import answers

PAGE = Path(__file__).parents[3] / "docs" / "training.md"
CODE, POEM = "tell me about ships def solve(x): return x", "tell me about ships a short poem"
JUDGE = "mock_response=Right.\nSCORE: 8"


def section() -> str:
    return PAGE.read_text().partition("## Train it on your own data")[2].partition("\n## ")[0]


def commands() -> list[list[str]]:
    block = re.findall(r"```sh\n(.*?)```", section(), re.DOTALL)[0]
    return [shlex.split(line, comments=True) for line in block.splitlines() if line.strip()]


def settings() -> dict[str, Any]:
    block = re.findall(r"```yaml\n(.*?)```", section(), re.DOTALL)[0]
    loaded: dict[str, Any] = yaml.safe_load(block)
    return loaded


def run(command: list[str], *more: str) -> str:
    assert command[0] == "routebalance"
    result = CliRunner().invoke(main, [*command[1:], *more])
    assert result.exit_code == 0, result.output
    return result.output


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def configured(path: Path) -> dict[str, Any]:
    config = {**settings(), "model_list": [deployment(name, group=name) for name in ("small", "large")]}
    for entry in config["model_list"]:
        del entry["model_info"]["routebalance"]
    path.write_text(yaml.safe_dump(config))
    return config


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_three_commands_lead_from_answers_to_a_loaded_predictor(folder: Path) -> None:
    label, train, doctor = commands()
    rows = [{**row, "answer": "...", "quality": None} for row in answers(30)]
    lines(folder / "answers.jsonl", rows)
    configured(folder / "config.yaml")
    run(label, "--yes", "--quiet", "--param", JUDGE)
    run(train, "--quiet")
    version = Predictor.load(folder / "predictor").version
    assert f"the predictor ({version}) speaks" in " ".join(run(doctor).split())


def test_spend_logs_and_feedback_lead_to_a_router_that_knows_better(folder: Path) -> None:
    train = shlex.split(re.findall(r"`(routebalance train --from-spend-logs [^`]*)`", section())[0])
    train[train.index("--from-spend-logs") + 1] = "logs.jsonl"
    graded = answers(60)
    lines(
        folder / "logs.jsonl",
        [
            {
                "litellm_call_id": f"c{n}",
                "startTime": "2026-11-01T10:00:00Z",
                "endTime": "2026-11-01T10:00:02Z",
                "model": f"openai/{row['model']}",
                "model_group": row["model"],
                "completion_tokens": row["output_tokens"],
                "proxy_server_request": {"messages": [{"role": "user", "content": row["prompt"]}]},
            }
            for n, row in enumerate(graded)
        ],
    )
    lines(
        folder / "feedback.jsonl", [{"call_id": f"c{n}", "score": r["quality"]} for n, r in enumerate(graded)]
    )
    run(train, "--quiet")
    config = configured(folder / "config.yaml")
    (group,) = config["router_settings"]["routing_groups"]
    group["routing_strategy_args"]["weights"] = QUALITY_ONLY["weights"]
    router = litellm.Router(model_list=config["model_list"], routing_groups=[group], num_retries=0)
    for text, wanted in ((CODE, "from large"), (POEM, "from small")):
        response = router.completion(model="auto", messages=[{"role": "user", "content": text}])
        assert response.choices[0].message.content == wanted
