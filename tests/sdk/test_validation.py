from __future__ import annotations

import dataclasses
import hashlib
from typing import Annotated, Any, Generic, Literal, NotRequired, TypedDict, TypeVar

import msgspec
import pytest

from qtforge_sdk.journal_errors import ArchiveInvalidError
from qtforge_sdk.journal_kit.archive import unpack
from qtforge_sdk.journal_kit.secret_lines import decode_secrets
from qtforge_sdk.transport_kit import decode_broadcast, decode_request, decode_response
from qtforge_sdk.validation import decoded, did_you_mean, nearest, validation_errors

T = TypeVar("T")


class Retry(msgspec.Struct, forbid_unknown_fields=True):
    attempts: Annotated[int, msgspec.Meta(ge=1)] = 3


class Stage(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    timeout: str = "30s"
    retry: Retry | None = None
    needs: list[str] = []


class Definition(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    stages: Annotated[list[Stage], msgspec.Meta(min_length=1)]


class Cat(msgspec.Struct, tag="cat"):
    lives: int


class Dog(msgspec.Struct, tag="dog", forbid_unknown_fields=True):
    tricks: int


class Table(TypedDict):
    rows: int
    name: NotRequired[Annotated[str, msgspec.Meta(min_length=1)]]


@dataclasses.dataclass
class Folder:
    tables: dict[str, Table]
    corner: tuple[int, str] = (0, "a")


class Box(msgspec.Struct, Generic[T]):
    value: T


class Even(msgspec.Struct):
    number: int

    def __post_init__(self) -> None:
        if self.number % 2:
            raise ValueError("the number is odd")


def lines(value: Any, target: Any, path: str = "", **options: bool) -> list[str]:
    return [str(error) for error in validation_errors(value, target, path, **options)]


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ({"name": "a", "stages": [{"name": "b", "retry": {"attempts": 1}}]}, Definition),
        ({"type": "cat", "lives": 9}, Cat | Dog),
        ({"tables": {"a": {"rows": 1}}}, Folder),
        ({"value": 1}, Box[int]),
        ({"anything": [1, None]}, Any),
        (None, Stage | None),
    ],
)
def test_a_value_that_fits_has_no_errors(value: Any, target: Any) -> None:
    assert lines(value, target) == []
    assert lines(value, target, forbid_unknown=True) == []


def test_every_error_is_reported_with_its_path() -> None:
    value = {
        "nam": "a",
        "stages": [{"name": 1, "timout": "1s"}, {"retry": {"attempts": 0}, "needs": ["a", 2]}, 5],
    }

    assert lines(value, Definition, "workflow") == [
        "workflow.nam: unknown key; did you mean 'name'?",
        "workflow.stages[0].timout: unknown key; did you mean 'timeout'?",
        "workflow.stages[0].name: expected str, got int",
        "workflow.stages[1].name: is missing; add 'name'",
        "workflow.stages[1].retry.attempts: expected int >= 1",
        "workflow.stages[1].needs[1]: expected str, got int",
        "workflow.stages[2]: expected object, got int",
    ]


@pytest.mark.parametrize(
    ("value", "target", "expected"),
    [
        ({"type": "dog", "trick": 1}, Cat | Dog, ["trick: unknown key; did you mean 'tricks'?"]),
        ({"type": "cow"}, Cat | Dog, ["type: invalid value 'cow'"]),
        (
            {"tables": {"a": {"name": ""}}, "corner": ["x", 1]},
            Folder,
            [
                "tables.a.rows: is missing; add 'rows'",
                "tables.a.name: expected str of length >= 1",
                "corner[0]: expected int, got str",
                "corner[1]: expected str, got int",
            ],
        ),
        ({"value": "x"}, Box[int], ["value: expected int, got str"]),
        ({"name": "a", "stages": []}, Definition, ["stages: expected array of length >= 1"]),
        ([{"number": 2}, {"number": 3}], list[Even], ["[1]: the number is odd"]),
        ([], Stage, ["expected object, got array"]),
    ],
)
def test_every_kind_of_type_is_looked_into(value: Any, target: Any, expected: list[str]) -> None:
    assert lines(value, target) == expected


def test_text_of_the_wrong_form_is_shown_with_an_example() -> None:
    share = Annotated[str, msgspec.Meta(pattern="^[0-9]+%$", examples=["10%"])]
    tolerated = Annotated[int, msgspec.Meta(ge=0)] | share | None

    assert lines({"a": "-5%"}, dict[str, share]) == [
        "a: '-5%' has the wrong form; write it as in '10%'"
    ]
    assert lines({"a": "x\x1b[31m\n"}, dict[str, tolerated]) == [
        "a: 'x\\x1b[31m\\n' has the wrong form; write it as in '10%'"
    ]
    assert lines({"a": -1}, dict[str, tolerated]) == ["a: expected int >= 0"]
    assert lines("x", Annotated[str, msgspec.Meta(pattern="^y$")]) == [
        "expected str matching regex '^y$'"
    ]


