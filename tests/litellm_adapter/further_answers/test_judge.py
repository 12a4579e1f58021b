"""What is known of a judge belongs to the model that judges, not to the name that it has in the proxy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rb_litellm.config import JudgeSettings
from rb_litellm.litellm_adapter.further_answers.judge import LOOK_EVERY_S, Judge
from rb_litellm.litellm_adapter.runtime import Runtime


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def entry(model: str) -> dict[str, Any]:
    priced = {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}
    params = {"model": model, "api_base": "http://localhost:9", **priced}
    return {"model_name": "judge", "litellm_params": params, "model_info": {"id": "judge-1"}}


def test_another_model_under_the_judges_name_is_learned_anew_and_the_first_is_known_again() -> None:
    clock, router = Clock(), SimpleNamespace(model_list=[entry("hosted_vllm/old")])
    worker: Any = SimpleNamespace(runtime=Runtime(clock))
    judge = Judge(router, JudgeSettings(model="judge"), worker, "cascade")

    def looked_up() -> tuple[float, float]:
        clock.now += LOOK_EVERY_S
        assert judge.deployment is not None
        return judge.rates.rates()

    stated = looked_up()
    for _ in range(100):
        judge.rates.judged(0.5, True)
    judge.discernment.graded(0.5, 0.9, 1.0)
    learned = looked_up()
    assert learned[1] > stated[1] + 0.1
    router.model_list = [entry("hosted_vllm/new")]
    assert looked_up() == stated
    assert judge.discernment.share(0.5) == pytest.approx(0.5)
    router.model_list = [entry("hosted_vllm/old")]
    assert looked_up() == learned
