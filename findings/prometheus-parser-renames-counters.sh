#!/usr/bin/env bash
# prometheus_client 0.26.0, `text_string_to_metric_families`: a counter without the suffix `_total`, which Prometheus'
# text format allows and some inference servers write, comes out with samples of another name than the text has, and a
# counter with the suffix comes out as a family of another name. Whoever looks a sample or a family up by the name that
# the server shows finds nothing; gauges keep theirs.
# Expected: each sample under the name that stands in the text, as Prometheus itself stores it.
# Seen: `requests` of a counter is read as `requests_total`, and the family of `tokens_total` is called `tokens`.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'prometheus-client==0.26.0'
cat > "$work/renamed.py" <<'PY'
import sys

from prometheus_client.parser import text_string_to_metric_families

TEXT = """\
# TYPE requests counter
requests{model="small"} 3
# TYPE tokens_total counter
tokens_total{model="small"} 5
# TYPE running gauge
running 1
"""

read = [(family.name, [sample.name for sample in family.samples]) for family in text_string_to_metric_families(TEXT)]
print(f"families and their samples: {read}")
sys.exit(
    0
    if read == [("requests", ["requests_total"]), ("tokens", ["tokens_total"]), ("running", ["running"])]
    else 1
)
PY
"$work/venv/bin/python" "$work/renamed.py"
