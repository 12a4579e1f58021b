"""Proxies that are forked from a process which has imported LiteLLM once: the same programs, started sooner.

Importing LiteLLM's proxy takes some 15 s of processor time, and one with two workers does it three times.
Here a server (`server`) imports it once for a run of tests. Each proxy is a fork of it which then runs the
very command `rb-litellm ...` in a session of its own, with its own environment, folder and output; the
workers that its supervisor starts are forks too (`spares`). What follows the imports is as in a real start.

Where a fork might differ, there is a real start (`start`): another command, a variable that was read while
LiteLLM was imported, another system than Linux. `REAL_STARTS=1` asks for it for all proxies. Tests of the
start itself use `rb_litellm.bench.real.testbed.running_proxy`, which knows nothing of this.
"""
