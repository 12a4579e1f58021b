"""An estimate of which deployments have cached the beginning of a prompt, from what was sent to them.

Servers do not say what they have cached. So a prompt is cut into blocks, and each block is named by a hash of
all text up to its end, as vLLM's automatic prefix caching names its blocks
(https://docs.vllm.ai/en/latest/design/prefix_caching/). The names of what was sent are kept per deployment.
Since a name covers the whole prefix, the last block that a deployment knows says how much of the prompt it
has seen. Only names are kept, never text. Each owner of prompts has names of its own.

Times are in s on the caller's clock.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b

import numpy as np

from rb_litellm.core.servers.affinity import AffinityRule, CachedPrefix
from rb_litellm.core.servers.threads import Threads
from rb_litellm.core.types import FloatArray, IntArray, Prompt

BLOCK_CHARS = 256
"""About 64 tokens, four of vLLM's default blocks."""
NAME_BYTES = 8
MAX_RECENT = 64
"""Prompts whose longest name is shared with the other workers, at most."""
SHARED_S = 5.0
"""A name is shared for this long, in every exchange, so that one lost exchange does not matter."""
SMALL_BLOCKS = 128
"""Blocks of that size from a prompt's start, the first 32 KB; those that follow are larger:"""
LARGE_BLOCK_CHARS = 2_048
"""about as fine for a prompt of 64 KB, as the small ones are for one of 8 KB."""
MAX_BLOCKS = 256
"""Blocks of one prompt that are named, from its start: the first 288 KB."""
MAX_NAMES = 65_536
"""Names kept per process, about 20 MB; the least recently used is evicted."""
MAX_HOLDERS = 8
"""Deployments kept per name; the least recently used is evicted."""
MAX_SESSIONS = 16_384
"""Conversations whose model is kept; the least recently used is evicted."""


def block_names(text: str, owner: str = "") -> tuple[bytes, ...]:
    """Names of the full blocks of a prompt, in order, each a hash of all text up to the block's end.

    Those of another owner are other names: nobody sees from what is cached what others have sent.
    """
    names = []
    running = blake2b(digest_size=NAME_BYTES, key=owner.encode("utf-8", "surrogatepass")[:64])
    start = 0
    for end in _ENDS:
        if end > len(text):
            break
        running.update(text[start:end].encode("utf-8", "surrogatepass"))
        names.append(running.digest())
        start = end
    return tuple(names)


def chars_of(blocks: int) -> int:
    """Characters of so many blocks from the start."""
    small = min(blocks, SMALL_BLOCKS)
    return small * BLOCK_CHARS + (blocks - small) * LARGE_BLOCK_CHARS


_ENDS = tuple(chars_of(blocks) for blocks in range(1, MAX_BLOCKS + 1))
_NOBODY: Mapping[int, float] = {}


class PrefixIndex:
    """Which deployment (by row) has seen which prefix. Bounded; guard with the caller's lock."""

    def __init__(self, max_names: int = MAX_NAMES) -> None:
        self._max_names = max_names
        self._holders: OrderedDict[bytes, dict[int, float]] = OrderedDict()
        self._recent: deque[tuple[bytes, int, float]] = deque(maxlen=MAX_RECENT)

    def __len__(self) -> int:
        return len(self._holders)

    def sent(self, names: Sequence[bytes], row: int, now: float) -> None:
        """Record that this worker sent a prompt with these blocks to the deployment at `row`."""
        if names:
            self._recent.append((names[-1], row, now))
        self.receive(names, row, now)

    def recent(self, now: float) -> dict[int, list[bytes]]:
        """The longest names of the prompts sent in the last SHARED_S, by row, for the other workers."""
        names: dict[int, list[bytes]] = {}
        for name, row in dict.fromkeys((n, row) for n, row, at in self._recent if now - at <= SHARED_S):
            names.setdefault(row, []).append(name)
        return names

    def receive(self, names: Sequence[bytes], row: int, now: float) -> None:
        """Record that this or another worker sent prompts with these blocks to the deployment at `row`."""
        for name in names:
            holders = self._holders.get(name)
            if holders is None:
                holders = self._holders[name] = {}
            else:
                self._holders.move_to_end(name)
            # The newest is last, so the first one is evicted.
            holders[row] = max(now, holders.pop(row, now))
            if len(holders) > MAX_HOLDERS:
                del holders[next(iter(holders))]
        while len(self._holders) > self._max_names:
            self._holders.popitem(last=False)

    def forget(self, rows: Collection[int]) -> None:
        """Those that had these rows are gone."""
        gone = set(rows)
        for name, holders in list(self._holders.items()):
            if not gone.isdisjoint(holders):
                self._holders[name] = left = {row: at for row, at in holders.items() if row not in gone}
                if not left:
                    del self._holders[name]
        recent = [one for one in self._recent if one[1] not in gone]
        self._recent.clear()
        self._recent.extend(recent)

    def seen(self, names: Sequence[bytes], now: float, ttl_s: float) -> dict[int, tuple[int, float]]:
        """The number of the prompt's blocks that a deployment has seen, and how many s ago, by its row."""
        found: dict[int, tuple[int, float]] = {}
        for depth in range(len(names), 0, -1):
            for row, used in self._holders.get(names[depth - 1], _NOBODY).items():
                if row not in found and now - used <= ttl_s:
                    found[row] = depth, max(now - used, 0.0)
        return found

    def latest(self, names: Sequence[bytes], now: float, ttl_s: float) -> int | None:
        """The row that was last sent the longest known prefix of the prompt; None if that is too long ago."""
        for name in reversed(names):
            if holders := self._holders.get(name):
                row, used = next(reversed(holders.items()))
                return row if now - used <= ttl_s else None
        return None


