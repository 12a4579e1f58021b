#!/usr/bin/env bash
# uvicorn 0.54.0: on SIGTERM `uvicorn.run` shuts the application down in good order, and then sends itself the signal
# once more, under the handler that was there before. By default that ends the process at once: code behind
# `uvicorn.run`, `finally` blocks around it and handlers of `atexit` do not run. On SIGINT all of them do, so whoever
# tries it with Ctrl-C does not see it; service managers and container engines send SIGTERM.
# Expected: `uvicorn.run` returns after an orderly shutdown, or ends in an exception that `finally` sees.
# Seen: the same program ends by signal 15 with the lifespan's shutdown alone, or with 0 and all four lines.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'uvicorn==0.54.0'
cat > "$work/program.py" <<'PY'
import atexit

import uvicorn


async def app(scope, receive, send):
    """Says when it has started and when it is shut down; serves nothing."""
    while (await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
        print("started", flush=True)
    print("lifespan", flush=True)
    await send({"type": "lifespan.shutdown.complete"})


atexit.register(print, "atexit", flush=True)
try:
    uvicorn.run(app, port=0, log_level="critical")
    print("behind", flush=True)
finally:
    print("finally", flush=True)
PY
cat > "$work/ended.py" <<'PY'
import signal
import subprocess
import sys
import time


def ended_by(number):
    """What the program writes after the signal, and its exit status."""
    program = subprocess.Popen([sys.executable, sys.argv[1]], stdout=subprocess.PIPE, text=True)
    assert program.stdout.readline() == "started\n"
    time.sleep(1)
    program.send_signal(number)
    written, _ = program.communicate(timeout=30)
    return written.split(), program.returncode


term, interrupt = ended_by(signal.SIGTERM), ended_by(signal.SIGINT)
print(f"SIGTERM: {term}, SIGINT: {interrupt}")
expected = (["lifespan"], -signal.SIGTERM), (["lifespan", "behind", "finally", "atexit"], 0)
sys.exit(0 if (term, interrupt) == expected else 1)
PY
"$work/venv/bin/python" "$work/ended.py" "$work/program.py"
