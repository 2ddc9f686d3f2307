"""Properties of the order of plugins, over random requirement graphs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from qtforge_host.plugins.candidates import Candidate, EntryPoint
from qtforge_host.plugins.declarations import Declarations
from qtforge_host.plugins.dependency_graph import resolve_dependencies

NAMES = tuple("abcdefg")
VERSIONS = ("0.9", "1.0", "1.0rc1", "1.5", "2.0a1", "2.0")
SPECIFIERS = ("", ">=1.0", "<2", "==1.5", "~=1.0", "!=1.0", ">=1.0rc1,<2.0a2")

versions = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VERSIONS))
requirements = st.dictionaries(
    st.sampled_from(NAMES),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(SPECIFIERS), max_size=3),
)
wishes = st.dictionaries(
    st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=3, unique=True)
)
Requirements = dict[str, dict[str, str]]


def _plugin(name: str, version: str) -> Candidate:
    return Candidate(
        name=name,
        group="qtforge.plugins",
        entry_point=EntryPoint(name, f"{name}:P", "qtforge.plugins"),
        distribution=name,
        version=version,
        location="",
    )


def _acceptable(installed: dict[str, str], wanted: Requirements) -> set[str]:
    """Brute force: add every plugin whose requirements are all in the set, until none is left.

    Growing from nothing is what keeps cycles out.
    """
    accepted: set[str] = set()
    while True:
        more = {
            name
            for name in installed
            if all(
                other in accepted
                and SpecifierSet(specifier).contains(Version(installed[other]), prereleases=True)
                for other, specifier in wanted.get(name, {}).items()
            )
        }
        if more == accepted:
            return accepted
        accepted = more


@given(versions, requirements, wishes)
def test_the_accepted_plugins_are_those_of_a_brute_force_search_in_a_valid_order(
    installed: dict[str, str], wanted: Requirements, after: dict[str, list[str]]
) -> None:
    plugins = [_plugin(name, version) for name, version in installed.items()]
    declarations = {
        plugin.key: Declarations(
            requires=tuple(f"{a} {b}" for a, b in wanted.get(plugin.name, {}).items()),
            after=tuple(after.get(plugin.name, ())),
        )
        for plugin in plugins
    }

    relations = resolve_dependencies(plugins, rejected={}, declarations=declarations, providers={})

    order = [key.partition(":")[2] for key in relations.order]
    assert set(order) == _acceptable(installed, wanted)
    assert len(order) == len(set(order))
    for position, name in enumerate(order):
        assert set(wanted.get(name, {})) <= set(order[:position])
    rejected = {key.partition(":")[2] for key in relations.rejected}
    assert rejected == set(installed) - set(order)
    for status in relations.rejected.values():
        assert status.state == "unmet"
        assert status.reason
        assert status.fix


@given(st.permutations(NAMES), wishes)
def test_after_alone_rejects_no_plugin_and_holds_where_it_makes_no_cycle(
    names: list[str], after: dict[str, list[str]]
) -> None:
    # Each wish points backwards in one fixed order, so that all can be granted.
    rank = {name: position for position, name in enumerate(names)}
    plugins = [_plugin(name, "1.0") for name in names]
    granted = {
        name: tuple(other for other in others if rank[other] < rank[name])
        for name, others in after.items()
    }
    declarations = {
        plugin.key: Declarations(after=granted.get(plugin.name, ())) for plugin in plugins
    }

    relations = resolve_dependencies(plugins, rejected={}, declarations=declarations, providers={})

    order = [key.partition(":")[2] for key in relations.order]
    assert sorted(order) == sorted(names)
    for name, others in granted.items():
        assert all(order.index(other) < order.index(name) for other in others)


@given(versions, requirements)
def test_the_outcome_does_not_depend_on_the_order_of_the_scan(
    installed: dict[str, str], wanted: Requirements
) -> None:
    plugins = [_plugin(name, version) for name, version in installed.items()]
    declarations = {
        plugin.key: Declarations(
            requires=tuple(f"{a} {b}" for a, b in wanted.get(plugin.name, {}).items())
        )
        for plugin in plugins
    }

    one = resolve_dependencies(plugins, rejected={}, declarations=declarations, providers={})
    two = resolve_dependencies(plugins[::-1], rejected={}, declarations=declarations, providers={})

    assert one.order == two.order
    assert one.rejected.keys() == two.rejected.keys()
