"""Rows of deployments."""

from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.state.index import DeploymentIndex


def test_rows_are_given_in_the_order_of_first_sight_and_stay():
    index = DeploymentIndex()
    assert [index.row(d) for d in ("a", "b", "a", "c")] == [0, 1, 0, 2]
    assert index.ids == ("a", "b", "c")


def test_finding_adds_nothing():
    index = DeploymentIndex()
    assert index.find("a") is None
    assert len(index) == 0


def test_beyond_the_bound_deployments_share_the_last_row():
    index = DeploymentIndex(max_rows=2)
    assert [index.row(d) for d in ("a", "b", "c", "d", "a")] == [0, 1, 1, 1, 0]
    assert len(index) == 2


def test_the_row_of_one_that_is_gone_is_the_next_ones_and_the_others_keep_theirs():
    index = DeploymentIndex()
    for name in "abc":
        index.row(name)
    version = index.version
    assert index.forget({"a", "c"}) == [1]
    assert index.version != version
    assert (index.find("b"), index.ids) == (None, ("a", "", "c"))
    version = index.version
    assert [index.row(name) for name in "acde"] == [0, 2, 1, 3]
    assert index.version != version
    assert index.ids == ("a", "d", "c", "e")


def test_nothing_changes_where_nobody_is_gone():
    index = DeploymentIndex()
    index.row("a")
    version = index.version
    assert index.forget({"a", "b"}) == []
    assert index.version == version


def test_who_takes_over_the_row_that_gave_a_server_its_number_is_not_on_that_server():
    index = DeploymentIndex()
    for name in "ab":
        index.place(name, "one:8000")
    assert index.forget({"b"}) == [0]
    index.place("c", "other:8000")
    assert index.find("c") == 0
    assert index.server(0) != index.server(1)


def test_who_moves_to_another_address_takes_no_number_along():
    index = DeploymentIndex()
    index.place("a", "one:8000")
    index.place("a", "other:8000")
    index.place("b", "one:8000")
    assert index.server(index.row("a")) != index.server(index.row("b"))


names = st.integers(0, 9).map("d{}".format)
steps = st.lists(
    st.tuples(st.just("placed"), names, st.sampled_from(["", "one:1", "two:1"]))
    | st.tuples(st.just("living"), st.sets(names, max_size=6), st.just("")),
    max_size=30,
)


@given(steps)
def test_two_share_a_server_if_and_only_if_they_are_at_one_address_whoever_came_and_went(told):
    index, at = DeploymentIndex(), {}
    for what, who, address in told:
        if what == "placed":
            index.place(who, address)
            at[who] = address
        else:
            index.forget(who)
            at = {name: where for name, where in at.items() if name in who}
        rows = {name: index.find(name) for name in at}
        assert len(set(rows.values())) == len(at)
        assert all(index.ids[row] == name for name, row in rows.items())
        assert all(index.server(row) < 2 * len(index) for row in range(len(index)))
        for one in at:
            for other in at:
                same = one == other or (at[one] == at[other] != "")
                assert (index.server(rows[one]) == index.server(rows[other])) == same
        assert len(index) <= 10 + 2