class Conversations:
    """The model that served each conversation last, by session id. Bounded; guard with the caller's lock."""

    def __init__(self, max_sessions: int = MAX_SESSIONS) -> None:
        self._max = max_sessions
        self._model: OrderedDict[str, str] = OrderedDict()

    def served(self, session: str, model: str) -> None:
        """Record that a turn of this session went to a deployment of this model."""
        self._model[session] = model
        self._model.move_to_end(session)
        if len(self._model) > self._max:
            self._model.popitem(last=False)

    def model(self, session: str) -> str | None:
        """The model of the session's last turn; None for an unknown session."""
        return self._model.get(session)


class PrefixMemory:
    """What was sent where, by prefix, conversation and agent's thread. Guard with the caller's lock."""

    def __init__(self) -> None:
        self.index = PrefixIndex()
        self.conversations = Conversations()
        self.threads = Threads()

    def match(
        self,
        prompt: Prompt,
        rule: AffinityRule,
        rows: IntArray,
        tiers: IntArray,
        groups: Sequence[str],
        now: float,
        thread: str = "",
    ) -> CachedPrefix:
        """What was sent before of the prompt to N deployments, given by row, tier and model group (N,).

        As if all of it were still cached; `keeping` says how much is.

        `thread` names the agent's loop that the prompt goes on with; empty for none.
        """
        names = block_names(prompt.text, prompt.owner)
        blocks = self.index.seen(names, now, rule.ttl_s)
        tokens_per_char = prompt.input_tokens / max(len(prompt.text), 1)
        seen, ago_s = np.zeros((2, rows.size))
        if blocks:
            for at, row in enumerate(rows.tolist()):
                if row in blocks:
                    count, ago_s[at] = blocks[row]
                    seen[at] = chars_of(count) * tokens_per_char
        pin = self.threads.pin(thread, now, rule.ttl_s) if thread else None
        if pin is not None and pin.tokens <= prompt.input_tokens:
            longer = (rows == pin.row) & (pin.tokens >= seen)
            seen[longer], ago_s[longer] = pin.tokens, now - pin.at_s
        model = self._model(prompt, names, rule, rows, groups, now)
        switch = None if model is None else _others(groups, model)
        return CachedPrefix(seen, tiers, switch, rule, names, seen, ago_s)

    def sent(self, match: CachedPrefix, prompt: Prompt, row: int, group: str, now: float) -> None:
        """Record that the request goes to the deployment at `row`, of this model group."""
        self.index.sent(match.block_names, row, now)
        if prompt.session:
            self.conversations.served(prompt.session, group)

    def _model(
        self,
        prompt: Prompt,
        names: Sequence[bytes],
        rule: AffinityRule,
        rows: IntArray,
        groups: Sequence[str],
        now: float,
    ) -> str | None:
        if prompt.session:
            return self.conversations.model(prompt.session)
        if prompt.turns < 2:
            return None
        latest = self.index.latest(names, now, rule.ttl_s)
        return next((groups[i] for i, row in enumerate(rows.tolist()) if row == latest), None)


def _others(groups: Sequence[str], model: str) -> FloatArray:
    return np.array([0.0 if group == model else 1.0 for group in groups])
