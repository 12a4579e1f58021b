"""What failed gets a second try by itself, and has passed only if it passes then."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BEFORE = """
import pathlib, pytest
tries = pathlib.Path(__file__).with_name("tries")
tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
first = len(tries.read_text()) == 1

def test_that_passes():
    with open("ran", "a") as file:
        file.write("passes ")
"""
SKIP = "pytest.skip('no data')"
TEST = "\n\ndef test_other():\n    "
SECOND_TRIES = {
    "passes": f"{TEST}assert not first",
    "one of several passes": "\n\n@pytest.mark.parametrize('a', ['x', '[y]::z w'])"
    "\ndef test_other(a):\n    assert a == 'x' or not first",
    "fails": f"{TEST}assert False",
    "is skipped": f"{TEST}assert first or {SKIP}\n    assert False",
    "is skipped in setup": f"\n\n@pytest.mark.skipif(not first, reason='no data'){TEST[1:]}assert False",
    "has gone": f"{TEST}assert False\n\nif not first: del test_other",
    "its file is skipped": f"{TEST}assert False\n\nif not first: {SKIP[:-1]}, allow_module_level=True)",
    "its file can be read": f"if first: raise ImportError{TEST}pass\n\ndef test_third(): {SKIP}",
}
"""What the test, or its file, does in the first run and in the second."""
GREEN = {"passes", "one of several passes", "its file can be read"}


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    # A third of the time: without the plugins that happen to be installed.
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    asked = [sys.executable, *command]
    return subprocess.run(asked, cwd=folder, env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("what", SECOND_TRIES)
def test_the_gates_second_run_takes_what_failed_alone_and_wants_it_to_pass(tmp_path: Path, what: str) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -q --strict-markers\n")
    (tmp_path / "test_it.py").write_text(BEFORE + SECOND_TRIES[what])
    first = run(tmp_path, "-m", "pytest")
    assert first.returncode != 0, first.stdout
    (tmp_path / "ran").unlink(missing_ok=True)
    second = run(tmp_path, str(ROOT / ".ci/failed_again.py"))
    assert (second.returncode == 0) == (what in GREEN), second.stdout
    assert (tmp_path / "ran").exists() == (what == "its file can be read"), second.stdout


def test_a_run_that_ended_for_another_reason_is_no_success(tmp_path: Path) -> None:
    assert run(tmp_path, str(ROOT / ".ci/failed_again.py")).returncode == 1


@pytest.mark.parametrize(
    ("second", "status"), [("pass", 0), ("pytest.skip('no data')", 1), ("assert False", 1)]
)
def test_a_slow_test_that_is_skipped_at_its_second_try_has_failed(
    tmp_path: Path, second: str, status: int
) -> None:
    shutil.copy(ROOT / "tests/conftest.py", tmp_path / "conftest.py")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow: starts processes\n")
    (tmp_path / "test_it.py").write_text(
        f"import pytest\ntries = []\n\n@pytest.mark.slow\ndef test_it():\n    tries.append(1)\n"
        f"    assert len(tries) > 1\n    {second}\n"
    )
    assert run(tmp_path, "-m", "pytest", "-p", "pytest_rerunfailures").returncode == status
