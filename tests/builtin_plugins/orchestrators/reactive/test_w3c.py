"""The test documents of W3C SCXML: which ones a machine can be, and how it ends then.

`docs/internals/scxml.md` has the same table. The documents are run as they are: their states that
must not be reached, and their events that nobody takes, would be refused by ``validate``.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Final

import pytest
import tomli_w
from tests.builtin_plugins.orchestrators.reactive.scxml import NotExpressible, translated

from qtforge_host.testing import WorkflowKit

ROOT: Final = Path(__file__).parents[4]
DOCUMENTS: Final = ROOT / "tests" / "data" / "scxml"
PAGE: Final = (ROOT / "docs" / "internals" / "scxml.md").read_text(encoding="utf-8")
ROW: Final = re.compile(r"^\| ([0-9]+[a-c]?) \| (passes|differs|not expressed) \| (.*?) ?\|$", re.M)
ROWS: Final = {number: (outcome, why) for number, outcome, why in ROW.findall(PAGE)}
TESTS: Final = sorted(
    path.stem.removeprefix("test")
    for path in DOCUMENTS.glob("test*.scxml")
    if "sub" not in path.stem  # another document starts it
)
LONGEST: Final = "30s"  # the last timer of a document is due after 20 s


def document(number: str) -> Path:
    return DOCUMENTS / f"test{number}.scxml"


def numbers(outcome: str) -> list[str]:
    return [number for number in TESTS if ROWS.get(number, ("",))[0] == outcome]


def test_the_page_has_a_row_for_each_test() -> None:
    assert list(ROWS) == TESTS
    assert len(ROW.findall(PAGE)) == len(TESTS)


def test_the_counts_of_the_page_are_those_of_its_rows() -> None:
    found = Counter(outcome for outcome, _ in ROWS.values())
    said = re.search(
        r"Of (\d+) tests, (\d+) pass, (\d+) end in another way, and (\d+) can't be expressed", PAGE
    )
    assert said is not None
    assert [*map(int, said.groups())] == [
        len(TESTS), found["passes"], found["differs"], found["not expressed"],
    ]  # fmt: skip


@pytest.mark.parametrize("number", numbers("not expressed"))
def test_what_cannot_be_expressed_is_what_the_page_says(number: str) -> None:
    with pytest.raises(NotExpressible) as caught:
        translated(document(number))
    assert caught.value.means == ROWS[number][1]


@pytest.mark.parametrize("number", [*numbers("passes"), *numbers("differs")])
def test_a_document_ends_as_the_page_says(
    number: str, workflows: WorkflowKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtforge_host.testing.workflow_kit.check", lambda *given: ())
    definitions = translated(document(number))
    for each in definitions:
        workflows.add(tomli_w.dumps(each))
    run = workflows.run(definitions[0]["name"], {})
    if run.status == "waiting":
        workflows.advance(LONGEST)
    passes = run.status == "succeeded" and run.result["state"] == "pass"
    assert passes == (ROWS[number][0] == "passes"), run.timeline
