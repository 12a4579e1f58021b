"""What would have changed: the choices in shadow mode compared with those that served.

Both sides are predictions of the same model for the same request at the same moment, so their difference is
fair. The side that was measured shows how good the predictions are. A different choice would have changed the
load that later requests meet, which watching cannot show: with many moves, `routebalance replay` on the same
logs says more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

MAX_MOVES = 50
"""Pairs of models in the summary, those with the most requests."""
_FIGURES = ("quality", "e2e_s", "ttft_s", "cost_usd")


def summarise(decisions: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Summarise decision records (as JSON values) of shadow mode; others are skipped.

    The figures are means per request of the predictions for the deployment that served and for the one that
    would have been chosen. `measured_e2e_s` and `predicted_e2e_s` are of the same requests, to show how far
    the predictions can be trusted.
    """
    actual, would = [], []
    moves: Counter[tuple[str, str]] = Counter()
    measured: list[tuple[float, float]] = []
    moved = 0
    for decision in decisions:
        theirs, ours = decision.get("predicted"), decision.get("would")
        if not isinstance(theirs, Mapping) or not isinstance(ours, Mapping):
            continue
        actual.append([float(theirs[name]) for name in _FIGURES])
        would.append([float(ours[name]) for name in _FIGURES])
        moved += ours["deployment"] != decision["deployment"]
        moves[str(decision["model"]), str(ours["model"])] += 1
        seen = decision.get("measured")
        if isinstance(seen, Mapping) and "error" not in seen and "open_s" in seen:
            measured.append((float(theirs["e2e_s"]), float(seen["open_s"])))
    if not actual:
        return {"decisions": 0}
    before, after = np.mean(actual, axis=0), np.mean(would, axis=0)
    return {
        "decisions": len(actual),
        "moved_share": round(moved / len(actual), 4),
        "as_served": _named(before),
        "as_routebalance": _named(after),
        "change": {
            "quality": round(float(after[0] - before[0]), 5),
            **{
                name: round(float(after[i] / before[i] - 1.0), 4)
                for i, name in enumerate(_FIGURES)
                if i and before[i] > 0.0
            },
        },
        "predicted_e2e_s": round(float(np.mean([p for p, _ in measured])), 4) if measured else None,
        "measured_e2e_s": round(float(np.mean([m for _, m in measured])), 4) if measured else None,
        "moves": [
            {"from": old, "to": new, "requests": count} for (old, new), count in moves.most_common(MAX_MOVES)
        ],
    }


def _named(means: Any) -> dict[str, float]:
    return {name: round(float(value), 8) for name, value in zip(_FIGURES, means, strict=True)}
