"""Who was on a server before an attempt, and when these ended."""

from collections import defaultdict, deque
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from rb_litellm.core.servers.together import TOGETHER_S
from rb_litellm.core.types import Ahead, Company
from rb_litellm.state.departures import MAX_REMEMBERED, Arrival, Departures
from rb_litellm.state.index import DeploymentIndex


def test_only_the_ends_of_those_that_were_there_before_count():
    of = Departures()
    first, second = of.arrived(0, 0.0), of.arrived(0, 0.5)
    of.ended(first, 1.0)
    third, fourth = of.arrived(0, 2.0), of.arrived(0, 2.5)
    of.ended(fourth, 3.0)
    of.ended(second, 4.0)
    assert of.ahead(third, 2.0) == Ahead(1, (2.0,))


def test_those_sent_together_count_in_the_order_in_which_they_were_served():
    of = Departures()
    first, second, third = of.arrived(0, 0.0), of.arrived(0, 0.01), of.arrived(0, 0.02)
    for each, now in ((third, 1.0), (first, 2.0), (second, 3.0)):
        of.begun(each)
        of.ended(each, now)
    assert of.ahead(third, 0.02) == Ahead(0, ())
    assert of.ahead(first, 0.0) == Ahead(1, (1.0,))
    assert of.ahead(second, 0.01) == Ahead(2, (0.99, 1.99))


def test_one_that_was_sent_long_before_was_there_before_whenever_it_began():
    of = Departures()
    first, second = of.arrived(0, 0.0), of.arrived(0, 0.0)
    later = of.arrived(0, 1.0)
    of.begun(later)
    for each in (first, second):
        of.begun(each)
    assert of.ahead(later, 1.0) == Ahead(2, ())


def test_one_that_ended_before_was_not_there():
    of = Departures()
    first = of.arrived(0, 0.0)
    of.begun(first)
    of.ended(first, 0.05)
    assert of.ahead(of.arrived(0, 0.5), 0.5) == Ahead(0, ())


def test_one_that_was_over_before_was_not_there_however_shortly_before_it_was_sent():
    """A quick server of one slot would have been refuted by each of them."""
    of = Departures()
    first = of.arrived(0, 0.0)
    of.begun(first)
    of.ended(first, 0.05)
    second = of.arrived(0, 0.06)
    of.begun(second)
    assert of.ahead(second, 0.06) == Ahead(0, ())


def test_another_server_has_its_own_order():
    of = Departures()
    there, here = of.arrived(1, 0.0), of.arrived(0, 0.0)
    of.ended(there, 1.0)
    assert of.ahead(here, 0.0) == Ahead(0, ())


def test_an_attempt_that_has_seen_too_many_come_and_go_tells_nothing():
    of = Departures()
    of.arrived(0, 0.0)
    slow = of.arrived(0, 0.5)
    for n in range(1, MAX_REMEMBERED + 1):
        of.ended(of.arrived(0, float(n)), float(n))
    assert of.ahead(slow, 0.5) is None


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


class Defined(Departures):
    """What `ahead` is by definition, from all that was told, in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.began: defaultdict[int, deque[Arrival]] = defaultdict(lambda: deque(maxlen=MAX_REMEMBERED))
        self.over: defaultdict[int, deque[tuple[int, Arrival, float]]] = defaultdict(
            lambda: deque(maxlen=MAX_REMEMBERED)
        )

    def begun(self, arrival: Arrival) -> None:
        super().begun(arrival)
        self.began[arrival.server].append(arrival)

    def ended(self, arrival: Arrival, now: float) -> None:
        super().ended(arrival, now)
        self.over[arrival.server].append((self._events, arrival, now))

    def by_definition(self, arrival: Arrival, sent_s: float) -> Ahead | None:
        together: set[int] = set()
        for other in self.began[arrival.server]:
            if other.event == arrival.event:
                break
            if abs(other.at_s - arrival.at_s) <= TOGETHER_S:
                together.add(other.event)
        ends = self.over[arrival.server]
        together -= {other.event for event, other, _ in ends if event < arrival.event}
        if not arrival.ahead and not together:
            return Ahead(0, ())
        if len(ends) == MAX_REMEMBERED and ends[0][0] >= arrival.event:
            return None
        found = [
            at_s - sent_s
            for event, other, at_s in ends
            if event >= arrival.event and (other.event in together or other.at_s < arrival.at_s - TOGETHER_S)
        ]
        return Ahead(arrival.ahead + len(together), tuple(found))


@given(
    st.integers(0, 2**32),
    st.integers(1, 3),
    st.sampled_from((0.0, 0.001, 0.01, 0.05, TOGETHER_S, 0.3)),
    st.sampled_from((20, 300, 1_500)),
    st.sampled_from((0.3, 0.5)),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_it_is_as_defined_in_any_order_of_arrivals_first_tokens_and_ends(
    seed, servers, step_s, events, arriving, back
):
    random, of, now = Random(seed), Defined(), 0.0
    waiting: list[Arrival] = []
    writing: list[Arrival] = []
    for _ in range(events):
        now += random.choice((0.0, step_s, random.random() * step_s, -step_s if back else step_s))
        if random.random() < arriving or not (waiting or writing):
            arrival = of.arrived(random.randrange(servers), now)
            waiting.append(arrival)
        elif waiting and random.random() < 0.6:
            arrival = waiting.pop(random.randrange(len(waiting)))
            of.begun(arrival)
            writing.append(arrival)
        elif writing:
            arrival = writing.pop(random.randrange(len(writing)))
            of.ended(arrival, now)
        for asked in (arrival, *random.sample(writing, min(3, len(writing)))):
            assert of.ahead(asked, 0.7 * asked.at_s) == of.by_definition(asked, 0.7 * asked.at_s)


def test_company_are_those_sent_shortly_before_and_after():
    of = Departures()
    of.arrived(0, 0.0)
    first, second, third = of.arrived(0, 1.0), of.arrived(0, 1.09, answers=2), of.arrived(0, 1.15)
    of.arrived(1, 1.1)
    of.arrived(0, 2.0)
    assert of.company(first) == Company(together=2, well_before=1, met=1)
    assert of.company(second) == Company(together=2, well_before=1, met=2)
    assert of.company(third) == Company(together=2, well_before=2, met=4)


def test_one_that_was_sent_alone_or_long_ago_has_no_company():
    of = Departures()
    first, second = of.arrived(0, 0.0), of.arrived(0, 0.01)
    assert of.company(of.arrived(0, 1.0)) is None
    for n in range(MAX_REMEMBERED):
        of.arrived(0, 2.0 + n)
    assert of.company(first) is of.company(second) is None


def test_one_for_several_answers_counts_as_so_many():
    of = Departures()
    first = of.arrived(0, 0.0, answers=3)
    late = of.arrived(0, 1.0)
    of.begun(first)
    assert of.ahead(late, 1.0) == Ahead(3, ())
    of.ended(first, 2.0)
    assert of.ahead(late, 1.0) == Ahead(3, (1.0, 1.0, 1.0))
    assert of.ahead(of.arrived(0, 3.0), 3.0) == Ahead(1, ())
