"""Who was on a server before an attempt, and when these ended."""

from rb_litellm.core.types import Ahead
from rb_litellm.state.departures import MAX_REMEMBERED, Departures
from rb_litellm.state.index import DeploymentIndex


def test_only_the_ends_of_those_that_were_there_before_count():
    of = Departures()
    first, second = of.arrived(0), of.arrived(0)
    of.ended(first, 1.0)
    third, fourth = of.arrived(0), of.arrived(0)
    of.ended(fourth, 3.0)
    of.ended(second, 4.0)
    assert of.ahead(third, 2.0) == Ahead(1, (2.0,))


def test_another_server_has_its_own_order():
    of = Departures()
    there, here = of.arrived(1), of.arrived(0)
    of.ended(there, 1.0)
    assert of.ahead(here, 0.0) == Ahead(0, ())


def test_an_attempt_that_has_seen_too_many_come_and_go_tells_nothing():
    of = Departures()
    of.arrived(0)
    slow = of.arrived(0)
    for n in range(MAX_REMEMBERED):
        of.ended(of.arrived(0), float(n))
    assert of.ahead(slow, 0.0) is None


def test_deployments_at_one_address_are_on_one_server():
    index = DeploymentIndex()
    for name, address in (("a", "x:80"), ("b", "y:80"), ("c", "x:80"), ("d", "")):
        index.place(name, address)
    servers = [index.server(index.row(name)) for name in "abcd"]
    assert servers[0] == servers[2]
    assert len(set(servers)) == 3


def test_a_deployment_that_moves_leaves_its_server():
    index = DeploymentIndex()
    index.place("a", "x:80")
    index.place("b", "x:80")
    index.place("a", "")
    assert index.server(0) != index.server(1)
