from __future__ import annotations

import logging

import pytest

from qtforge_host.policies.breaker import Breakers, Transition
from qtforge_sdk.policies import Breaker
from qtforge_sdk.testing import VirtualClock


def breakers() -> Breakers:
    policies = {"a.b": Breaker(failures=1), "c.d": Breaker(failures=2)}
    return Breakers(policies.get, VirtualClock())


def fail(found: Breakers, topic: str, plugin: str) -> None:
    breaker = found.breaker(topic, plugin)
    assert breaker is not None
    breaker.after(breaker.before(), "failed")


def test_a_topic_without_a_policy_has_no_breaker() -> None:
    found = breakers()
    assert found.breaker("x.y", "plug") is None
    assert found.allows("x.y", "plug")


def test_each_topic_and_plugin_has_one_that_all_share() -> None:
    found = breakers()
    fail(found, "a.b", "plug")
    assert found.breaker("a.b", "plug") is found.breaker("a.b", "plug")
    assert not found.allows("a.b", "plug")
    assert found.allows("a.b", "other")
    assert found.allows("c.d", "plug")
    assert [(each.topic, each.plugin, each.state) for each in found.all()] == [
        ("a.b", "other", "closed"),
        ("a.b", "plug", "open"),
        ("c.d", "plug", "closed"),
    ]


def test_a_callback_that_raises_harms_neither_the_call_nor_the_next_callback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = breakers()
    told: list[Transition] = []

    def broken(transition: Transition) -> None:
        raise ZeroDivisionError

    found.on_transition(broken)
    dispose = found.on_transition(told.append)
    with caplog.at_level(logging.ERROR):
        fail(found, "a.b", "plug")
    assert [each.after for each in told] == ["open"]
    assert "ZeroDivisionError" in caplog.text
    dispose()
    dispose()
    fail(found, "a.b", "other")
    assert len(told) == 1