def test_a_text_that_is_no_choice_has_the_nearest_or_all_of_them_as_its_fix() -> None:
    policy = dict[str, Literal["skip", "queue"] | None]
    assert lines({"a": "queu"}, policy) == ["a: invalid enum value 'queu'; did you mean 'queue'?"]
    assert lines({"a": "x"}, policy) == ["a: invalid enum value 'x'; use one of skip, queue"]
    assert lines({"a": 1}, policy) == ["a: expected str | null, got int"]


def test_unknown_keys_are_errors_where_the_caller_forbids_them() -> None:
    value = {"tables": {"a": {"rows": 1, "row": 2}}, "cornr": 1}

    assert lines(value, Folder) == []
    assert lines(value, Folder, forbid_unknown=True) == [
        "cornr: unknown key; did you mean 'corner'?",
        "tables.a.row: unknown key; did you mean 'rows'?",
    ]


def test_text_is_a_number_where_the_check_is_not_strict() -> None:
    assert lines({"lives": "9"}, Cat) == ["lives: expected int, got str"]
    assert lines({"lives": "9"}, Cat, strict=False) == []


def test_a_type_without_rules_is_the_callers_error() -> None:
    with pytest.raises(TypeError):
        validation_errors({}, validation_errors)


def test_a_fix_names_the_nearest_or_lists_what_is_known() -> None:
    assert did_you_mean("timout", ["name", "timeout"]) == "did you mean 'timeout'?"
    assert did_you_mean("x", ["name", "timeout"]) == "use one of name, timeout"
    assert did_you_mean("x", ["name"], "see the list") == "see the list"
    assert did_you_mean("x", []) == ""
    assert did_you_mean("x", [f"name{n}" for n in range(20)]).endswith("name11 or 8 more")


def test_a_name_of_any_length_is_compared_in_no_time() -> None:
    assert nearest("a" * 1_000_000, ["a" * 100]) is None


DEEP = b"\x91" * 20_000 + b"\x01"  # MessagePack: a list in a list in a list


@pytest.mark.parametrize("decode", [decode_request, decode_response, decode_broadcast])
@pytest.mark.parametrize("data", [DEEP, b"\x81\xa1x" + DEEP, b"", b"\xff", b"\x81\xa1\xffx"])
def test_what_another_node_sends_can_be_anything(decode: Any, data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(data)


def test_what_is_nested_too_deeply_is_wrong_like_any_other_data() -> None:
    for kind, data in ((msgspec.msgpack, DEEP), (msgspec.json, b"[" * 20_000)):
        with pytest.raises(msgspec.DecodeError, match="nested too deeply"):
            decoded(kind.decode, data)
    with pytest.raises(msgspec.DecodeError, match="nested too deeply"):
        decoded(msgspec.json.Decoder(Cat).decode, b'{"more":' * 20_000)
    assert decoded(msgspec.json.decode, b"[1]") == [1]
    head = b"QTFORGE-RUN" + bytes([2])
    for body in (DEEP, b"\x81\xa4more" + DEEP):
        with pytest.raises(ArchiveInvalidError):
            unpack(head + hashlib.sha256(body).digest() + body)
    line = msgspec.json.encode({"reference": "r", "name": "", "value": DEEP, "is_missing": False})
    assert decode_secrets(line + b"\n" + b'{"x":' * 20_000) == {}


def test_a_name_that_is_whole_words_of_one_known_name_is_taken_for_that() -> None:
    known = ("import_timeout", "start_timeout", "state_dir", "worker_threads")
    assert nearest("dir", known) == "state_dir"
    assert nearest("Worker-", known) == "worker_threads"
    assert nearest("import", known) == "import_timeout"
    assert nearest("out", known) is None  # no word
    assert nearest("max", ("max_size", "max_value_of_all")) is None  # of two
    assert nearest("-", ("a-very-long-name",)) is None


def test_of_many_names_those_that_resemble_a_wrong_one_are_listed() -> None:
    known = [letter * 8 for letter in "abcdefghijklmnopqrst"]
    fix = did_you_mean("tts", known)
    assert fix.startswith("use one of tttttttt, ssssssss, ")
    assert fix.endswith(" or 8 more")
    assert did_you_mean("t" * 5000, known).endswith("llllllll or 8 more")
    assert did_you_mean("xyz", known[:3]) == "use one of aaaaaaaa, bbbbbbbb, cccccccc"
