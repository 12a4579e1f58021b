#!/usr/bin/env bash
# pytest 9.2.0: `pytest.main(args)` puts the options of the setting `addopts` into the list that the caller gave it.
# Who asks afterwards which of the tests in that list have passed finds options among them; with a second call of the
# same list the options are there twice. A copy has to be given.
# Seen: the list ['test_it.py'] is ['-q', '--strict-markers', 'test_it.py'] after the call.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'pytest==9.2.0'
cd "$work"
printf '[pytest]\naddopts = -q --strict-markers\n' > pytest.ini
printf 'def test_it():\n    pass\n' > test_it.py
cat > call.py <<'PY'
import pytest

given = ["test_it.py"]
assert pytest.main(given) == 0
print("given:", ["test_it.py"], "afterwards:", given)
assert given == ["-q", "--strict-markers", "test_it.py"], "the list is left as it was"
PY
"$work/venv/bin/python" call.py
