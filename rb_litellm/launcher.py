"""`rb-litellm`: LiteLLM's own command line, with the strategy registered in every worker.

LiteLLM lets the environment name functions that each worker calls before it reads its configuration,
whichever server runs the workers. Naming ours there keeps this module light: worker processes that
are spawned import it again before they first answer their supervisor, who does not wait long.
"""

from __future__ import annotations

import os
import sys

_HOOKS = "LITELLM_WORKER_STARTUP_HOOKS"
_OURS = "rb_litellm:register"


def main() -> None:
    """Run `litellm` with the arguments of this command."""
    others = [hook for hook in os.environ.get(_HOOKS, "").split(",") if hook.strip() not in ("", _OURS)]
    os.environ[_HOOKS] = ",".join([_OURS, *others])
    from litellm.proxy.proxy_cli import run_server

    from rb_litellm import register

    # Here it only serves to refuse an unsupported LiteLLM before any worker is started.
    register()
    sys.exit(run_server())


if __name__ == "__main__":
    main()
