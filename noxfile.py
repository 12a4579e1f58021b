"""The LiteLLM contract on every release that is supported, each in a virtual environment of its own.

    nox                      all releases
    nox -s contract-1.109.1  one of them

Releases from 1.109 on pin packages that not every index carries; an override takes what is there, and
changes nothing that a pick goes through.
"""

from __future__ import annotations

from pathlib import Path

import nox

# The oldest, what a plain installation resolves to (None), and the line with the facade before the router.
RELEASES = {"1.106.2": "1.106.2", "newest": None, "1.109.1": "1.109.1"}
OVERRIDES = {"1.109.1": ("litellm-proxy-extras==0.4.110", "certifi>=2025")}
TOOLS = ("pytest>=8,<10", "pytest-asyncio>=0.24,<2", "hypothesis>=6.100,<7", "httpx", "pyyaml")

nox.options.default_venv_backend = "uv"
nox.options.stop_on_first_error = False


@nox.session
@nox.parametrize("litellm", [nox.param(name, id=name) for name in RELEASES])
def contract(session: nox.Session, litellm: str) -> None:
    """Run tests/litellm_contract on one release."""
    release = RELEASES[litellm]
    wanted = ["litellm[proxy]" if release is None else f"litellm[proxy]=={release}"]
    if litellm in OVERRIDES:
        overrides = Path(session.create_tmp()) / "overrides.txt"
        overrides.write_text("\n".join(OVERRIDES[litellm]))
        wanted += ["--override", str(overrides)]
    session.run_install("uv", "pip", "install", "--quiet", "-e", ".[demo]", *TOOLS, *wanted)
    session.run("python", "-c", "from importlib.metadata import version as v; print('litellm', v('litellm'))")
    session.run("pytest", *(session.posargs or ("tests/litellm_contract",)))
