"""What is seen of a stream while it is passed on to the client."""

import asyncio
from types import SimpleNamespace

import pytest

from rb_litellm.litellm_adapter.lifecycle.callbacks import Lifecycle


class Books:
    """Accounting that keeps what it is told of one call."""

    def __init__(self):
        self.progress, self.ends = None, []

    def first_token(self, call_id, progress):
        self.progress = progress
        self.at_first = progress.chunks

    def closed(self, call_id, closed_by, error=None, last_chunk=None):
        self.ends.append((closed_by, error))


def passed_on(books, chunks):
    """The counts and times seen as each chunk has reached the client; they come 1 s apart, from 100 s on."""

    async def stream():
        for chunk in chunks:
            yield chunk

    async def run():
        runtime = SimpleNamespace(clock=iter(range(100, 200)).__next__)
        hook = Lifecycle(books, runtime).async_post_call_streaming_iterator_hook
        return [
            books.progress and (books.progress.chunks, books.progress.latest_s)
            async for _ in hook(None, stream(), {"litellm_call_id": "c"})
        ]

    return asyncio.run(run())


@pytest.mark.parametrize("announced", [0, 2])
def test_chunks_are_counted_from_the_first_of_the_answer_while_they_pass(announced):
    opening = [SimpleNamespace(type="response.created")] * announced
    answer = [SimpleNamespace(type="response.output_text.delta")] * 3
    books = Books()
    counted = [(n + 1, 100 + announced + n) for n in range(3)]
    assert passed_on(books, opening + answer) == [None] * announced + counted
    assert books.at_first == 1
    assert books.ends == [("stream-end", None)]
