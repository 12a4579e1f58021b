"""Spend logs with a known truth: written by simulating a cluster, in the form that LiteLLM writes them."""

import json
from datetime import datetime, timedelta, timezone
from random import Random

import numpy as np

from rb_litellm.core.types import Prompt
from rb_litellm.sim.engine import Simulation
from rb_litellm.sim.policies.baseline_policies import ShortestQueue
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
from rb_litellm.sim.workloads.workload import Request, arrivals

EPOCH = datetime(2026, 11, 1, tzinfo=timezone.utc)
IDS = [d.id for tier in PAPER_CLUSTER.tiers for d in tier.deployments()]
TIER_OF = [tier for tier in PAPER_CLUSTER.tiers for _ in range(tier.instances)]


def rows(count=600, rate=8.0, seed=0, streamed=True):
    """Rows of a log of `count` calls to the paper's cluster, balanced by shortest queue."""
    random = Random(seed)
    requests = []
    for number, at in zip(range(count), arrivals("poisson", rate, seed), strict=False):
        length = float(max(2, round(random.lognormvariate(4.8, 0.6))))
        prompt = Prompt(f"question {number}", random.randrange(20, 1500))
        requests.append(Request(number, at, prompt, np.full(4, 0.5), np.full(4, length)))
    served = Simulation(PAPER_CLUSTER, ShortestQueue(len(IDS), seed), requests, seed).run()
    return [_row(one, streamed) for one in served]


def _row(one, streamed):
    tier = TIER_OF[one.deployment]
    asked = one.request
    end = asked.arrival_s + one.e2e_s
    first = asked.arrival_s + one.ttft_s if streamed else end
    cost = asked.prompt.input_tokens * tier.input_usd_per_million
    cost += one.output_tokens * tier.output_usd_per_million
    return {
        "request_id": f"call-{asked.number}",
        "startTime": _at(asked.arrival_s),
        "completionStartTime": _at(first),
        "endTime": _at(end),
        "model": f"hosted_vllm/{tier.model}",
        "model_group": "auto",
        "model_id": IDS[one.deployment],
        "prompt_tokens": asked.prompt.input_tokens,
        "completion_tokens": one.output_tokens,
        "spend": cost / 1e6,
        "status": "success",
        "proxy_server_request": {"messages": [{"role": "user", "content": asked.prompt.text}]},
    }


def _at(seconds):
    return (EPOCH + timedelta(seconds=seconds)).isoformat()


def write(path, rows):
    """The rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)
