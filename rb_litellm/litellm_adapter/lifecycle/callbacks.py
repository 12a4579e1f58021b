"""LiteLLM's callbacks, as the beginnings and ends of attempts.

The first of these to come closes an attempt: success hook, end of the stream, the attempt's own failure,
success or failure event, post-call failure hook, the next pick of the same call, the end of the pick's
task and of the request's; the lease after all of them. No callback raises: LiteLLM would show it to the
client or lose other callbacks' events.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from litellm.integrations.custom_logger import CustomLogger

from rb_litellm.core.servers.streams import Chunks
from rb_litellm.litellm_adapter.lifecycle.evidence import Usage
from rb_litellm.litellm_adapter.lifecycle.failure_names import failure_name
from rb_litellm.litellm_adapter.lifecycle.streams import begins_answer
from rb_litellm.litellm_adapter.lifecycle.usage import (
    answer_id,
    cached_tokens,
    ended_at_limit,
    estimated_tokens,
    hidden,
    is_receipt,
    longest_share,
    output_tokens,
    prompt_tokens,
    reasoning_tokens,
    stated_times,
    written_tokens,
)
from rb_litellm.litellm_adapter.request.efforts import asking
from rb_litellm.litellm_adapter.request.rights.controls import BadControls, take_in
from rb_litellm.litellm_adapter.request.rights.planner import planner_for
from rb_litellm.litellm_adapter.request.routing_decision import add_measured
from rb_litellm.litellm_adapter.shared.entries.effort_levels import effort_asked
from rb_litellm.litellm_adapter.shared.entries.several_answers import refuses_several
from rb_litellm.telemetry.records.best_of import BestOfReport
from rb_litellm.telemetry.records.cascade import HIDDEN, CascadeReport
from rb_litellm.telemetry.records.headers import response_headers

if TYPE_CHECKING:
    from rb_litellm.litellm_adapter.lifecycle.accounting import Accounting
    from rb_litellm.litellm_adapter.runtime import Runtime

_log = logging.getLogger("rb_litellm")
_P = ParamSpec("_P")
_R = TypeVar("_R")


def _silent(hook: Callable[_P, Awaitable[_R]]) -> Callable[_P, Awaitable[_R | None]]:
    @functools.wraps(hook)
    async def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R | None:
        try:
            return await hook(*args, **kwargs)
        except Exception:  # noqa: BLE001  bookkeeping must not reach the client
            _log.exception("RouteBalance: %s failed; the request is not affected", hook.__name__)
            return None

    return wrapped


class Lifecycle(CustomLogger):  # type: ignore[misc]
    """Reports to the books; this is what `litellm_settings.callbacks: [rb_litellm.proxy]` names."""

    def __init__(self, accounting: Accounting, runtime: Runtime) -> None:
        super().__init__()
        self._accounting = accounting
        self._runtime = runtime

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: Any, call_type: Any
    ) -> None:
        """A request has come: take its controls out of it and refuse it if they are wrong.

        Raises:
            HTTPException: 400 or 403, naming the control.
        """
        try:
            take_in(data, user_api_key_dict, lambda: planner_for(data))
        except BadControls as error:
            from fastapi import HTTPException

            raise HTTPException(status_code=error.status, detail={"error": str(error)}) from None
        except Exception as error:  # noqa: BLE001  without its controls a request is still routed
            self._runtime.failed("controls", error)

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
        """The server is about to be called."""
        try:
            self._accounting.asked(_call_id(kwargs), _deployment(kwargs))
        except Exception:  # noqa: BLE001  bookkeeping must not reach the client
            _log.exception("RouteBalance: log_pre_api_call failed; the request is not affected")

    @_silent
    async def async_pre_call_deployment_hook(self, kwargs: Any, call_type: Any) -> Any:
        """What is sent to the deployment now: with the level of effort that was chosen, if one was, and the
        number of answers."""
        if not (self._runtime.catalog.any_levels or self._runtime.judges.on):
            return None
        deployment = _id(kwargs.get("model_info"))
        if deployment is None:
            return None
        asked = None
        if effort := self._accounting.effort(_call_id(kwargs), deployment):
            asked = asking(kwargs, effort, getattr(call_type, "value", "") == "aresponses")
            if asked is None and effort_asked(kwargs) != effort:
                self._accounting.without_effort(_call_id(kwargs), deployment)
        if (answers := self._accounting.answers(_call_id(kwargs), deployment)) > 1:
            asked = {**(asked or kwargs), "n": answers}
        return asked

    @_silent
    async def async_post_call_success_hook(self, data: Any, user_api_key_dict: Any, response: Any) -> None:
        """An answer in one piece is there."""
        if isinstance(response, AsyncIterable):
            return
        told = hidden(response)
        self._told_quota(told("model_id"), told("additional_headers"))
        tokens, usage = _usage(response)
        self._accounting.answered(
            _call_id(data),
            "success-hook",
            deployment=told("model_id"),
            output_tokens=tokens,
            cost_usd=_number(told("response_cost")),
            cached=bool(told("cache_hit")),
            usage=usage,
        )

    @_silent
    async def async_post_call_failure_deployment_hook(
        self, request_data: Mapping[str, Any], exception: Exception, call_type: Any
    ) -> None:
        """One attempt has failed, just now: before any retry, or the wait for it."""
        deployment = _id(request_data.get("model_info"))
        if deployment is not None:
            if (
                refuses_several(exception)
                and self._accounting.answers(_call_id(request_data), deployment) > 1
            ):
                runtime = self._runtime
                runtime.guarded(lambda: runtime.refused_answers.note(deployment, runtime.clock()))
            self._accounting.attempt_failed(
                _call_id(request_data), deployment, failure_name(exception), at_once=True
            )

    @_silent
    async def async_post_call_failure_hook(
        self,
        request_data: Any,
        original_exception: Exception,
        user_api_key_dict: Any,
        traceback_str: Any = None,
    ) -> None:
        """All attempts of the request have failed, or it was refused."""
        self._accounting.closed(
            _call_id(request_data), "failure-hook", error=failure_name(original_exception)
        )

    async def async_post_call_streaming_iterator_hook(
        self, user_api_key_dict: Any, response: AsyncIterable[Any], request_data: Any
    ) -> AsyncGenerator[Any, None]:
        """Pass a stream through, seeing its first token and its end, however it ends."""
        call_id = _call_id(request_data)
        error: str | None = None
        left: dict[str, bool] = {}
        written, chunk, clock = Chunks(), None, self._runtime.clock
        try:
            async for chunk in response:
                written.latest_s = clock()
                if written.chunks:
                    written.chunks += 1
                elif begins_answer(chunk):
                    written.chunks = 1
                    self._accounting.first_token(call_id, written)
                yield chunk
        except (GeneratorExit, asyncio.CancelledError):
            # A client that leaves has had a good answer so far, if not all of it.
            left["cut"] = True
            raise
        except Exception as failure:
            error = failure_name(failure)
            raise
        finally:
            self._accounting.closed(call_id, "stream-end", error=error, last_chunk=chunk, **left)

    @_silent
    async def async_post_call_response_headers_hook(
        self,
        data: Any,
        user_api_key_dict: Any,
        response: Any,
        request_headers: Any = None,
        litellm_call_info: Mapping[str, Any] | None = None,
    ) -> dict[str, str] | None:
        """The `x-routebalance-*` headers, if it was our choice that answered."""
        if response is None or isinstance(response, AsyncIterable):
            # The wrapper around a stream sees nothing of a client that leaves before it is begun; nor of one
            # that LiteLLM has made nothing of, as of a server's 422 with `drop_params`.
            self._accounting.watch_request(_call_id(data))
        report = hidden(response)(HIDDEN)
        # A second answer has a call and a decision of its own.
        report = report if isinstance(report, (CascadeReport, BestOfReport)) else None
        call_id = _call_id(data) if report is None else report.call_id
        record = await self._accounting.written(call_id)
        answered_by = (litellm_call_info or {}).get("model_id")
        if record is None or (answered_by and answered_by != record.deployment):
            return None
        headers = response_headers(record, _number(hidden(response)("response_cost")))
        return headers if report is None else {**headers, **report.headers()}

    async def async_logging_hook(self, kwargs: Any, result: Any, call_type: str) -> tuple[Any, Any]:
        """LiteLLM is about to log a success: what was measured goes into the decision that it logs."""
        try:
            response = kwargs.get("async_complete_streaming_response") if kwargs.get("stream") else result
            if response is not None:
                self._succeeded(kwargs, response, kwargs.get("start_time"), kwargs.get("end_time"))
                record = await self._accounting.written(_call_id(kwargs))
                if record is not None:
                    add_measured(kwargs, record)
        except Exception:  # noqa: BLE001  bookkeeping must not reach the client
            _log.exception("RouteBalance: async_logging_hook failed; the request is not affected")
        return kwargs, result

    @_silent
    async def async_log_success_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """The call is over and its usage known."""
        self._succeeded(kwargs, response_obj, start_time, end_time)

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """The same for LiteLLM's synchronous calls."""
        try:
            self._succeeded(kwargs, response_obj, start_time, end_time)
        except Exception:  # noqa: BLE001  bookkeeping must not reach the client
            _log.exception("RouteBalance: log_success_event failed; the request is not affected")

    @_silent
    async def async_log_failure_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """An attempt has failed; told late, and not for every attempt."""
        self._failed(kwargs)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """The same for LiteLLM's synchronous calls."""
        try:
            self._failed(kwargs)
        except Exception:  # noqa: BLE001  bookkeeping must not reach the client
            _log.exception("RouteBalance: log_failure_event failed; the request is not affected")

    def _succeeded(self, kwargs: Mapping[str, Any], response: Any, start_time: Any, end_time: Any) -> None:
        call_id = _call_id(kwargs)
        if not self._accounting.unfinished(call_id):
            return  # Told before, by a hook or by LiteLLM's other words of the same success.
        # Of other streams LiteLLM notes the first event, which may come long before the first token.
        chats = kwargs.get("call_type") in (
            "acompletion",
            "completion",
            "atext_completion",
            "text_completion",
        )
        started = kwargs.get("completion_start_time") if kwargs.get("stream") and chats else None
        self._told_quota(_deployment(kwargs), hidden(response)("additional_headers"))
        tokens, usage = _usage(response)
        self._accounting.answered(
            call_id,
            "success-event",
            deployment=_deployment(kwargs),
            output_tokens=tokens,
            cost_usd=_number(kwargs.get("response_cost")),
            cached=bool(kwargs.get("cache_hit")),
            ttft_s=_seconds(start_time, started),
            lasted_s=_seconds(start_time, end_time),
            usage=usage,
        )

    def _told_quota(self, deployment: str | None, headers: Any) -> None:
        if deployment is not None and isinstance(headers, Mapping):
            self._accounting.told_quota(deployment, headers)

    def _failed(self, kwargs: Mapping[str, Any]) -> None:
        deployment = _deployment(kwargs)
        if deployment is not None:
            self._accounting.attempt_failed(
                _call_id(kwargs),
                deployment,
                failure_name(kwargs.get("exception") or Exception()),
                at_once=False,
            )


