"""Training gives the same predictor bit for bit wherever its parts are fitted."""

from __future__ import annotations

import pytest

from rb_litellm.spread.where import Where
from rb_litellm.spread.work import SpreadError
from rb_litellm.train.fitting import fit as fitting
from rb_litellm.train.fitting.fit import fit
from tests.train.figures.test_leave_one_task_out import KINDS, kinds_of


def test_folds_and_left_out_kinds_are_the_same_alone_and_in_two_processes() -> None:
    data = kinds_of(KINDS)
    steps: list[tuple[int, int]] = []
    alone, spread = fit(data), fit(data, progress=lambda done, of: steps.append((done, of)), where=Where(2))
    assert spread.booster == alone.booster
    assert spread.encoder == alone.encoder
    assert spread.meta == alone.meta
    assert spread.unseen_quality.tobytes() == alone.unseen_quality.tobytes()
    assert spread.unseen_length_quantiles.tobytes() == alone.unseen_length_quantiles.tobytes()
    assert [done for done, _ in steps] == list(range(1, steps[-1][1] + 1))


def test_a_part_that_cannot_be_fitted_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "fit_part", lambda learned, part: 1 // 0)
    with pytest.raises(SpreadError, match="fold 0: ZeroDivisionError"):
        fit(kinds_of(KINDS))
