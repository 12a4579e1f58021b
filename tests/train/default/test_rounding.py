"""What the default predictor is made of is the same on processors for which BLAS adds in another order."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from rb_litellm.train.default.rounding import rounded, stored

MADE = """
import hashlib, numpy
from rb_litellm.predictors.default.table import entries
from rb_litellm.train.default.fit import abilities_of
from rb_litellm.train.default.population import table_population
found = table_population()
abilities = abilities_of([entry.name for entry in entries()], found)
print(hashlib.sha256(b"".join(a.tobytes() for a in (found.mean, found.covariance, abilities))).hexdigest())
"""


@cache
def made_by(kernels: str) -> str:
    """Digest of the population and the abilities, by these kernels of OpenBLAS (every x86-64 runs them)."""
    environment = {**os.environ, "OPENBLAS_CORETYPE": kernels}
    told = subprocess.run(
        [sys.executable, "-c", MADE], env=environment, capture_output=True, text=True, check=True
    )
    return told.stdout.strip()


@pytest.mark.parametrize("kernels", ["Prescott", "Nehalem"])
def test_the_population_of_models_does_not_hang_on_the_processor(kernels: str) -> None:
    assert made_by(kernels) == made_by("")


def test_sums_in_another_order_are_rounded_to_the_same() -> None:
    values = np.random.default_rng(0).normal(size=1_000)
    assert np.array_equal(rounded(values), rounded(values * (1.0 + 2e-15)))
    assert rounded(values).dtype == np.float64


def test_only_numbers_with_a_fraction_are_stored_in_single_precision() -> None:
    assert [stored(np.array(value)).dtype.name for value in (0.5, 3, np.float16(1.0), np.float32(1.0))] == [
        "float32",
        "int64",
        "float16",
        "float32",
    ]
