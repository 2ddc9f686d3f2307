"""The transitions of a plugin's lifecycle."""

from __future__ import annotations

import itertools

import pytest

from qtforge_host.plugins.candidates import PHASE_TRANSITIONS, Phase, change_phase
from qtforge_sdk.errors import PluginError

PAIRS = list(itertools.product(PHASE_TRANSITIONS, repeat=2))


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_only_transitions_of_the_table_are_allowed(before: Phase, after: Phase) -> None:
    if after in PHASE_TRANSITIONS[before]:
        assert change_phase("acme", before, after) == after
        return
    with pytest.raises(PluginError, match=f"it is {before} and can't become {after}") as raised:
        change_phase("acme", before, after)
    assert raised.value.code == "plugin.invalid_transition"
    assert raised.value.plugin == "acme"


def test_a_plugin_runs_only_after_it_was_loaded_and_initialized() -> None:
    assert [before for before, after in PHASE_TRANSITIONS.items() if "running" in after] == [
        "initialized"
    ]
    assert [before for before, after in PHASE_TRANSITIONS.items() if "loaded" in after] == [
        "unloaded"
    ]


def test_a_failed_plugin_can_only_be_unloaded() -> None:
    assert PHASE_TRANSITIONS["error"] == {"unloaded"}
