#!/usr/bin/env bash
# polars reads an object of a JSON line into a text column without escaping what is in it: the text is no JSON.
#
#   bash findings/polars-ndjson-nested-text.sh [PYTHON]
#
# Prints `corrupt` where a backslash within the nested object is lost so, `whole` where it is not. The reader of
# spend logs therefore takes long columns from the line itself.
set -euo pipefail
"${1:-python3}" - <<'PY'
import io
import json

import polars

nested = {"text": "a backslash \\ and a new line \n"}
frame = polars.read_ndjson(io.BytesIO(json.dumps({"a": nested}).encode() + b"\n"), schema={"a": polars.String})
try:
    whole = json.loads(frame["a"][0]) == nested
except ValueError:
    whole = False
print(polars.__version__, "whole" if whole else "corrupt")
PY
