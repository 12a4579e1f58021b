"""Facts of deployments: read from LiteLLM's entries once, and again when an entry has changed."""

import logging
import math

import litellm
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.config import SettingsError
from rb_litellm.litellm_adapter.shared import catalog as catalog_module
from rb_litellm.litellm_adapter.shared.catalog import Catalog
from rb_litellm.litellm_adapter.shared.entries.facts import read_deployment


def entry(id="d1", *, group="auto", model="openai/my-model", info=None, **params):
    return {
        "model_name": group,
        "litellm_params": {"model": model, **params},
        "model_info": {"id": id, **(info or {})},
    }


def read(*args, **kwargs):
    return read_deployment(entry(*args, **kwargs), lambda *_: None)


def test_prices_of_the_deployment_outrank_its_model_info_and_the_cost_map():
    own = read(model="openai/gpt-4o", input_cost_per_token=1.0, info={"input_cost_per_token": 2.0})
    assert own.input_usd_per_token == 1.0
    info = read(model="openai/gpt-4o", info={"input_cost_per_token": 2.0})
    assert info.input_usd_per_token == 2.0
    mapped = read(model="openai/gpt-4o")
    assert 0.0 < mapped.input_usd_per_token < mapped.output_usd_per_token < 1e-3


def test_the_base_model_tells_the_price_of_a_deployment_with_a_name_of_its_own():
    azure = read(model="azure/our-own-name", info={"base_model": "gpt-4o"})
    assert azure.input_usd_per_token == read(model="openai/gpt-4o").input_usd_per_token


def test_a_price_of_nought_is_a_price():
    assert read(input_cost_per_token=0, output_cost_per_token=0).input_usd_per_token == 0.0


@pytest.mark.parametrize("price", [None, "cheap", True, -1.0, math.inf, math.nan])
def test_an_unusable_price_is_an_unknown_one(price):
    assert math.isnan(read(input_cost_per_token=price).input_usd_per_token)


def test_an_unknown_price_is_warned_of_once_and_says_what_to_set(caplog):
    catalog = Catalog()
    with caplog.at_level(logging.WARNING, logger="rb_litellm"):
        for _ in range(3):
            catalog.facts([entry("a"), entry("b")])
    (warning,) = caplog.messages
    assert "openai/my-model" in warning
    assert "input_cost_per_token" in warning
    assert "median" in warning


def test_embeddings_write_nothing_and_cost_nothing_for_it():
    embedding = read(model="openai/text-embedding-3-small")
    assert embedding.generates is False
    assert embedding.output_usd_per_token == 0.0


@pytest.mark.parametrize("model", ["gpt-image-1", "tts-1", "whisper-1"])
def test_a_model_that_answers_in_pictures_or_sound_writes_nothing(model, monkeypatch):
    # What LiteLLM makes of a deployment with prices of its own.
    monkeypatch.setitem(litellm.model_cost, f"openai/{model}", {"input_cost_per_token": 1e-6})
    assert read(model=f"openai/{model}").generates is False


@pytest.mark.parametrize(
    ("params", "hosted"),
    [
        ({"model": "openai/gpt-4o"}, True),
        ({"model": "anthropic/claude-3-5-sonnet-20240620"}, True),
        ({"model": "openai/x", "api_base": "https://api.example.com/v1"}, True),
        ({"model": "hosted_vllm/qwen-7b"}, False),
        ({"model": "ollama/llama3"}, False),
        ({"model": "qwen-7b", "custom_llm_provider": "hosted_vllm"}, False),
        ({"model": "openai/x", "api_base": "http://10.0.0.7:8000/v1"}, False),
        ({"model": "openai/x", "api_base": "https://vllm:8000/v1"}, False),
        ({"model": "openai/x", "api_base": "https://gpu.prod.svc/v1"}, False),
        ({"model": "openai/x", "api_base": "http://[::1]:8000"}, False),
    ],
)
def test_a_self_hosted_server_is_known_by_its_provider_or_address(params, hosted):
    assert math.isinf(read(**params).prior.slots) is hosted


def test_the_settings_say_whether_it_is_hosted_where_the_address_would_mislead():
    proxied = read(api_base="http://egress:3128", info={"routebalance": {"hosted": True}})
    assert math.isinf(proxied.prior.slots)