def _usage(response: Any) -> tuple[int | None, Usage]:
    """Output tokens of an answer, and what else is to be known of them before anything is learned."""
    tokens = output_tokens(response)
    if is_receipt(response):
        return 0 if tokens is None else tokens, Usage(timed=False)
    if not tokens and (estimate := estimated_tokens(response)):
        return estimate, Usage(estimated=True)
    return tokens, Usage(
        reasoning_tokens=reasoning_tokens(response),
        prompt_tokens=prompt_tokens(response),
        stated=stated_times(response),
        cached_tokens=cached_tokens(response),
        written_tokens=written_tokens(response),
        limited=ended_at_limit(response),
        answer_id=answer_id(response),
        longest=longest_share(response),
    )


def _call_id(holder: Any) -> str | None:
    call_id = holder.get("litellm_call_id") if isinstance(holder, Mapping) else None
    return call_id if isinstance(call_id, str) else None


def _deployment(kwargs: Mapping[str, Any]) -> str | None:
    params = kwargs.get("litellm_params")
    return _id(params.get("model_info")) if isinstance(params, Mapping) else None


def _id(info: Any) -> str | None:
    found = info.get("id") if isinstance(info, Mapping) else None
    return found if isinstance(found, str) else None


def _number(value: object) -> float | None:
    """A finite number; None for whatever else LiteLLM, or a price of somebody's, has made of it."""
    known = (
        isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    )
    return float(value) if known else None  # type: ignore[arg-type]


def _seconds(start: object, end: object) -> float | None:
    if not isinstance(start, datetime) or not isinstance(end, datetime):
        return None
    if (start.tzinfo is None) != (end.tzinfo is None):
        return None
    seconds = (end - start).total_seconds()
    # Less than none where the clock was set back meanwhile.
    return seconds if seconds >= 0.0 else None
