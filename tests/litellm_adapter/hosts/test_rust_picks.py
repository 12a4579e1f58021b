"""Dictionaries of a Rust core's deployments: made once, and again when one has changed."""

import pytest

pytest.importorskip("litellm.router_rust")

from rb_litellm.litellm_adapter.hosts.rust.picks import Entries


class Handle:
    """A Rust core's deployments: a new dictionary whenever one is asked for."""

    def __init__(self, **qualities):
        self.qualities, self.version, self.asked = qualities, 1, []

    def registry_version(self):
        return self.version

    def deployment(self, id):
        self.asked.append(id)
        if id not in self.qualities:
            return None
        return {"model_name": "m", "model_info": {"id": id, "quality": self.qualities[id]}}


def test_they_are_made_once():
    handle, entries = Handle(a=1, b=2), Entries()
    first, second = entries.of(handle, ["a", "b"]), entries.of(handle, ["b", "a"])
    assert [id(entry) for entry in first] == [id(entry) for entry in reversed(second)]
    assert handle.asked == ["a", "b"]


def test_one_that_has_changed_is_made_again_and_the_others_stay_the_same_objects():
    handle, entries = Handle(a=1, b=2), Entries()
    before = entries.of(handle, ["a", "b"])
    handle.qualities["b"], handle.version = 3, 2
    after = entries.of(handle, ["a", "b"])
    assert after[0] is before[0]
    assert after[1]["model_info"]["quality"] == 3


def test_another_core_is_asked_anew():
    entries = Entries()
    entries.of(Handle(a=1), ["a"])
    assert entries.of(Handle(a=2), ["a"])[0]["model_info"]["quality"] == 2


def test_a_deployment_that_the_core_does_not_list_has_an_entry_all_the_same():
    (entry,) = entries = Entries().of(Handle(), ["made-up"])
    assert entry["model_info"]["id"] == "made-up", entries
