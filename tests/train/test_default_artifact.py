"""The predictor that ships is what its command makes of the public data, byte for byte."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rb_litellm.predictors.default.artifact import PACKAGED, to_files
from rb_litellm.train.data.dataset import read_dataset
from rb_litellm.train.default.fit import fit_default

SETS = ("quality_tasks", "quality_math_code", "quality_chat_wide", "quality_length_chat")


@pytest.mark.slow
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
