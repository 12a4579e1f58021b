"""Rows of deployments."""

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
