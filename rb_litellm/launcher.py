"""`rb-litellm`: LiteLLM's own command line, with the strategy registered in every worker.

LiteLLM lets the environment name functions that each worker calls before it reads its configuration,
whichever server runs the workers. Naming ours there keeps this module light: worker processes that
are spawned import it again before they first answer their supervisor, who does not wait long.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

_HOOKS = "LITELLM_WORKER_STARTUP_HOOKS"
_OURS = "rb_litellm:start_worker"
_METRICS = "PROMETHEUS_MULTIPROC_DIR"
_PATIENCE = "TIMEOUT_WORKER_HEALTHCHECK"
_PATIENCE_S = "15"
"""Uvicorn waits 5 s, in which a busy machine may not get as far as an answer: each worker would be ended as
hung while it imports LiteLLM. But a worker that was killed is replaced only after as long, too."""


def main() -> None:
    """Run `litellm` with the arguments of this command."""
    others = [hook for hook in os.environ.get(_HOOKS, "").split(",") if hook.strip() not in ("", _OURS)]
    os.environ[_HOOKS] = ",".join([_OURS, *others])
    os.environ.setdefault(_PATIENCE, _PATIENCE_S)
    _share_metrics(sys.argv[1:])
    from litellm.proxy.proxy_cli import run_server

    from rb_litellm import register
    from rb_litellm.litellm_adapter.proxy.starting.preflight import look_over

    # Here it only serves to refuse an unsupported LiteLLM before any worker is started.
    register()
    for config_file in _config_files(sys.argv[1:]):
        found = look_over(config_file)
        if found.mistakes:
            sys.exit("\n".join([f"{config_file}: no proxy can start with this:", *found.mistakes]))
        if found.passed_over:
            told = [f"{config_file}: LiteLLM cannot use this, and starts without it:", *found.passed_over]
            print("\n".join(told), file=sys.stderr)
    sys.exit(run_server())


def _share_metrics(arguments: list[str]) -> None:
    """Give several workers one directory for their Prometheus figures, so that any of them answers for all.

    LiteLLM does so itself where its `prometheus` callback is on, and then takes this directory.
    """
    wanted = [value for value in _values(arguments, "--num_workers") if value.isdigit()]
    workers = int(wanted[-1] if wanted else os.environ.get("NUM_WORKERS", "").strip() or 1)
    if workers > 1 and not os.environ.get(_METRICS):
        directory = tempfile.mkdtemp(prefix="routebalance-metrics-")
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        os.environ[_METRICS] = directory


def _values(arguments: list[str], *names: str) -> list[str]:
    values = [after for name, after in pairwise(arguments) if name in names]
    return values + [a.partition("=")[2] for a in arguments if a.startswith(f"{names[0]}=")]


def _config_files(arguments: list[str]) -> list[Path]:
    stated = _values(arguments, "--config", "-c") or [os.environ.get("CONFIG_FILE_PATH", "")]
    return [Path(value) for value in stated if value]


if __name__ == "__main__":
    main()
