"""The predictor that ships is what its command makes of the public data, byte for byte.

Bytes hang on the releases of NumPy and XGBoost, so that it is asked for by `ROUTEBALANCE_ARTIFACT=1`, and
takes NumPy 2.4.6 and XGBoost 3.2.0. They do not hang on the kernels that BLAS chooses by the processor.
"""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rb_litellm.predictors.default.artifact import PACKAGED, to_files
from rb_litellm.train.data.dataset import read_dataset
from rb_litellm.train.default.fit import fit_default

SETS = ("quality_tasks", "quality_math_code", "quality_chat_wide", "quality_length_chat")


@pytest.mark.skipif("ROUTEBALANCE_ARTIFACT" not in os.environ, reason="needs ROUTEBALANCE_ARTIFACT=1")
def test_what_ships_is_what_the_command_makes(shared_data: Callable[[str], Path]) -> None:
    data = read_dataset([shared_data(f"{name}.jsonl.gz") for name in SETS])
    card = json.loads((PACKAGED / "card.json").read_text())
    assert data.sha256 == card["data_sha256"]
    made = to_files(fit_default(data, card["seed"]).tables)["tables.npz"]
    shipped = json.loads((PACKAGED / "manifest.json").read_text())["files"]["tables.npz"]
    assert hashlib.sha256(made).hexdigest() == shipped, (
        "train --default makes other bytes than those in predictors/default/artifact: ship what it "
        "makes now, with the figures of --held-out in docs/predictor.md"
    )
