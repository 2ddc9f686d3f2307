"""The registry: states, phases and rows, from the first scan to the last stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qtforge_host.plugins.candidates import READY, Status
from qtforge_host.plugins.loading import PluginLoader
from qtforge_host.plugins.registry import Registry
from qtforge_sdk.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from tests.host.conftest import Site

START_FAILED = Status(state="broken", code="plugin.start_failed", reason="no port", fix="free it")
CONFIGURABLE = """
import msgspec
from qtforge_sdk import Plugin
class Settings(msgspec.Struct):
    depth: int = 1
class Example(Plugin):
    Config = Settings
"""


def _registry(site: Site) -> Registry:
    return Registry(site.resolve(), site.settings)


def _loaded(site: Site) -> tuple[Registry, tuple[str, ...]]:
    registry = _registry(site)
    outcome = PluginLoader().load(registry.accepted, import_timeout_s=60)
    return registry, registry.absorb(outcome)


def _states(registry: Registry) -> dict[str, tuple[str, str]]:
    return {entry.candidate.name: (entry.status.state, entry.phase) for entry in registry}


def test_entries_of_one_name_are_told_apart_by_their_distribution(site: Site) -> None:
    site.plugin("parser", "1.0", distribution="zeta")
    site.plugin("parser", "2.0", distribution="acme")

    found = _registry(site).named("parser")

    assert [(entry.candidate.distribution, entry.status.state) for entry in found] == [
        ("acme", "conflict"),
        ("zeta", "conflict"),
    ]
    assert all(entry.phase == "unloaded" for entry in found)


def test_plugins_go_through_their_life(importable: Site) -> None:
    importable.plugin("store")
    importable.plugin("acme", plugins=["store"])

    registry, keys = _loaded(importable)
    assert keys == ("store:store", "acme:acme")
    for key in keys:
        registry.configure(key)
        registry.start_succeeded(key)
    assert _states(registry) == {"acme": ("active", "running"), "store": ("active", "running")}
    assert [entry.candidate.name for entry in registry] == ["store", "acme"]
    for key in reversed(keys):
        registry.stopped(key)

    assert {phase for _, phase in _states(registry).values()} == {"initialized"}


def test_a_phase_can_not_be_skipped(importable: Site) -> None:
    importable.plugin("acme")
    registry, _ = _loaded(importable)

    with pytest.raises(PluginError, match="it is loaded and can't become running"):
        registry.start_succeeded("acme:acme")


def test_dependents_of_a_plugin_that_did_not_load_are_unmet_and_unloaded(
    importable: Site,
) -> None:
    importable.plugin("acme", source="1 / 0\n")
    importable.plugin("user", plugins=["acme"])
    importable.plugin("apart")

    registry, keys = _loaded(importable)

    assert keys == ("apart:apart",)
    assert _states(registry) == {
        "acme": ("broken", "error"),
        "apart": ("ready", "loaded"),
        "user": ("unmet", "unloaded"),
    }
    assert registry["user:user"].plugin is None
    assert "ZeroDivisionError" in registry["user:user"].status.reason


def test_requirements_that_only_the_class_declares_are_checked_after_loading(
    importable: Site,
) -> None:
    importable.plugin(
        "acme",
        source="from qtforge_sdk import Plugin\n"
        "NAME = 'absent'\n"
        "class Example(Plugin):\n"
        "    requires = (NAME,)\n",
    )

    registry, keys = _loaded(importable)

    assert keys == ()
    assert _states(registry) == {"acme": ("unmet", "unloaded")}
    assert "absent" in registry["acme:acme"].status.reason


def test_a_failed_start_unloads_its_dependents_that_have_not_started(importable: Site) -> None:
    importable.plugin("store")
    importable.plugin("acme", plugins=["store"])
    registry, keys = _loaded(importable)
    for key in keys:
        registry.configure(key)

    to_stop = registry.fail("store:store", START_FAILED)

    assert to_stop == ()
    assert _states(registry) == {"acme": ("unmet", "unloaded"), "store": ("broken", "error")}
    assert registry["acme:acme"].status.fix == "free it"


def test_a_failure_while_running_returns_the_dependents_that_must_stop(importable: Site) -> None:
    importable.plugin("store")
    importable.plugin("acme", plugins=["store"])
    registry, keys = _loaded(importable)
    for key in keys:
        registry.configure(key)
        registry.start_succeeded(key)

    assert registry.fail("store:store", START_FAILED) == ("acme:acme",)
    assert _states(registry)["acme"] == ("active", "running")


def test_a_valid_configuration_is_set(importable: Site) -> None:
    importable.plugin("acme", source=CONFIGURABLE)
    importable.configure(plugins={"acme": {"config": {"depth": 7}}})
    registry, _ = _loaded(importable)

    registry.configure("acme:acme")

    assert registry["acme:acme"].plugin.config.depth == 7


def test_an_invalid_configuration_breaks_that_plugin_alone(importable: Site) -> None:
    importable.plugin("acme", source=CONFIGURABLE)
    importable.plugin("other")
    importable.configure(plugins={"acme": {"config": {"dept": 7}}})
    registry, _ = _loaded(importable)

    with pytest.raises(ConfigError):
        registry.configure("acme:acme")
    registry.configure("other:other")

    assert _states(registry) == {"acme": ("broken", "error"), "other": ("ready", "initialized")}
    status = registry["acme:acme"].status
    assert status.code == "plugin.invalid_config"
    assert "config.toml: plugins.acme.config.dept" in status.reason
    assert status.fix == "did you mean 'depth'?"


def test_a_start_is_remembered_for_the_next_listing(importable: Site) -> None:
    importable.plugin("acme")
    importable.plugin("other")
    registry, keys = _loaded(importable)
    for key in keys:
        registry.configure(key)
    registry.fail("acme:acme", START_FAILED)
    registry.start_succeeded("other:other")
    registry.remember(importable.failures)

    assert _states(_registry(importable)) == {
        "acme": ("broken", "unloaded"),
        "other": ("ready", "unloaded"),
    }

    registry, keys = _loaded(importable)
    assert set(keys) == {"acme:acme", "other:other"}
    for key in keys:
        registry.configure(key)
        registry.start_succeeded(key)
    registry.remember(importable.failures)

    assert set(_states(_registry(importable)).values()) == {("ready", "unloaded")}


def test_entries_carry_code_reason_and_fix(site: Site) -> None:
    site.plugin("acme", requires=["qtforge-sdk>=2"])

    (entry,) = _registry(site).named("acme")

    assert entry.status.code == "plugin.incompatible"
    assert entry.status.reason
    assert entry.status.fix
    assert READY.reason == READY.fix == ""
