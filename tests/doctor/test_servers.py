"""What the doctor says of the servers whose load a proxy reads."""

from rb_litellm.doctor.servers import check


def server(url="http://gpu-1:8000/metrics", failures=0, error=None):
    return {"url": url, "failures": failures, "error": error}


def test_a_server_that_cannot_be_read_is_named_with_its_error():
    """14 ok, with a dead port."""
    dead = server(failures=7, error="ClientConnectorError: refused")
    (finding,) = check("w1", {"servers": [server("http://gpu-2/metrics"), dead]})
    assert (finding.level, finding.check) == ("warn", "servers")
    assert "gpu-1:8000" in finding.message
    assert "refused" in finding.message


def test_servers_that_are_read_are_well():
    (finding,) = check("w1", {"servers": [server()]})
    assert finding.level == "ok"


def test_where_nothing_is_read_nothing_is_said():
    assert list(check("w1", {"servers": []})) == []
    assert list(check("w1", {})) == []


def test_a_fleet_that_is_down_fills_no_screens():
    findings = list(check("w1", {"servers": [server(failures=1)] * 400}))
    assert len(findings) == 11
