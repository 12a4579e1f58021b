#!/usr/bin/env bash
# LiteLLM 1.108.7: the tokens of any model whose name holds `llama-3` are counted with a tokenizer of the Hugging Face
# hub. A loaded one is kept, but a hub that cannot be reached is not remembered: it is asked again at every count, on
# the caller's thread, so a proxy without internet waits for the hub's time-out on its event loop at each answer.
# Setting `disable_hf_tokenizer_download` makes it count with tiktoken at once, and ask nobody.
# Seen, with a hub that has nothing: asked 6 times for 5 counts; with the setting never.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'litellm==1.108.7'
cat > "$work/asked.py" <<'PY'
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

asked = []


class Refusing(BaseHTTPRequestHandler):
    """A hub that has nothing for anybody."""

    def do_HEAD(self):
        asked.append(self.path)
        self.send_error(404)

    do_GET = do_HEAD

    def log_message(self, *_):
        pass


hub = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
Thread(target=hub.serve_forever, daemon=True).start()

os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{hub.server_port}"
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
import litellm  # noqa: E402  it reads the environment


def times(counts):
    """How often the hub is asked for a tokenizer while that many texts are counted."""
    asked.clear()
    for _ in range(counts):
        litellm.token_counter(model="hosted_vllm/llama-3-8b", text="What is a balance?")
    return len(asked)


plain = times(5)
litellm.disable_hf_tokenizer_download = True
switched_off = times(5)
print(f"the hub was asked {plain} times for 5 counts, {switched_off} times with the setting")
sys.exit(0 if plain >= 5 and switched_off == 0 else 1)
PY
HF_HOME="$work/hub" LITELLM_LOCAL_MODEL_COST_MAP=True "$work/venv/bin/python" -W ignore "$work/asked.py"
