"""The catalog: contributed workflows and the user's files, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qtforge_builtin_plugins.orchestrators.sequential import SequentialOrchestrator
from qtforge_host.workflows import catalog as catalog_module
from qtforge_host.workflows.catalog import Catalog, Contribution
from qtforge_host.workflows.file_names import FileNames
from qtforge_sdk import Orchestrator
from qtforge_sdk.errors import WorkflowInvalidError, WorkflowNotFoundError

KINDS: dict[str, Orchestrator[Any]] = {"sequential": SequentialOrchestrator()}
GOOD = """\
name = "good"
kind = "sequential"

[[stages]]
name = "parse"
operation = "document.parse"
"""


def test_the_users_definition_replaces_a_plugins(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(GOOD.replace('name = "good"', 'name = "good"\nversion="2"'))
    catalog = Catalog(KINDS)
    catalog.add([Contribution(content=GOOD, contributor="a plugin")])
    catalog.add_folder(tmp_path)
    assert catalog.get("good").definition.version == "2"
    assert catalog.get("good").source == str(tmp_path / "mine.toml")


def test_two_plugins_with_one_workflow_name_make_it_unusable_and_both_are_named() -> None:
    catalog = Catalog(KINDS)
    catalog.add([Contribution(content=GOOD, contributor="one 1.0")])
    catalog.add([Contribution(content=GOOD, contributor="two 2.0")])
    with pytest.raises(WorkflowInvalidError, match=r"one 1\.0: name: 'good' is also .* two 2\.0"):
        catalog.get("good")


def test_two_files_with_one_workflow_name_make_it_unusable_and_both_are_named(
    tmp_path: Path,
) -> None:
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text(GOOD)
    catalog = Catalog(KINDS)
    catalog.add([Contribution(content=GOOD, contributor="a plugin")])
    catalog.add_folder(tmp_path)
    with pytest.raises(WorkflowInvalidError, match=r"a\.toml: name: 'good' is also .*b\.toml"):
        catalog.get("good")


def test_an_unknown_name_gets_the_nearest_one_and_a_file_is_read(tmp_path: Path) -> None:
    catalog = Catalog(KINDS)
    catalog.add([Contribution(content=GOOD, contributor="a plugin")])
    with pytest.raises(WorkflowNotFoundError) as error:
        catalog.get("god")
    assert error.value.fix == "did you mean 'good'?"
    file = tmp_path / "other.toml"
    file.write_text(GOOD)
    assert catalog.get(str(file)).definition.name == "good"
    for files, fix in ((True, "there is no such file"), (False, "workflows list shows them")):
        with pytest.raises(WorkflowNotFoundError) as error:
            catalog.get("folder/absent.toml", files=files)
        assert fix in error.value.fix


def test_a_file_that_cannot_be_read_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe4"')
    (tmp_path / "folder.toml").mkdir()
    catalog = Catalog(KINDS)
    catalog.add_folder(tmp_path)
    assert ["it can't be read" in str(each.problems[0]) for each in catalog.all()] == [True, True]


BAD_FILES = {
    "retry.jitter": ("[stages.retry]\njitter = 5.0", "stages[0].retry", "jitter is 5.0"),
    "retry.max_attempts": ("[stages.retry]\nmax_attempts = 0", "stages[0].retry", "max_attempts"),
    "retry.delay": ("[stages.retry]\ninitial_delay = '1 sec'", "stages[0].retry", "'1 sec'"),
    "cache.ttl": ("[stages.cache]\nttl = '-1h'", "stages[0].cache", "not above zero"),
    "fallback": ("[stages.fallback]\nmessage = {}", "stages[0].fallback", "a value or a topic"),
    "compensation.retry": (
        "[stages.compensation]\noperation = 'a.b'\nretry = { backoff = 0 }",
        "stages[0].compensation.retry",
        "backoff is 0",
    ),
    "integer": (f"x = {'9' * 25}", "", "more than 64 bits"),
    "digits": (f"x = {'9' * 5000}", "", "more than 64 bits"),
    "deep": (f"deep = {'[' * 5000}{']' * 5000}", "", "nested more than 100 deep"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_value_in_one_file_is_named_with_its_path_and_stops_no_other_file(
    tmp_path: Path, name: str
) -> None:
    added, path, what = BAD_FILES[name]
    bad = GOOD.replace('name = "good"', 'name = "bad"')
    (tmp_path / "bad.toml").write_text(f"{bad}{added}\n")
    (tmp_path / "good.toml").write_text(GOOD)
    catalog = Catalog(KINDS)
    catalog.add_folder(tmp_path)
    assert catalog.get("good").definition.name == "good"
    (refused,) = [each for each in catalog.all() if each.workflow is None]
    (problem,) = refused.problems
    assert (problem.source, problem.path) == (str(tmp_path / "bad.toml"), path)
    assert what in problem.what


def test_a_file_whose_name_is_known_is_read_when_its_workflow_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    whole = catalog_module.read_file

    def counted(path: Path, kinds: Any) -> Any:
        read.append(path.name)
        return whole(path, kinds)

    monkeypatch.setattr(catalog_module, "read_file", counted)
    for name in ("good", "other", "third"):
        (tmp_path / f"{name}.toml").write_text(GOOD.replace('"good"', f'"{name}"'))
    (tmp_path / "unnamed.toml").write_text('kind = "sequential"')

    def opened(names: FileNames) -> Catalog:
        read.clear()
        found = Catalog(KINDS, names)
        content = tmp_path / "other.toml"
        found.add([Contribution(content=content, contributor="acme", builtin=True)])
        found.add_folder(tmp_path)
        return found

    first = FileNames()
    assert sorted(opened(first).names())[1:] == ["good", "other", "third"]
    known = {each.state.path: each for each in first.learnt}
    again = opened(FileNames(known))
    assert read == ["unnamed.toml"]  # it had no name that could be kept
    assert sorted(again.names())[1:] == ["good", "other", "third"]
    assert again.get("good").definition.name == "good"
    assert again.readable("good") is again.get("good")
    assert read == ["unnamed.toml", "good.toml"]
    (tmp_path / "good.toml").write_text(GOOD.replace('"good"', '"another"'))
    assert sorted(opened(FileNames(known)).names())[1:] == ["another", "other", "third"]
    (tmp_path / "good.toml").write_text(GOOD.replace('"good"', '"third"'))
    names = FileNames({path: each for path, each in known.items() if each.name != "good"})
    with pytest.raises(WorkflowInvalidError, match=r"good\.toml: name: 'third' is also .*third"):
        opened(names).get("third")