def test_settings_of_a_deployment_are_taken():
    facts = read(
        info={
            "routebalance": {
                "quality": 0.7,
                "output_tokens": 90,
                "tpot_ms": 30,
                "ttft_ms": 200,
                "max_num_seqs": 8,
                "tier": "h100",
                "hosted": False,
            }
        }
    )
    assert (facts.quality, facts.output_tokens, facts.tier) == (0.7, 90.0, "h100")
    assert (facts.prior.tpot_s, facts.prior.ttft_s, facts.prior.slots) == (0.03, 0.2, 8.0)


def test_one_model_on_one_hardware_is_one_tier():
    a, b = read("a", model="hosted_vllm/q-7b"), read("b", model="hosted_vllm/q-7b")
    slower = read("c", model="hosted_vllm/q-7b", info={"routebalance": {"tpot_ms": 99}})
    assert a.tier == b.tier != slower.tier


def test_a_bad_setting_met_at_a_pick_is_ignored_with_a_warning(caplog):
    bad = entry(info={"routebalance": {"quality": 7}}, input_cost_per_token=0, output_cost_per_token=0)
    with caplog.at_level(logging.WARNING, logger="rb_litellm"):
        (facts,) = Catalog().facts([bad])
    assert facts.quality is None
    assert "model_info.routebalance of auto.quality" in caplog.text
    assert "ignored" in caplog.text


def test_a_bad_setting_at_start_is_an_error_that_names_the_deployment():
    with pytest.raises(SettingsError, match=r"model_info\.routebalance of auto\.quality.*7"):
        Catalog().check([entry(info={"routebalance": {"quality": 7}})])


def test_facts_are_read_once():
    catalog, deployment = Catalog(), entry()
    assert catalog.facts([deployment])[0] is catalog.facts([dict(deployment)])[0]


def test_facts_are_read_again_when_the_entry_was_replaced():
    catalog = Catalog()
    before = catalog.facts([entry(input_cost_per_token=1.0)])[0]
    after = catalog.facts([entry(input_cost_per_token=2.0)])[0]
    assert (before.input_usd_per_token, after.input_usd_per_token) == (1.0, 2.0)


def test_facts_come_in_the_order_asked_for():
    assert [d.id for d in Catalog().facts([entry("b"), entry("a"), entry("c")])] == ["b", "a", "c"]


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(catalog_module, "MAX_DEPLOYMENTS", 5)
    catalog = Catalog()
    for i in range(50):
        assert catalog.facts([entry(f"d{i}", group=f"g{i}")])[0].id == f"d{i}"
    assert len(catalog._known) == 5
    assert len(catalog._warned) <= 5


odd = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.none(), max_size=2)
)


@given(
    st.dictionaries(
        st.sampled_from(["model", "api_base", "custom_llm_provider", "input_cost_per_token"]), odd
    ),
    st.dictionaries(
        st.sampled_from(["base_model", "mode", "max_input_tokens", "routebalance", "output_cost_per_token"]),
        odd,
    ),
)
def test_no_entry_with_an_id_is_refused(params, info):
    entry_of_a_client = {
        "model_name": "auto",
        "litellm_params": params,
        "model_info": {"id": "d", **info},
    }
    facts = read_deployment(entry_of_a_client, lambda *_: None)
    assert facts.id == "d"
    assert facts.prior.tpot_s > 0.0


@pytest.mark.parametrize("base", ["http://[::1", "not a url", "", "https://", "://", "http://[x]/"])
def test_an_address_that_is_none_is_no_obstacle(base):
    assert read(api_base=base).id == "d1"


@pytest.mark.parametrize(("price", "known"), [(1.25e-6, True), (0.0, False), (None, False)])
def test_the_price_of_writing_into_a_cache_is_read_and_a_zero_is_none(price, known):
    params = {"input_cost_per_token": 1e-6, "output_cost_per_token": 5e-6}
    if price is not None:
        params["cache_creation_input_token_cost"] = price
    found = read(**params)
    assert (found.written_usd_per_token == price) is known
    assert math.isnan(found.written_usd_per_token) is not known


