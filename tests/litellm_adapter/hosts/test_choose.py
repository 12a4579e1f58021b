"""Which host serves which release: known lines have their own, newer ones public entry points alone."""

import pytest

from rb_litellm.litellm_adapter.hosts import choose as module
from rb_litellm.litellm_adapter.hosts import python_router, rust_router
from rb_litellm.litellm_adapter.hosts.choose import COMPROMISED, choose
from rb_litellm.litellm_adapter.hosts.host import UnsupportedLiteLLM
from rb_litellm.litellm_adapter.hosts.public_api import PublicApi


@pytest.fixture
def installed(monkeypatch):
    """Has the process believe that this release is installed, with or without its private names."""

    def install(release, lacking=(), entry_points=True):
        monkeypatch.setattr(module, "version", lambda _: release)
        for line in (python_router, rust_router):
            monkeypatch.setattr(line, "missing", lambda: list(lacking))
        monkeypatch.setattr(module.public_api, "has_entry_points", lambda: entry_points)

    return install


@pytest.mark.parametrize("release", ["1.106.2", "1.108.7", "1.109.1", "1.109.9.post2"])
def test_releases_with_a_python_router(installed, release):
    installed(release)
    assert isinstance(choose(), python_router.PythonRouter)


@pytest.mark.parametrize("release", ["1.110.0", "1.110.2", "1.110.0rc1"])
def test_releases_with_a_rust_router(installed, release):
    installed(release)
    assert isinstance(choose(), rust_router.RustRouter)


@pytest.mark.parametrize("release", ["1.111.0", "1.200.3", "2.0.0"])
def test_a_release_that_nobody_has_seen_is_served_whatever_its_private_names_are(installed, release):
    installed(release)
    assert isinstance(choose(), PublicApi)


@pytest.mark.parametrize("release", ["1.109.9", "1.110.9"])
def test_a_known_line_that_has_lost_a_private_name_is_served_by_public_entry_points(installed, release):
    installed(release, lacking=["_a_name"])
    assert isinstance(choose(), PublicApi)


def test_without_the_entry_points_the_host_of_the_line_says_what_is_missing(installed):
    installed("1.106.0", lacking=["_a_name"], entry_points=False)
    host = choose()
    assert isinstance(host, python_router.PythonRouter)


@pytest.mark.parametrize("release", sorted(COMPROMISED))
def test_a_compromised_release_is_refused_by_name(installed, release):
    installed(release)
    with pytest.raises(
        UnsupportedLiteLLM, match=rf"litellm {release} is a compromised release.*replace every"
    ):
        choose()
