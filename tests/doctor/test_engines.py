"""The doctor asks the servers behind the deployments: whether they are there, and as the file has them."""

from __future__ import annotations

from rb_litellm.demo.processes import free_port
from tests.doctor.conftest import Write, auto, model
from tests.doctor.test_doctor import found


def engines(write: Write, *bases: str, **more: object) -> list[tuple[str, str]]:
    names = [f"m{number}" for number in range(len(bases))]
    models = [model(name, params={"api_base": base}, **more) for name, base in zip(names, bases, strict=True)]
    return found(write(model_list=models, router_settings=auto(*names)), "engines")


def test_servers_that_answer_are_fine(write: Write, engine: str) -> None:
    (shared, answers) = engines(write, engine, engine)
    assert answers == ("ok", "1 server answers")
    assert shared[0] == "ok"
    assert "is one server for 2 models" in shared[1]


def test_a_port_that_nobody_listens_on_is_an_error(write: Write, engine: str) -> None:
    ((level, message),) = engines(write, engine, f"http://127.0.0.1:{free_port()}/v1")
    assert (level, "nobody listens" in message, "m1" in message) == ("error", True, True)


def test_a_host_that_only_the_proxy_may_know_is_a_warning(write: Write, engine: str) -> None:
    ((level, message),) = engines(write, engine, "http://no-such-host.invalid:8000/v1")
    assert (level, "does not know the host" in message) == ("warn", True)


def test_an_address_without_v1_is_an_error_that_says_the_right_one(write: Write, slots: str) -> None:
    ((level, message),) = engines(write, slots)
    assert (level, f"at {slots}/v1" in message) == ("error", True)


def test_two_deployments_on_one_server_are_told(write: Write, engine: str) -> None:
    twice = [model("small", params={"api_base": engine}) for _ in range(2)]
    file = write(model_list=twice, router_settings={"routing_strategy": "routebalance"})
    ((level, message),) = found(file, "engines")
    assert (level, "2 deployments of hosted_vllm/small are one server" in message) == ("warn", True)


def test_one_server_under_two_addresses_is_told(write: Write, engine: str) -> None:
    other = engine.replace("127.0.0.1", "localhost")
    assert other != engine
    twice = [model("small", params={"api_base": base}) for base in (engine, other)]
    file = write(model_list=twice, router_settings={"routing_strategy": "routebalance"})
    assert any("are one server" in message for level, message in found(file, "engines") if level == "warn")


def test_slots_that_the_server_tells_otherwise_are_told(write: Write, slots: str) -> None:
    ((level, message),) = engines(write, f"{slots}/v1")
    assert (level, "has 4 slots" in message) == ("warn", True)
    stated = {"quality": 0.5, "max_num_seqs": 4}
    ((level, _),) = engines(write, f"{slots}/v1", routebalance=stated)
    assert level == "ok"


def test_the_address_may_stand_in_a_credential(write: Write) -> None:
    nobody = {"api_base": f"http://127.0.0.1:{free_port()}/v1"}
    entry = model("small", params={"litellm_credential_name": "here"})
    del entry["litellm_params"]["api_base"]
    file = write(
        credential_list=[{"credential_name": "here", "credential_values": nobody}],
        model_list=[entry, model("large", name="gpt-4o", params={"api_base": None})],
        router_settings=auto("small", "large"),
    )
    ((level, message),) = found(file, "engines")
    assert (level, "small" in message) == ("error", True)
