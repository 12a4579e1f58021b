"""`rb-litellm`: LiteLLM's own command line, with the strategy registered in every worker.

LiteLLM lets the environment name functions that each worker calls before it reads its configuration,
whichever server runs the workers. Naming ours there keeps this module light: worker processes that
are spawned import it again before they first answer their supervisor, who does not wait long.
"""

from __future__ import annotations

import os
import sys
from itertools import pairwise
from pathlib import Path

_HOOKS = "LITELLM_WORKER_STARTUP_HOOKS"
_OURS = "rb_litellm:register"


def main() -> None:
    """Run `litellm` with the arguments of this command."""
    others = [hook for hook in os.environ.get(_HOOKS, "").split(",") if hook.strip() not in ("", _OURS)]
    os.environ[_HOOKS] = ",".join([_OURS, *others])
    from litellm.proxy.proxy_cli import run_server

    from rb_litellm import register
    from rb_litellm.litellm_adapter.preflight import mistakes

    # Here it only serves to refuse an unsupported LiteLLM before any worker is started.
    register()
    for config_file in _config_files(sys.argv[1:]):
        if found := mistakes(config_file):
            sys.exit("\n".join([f"{config_file}: RouteBalance cannot start with these settings:", *found]))
    sys.exit(run_server())


def _config_files(arguments: list[str]) -> list[Path]:
    values = [after for name, after in pairwise(arguments) if name in ("--config", "-c")]
    values += [name.partition("=")[2] for name in arguments if name.startswith("--config=")]
    return [Path(value) for value in values]


if __name__ == "__main__":
    main()
