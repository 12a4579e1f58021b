"""What would have changed: the choices of shadow mode beside those that served, added up.

Both sides are predictions of the same model for the same request at the same moment, so their difference
is fair; how good the predictions are is told by the side that was measured. A choice that would have been
made changes the load that later requests meet, which nobody can know from watching: with many moves,
`routebalance replay` on the same logs says more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

MAX_MOVES = 50
"""Pairs of models told of, those with the most requests."""
_FIGURES = ("quality", "e2e_s", "ttft_s", "cost_usd")


def summarise(decisions: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up decision records (as JSON values) of shadow mode; others are passed over.

    Means per request of what was predicted for the deployment that served and for the one that would have
    been chosen; `measured_e2e_s` beside `predicted_e2e_s` of the same requests shows how far to believe it.
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
