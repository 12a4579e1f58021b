"""A request is over when its server's task is, or when the answer that was handed on to it is gone."""

import asyncio
import gc
from types import SimpleNamespace

import pytest

from rb_litellm.litellm_adapter.lifecycle import request_end
from rb_litellm.litellm_adapter.lifecycle.callbacks import Lifecycle
from rb_litellm.litellm_adapter.lifecycle.request_end import until_request_ends


class Answer:
    """A streamed answer of Starlette's, as far as it matters."""

    body_iterator = ()


async def serve(ends, result=None, error=None):
    until_request_ends(asyncio.current_task(), ends.append)
    await asyncio.sleep(0)
    if error is not None:
        raise error
    return result


@pytest.fixture
def of_litellm(monkeypatch):
    monkeypatch.setattr(request_end, "_is_of_litellm", lambda _: True)


async def test_it_is_over_with_the_servers_task():
    ends = []
    await asyncio.create_task(serve(ends))
    await asyncio.sleep(0)
    assert ends == [None]


async def test_a_task_that_is_cancelled_is_told():
    ends = []
    task = asyncio.create_task(serve(ends))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert ends == ["CancelledError"]


async def test_a_stream_that_a_task_of_litellms_hands_on_goes_on(of_litellm):
    ends = []
    task = asyncio.create_task(serve(ends, Answer()))
    answer = await task
    await asyncio.sleep(0)
    assert ends == []
    del answer, task
    gc.collect()
    assert ends == [None]


@pytest.mark.parametrize("error", [None, ValueError("no answer")])
async def test_without_a_stream_a_task_of_litellms_ends_it(of_litellm, error):
    ends = []
    await asyncio.wait([asyncio.create_task(serve(ends, {"choices": []}, error))])
    await asyncio.sleep(0)
    assert ends == [None]


async def test_a_stream_that_litellm_has_made_nothing_of_is_watched():
    watched = []

    async def written(_):
        return None

    books = SimpleNamespace(watch_request=watched.append, written=written)
    hook = Lifecycle(books, None).async_post_call_response_headers_hook
    await hook({"litellm_call_id": "c", "stream": True}, None, None)
    assert watched == ["c"]
