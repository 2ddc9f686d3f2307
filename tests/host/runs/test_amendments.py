"""Changes that name stages, as JSON Patches."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from qtforge_host.runs.amendments import PatchBuilder, apply_patch
from qtforge_sdk.errors import AmendmentRefusedError

DEFINITION: dict[str, Any] = {
    "name": "letters",
    "stages": [
        {"name": "read", "operation": "letters.read", "retry": None, "message": {"deep": {}}},
        {"name": "a/b~c", "operation": "letters.work"},
        {"name": "send", "operation": "letters.send", "timeout": "30s"},
    ],
}


@pytest.fixture
def builder() -> PatchBuilder:
    return PatchBuilder("run-1", DEFINITION)


def after(builder: PatchBuilder) -> list[Any]:
    stages: list[Any] = apply_patch("run-1", DEFINITION, builder.operations)["stages"]
    return stages


def names(builder: PatchBuilder) -> list[str]:
    return [stage["name"] for stage in after(builder)]


def test_a_stage_is_put_behind_another_even_behind_the_last(builder: PatchBuilder) -> None:
    builder.insert_after("read", {"name": "sort"})
    builder.insert_after("send", {"name": "file"})
    assert names(builder) == ["read", "sort", "a/b~c", "send", "file"]


def test_each_change_is_made_on_top_of_those_before_it(builder: PatchBuilder) -> None:
    builder.insert_after("read", {"name": "sort"})
    builder.set("sort", ["timeout"], "5s")
    builder.remove("read")
    builder.replace("sort", {"name": "order"})
    builder.insert_after("order", {"name": "last"})
    assert after(builder)[:2] == [{"name": "order"}, {"name": "last"}]


def test_a_skipped_stage_stays_with_a_condition_that_never_holds(builder: PatchBuilder) -> None:
    builder.skip("send")
    assert after(builder)[2]["when"] == "false"


def test_a_key_is_set_and_the_tables_on_its_way_are_made(builder: PatchBuilder) -> None:
    builder.set("read", ["retry", "backoff", "initial"], "1s")
    builder.set("read", ["retry", "max_attempts"], 3)
    builder.set("read", ["message", "deep", "key"], [1, 2])
    builder.set("send", ["timeout"], "60s")
    read, _, send = after(builder)
    assert read["retry"] == {"backoff": {"initial": "1s"}, "max_attempts": 3}
    assert read["message"] == {"deep": {"key": [1, 2]}}
    assert send["timeout"] == "60s"


def test_a_key_within_a_value_is_refused(builder: PatchBuilder) -> None:
    with pytest.raises(AmendmentRefusedError, match="'timeout' of the stage 'send' is a value"):
        builder.set("send", ["timeout", "seconds"], 3)
    assert builder.operations == []


def test_names_with_the_signs_of_a_json_pointer_are_no_trouble(builder: PatchBuilder) -> None:
    builder.set("a/b~c", ["x/y~z"], 1)
    assert after(builder)[1]["x/y~z"] == 1


def test_an_unknown_stage_is_refused_with_the_nearest_name(builder: PatchBuilder) -> None:
    with pytest.raises(AmendmentRefusedError, match="no stage 'raed'") as raised:
        builder.remove("raed")
    assert raised.value.fix == "did you mean 'read'?"
    with pytest.raises(AmendmentRefusedError, match="it has no stages"):
        PatchBuilder("run-1", {"name": "empty"}).remove("read")


def test_the_definition_that_was_given_is_not_changed(builder: PatchBuilder) -> None:
    before = copy.deepcopy(DEFINITION)
    builder.remove("read")
    builder.set("send", ["retry", "max_attempts"], 2)
    assert before == DEFINITION


def test_a_patch_does_not_fit_a_definition_whose_stages_have_moved(builder: PatchBuilder) -> None:
    builder.remove("send")
    moved = copy.deepcopy(DEFINITION)
    moved["stages"].insert(0, {"name": "new"})
    with pytest.raises(AmendmentRefusedError, match="not the one that the patch was made for"):
        apply_patch("run-1", moved, builder.operations)


def test_operations_of_a_patch_file_come_in_their_order(builder: PatchBuilder) -> None:
    builder.extend([{"op": "remove", "path": "/stages/0"}])
    builder.skip("send")
    assert [stage.get("when") for stage in after(builder)] == [None, "false"]


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ([{"op": "remove", "path": "/stages/9"}], "does not apply"),
        ([{"op": "remove", "path": "stages"}], "does not apply"),
        ([{"op": "grow", "path": "/stages"}], "does not apply"),
        ([{"op": "add", "path": "/name"}], "does not apply"),
        ([{}], "does not apply"),
        (["remove"], "does not apply"),
        ([3], "does not apply"),
        ([{"op": "test", "path": "/name", "value": "other"}], "not the one"),
    ],
)
def test_what_is_no_patch_or_does_not_fit_is_refused(
    builder: PatchBuilder, patch: list[Any], why: str
) -> None:
    with pytest.raises(AmendmentRefusedError, match=why):
        builder.extend(patch)
    assert builder.operations == []


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/no/such", "value": 1},
        {"op": "copy", "from": "/no", "path": "/such"},
        {"op": "test", "path": "/stages", "value": []},
        {"op": "x" * 10_000, "path": "/name"},
    ],
)
def test_a_refusal_names_the_operation_and_quotes_no_whole_definition(
    operation: dict[str, Any],
) -> None:
    large = {"name": "large", "stages": [{"name": f"stage {each}"} for each in range(1000)]}
    patch = [{"op": "replace", "path": "/name", "value": "larger"}, operation]
    with pytest.raises(AmendmentRefusedError) as refused:
        apply_patch("run-1", large, patch)
    assert len(refused.value.why) < 250
    assert "operation 2" in refused.value.why or operation["op"] == "test"
    assert large["name"] == "large"


def test_a_patch_is_the_same_after_it_was_applied() -> None:
    patch: list[dict[str, Any]] = [
        {"op": "add", "path": "/stages/-", "value": {"name": "new", "items": []}},
        {"op": "add", "path": "/stages/0/items/-", "value": 1},
    ]
    before = copy.deepcopy(patch)
    once = apply_patch("run-1", {"stages": []}, patch)
    assert apply_patch("run-1", {"stages": []}, patch) == once
    assert once == {"stages": [{"name": "new", "items": [1]}]}
    assert patch == before
