"""The folder that `--out` asks for.

results.json     what `--json` prints
requests.parquet one row per request of every run
report.html      tables and plots in one file that needs nothing else
plots/*.png      the plots
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rb_litellm.sim.report.blocks import Block
from rb_litellm.sim.report.html import page
from rb_litellm.sim.results import RunResult


def write_report(
    out: Path,
    title: str,
    results: Sequence[RunResult],
    document: dict[str, Any],
    blocks: Sequence[Block] = (),
) -> None:
    """Write the folder; `blocks` are shown before the runs.

    Raises:
        ValueError: polars or matplotlib are missing; says what to install.
        OSError: the folder cannot be written.
    """
    try:
        from rb_litellm.sim.report.plots import all_plots, as_bytes
    except ImportError as error:
        raise ValueError(f"--out needs {error.name}; install 'rb_litellm[sim]'") from None
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    write_requests(out / "requests.parquet", results)
    write_plots(out / "plots", results)
    drawn = {name: as_bytes(figure, "svg").decode() for name, figure in all_plots(results).items()}
    (out / "report.html").write_text(page(title, results, drawn, blocks), encoding="utf-8")


def write_plots(folder: Path, results: Sequence[RunResult], prefix: str = "") -> None:
    """Every plot as a PNG.

    Raises:
        ValueError: matplotlib is missing.
        OSError: the folder cannot be written.
    """
    try:
        from rb_litellm.sim.report.plots import all_plots, as_bytes
    except ImportError as error:
        raise ValueError(f"plots need {error.name}; install 'rb_litellm[sim]'") from None
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in all_plots(results).items():
        (folder / f"{prefix}{slug(name)}.png").write_bytes(as_bytes(figure, "png"))


def write_requests(path: Path, results: Sequence[RunResult]) -> None:
    """One row per answered request of every run, as Parquet.

    Raises:
        ValueError: polars is missing.
    """
    try:
        import polars
    except ImportError:
        raise ValueError("--out needs polars; install 'rb_litellm[sim]'") from None
    frames = [
        polars.DataFrame(
            {
                "policy": [result.policy] * result.e2e_s.size,
                "rate": result.rate,
                "seed": result.seed,
                "ttft_s": result.ttft_s,
                "e2e_s": result.e2e_s,
                "quality": result.quality,
                "cost_usd": result.cost_usd,
                "tier": [result.tiers[tier] for tier in result.tier],
                "deployment": result.deployment,
            },
            schema_overrides={"policy": polars.Categorical, "tier": polars.Categorical},
        )
        for result in results
    ]
    polars.concat(frames).write_parquet(path)


def slug(name: str) -> str:
    """A title as a file name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
