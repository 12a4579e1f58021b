#!/usr/bin/env bash
# polars 1.44.2: `read_ndjson` with a schema that asks for an object as text writes the object's strings without
# escaping them, so the text is not valid JSON, and no error is raised. A log whose field `metadata` is to be kept
# as it stands cannot be read this way.
# Seen: {"text": "a \\ and a new line"} comes back as text that json.loads refuses.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'polars==1.44.2'
cat > "$work/nested.py" <<'PY'
import io
import json
import sys

import polars

nested = {"text": "a backslash \\ and a new line \n"}
line = json.dumps({"a": nested}).encode() + b"\n"
text = polars.read_ndjson(io.BytesIO(line), schema={"a": polars.String})["a"][0]
print(repr(text))
try:
    json.loads(text)
except ValueError as error:
    print(f"not JSON: {error}")
    sys.exit(0)
sys.exit(1)
PY
"$work/venv/bin/python" "$work/nested.py"
