"""The numbers behind the ledger's sums: one slot per open attempt, in arrays that are added up at every read.

Times are monotonic seconds. It is not thread-safe by itself; the ledger's lock guards it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rb_litellm.core.types import FloatArray, InstanceState, IntArray, Prediction

_REMAINDER = 1.0 / 16.0
"""An attempt that outlives its prediction still counts as this share of it, and as at least one token."""
_PATIENCE = 2.0
"""An attempt is overdue once it has been open for this multiple of its predicted time,"""
_GRACE_S = 1.0
"""plus this, so that the noise of short requests is not taken for evidence."""


def at_least(low: float, value: float) -> float:
    """The value clipped to [low, 1e12]; NaN becomes `low`, so that no odd prediction reaches the sums."""
    return min(value, 1e12) if value > low else low


class Columns:
    """One slot per open attempt, in arrays that grow by doubling. Only the first `count` slots are in use."""

    def __init__(self, capacity: int = 256) -> None:
        self.row: IntArray = np.zeros(capacity, dtype=np.int64)
        # The sums read four of them together, so they are rows of one matrix.
        self._data: FloatArray = np.zeros((10, capacity))
        self._name_columns()

    def _name_columns(self) -> None:
        (
            self.lease_end,
            self.first_s,  # when the first token comes or came
            self.input_tokens,
            self.prefill_rate,  # tokens/s at which its prefill shrinks towards first_s
            self.output_tokens,
            self.least_decode,
            self.decode_rate,
            self.e2e_s,
            self.overdue_s,  # when it becomes overdue
            self.answers,  # sequences that it runs as
        ) = self._data

    def write(
        self,
        slot: int,
        row: int,
        *,
        sent_s: float,
        lease_end_s: float,
        input_tokens: int,
        prediction: Prediction | None,
        streams: bool,
        answers: int = 1,
    ) -> None:
        """Write an attempt, sent at `sent_s` to the deployment at `row`, to the first slot not in use.

        `prediction` is of one answer; it runs as so many sequences as `answers` are asked for.
        """
        if slot >= self.row.size:
            self.row = np.concatenate([self.row, np.zeros_like(self.row)])
            self._data = np.concatenate([self._data, np.zeros_like(self._data)], axis=1)
            self._name_columns()
        self.row[slot] = row
        if (p := prediction) is None:
            never = sent_s - 1e9
            self._data[:, slot] = (lease_end_s, never, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, np.inf, answers)
            return
        ttft_s, e2e_s = at_least(0.0, p.ttft_s), at_least(1e-3, p.e2e_s)
        output_tokens = answers * at_least(0.0, p.output_tokens)
        expected_s = min(ttft_s, e2e_s) if streams else e2e_s
        self._data[:, slot] = (
            lease_end_s,
            sent_s + ttft_s,
            input_tokens,
            input_tokens / at_least(1e-3, ttft_s - p.wait_s),
            output_tokens,
            min(output_tokens, max(1.0, output_tokens * _REMAINDER)),
            answers / at_least(1e-6, p.tpot_s),
            e2e_s,
            sent_s + _PATIENCE * expected_s + _GRACE_S,
            answers,
        )

    def first_token(self, slot: int, sent_s: float, now: float) -> None:
        """Record the first token of a predicted attempt; from now on its whole answer may become overdue."""
        self.first_s[slot] = now
        self.overdue_s[slot] = sent_s + _PATIENCE * self.e2e_s[slot] + _GRACE_S

    def cap_decode_rate(self, count: int, row: int, tpot_s: float) -> None:
        """Let the open attempts on the deployment at `row` decode no faster than one token every `tpot_s`."""
        faster = self.decode_rate[:count] * tpot_s / self.answers[:count]
        slots = np.flatnonzero((self.row[:count] == row) & (faster > 1.0))
        longer_s = self.e2e_s[slots] * (faster[slots] - 1.0)
        self.decode_rate[slots] = self.answers[slots] / tpot_s
        self.e2e_s[slots] += longer_s
        self.overdue_s[slots] += _PATIENCE * longer_s

    def move(self, source: int, target: int) -> None:
        """Copy one slot to another."""
        self.row[target] = self.row[source]
        self._data[:, target] = self._data[:, source]

    def sums(self, count: int, rows: int, now: float) -> InstanceState:
        """Load by row (rows,) of the attempts in the first `count` slots."""
        if count == 0:
            return InstanceState.idle(rows)
        row = self.row[:count]
        decoding_s = now - self.first_s[:count]
        decode = self.output_tokens[:count] - np.maximum(decoding_s, 0.0) * self.decode_rate[:count]
        np.maximum(decode, self.least_decode[:count], out=decode)
        prefill = np.maximum(-decoding_s, 0.0) * self.prefill_rate[:count]
        np.minimum(prefill, self.input_tokens[:count], out=prefill)
        return InstanceState(
            np.bincount(row, self.answers[:count], minlength=rows).astype(np.float64, copy=False),
            np.bincount(row, prefill, minlength=rows).astype(np.float64, copy=False),
            np.bincount(row, decode, minlength=rows).astype(np.float64, copy=False),
        )

    def decode_rates(self, count: int, rows: int) -> FloatArray:
        """Tokens per second that the open attempts decode, by row (rows,)."""
        return np.bincount(self.row[:count], self.decode_rate[:count], minlength=rows).astype(np.float64)

    def any_late(self, count: int, now: float) -> bool:
        """Whether an attempt is overdue."""
        due_s = self.overdue_s[:count]
        return count > 0 and due_s.item(due_s.argmin()) < now

    def late(self, count: int, now: float) -> IntArray:
        """Slots whose attempts are overdue."""
        return np.flatnonzero(self.overdue_s[:count] < now)

    def overdue(
        self, count: int, rows: int, now: float, add_up: Callable[[FloatArray], FloatArray]
    ) -> FloatArray:
        """1 + time overdue / time predicted, by row (rows,); `add_up` adds up rows that are on one server."""
        excess = now - self.overdue_s[:count]
        if count == 0 or excess.max() <= 0.0:
            return np.ones(rows)
        row = self.row[:count]
        late = add_up(np.bincount(row, np.maximum(excess, 0.0), minlength=rows).astype(np.float64))
        expected = add_up(np.bincount(row, self.e2e_s[:count], minlength=rows).astype(np.float64))
        return 1.0 + late / np.maximum(expected, 1e-3)