EFFORTS = {"low": {"quality": 0.5, "output_tokens": 200}, "high": {"quality": 0.8, "output_tokens": 2000}}


def levels(model="openai/o4-mini", efforts=EFFORTS, warnings=None, **params):
    told = [] if warnings is None else warnings
    its = entry(model=model, info={"routebalance": {"efforts": efforts}}, **params)
    return read_deployment(its, lambda _, message: told.append(message)).levels


def test_stated_levels_of_effort_are_the_same_deployment_with_figures_of_their_own():
    low, high = levels()
    assert (low.effort, low.quality, low.output_tokens) == ("low", 0.5, 200.0)
    assert (high.effort, high.quality, high.output_tokens) == ("high", 0.8, 2000.0)
    assert low.id == high.id
    assert low.output_usd_per_token == high.output_usd_per_token
    assert read(model="openai/o4-mini").levels == ()


@pytest.mark.parametrize(
    ("deployment", "said"),
    [
        ({"model": "openai/gpt-4o"}, "takes no reasoning_effort"),
        ({"model": "openai_like/mine"}, "takes no reasoning_effort"),
        ({"model": "no_such_provider/mine"}, "takes no reasoning_effort"),
        ({"reasoning_effort": "low"}, "fix reasoning_effort"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "fix thinking"),
    ],
)
def test_levels_that_cannot_be_asked_for_are_ignored_and_told_of(deployment, said):
    warnings = []
    assert levels(warnings=warnings, **deployment) == ()
    assert any(said in warning for warning in warnings)


def test_an_id_for_which_litellm_refuses_the_parameter_is_told_of():
    # findings/litellm-id-like-model-refuses-effort.sh
    prices = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    warnings = []
    assert levels("openai/d1", warnings=warnings, **prices) == ()
    assert any("give it another id" in warning for warning in warnings)
    assert levels("openai/d2", **prices)
    assert levels("openai/d1", allowed_openai_params=["reasoning_effort"], **prices)


def test_a_level_that_the_model_does_not_take_is_left_out():
    warnings = []
    (low,) = levels("openai/gpt-5", {"none": EFFORTS["low"], "low": EFFORTS["low"]}, warnings)
    assert low.effort == "low"
    assert any("none left out" in warning for warning in warnings)


def test_an_operator_may_say_that_the_parameter_is_passed_on():
    assert len(levels("openai_like/mine", allowed_openai_params=["reasoning_effort"])) == 2


@pytest.mark.parametrize(
    ("efforts", "said"),
    [
        ({"lowest": EFFORTS["low"]}, "lowest"),
        ({"low": {"quality": 2, "output_tokens": 10}}, "efforts.low.quality"),
        ({"low": {"quality": 0.5}}, "efforts.low.output_tokens"),
        ({"low": {"quality": 0.5, "output_tokens": 0}}, "efforts.low.output_tokens"),
        (["low"], "efforts"),
    ],
)
def test_a_wrong_level_is_named_with_its_value(efforts, said):
    its = entry(info={"routebalance": {"efforts": efforts}})
    with pytest.raises(SettingsError) as error:
        Catalog().check([its])
    assert said in str(error.value)
    assert "auto" in str(error.value)


def test_what_is_recreated_under_new_ids_is_not_kept_for_ever():
    catalog, stays = Catalog(), entry("stays")
    for hour in range(10):
        catalog.age(hour * catalog_module.FORGET_S)
        catalog.facts([stays, *(entry(f"{hour}-{n}") for n in range(100))])
    assert len(catalog._known) + len(catalog._before) == 201


def test_what_goes_on_being_met_keeps_its_facts():
    catalog, stays = Catalog(), entry("stays")
    (facts,) = catalog.facts([stays])
    for hour in range(10):
        catalog.age(hour * catalog_module.FORGET_S)
        assert catalog.name_of("stays") == facts.name
        assert catalog.group_of("stays") == "auto"
        assert catalog.facts([stays]) == [facts]


def test_models_behind_a_wildcard_go_with_it():
    catalog = Catalog()
    catalog.facts([entry("wild", group="openai/*", model="openai/one")])
    for hour in range(4):
        catalog.age(hour * catalog_module.FORGET_S)
    assert not catalog._behind
