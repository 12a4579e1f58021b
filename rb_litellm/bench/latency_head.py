"""Would boosted trees forecast latency better than the online form? Measured on the simulated cluster.

Per tier and kind of time, XGBoost learns log(measured / online forecast) from the load at sending and the
request: what a head trained offline could add. It is trained on all runs of one seed and held against the
runs of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rb_litellm.bench.latency import PROCESSES, WARM, Forecasts, simulate
from rb_litellm.core.types import FloatArray
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER

_COLUMNS = {"e2e": 5, "ttft": 4}
"""Features used: a first token knows nothing of the output's length, which comes last."""
_ROUNDS = 200
_PARAMETERS = {"objective": "reg:absoluteerror", "max_depth": 6, "eta": 0.1, "subsample": 0.8, "nthread": 2}


def run(
    rates: Sequence[float],
    seeds: Sequence[int],
    requests: int,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Errors of warm deployments per load, of the online form and with the head; needs two seeds or more."""
    train, held_out = [], []
    for rate in rates:
        for process in PROCESSES:
            first, *others = [simulate(process, rate, seed, requests) for seed in seeds]
            train.append(first)
            held_out.append((process, rate, others))
            told(f"{process} at {rate:g} requests/s")
    rows = _compare(train, held_out)
    return {"rows": rows, "seeds": list(seeds), "requests": requests, "warm_after": WARM}


def _compare(
    train: Sequence[Forecasts], held_out: Sequence[tuple[str, float, Sequence[Forecasts]]]
) -> list[dict[str, Any]]:
    """Per (arrivals, rate, runs) held out: mean errors of warm deployments, online form and with the head."""
    rows: list[dict[str, Any]] = [
        {"arrivals": process, "rate": rate, "requests": sum(int((run.nth >= WARM).sum()) for run in runs)}
        for process, rate, runs in held_out
    ]
    for kind in _COLUMNS:
        heads = _train(train, kind)
        for row, (_, _, runs) in zip(rows, held_out, strict=True):
            warm = [run.nth >= WARM for run in runs]
            online = np.concatenate([run.error(kind)[w] for run, w in zip(runs, warm, strict=True)])
            headed = np.concatenate([_error(run, kind, heads)[w] for run, w in zip(runs, warm, strict=True)])
            if online.size:
                row[f"{kind}_mape_online"] = round(float(online.mean()), 4)
                row[f"{kind}_mape_head"] = round(float(headed.mean()), 4)
    return rows


def _train(runs: Sequence[Forecasts], kind: str) -> list[Any]:
    import xgboost

    features = np.concatenate([run.features for run in runs])[:, : _COLUMNS[kind]]
    target = np.concatenate(
        [np.log(getattr(run, f"{kind}_s") / getattr(run, f"predicted_{kind}_s")) for run in runs]
    )
    tier = np.concatenate([run.tier for run in runs])
    return [
        xgboost.train(_PARAMETERS, xgboost.DMatrix(features[tier == number], target[tier == number]), _ROUNDS)
        for number in range(len(PAPER_CLUSTER.tiers))
    ]


def _error(run: Forecasts, kind: str, heads: Sequence[Any]) -> FloatArray:
    measured: FloatArray = getattr(run, f"{kind}_s")
    predicted: FloatArray = getattr(run, f"predicted_{kind}_s").copy()
    for number, head in enumerate(heads):
        own = run.tier == number
        if own.any():
            predicted[own] *= np.exp(head.inplace_predict(run.features[own, : _COLUMNS[kind]]))
    return np.abs(predicted - measured) / measured
