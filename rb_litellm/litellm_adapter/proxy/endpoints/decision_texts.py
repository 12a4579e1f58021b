"""Decisions as JSON texts, each written once however many look at it."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence

from rb_litellm.litellm_adapter.proxy.endpoints.turns import Turns
from rb_litellm.telemetry.records.decision import DecisionRecord, as_json
from rb_litellm.telemetry.records.decision_log import MAX_RECENT

MAX_TEXTS = 2 * MAX_RECENT
"""Texts kept; the one asked for longest ago is written anew. Recent decisions, and as many that were open."""


class DecisionTexts:
    """Bounded by MAX_TEXTS."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._texts: OrderedDict[tuple[str, int, bool], str] = OrderedDict()

    async def array(self, records: Sequence[DecisionRecord]) -> str:
        """A JSON array of the decisions, in their order."""
        return f"[{','.join(await self._turns.each(records, self._text))}]"

    def _text(self, record: DecisionRecord) -> str:
        key = (record.call_id, record.attempt, record.outcome is not None)
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = json.dumps(as_json(record))
            if len(self._texts) > MAX_TEXTS:
                self._texts.popitem(last=False)
        else:
            self._texts.move_to_end(key)
        return text
