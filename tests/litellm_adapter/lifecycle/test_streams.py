"""Which chunks of a stream begin its answer."""

from types import SimpleNamespace

import pytest
from litellm.types.utils import ModelResponseStream

from rb_litellm.litellm_adapter.lifecycle.streams import begins_answer


@pytest.mark.parametrize(
    "chunk",
    [
        ModelResponseStream(),
        SimpleNamespace(type="response.output_text.delta"),
        {"type": "content_block_delta"},
        b'event: content_block_delta\ndata: {"type": "content_block_delta"}\n\n',
        'data: {"type": "content_block_delta"}',
        b'data: {"choices": []}\n\n',
        None,
        7,
    ],
)
def test_a_chunk_with_a_piece_of_the_answer_does(chunk):
    assert begins_answer(chunk)


@pytest.mark.parametrize(
    "chunk",
    [
        SimpleNamespace(type="response.created"),
        SimpleNamespace(type="response.in_progress"),
        SimpleNamespace(type="response.output_item.added"),
        {"type": "message_start"},
        {"type": "ping"},
        b'event: message_start\ndata: {"type": "message_start"}\n\n',
        'data: {"type": "content_block_start"}',
    ],
)
def test_an_announcement_does_not(chunk):
    assert not begins_answer(chunk)


def test_litellms_own_event_types_are_understood():
    from litellm.types.llms.openai import OutputTextDeltaEvent, ResponsesAPIStreamEvents

    place = {"item_id": "m", "output_index": 0, "content_index": 0}
    delta = OutputTextDeltaEvent(type=ResponsesAPIStreamEvents.OUTPUT_TEXT_DELTA, delta="x", **place)
    assert begins_answer(delta)
    assert not begins_answer(SimpleNamespace(type=ResponsesAPIStreamEvents.RESPONSE_CREATED))
