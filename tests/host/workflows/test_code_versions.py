"""Functions of one name with different versions: which continues a run."""

from __future__ import annotations

import pytest

from qtforge_host.workflows.catalog import Catalog, Contribution
from qtforge_host.workflows.code_versions import resumable_versions, resuming
from qtforge_sdk import Run, workflow
from qtforge_sdk.workflows import PythonWorkflow


def order(version: str, resumes: str = "") -> PythonWorkflow:
    @workflow("order", version=version, resumes=resumes)
    async def code(run: Run) -> None:
        """Do nothing."""

    return code


def catalog(*offered: PythonWorkflow) -> Catalog:
    found = Catalog({})
    found.add(Contribution(content=each, contributor="shop 1.0") for each in offered)
    return found


def test_a_new_run_gets_the_newest_function_in_whatever_order_they_are_offered() -> None:
    functions = [order("1.9"), order("1.10"), order("1.2")]
    for offered in (functions, functions[::-1]):
        found = catalog(*offered)
        assert found.get("order").definition.version == "1.10"
        assert [each.definition.version for each in found.versions("order")] == [
            "1.10", "1.9", "1.2",
        ]  # fmt: skip
        assert [each.name for each in found.all()] == ["order"]
        assert len(found.older()) == 2


@pytest.mark.parametrize(
    ("started", "continues"),
    [
        ("1.2", "1.2"),  # its own
        ("1.5", "2.1"),  # the newest that says so
        ("2.0.5", "2.1"),
        ("1.1", None),
        ("3.0", None),
        ("odd", None),
    ],
)
def test_a_run_gets_the_function_of_its_version_or_one_that_resumes_it(
    started: str, continues: str | None
) -> None:
    versions = catalog(order("1.2", "==1.2"), order("2.1", ">=1.3,<3"), order("2.0")).versions(
        "order"
    )
    found = resuming(versions, started)
    assert (None if found is None else found.definition.version) == continues


def test_what_a_function_continues_is_said_in_words() -> None:
    silent, said = catalog(order("2.0.0"), order("1.0.0", ">=0.3")).versions("order")
    assert resumable_versions(silent) == "2.0.0 (resumes 2.*)"
    assert resumable_versions(said) == "1.0.0 (resumes >=0.3)"


def test_two_functions_of_one_version_are_still_a_problem() -> None:
    (parsed,) = catalog(order("1.0"), order("1.0")).all()
    assert "is also defined in" in parsed.problems[0].what


def test_functions_of_two_plugins_are_no_versions_of_each_other() -> None:
    found = Catalog({})
    found.add(
        Contribution(content=order(version), contributor=f"shop {version}")
        for version in ("1.0", "2.0")
    )
    (parsed,) = found.all()
    assert parsed.workflow is None


def test_versions_that_can_not_be_read_are_a_problem() -> None:
    (parsed,) = catalog(order("1.0", "newer than 1")).all()
    (problem,) = parsed.problems
    assert (problem.path, "'newer than 1' is no set of versions" in problem.what) == (
        "resumes", True,
    )  # fmt: skip
