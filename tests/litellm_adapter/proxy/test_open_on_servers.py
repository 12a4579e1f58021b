"""How many requests are open in all, where several deployments are on one server."""

from rb_litellm.litellm_adapter.proxy.status import open_on_servers


def test_what_is_open_on_a_server_counts_once_whatever_deployments_are_on_it() -> None:
    rows = [
        {"server": 0, "in_flight": 10.0},
        {"server": 1, "in_flight": 4.0},
        {"server": 0, "in_flight": 10.0},
    ]
    assert open_on_servers(rows) == 14.0
    assert open_on_servers([]) == 0.0
