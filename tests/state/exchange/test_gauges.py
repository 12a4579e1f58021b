"""What travels between workers."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.types import InstanceState, Losses, Seen
from rb_litellm.state.exchange.gauges import (
    MAX_DEPLOYMENTS,
    MAX_NAME,
    GaugeError,
    Load,
    StoredGauge,
    decode,
    encode,
    wire_name,
)
from rb_litellm.state.index import DeploymentIndex


def stored(payload: bytes) -> StoredGauge:
    return StoredGauge("other", 0.25, payload)


def test_a_gauge_says_what_is_open_and_nothing_of_idle_deployments():
    index = DeploymentIndex()
    for name in ("idle", "busy"):
        index.row(name)
    state = InstanceState(np.array([0.0, 2.0]), np.array([0.0, 30.0]), np.array([0.0, 400.0]))
    gauge = decode(stored(encode(index, state, np.array([0.0, 100.0]), up_s=12.0)))
    assert gauge.loads == {"busy": Load(2, 30, 400, 100)}
    assert (gauge.origin, gauge.age_s, gauge.up_s) == ("other", 0.25, 12.0)


def test_short_ids_travel_as_they_are_and_long_ones_shortened_but_distinct():
    assert wire_name("vllm-a") == "vllm-a"
    long = ["f" * 63 + digit for digit in "01"]
    names = {wire_name(name) for name in long}
    assert len(names) == 2
    assert all(len(name) <= MAX_NAME and name.startswith("fff") for name in names)


def test_a_gauge_is_bounded_and_keeps_the_busiest():
    index = DeploymentIndex()
    count = MAX_DEPLOYMENTS + 10
    for i in range(count):
        index.row(str(i))
    load = np.arange(count) + 1.0
    gauge = decode(stored(encode(index, InstanceState(load, load, load), load, 0.0)))
    assert len(gauge.loads) == MAX_DEPLOYMENTS
    assert "0" not in gauge.loads


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b"{}",
        b'{"v":99,"up":0,"d":{}}',
        b'{"v":1,"up":0,"d":{"a":[1,2,3]}}',
        b'{"v":1,"up":0,"d":{"a":[1,2,3,-4]}}',
        b'{"v":1,"up":0,"d":{"a":[NaN,2,3,4]}}',
        b'{"v":1,"up":0,"d":{"a":[1,2,NaN,4]}}',
        b'{"v":1,"up":0,"d":{"a":["1",2,3,4]}}',
        b'{"v":1,"up":0,"d":{"a":[1,2,3,Infinity]}}',
        b'{"v":1,"up":0,"d":[1]}',
        b" " * ((1 << 20) + 1),
    ],
)
def test_what_is_no_gauge_is_refused(document):
    with pytest.raises(GaugeError):
        decode(stored(document))


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    ).map(lambda d: json.dumps({"v": 1, "up": 0, "d": d}).encode())
)
def test_no_bytes_do_worse_than_a_gauge_error(document):
    try:
        gauge = decode(stored(document))
    except GaugeError:
        return
    assert all(figure >= 0.0 for load in gauge.loads.values() for figure in load)


def test_prefixes_travel_with_the_gauge():
    index = DeploymentIndex()
    index.row("d")
    idle = InstanceState.idle(1)
    gauge = decode(stored(encode(index, idle, np.zeros(1), 0.0, {0: [b"12345678", b"abcdefgh"]})))
    assert gauge.prefixes == {"d": (b"12345678", b"abcdefgh")}


@pytest.mark.parametrize("packed", ["no base 64!", "YWJj", "QUFB" * 1000])
def test_odd_prefixes_make_an_unreadable_gauge(packed):
    with pytest.raises(GaugeError):
        decode(stored(json.dumps({"v": 1, "up": 1, "d": {}, "p": {"d": packed}}).encode()))


def test_a_gauge_says_what_a_minute_has_used_up_where_it_is_limited():
    index = DeploymentIndex()
    for name in ("a", "b"):
        index.row(name)
    idle = InstanceState.idle(2)
    gauge = decode(stored(encode(index, idle, np.zeros(2), 1.0, used={1: (3.0, 1234.4)})))
    assert gauge.used == {"b": (3.0, 1234.0)}
    assert decode(stored(encode(index, idle, np.zeros(2), 1.0))).used == {}


@pytest.mark.parametrize("used", [{"a": [1]}, {"a": [-1, 0]}, {"a": 3}, [1], {"a": ["x", 1]}])
def test_a_gauge_with_odd_usage_is_not_read(used):
    with pytest.raises(GaugeError):
        decode(stored(json.dumps({"v": 1, "up": 1, "d": {}, "u": used}).encode()))


def test_what_was_seen_of_deployments_that_fail_is_told_with_ages():
    index = DeploymentIndex()
    index.row("a")
    idle = InstanceState.idle(1)
    seen = Seen(2, 0, -1.5, -math.inf)
    gauge = decode(stored(encode(index, idle, np.zeros(1), 1.0, failing={0: seen})))
    assert gauge.failing == {"a": seen}
    seen = seen._replace(losses=Losses(1.5, 0.25, 0.0, 1.0, 20.0, 61.2, 300.0, -2.5))
    gauge = decode(stored(encode(index, idle, np.zeros(1), 1.0, failing={0: seen})))
    assert gauge.failing == {"a": seen}


@pytest.mark.parametrize("four", ["[1]", "[1,0,-5,null]", '["x",0,1,1]', "[1e99,0,1,1]", "5"])
def test_failures_that_are_none_are_refused(four):
    with pytest.raises(GaugeError):
        decode(stored(f'{{"v":1,"up":1,"d":{{}},"f":{{"a":[1,0,1,1]}},"l":{{"a":{four}}}}}'.encode()))
    with pytest.raises(GaugeError):
        decode(stored(f'{{"v":1,"up":1,"d":{{}},"f":{{"a":{four}}}}}'.encode()))
