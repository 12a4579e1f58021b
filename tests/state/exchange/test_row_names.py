"""Names of a worker's rows, as deployments come and go."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rb_litellm.core.types import InstanceState
from rb_litellm.state.exchange.rows import LOAD, MINUTE, SPARE, RowNames
from rb_litellm.state.exchange.wire import COLUMN
from rb_litellm.state.index import DeploymentIndex


def table_of(its, index, loads, used=()):
    """The table where deployments have these loads by name, and these have used up something."""
    figures = np.zeros(len(index))
    for name, load in loads.items():
        figures[index.row(name)] = load
    state = InstanceState(figures, np.zeros(len(index)), np.zeros(len(index)))
    return its.table(state, np.zeros(len(index)), {index.row(name): (7.0, 9.0) for name in used})


def by_name(its, table):
    return {name: int(table[row, COLUMN.in_flight]) for row, name in enumerate(its.names) if table[row].any()}


names = st.integers(0, 6).map("d{}".format)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sets(names, max_size=4), st.sets(names, max_size=2)), min_size=1, max_size=12))
def test_figures_stand_under_their_own_names_and_are_heard_by_their_own_rows(told):
    index = DeploymentIndex()
    its = RowNames(index)
    for living, limited in told:
        index.forget(living)
        loads = {name: number + 1 for number, name in enumerate(sorted(living))}
        for name in living:
            index.row(name)
        used = limited & living
        table = table_of(its, index, loads, used)
        expected = {LOAD + name: load for name, load in loads.items()}
        assert by_name(its, table) == {**expected, **{MINUTE + name: 7 for name in used}}
        heard = its.loads(table.astype(np.float64))
        assert {name: heard[index.find(name), COLUMN.in_flight] for name in living} == loads
        minutes = its.used(table.astype(np.float64))
        if minutes is not None:
            for name in living:
                assert minutes[0, index.find(name)] == (7.0 if name in used else 0.0)


def test_names_of_those_that_are_gone_do_not_pile_up():
    index = DeploymentIndex()
    its, before = RowNames(index), ()
    begun_anew = 0
    for number in range(4 * SPARE):
        living = {"stays", f"made anew {number}"}
        index.forget(living)
        for name in sorted(living):
            index.row(name)
        table = table_of(its, index, dict.fromkeys(living, 3))
        assert by_name(its, table) == {LOAD + name: 3 for name in living}
        begun_anew += its.names[: len(before)] != before
        before = its.names
    assert len(index) == 2
    assert len(its.names) <= 2 * len(index) + SPARE + 2
    assert 1 <= begun_anew <= 8
