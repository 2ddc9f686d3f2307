from __future__ import annotations

from typing import Any

import msgspec
import pytest

from qtforge_host.expressions.compiler import Expressions
from qtforge_sdk.errors import ExpressionError

SCOPE = {
    "input": None,
    "run": {"id": None, "workflow": None},
    "stages": {"parse": {"data": None, "status": None}},
    "keywords": None,
}


@pytest.fixture
def expressions() -> Expressions:
    return Expressions()


class Page(msgspec.Struct):
    number: int


@pytest.mark.parametrize(
    ("source", "names", "value"),
    [
        ("keywords.contains('contract')", {"keywords": ["a", "contract"]}, True),
        ("keywords.contains('contract')", {"keywords": []}, False),
        ("'contract law'.contains('law')", {}, True),
        ("input.n > 3 && input.n < 5", {"input": {"n": 4}}, True),
        ("input.list.map(k, k.name + '!')", {"input": {"list": [{"name": "a"}]}}, ["a!"]),
        ("has(input.a) ? input.a : 'none'", {"input": {}}, "none"),
        ("math.greatest([1, 3, 2])", {}, 3),
        ("input.s.lowerAscii()", {"input": {"s": "AB"}}, "ab"),
        ("keywords.size()", {"keywords": [1, 2]}, 2),
        ("input.page.number + 1", {"input": {"page": Page(3)}}, 4),
    ],
)
def test_an_expression_has_the_value_that_cel_gives_it(
    expressions: Expressions, source: str, names: dict[str, Any], value: object
) -> None:
    assert expressions.compile(source, SCOPE).evaluate(names) == value


def test_a_path_gives_the_object_itself_untouched(expressions: Expressions) -> None:
    page = Page(3)
    found = expressions.compile("input.page").evaluate({"input": {"page": page}})
    assert found is page


@pytest.mark.parametrize(
    ("source", "why", "fix"),
    [
        ("runn.id", "'runn' is not known", "did you mean 'run'?"),
        ("run.idd", "'run' has no 'idd'", "did you mean 'id'?"),
        ("stages.prase.data", "'stages' has no 'prase'", "did you mean 'parse'?"),
        ("stages.parse.dat.x", "'stages.parse' has no 'dat'", "did you mean 'data'?"),
        ("true || stages.prase.data", "'stages' has no 'prase'", "did you mean 'parse'?"),
        ("keywords.contians('a')", "there is no function 'contians'", "did you mean 'contains'?"),
        ("1 +", "column 4: Syntax error: mismatched input '<EOF>'", ""),
    ],
)
def test_a_wrong_name_is_an_error_at_compilation_with_the_nearest_name(
    expressions: Expressions, source: str, why: str, fix: str
) -> None:
    with pytest.raises(ExpressionError) as error:
        expressions.compile(source, SCOPE)
    assert (error.value.why, error.value.fix) == (why, fix)
    assert error.value.code == "expression.invalid"


def test_names_are_checked_in_an_expression_of_thousands_of_parts(expressions: Expressions) -> None:
    many = " + 1" * 3_000
    assert expressions.compile(f"input.n{many}", SCOPE).evaluate({"input": {"n": 1}}) == 3_001
    with pytest.raises(ExpressionError, match="'run' has no 'idd'"):
        expressions.compile(f"run.idd{many}", SCOPE)


@pytest.mark.parametrize(
    "source",
    [
        "[1, 2].exists(item, item > 1)",
        "input.rows.all(row, row.total > 0)",
        "'stages.nosuch.data' == run.id",
        "input.anything.goes.here == 1",
        "stages['parse'].data == null",
    ],
)
def test_names_in_strings_and_bound_by_macros_are_no_errors(
    expressions: Expressions, source: str
) -> None:
    expressions.compile(source, SCOPE)


@pytest.mark.parametrize(
    ("source", "names", "why"),
    [
        ("input.a.b", {"input": {}}, "'input' has no 'a'"),
        ("input.a.b", {"input": {"a": None}}, "'input.a' is null"),
        ("1 / 0", {}, "division by zero"),
        ("'a' + 1", {}, "string + int"),
    ],
)
def test_a_failure_at_run_time_says_why(
    expressions: Expressions, source: str, names: dict[str, Any], why: str
) -> None:
    with pytest.raises(ExpressionError, match="expression") as error:
        expressions.compile(source).evaluate(names)
    assert why in error.value.why
    assert error.value.code == "expression.failed"


def test_a_condition_is_true_or_false_and_nothing_else(expressions: Expressions) -> None:
    assert expressions.compile("1 < 2").holds({}) is True
    with pytest.raises(ExpressionError, match="a condition is true or false, and this is int"):
        expressions.compile("1 + 1").holds({})


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("plain text", "plain text"),
        ("${run.id}", "R1"),
        ("run ${run.id}: ${ {'a': [1, 2]}.a.size() } things", "run R1: 2 things"),
        ("${input.nothing}!", "!"),
        ("list ${input.list}", "list [1,2]"),
        ("$${run.id}", "${run.id}"),
        ("a $${x} b ${run.id}", "a ${x} b R1"),
        (
            {"a": ["${run.id}", 3], "b": {"c": "${input.list}"}},
            {"a": ["R1", 3], "b": {"c": [1, 2]}},
        ),
    ],
)
def test_templates_are_rendered(expressions: Expressions, template: object, value: object) -> None:
    names = {"run": {"id": "R1"}, "input": {"nothing": None, "list": [1, 2]}}
    assert expressions.template(template).render(names) == value


@pytest.mark.parametrize("template", ["${run.id", "${}", "a ${1 +} b"])
def test_a_template_that_is_not_well_formed_is_refused(
    expressions: Expressions, template: str
) -> None:
    with pytest.raises(ExpressionError):
        expressions.template(template)


@pytest.mark.parametrize(
    ("path", "value"),
    [("title", "text"), ("__class__", "text"), ("__class__.__mro__", {}), ("real", 1),
     ("append", []), ("__struct_fields__", Page(3)), ("__init__.__globals__", Page(3)),
     ("number.real", Page(3))],
)  # fmt: skip
def test_a_path_never_leads_to_an_attribute_of_python(
    expressions: Expressions, path: str, value: object
) -> None:
    for template in (f"${{input.{path}}}", f"${{input.{path} == 1}}"):
        with pytest.raises(ExpressionError):
            expressions.template(template).render({"input": value})


def test_untrusted_text_in_a_value_is_never_evaluated(expressions: Expressions) -> None:
    rendered = expressions.template("${input.text}").render({"input": {"text": "${run.id}"}})
    assert rendered == "${run.id}"


def test_a_secret_stays_a_placeholder_in_a_rendered_template() -> None:
    template = Expressions().template({"url": "x://${secret.TOKEN}@${input.host}"})
    assert template.render({"input": {"host": "h"}}) == {"url": "x://${secret.TOKEN}@h"}
