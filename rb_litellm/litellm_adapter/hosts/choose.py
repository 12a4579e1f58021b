"""Which host fits the installed LiteLLM."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec

from rb_litellm.litellm_adapter.hosts.host import Host, UnsupportedLiteLLM
from rb_litellm.litellm_adapter.hosts.python_router import PythonRouter

COMPROMISED = frozenset({"1.82.7", "1.82.8", "1.107.0"})
"""Releases that an attacker published; PyPI has removed them, a mirror may still hold them."""


def choose() -> Host:
    """The host for the installed release.

    Raises:
        UnsupportedLiteLLM: a release that must not be used.
    """
    installed = version("litellm")
    if installed in COMPROMISED:
        raise UnsupportedLiteLLM(
            f"litellm {installed} is a compromised release: remove it, replace every secret that this "
            "machine could read, and install another one (litellm's security advisories say more)"
        )
    if find_spec("litellm.router_rust") is not None:
        from rb_litellm.litellm_adapter.hosts.rust_router import RustRouter

        return RustRouter()
    return PythonRouter()
