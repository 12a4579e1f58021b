"""Real Routers over mock answers: the best deployment by quality is known, so a test can say who must win."""

from __future__ import annotations

from typing import Any

import litellm

QUALITY_ONLY = {"weights": {"quality": 1, "latency": 0, "cost": 0}, "predictor": "none"}
"""By quality alone, as it is stated."""
HELLO = [{"role": "user", "content": "Hello"}]


def deployment(
    id: str, quality: float = 0.5, group: str = "auto", info: dict[str, Any] | None = None, **params: Any
) -> dict[str, Any]:
    """A deployment that answers `from ID` without a network."""
    return {
        "model_name": group,
        "litellm_params": {
            "model": f"openai/{id}",
            "api_key": "none",
            "mock_response": f"from {id}",
            "input_cost_per_token": 1e-6,
            "output_cost_per_token": 1e-6,
            **params,
        },
        "model_info": {"id": id, "routebalance": {"quality": quality}, **(info or {})},
    }


def router(*deployments: dict[str, Any], **settings: Any) -> litellm.Router:
    """A Router that goes by quality alone and retries nothing, unless `settings` say otherwise."""
    given: dict[str, Any] = {
        "routing_strategy": "routebalance",
        "num_retries": 0,
        "retry_after": 0,
        "disable_cooldowns": True,
        **settings,
    }
    if given["routing_strategy"] == "routebalance":
        given.setdefault("routing_strategy_args", QUALITY_ONLY)
    return litellm.Router(model_list=list(deployments), **given)


async def ask(of: litellm.Router, model: str = "auto", **kwargs: Any) -> str:
    """The id of the deployment that answered a chat request."""
    response = await of.acompletion(model=model, messages=kwargs.pop("messages", HELLO), **kwargs)
    return answered_by(response)


def answered_by(response: Any) -> str:
    """The id of the deployment behind a response."""
    return str(response._hidden_params["model_id"])
