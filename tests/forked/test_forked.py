"""What a forked proxy shares with the process that it was forked from, and what it must not."""

from __future__ import annotations

import os

import pytest

from tests.forked.server import variables_read
from tests.forked.spares import set_environment
from tests.forked.start import Server


def test_variables_count_as_read_whether_they_were_there_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IS_THERE", "1")

    def read() -> None:
        os.getenv("IS_THERE")
        os.environ.get("IS_NOT", "")
        assert "NOR_THIS" not in os.environ

    assert variables_read(read) == {"IS_THERE", "IS_NOT", "NOR_THIS"}
    assert variables_read(lambda: None) == set()


def test_a_proxy_is_forked_only_where_all_that_was_read_is_the_same() -> None:
    server = Server.__new__(Server)
    server._env, server._read = {"A": "1", "B": "2"}, ["A", "C"]
    assert server.fits({"A": "1", "B": "other", "D": "more"})
    assert not server.fits({"A": "2"})
    assert not server.fits({"B": "2"})
    assert not server.fits({"A": "1", "C": "new"})


def test_a_fork_refuses_an_environment_that_comes_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(os.environ)
    with pytest.raises(RuntimeError, match="another value of WAS_READ"):
        set_environment({**before, "WAS_READ": "1"}, {"WAS_READ"})
    assert dict(os.environ) == before
    set_environment({**before, "NOT_READ": "1"}, {"WAS_READ"})
    assert os.environ["NOT_READ"] == "1"
    set_environment(before, ())
