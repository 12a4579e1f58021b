"""The pure part: streams as numbers, fits of what follows the form, and facts that servers state."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.calibration.document import document
from rb_litellm.calibration.facts import Facts, facts_of
from rb_litellm.calibration.fit import Measured, fitted
from rb_litellm.calibration.streams import Stream, most_at_once, pace_of
from rb_litellm.core.latency.forecast import effective_tokens, ridge_tokens

times = st.floats(0.001, 1.0)


def stream(ttft_s: float, tpot_s: float, prompt: int = 32, sent_s: float = 0.0, tokens: int = 48) -> Stream:
    pieces = tuple(sent_s + ttft_s + tpot_s * n for n in range(tokens))
    return Stream(sent_s, pieces, prompt, tokens)


@given(base=times, per_token=st.floats(1e-5, 1e-3), alone=times, per_running=st.floats(0.0, 0.1))
def test_a_server_of_the_form_is_found_without_error(
    base: float, per_token: float, alone: float, per_running: float
) -> None:
    ridge = ridge_tokens(alone, per_token)

    def ttft_s(tokens: int) -> float:
        return base + per_token * effective_tokens(tokens, ridge)

    found = fitted(
        Measured(
            alone=[[stream(ttft_s(n), alone, n)] for n in (32, 512, 4096)],
            together=[[stream(base, alone + per_running * (b - 1))] * b for b in (1, 2, 8)],
        )
    )
    assert found.ttft.error < 1e-3
    assert found.tpot.error < 1e-3
    assert found.ttft.at(2000) == pytest.approx(ttft_s(2000), rel=0.01)
    assert found.tpot.at(3) == pytest.approx(alone + per_running * 3, rel=0.01)


@given(slots=st.integers(1, 8), asked=st.integers(1, 24), tpot_s=times)
def test_as_many_are_at_once_as_there_are_slots(slots: int, asked: int, tpot_s: float) -> None:
    answers = [stream(0.01 + (n // slots) * 49 * tpot_s, tpot_s) for n in range(asked)]
    assert most_at_once(answers) == min(slots, asked)
    assert pace_of(answers) == pytest.approx(tpot_s, rel=0.01)


def test_pieces_of_several_tokens_do_not_look_slow() -> None:
    one = Stream(0.0, tuple(0.1 + 0.08 * n for n in range(13)), 32, 49)
    assert pace_of([one]) == pytest.approx(0.02)


def test_a_single_hiccup_does_not_decide() -> None:
    times_s = [0.1, 0.15, 0.2, 0.25, 3.0, 0.35]
    found = fitted(
        Measured(
            alone=[[stream(s, 0.01, 1000 * n)] for n, s in enumerate(times_s, 1)],
            together=[[stream(0.1, 0.01)]],
        )
    )
    assert found.ttft.at(6000) == pytest.approx(0.35, rel=0.15)


def test_measurements_of_the_same_that_lie_apart_are_told() -> None:
    found = fitted(
        Measured(
            alone=[[stream(s, 0.01, n) for s in (0.1, 0.12, 0.5)] for n in (32, 512)],
            together=[[stream(0.1, 0.01)]],
        )
    )
    assert found.spread == pytest.approx(0.4 / 0.12)


def test_the_form_says_how_badly_it_fits() -> None:
    found = fitted(
        Measured(
            alone=[[stream(s, 0.01, n)] for n, s in ((10, 0.1), (100, 1.0), (1000, 0.1))],
            together=[[stream(0.1, 0.01)]],
        )
    )
    assert found.ttft.error > 0.3


@pytest.mark.parametrize(("cached", "expected"), [(None, False), (0, False), (448, True)])
def test_a_server_that_tells_of_its_cache_is_believed(cached: int | None, expected: bool) -> None:
    again = Stream(0.0, (0.6, 0.7), 500, 2, cached)
    found = fitted(
        Measured(
            alone=[[stream(0.1 + n / 1000, 0.01, n)] for n in (32, 500)],
            together=[[stream(0.1, 0.01)]],
            repeated=[again, again, again],
        )
    )
    assert found.prefix_cache is expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, Facts()),
        ({"props": "no JSON", "metrics": "nothing"}, Facts()),
        (
            {"props": '{"total_slots": 2, "default_generation_settings": {"n_ctx": 2048}}'},
            Facts(slots=2, context_window=2048, kv_tokens=4096),
        ),
        (
            {"get_server_info": '{"max_running_requests": 48, "max_total_num_tokens": 90000}'},
            Facts(slots=48, kv_tokens=90_000),
        ),
        (
            {
                "metrics": 'vllm:num_requests_running{engine="0"} 3\n'
                'vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="100"} 1.0\n'
                'vllm:cache_config_info{block_size="16",engine="1",num_gpu_blocks="100"} 1.0\n'
            },
            Facts(kv_tokens=3200, running=3),
        ),
    ],
)
def test_what_servers_state_is_read(told: dict[str, str], expected: Facts) -> None:
    assert facts_of(told) == expected


def test_the_document_has_the_names_that_others_read() -> None:
    found = fitted(
        Measured(
            alone=[[stream(0.1, 0.01)]], together=[[stream(0.1, 0.01)]], queue_seen=4, context_window=512
        )
    )
    told = document("http://user:secret@gpu-3:8000/v1", "m", found).model_dump(mode="json")
    assert told["ttft_ms"] == {"base": 100.0, "per_1k_prompt_tokens": 0.0}
    assert told["slots"] == 4
    assert told["context_window"] == 512
    assert told["tpot_ms"] == {"1": 10.0}
    assert set(told["fit_error"]) == {"ttft", "tpot"}
    assert told["url"] == "http://gpu-3:8000/v1"
