"""Which host fits the installed LiteLLM."""

from __future__ import annotations

from importlib.metadata import version

from packaging.version import Version

from rb_litellm.litellm_adapter.hosts import public_api, python_router, rust_router
from rb_litellm.litellm_adapter.hosts.host import Host, UnsupportedLiteLLM

COMPROMISED = frozenset({"1.82.7", "1.82.8", "1.107.0"})
"""Releases that an attacker published. PyPI has removed them; a mirror may still hold them."""
FIRST_RUST = Version("1.110.dev0")
FIRST_UNSEEN = Version("1.111.dev0")
"""From here on nobody has run the contract tests, so no private name is relied on."""


def choose() -> Host:
    """The host for the installed release.

    Where a private name is missing, LiteLLM's public entry points serve; where these are missing too, the
    host that is meant for the release says what it lacks when it is installed.

    Raises:
        UnsupportedLiteLLM: a release that must not be used.
    """
    installed = version("litellm")
    if installed in COMPROMISED:
        raise UnsupportedLiteLLM(
            f"litellm {installed} is a compromised release: remove it, replace every secret that this "
            "machine could read, and install another one (litellm's security advisories say more)"
        )
    release = Version(installed)
    if release >= FIRST_UNSEEN:
        return public_api.PublicApi()
    line = rust_router if release >= FIRST_RUST else python_router
    if line.missing() and public_api.has_entry_points():
        return public_api.PublicApi()
    return rust_router.RustRouter() if release >= FIRST_RUST else python_router.PythonRouter()
