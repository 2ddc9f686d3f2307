"""Which plugins may load: each rule, with hand-written installations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qtforge_host.plugins.candidates import Status
from qtforge_host.plugins.declarations import Declarations
from qtforge_host.plugins.resolution import revise

if TYPE_CHECKING:
    from tests.host.conftest import Site

BROKEN = Status(state="broken", code="plugin.import_failed", reason="it raised", fix="mend it")


def test_a_plugin_that_fits_is_ready_without_reason_or_fix(site: Site) -> None:
    site.plugin("acme")

    assert site.statuses()["acme:acme"] == Status(state="ready", code="", reason="", fix="")
    assert site.accepted() == ["acme"]


def test_a_plugin_made_for_the_next_sdk_is_incompatible_and_the_rest_works(site: Site) -> None:
    site.plugin("future", requires=["qtforge-sdk>=2"])
    site.plugin("present")

    statuses = site.statuses()

    assert statuses["future:future"].state == "incompatible"
    assert statuses["future:future"].code == "plugin.incompatible"
    assert "qtforge-sdk>=2" in statuses["future:future"].reason
    assert "1.0.0" in statuses["future:future"].reason
    assert "pip install" in statuses["future:future"].fix
    assert site.accepted() == ["present"]


def test_a_prerelease_of_the_sdk_satisfies_a_range_above_which_it_is(site: Site) -> None:
    site.plugin("acme", requires=["qtforge-sdk>=1.0"])

    assert site.statuses(sdk_version="2.0rc1")["acme:acme"].state == "ready"
    assert site.statuses(sdk_version="1.0rc1")["acme:acme"].state == "incompatible"


def test_a_prerelease_of_a_plugin_satisfies_a_requirement(site: Site) -> None:
    site.plugin("store", "2.0rc1")
    site.plugin("acme", plugins=["store >= 1.0"])

    assert site.accepted() == ["store", "acme"]


def test_a_plugin_that_says_nothing_of_the_sdk_is_accepted(site: Site) -> None:
    site.plugin("acme", requires=[])

    assert site.accepted() == ["acme"]


def test_a_requirement_behind_a_marker_that_does_not_hold_is_not_checked(site: Site) -> None:
    site.plugin("acme", requires=["absent; python_version < '3'", "other; extra == 'more'"])

    assert site.accepted() == ["acme"]


def test_a_required_distribution_that_is_missing_makes_a_plugin_unmet(site: Site) -> None:
    site.plugin("acme", requires=["qtforge-sdk", "acme-engine>=3"])

    status = site.statuses()["acme:acme"]

    assert (status.state, status.code) == ("unmet", "plugin.unmet")
    assert "acme-engine>=3, which is not installed" in status.reason
    assert status.fix == "pip install 'acme-engine>=3'"


def test_a_required_plugin_distribution_out_of_range_makes_a_plugin_unmet(site: Site) -> None:
    site.plugin("store", "1.0.0", distribution="acme-store")
    site.plugin("acme", requires=["Acme_Store>=2"])

    status = site.statuses()["acme:acme"]

    assert status.state == "unmet"
    assert "1.0.0 is installed" in status.reason


def test_the_range_of_an_ordinary_library_is_left_to_pip(site: Site) -> None:
    site.distribution("library", "1.0")
    site.plugin("acme", requires=["library>=2"])

    assert site.accepted() == ["acme"]


def test_when_all_plugins_of_a_required_distribution_are_rejected_it_is_skipped(
    site: Site,
) -> None:
    site.plugin("acme-parser", requires=["absent"])
    site.plugin("acme", requires=["acme-parser"])

    status = site.statuses()["acme:acme"]

    assert status.state == "unmet"
    assert "skipped because acme-parser is unmet" in status.reason
    assert status.fix == "pip install 'absent'"


def test_a_required_distribution_starts_first(site: Site) -> None:
    site.plugin("zebra")
    site.plugin("acme", requires=["zebra"])

    assert site.accepted() == ["zebra", "acme"]


def test_an_extra_that_is_not_installed_makes_a_plugin_unmet_with_the_pip_line(
    site: Site,
) -> None:
    site.distribution(
        "qtforge-host",
        entry_points="[qtforge.plugins]\nparser = m:P [documents]\nplain = m:Q\n",
        requires=["reader>=2; extra == 'documents'"],
        extras=["documents"],
    )

    statuses = site.statuses()

    assert statuses["qtforge-host:plain"].state == "ready"
    assert statuses["qtforge-host:parser"].state == "unmet"
    assert statuses["qtforge-host:parser"].code == "plugin.missing_extra"
    assert statuses["qtforge-host:parser"].fix == "pip install 'qtforge-host[documents]'"
    assert "reader>=2" in statuses["qtforge-host:parser"].reason


@pytest.mark.parametrize(
    ("version", "state"), [("1.9", "unmet"), ("2.0rc1", "unmet"), ("2", "ready")]
)
def test_an_extra_must_be_in_range(site: Site, version: str, state: str) -> None:
    site.distribution(
        "acme",
        entry_points="[qtforge.plugins]\nacme = m:P [Some_Docs]\n",
        requires=["acme[inner]; extra == 'some-docs'", "reader>=2; extra == 'inner'"],
    )
    site.distribution("reader", version)

    assert site.statuses()["acme:acme"].state == state


def test_a_missing_requirement_names_what_to_install(site: Site) -> None:
    site.plugin("acme", plugins=["document-storage >= 1.0.0"])

    status = site.statuses()["acme:acme"]

    assert (status.state, status.code) == ("unmet", "plugin.unmet")
    assert "document-storage>=1.0.0, which is not installed" in status.reason
    assert "pip install" in status.fix


def test_a_requirement_out_of_range_names_both_versions(site: Site) -> None:
    site.plugin("store", "1.5", distribution="acme-store")
    site.plugin("acme", plugins=["store >= 2"])

    status = site.statuses()["acme:acme"]

    assert "store>=2; 1.5 is installed" in status.reason
    assert status.fix == "pip install 'acme-store>=2'"


def test_a_chain_whose_first_is_unmet_is_unmet_with_the_first_ones_fix(site: Site) -> None:
    site.plugin("a", plugins=["b"])
    site.plugin("b", plugins=["c"])
    site.plugin("c", requires=["absent>=7"])
    site.plugin("d")

    statuses = site.statuses()

    assert site.accepted() == ["d"]
    assert statuses["a:a"].state == statuses["b:b"].state == "unmet"
    assert "skipped because c is unmet: it requires absent>=7" in statuses["b:b"].reason
    assert "skipped because b is unmet (a → b → c)" in statuses["a:a"].reason
    assert statuses["a:a"].fix == statuses["c:c"].fix == "pip install 'absent>=7'"


def test_every_member_of_a_requirement_cycle_is_unmet_and_named(site: Site) -> None:
    site.plugin("a", plugins=["b"])
    site.plugin("b", plugins=["c >= 1"])
    site.plugin("c", plugins=["a"])
    site.plugin("user", plugins=["a"])
    site.plugin("apart")

    statuses = site.statuses()

    for name in "abc":
        assert statuses[f"{name}:{name}"].state == "unmet"
        assert statuses[f"{name}:{name}"].code == "plugin.requirement_cycle"
        assert "a → b → c → a" in statuses[f"{name}:{name}"].reason
    assert "skipped because a is unmet" in statuses["user:user"].reason
    assert site.accepted() == ["apart"]


def test_a_plugin_that_requires_itself_is_a_cycle(site: Site) -> None:
    site.plugin("a", plugins=["a"])

    assert site.statuses()["a:a"].code == "plugin.requirement_cycle"


@pytest.mark.parametrize("text", ["store >> 1", "store >=", "", "store @ nowhere ["])
def test_a_malformed_requirement_is_broken(site: Site, text: str) -> None:
    site.plugin("acme", plugins=[text])

    status = site.statuses()["acme:acme"]

    assert (status.state, status.code) == ("broken", "plugin.invalid_requirement")
    assert status.fix


def test_a_malformed_requires_dist_is_broken(site: Site) -> None:
    site.plugin("acme", requires=["library >>> 1"])

    assert site.statuses()["acme:acme"].code == "plugin.invalid_requirement"


def test_a_version_that_is_none_is_broken(site: Site) -> None:
    site.plugin("acme", "not-a-version")

    assert site.statuses()["acme:acme"].code == "plugin.invalid_metadata"


def test_after_orders_installed_plugins_and_is_no_requirement(site: Site) -> None:
    site.plugin("a", after=["z", "absent"])
    site.plugin("z")

    assert site.accepted() == ["z", "a"]


def test_after_gives_way_where_it_would_close_a_cycle(site: Site) -> None:
    site.plugin("a", after=["b"])
    site.plugin("b", plugins=["a"])
    site.plugin("c", after=["d"])
    site.plugin("d", after=["c"])

    assert sorted(site.accepted()) == ["a", "b", "c", "d"]
    assert site.accepted().index("a") < site.accepted().index("b")


def test_two_distributions_with_one_name_are_both_in_conflict_and_told_apart(
    site: Site,
) -> None:
    site.plugin("parser", "1.0", distribution="acme")
    site.plugin("parser", "2.0", distribution="zeta")
    site.plugin("user", plugins=["parser"])

    statuses = site.statuses()

    assert {statuses["acme:parser"].state, statuses["zeta:parser"].state} == {"conflict"}
    assert "acme 1.0 and zeta 2.0 claim the one name" in statuses["acme:parser"].reason
    assert statuses["acme:parser"].fix == "qtforge-host plugins prefer parser acme"
    assert statuses["zeta:parser"].fix == "qtforge-host plugins prefer parser zeta"
    assert "skipped because parser is in conflict" in statuses["user:user"].reason
    assert site.accepted() == []


def test_a_journal_of_the_host_keeps_its_name_though_another_claims_it(site: Site) -> None:
    entry = "[qtforge.journals]\nsqlite = store:make\n"
    site.distribution("qtforge-host", entry_points=entry)
    site.distribution("acme", entry_points=entry)

    statuses = site.statuses()

    assert statuses["qtforge-host:qtforge.journals:sqlite"].state == "ready"
    assert statuses["acme:qtforge.journals:sqlite"].state == "conflict"


@pytest.mark.parametrize("preferred", ["zeta-tools", "Zeta_Tools", "zeta.tools"])
def test_preferring_one_resolves_the_conflict(site: Site, preferred: str) -> None:
    site.plugin("parser", "1.0", distribution="acme")
    site.plugin("parser", "2.0", distribution="zeta-tools")
    site.plugin("user", plugins=["parser >= 2"])
    site.configure(plugins={"parser": {"distribution": preferred}})

    statuses = site.statuses()

    assert statuses["zeta-tools:parser"].state == "ready"
    assert statuses["acme:parser"].state == "disabled"
    assert statuses["acme:parser"].code == "plugin.not_preferred"
    assert site.accepted() == ["parser", "user"]


def test_disabled_by_configuration(site: Site) -> None:
    site.plugin("acme")
    site.plugin("user", plugins=["acme"])
    site.configure(plugins={"acme": {"enabled": False}})

    statuses = site.statuses()

    assert statuses["acme:acme"].state == "disabled"
    assert statuses["acme:acme"].fix == "qtforge-host plugins enable acme"
    assert "skipped because acme is disabled" in statuses["user:user"].reason
    assert statuses["user:user"].fix == statuses["acme:acme"].fix


@pytest.mark.parametrize("pattern", ["evil-*", "*vendor", "evil-parser"])
def test_blocked_by_a_pattern_of_plugin_or_distribution(site: Site, pattern: str) -> None:
    site.plugin("evil-parser", distribution="some-vendor")
    site.plugin("good")
    site.configure(block=(pattern,))

    status = site.statuses()["some-vendor:evil-parser"]

    assert (status.state, status.code) == ("blocked", "plugin.blocked")
    assert pattern in status.reason
    assert site.accepted() == ["good"]


def test_safe_mode_leaves_builtins_alone(site: Site) -> None:
    site.plugin("builtin", distribution="qtforge-host")
    site.plugin("acme")
    site.configure(safe_mode=True)

    assert site.statuses()["acme:acme"].code == "plugin.safe_mode"
    assert site.accepted() == ["builtin"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "Upper", "two words", "-x", "a--b", "ä"])
def test_a_name_that_is_no_plugin_name_is_broken(site: Site, name: str) -> None:
    site.distribution("acme", entry_points=f"[qtforge.plugins]\n{name} = m:A\n")

    status = site.statuses()[f"acme:{name}"]

    assert (status.state, status.code) == ("broken", "plugin.invalid_name")


def test_other_groups_are_checked_too_and_kept_apart(site: Site) -> None:
    site.plugin("swarm", group="qtforge.orchestrators")
    site.plugin("future", group="qtforge.orchestrators", requires=["qtforge-sdk>=2"])

    resolution = site.resolve()

    assert resolution.accepted == ()
    assert [one.name for one in resolution.others] == ["swarm"]
    assert resolution.statuses["future:qtforge.orchestrators:future"].state == "incompatible"


def test_a_plugin_whose_last_start_failed_is_listed_as_broken_and_tried_again(site: Site) -> None:
    site.plugin("acme")
    site.plugin("user", plugins=["acme"])
    site.failures.update(failed=[(site.candidates()["acme:acme"], BROKEN)], succeeded=[])

    resolution = site.resolve()

    assert resolution.statuses["acme:acme"].state == "broken"
    assert resolution.statuses["acme:acme"].code == "plugin.import_failed"
    assert "skipped because acme is broken" in resolution.statuses["user:user"].reason
    assert [one.name for one in resolution.accepted] == ["acme", "user"]
    assert resolution.rejected == {}


def test_a_plugin_that_failed_three_times_is_quarantined_and_not_tried(site: Site) -> None:
    site.plugin("acme")
    for _ in range(3):
        site.failures.update(failed=[(site.candidates()["acme:acme"], BROKEN)], succeeded=[])

    resolution = site.resolve()

    assert resolution.statuses["acme:acme"].state == "quarantined"
    assert resolution.statuses["acme:acme"].fix == "qtforge-host plugins enable acme"
    assert resolution.accepted == ()


def test_declarations_unknown_from_the_source_are_applied_after_loading(site: Site) -> None:
    site.plugin("acme", source="Example = type('Example', (), {'requires': ('absent',)})\n")
    site.plugin("user", plugins=["acme"])
    before = site.resolve()
    assert [one.name for one in before.accepted] == ["acme", "user"]

    after = revise(
        before, declarations={"acme:acme": Declarations(requires=("absent",))}, failed={}
    )

    assert after.statuses["acme:acme"].state == "unmet"
    assert "skipped because acme is unmet" in after.statuses["user:user"].reason
    assert after.accepted == ()


def test_a_failed_load_makes_its_dependents_unmet(site: Site) -> None:
    site.plugin("acme")
    site.plugin("user", plugins=["acme"])

    after = revise(site.resolve(), declarations={}, failed={"acme:acme": BROKEN})

    assert after.statuses["acme:acme"] == BROKEN
    assert after.statuses["user:user"].reason == "skipped because acme is broken: it raised"
    assert after.statuses["user:user"].fix == "mend it"
