from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from qtforge_sdk import OperationContext, Plugin, Proceed, operation, subscriber
from qtforge_sdk.errors import InvalidTopicError, PluginError
from qtforge_sdk.operations import handler_signature, operation_spec, subscriber_spec

if TYPE_CHECKING:
    from decimal import Decimal


class Sample(Plugin):
    @operation("note.read", accepts="message.ok", execution="process")
    def read(self, message: int, context: OperationContext) -> str:
        return str(message)

    @operation("note.read", wrapper=True)
    async def around(self, message: Any, context: OperationContext, proceed: Proceed) -> Any:
        return await proceed(message)

    @subscriber("note.>", where="message.ok", capacity=3)
    async def hear(self, message: int) -> None: ...

    def plain(self, message):  # type: ignore[no-untyped-def]
        return message

    def nothing(self) -> None: ...

    def too_many(self, message: int, one: int, two: int) -> None: ...

    def hidden(self, message: Decimal) -> None: ...


def test_a_decorated_method_keeps_what_the_decorator_was_told() -> None:
    spec = operation_spec(Sample().read)
    assert spec is not None
    assert (spec.topic, spec.accepts, spec.execution, spec.wrapper) == (
        "note.read",
        "message.ok",
        "process",
        False,
    )
    heard = subscriber_spec(Sample().hear)
    assert heard is not None
    assert (heard.pattern, heard.where, heard.capacity) == ("note.>", "message.ok", 3)


def test_an_undecorated_method_is_neither() -> None:
    assert operation_spec(Sample().plain) is None
    assert subscriber_spec(Sample().plain) is None
    assert operation_spec(Sample().hear) is None


def test_a_decorated_method_can_still_be_called() -> None:
    assert Sample().read(3, OperationContext("note.read")) == "3"


def test_a_signature_tells_types_context_and_colour() -> None:
    read = handler_signature(Sample().read, "sample")
    assert (read.message_type, read.response_type) == (int, str)
    assert (read.takes_context, read.is_async) == (True, False)
    hear = handler_signature(Sample().hear, "sample", extra=0)
    assert (hear.response_type, hear.takes_context, hear.is_async) == (Any, False, True)


def test_missing_annotations_mean_anything() -> None:
    plain = handler_signature(Sample().plain, "sample")
    assert (plain.message_type, plain.response_type) == (Any, Any)


@pytest.mark.parametrize("name", ["nothing", "too_many", "hidden"])
def test_a_method_that_can_not_be_a_handler_is_refused_with_its_plugin(name: str) -> None:
    with pytest.raises(PluginError, match=name) as caught:
        handler_signature(getattr(Sample(), name), "sample")
    assert (caught.value.plugin, caught.value.code) == ("sample", "plugin.invalid_handler")


@pytest.mark.parametrize(
    "options",
    [
        {"execution": "thread"},
        {"wrapper": True, "accepts": "true"},
        {"wrapper": True, "execution": "process"},
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"execution is|a wrapper runs"):
        operation("a.b", **options)


def test_a_wrapper_is_async() -> None:
    def plain(message: Any, context: OperationContext, proceed: Proceed) -> None: ...

    with pytest.raises(ValueError, match="must be async"):
        operation("a.b", wrapper=True)(plain)


def test_bad_topics_patterns_and_capacities_are_refused_where_they_are_written() -> None:
    with pytest.raises(InvalidTopicError):
        operation("a..b")
    with pytest.raises(InvalidTopicError):
        subscriber("a.>.b")
    with pytest.raises(ValueError, match="at least 1"):
        subscriber("a.b", capacity=0)


@pytest.mark.parametrize("decorator", [operation, subscriber])
def test_a_decorator_without_parentheses_is_refused_with_what_to_write(decorator: Any) -> None:
    def parse(self: object, message: dict[str, Any]) -> None: ...

    with pytest.raises(TypeError, match=rf"^write @{decorator.__name__}\('document\..*parse: "):
        decorator(parse)


def test_the_remaining_time_never_goes_below_nothing() -> None:
    assert OperationContext("a.b").remaining_s() is None
    assert OperationContext("a.b", deadline=time.monotonic() - 5).remaining_s() == 0
    remaining_s = OperationContext("a.b", deadline=time.monotonic() + 3600).remaining_s()
    assert remaining_s is not None
    assert 3300 < remaining_s <= 3600


def test_progress_reaches_its_listener_and_is_free_without_one() -> None:
    heard: list[tuple[float, float | None, str]] = []
    context = OperationContext(
        "a.b", "sample", listener=lambda done, total, text: heard.append((done, total, text))
    )
    context.progress(1, 2, "page 1")
    OperationContext("a.b").progress(1)
    assert heard == [(1, 2, "page 1")]
    assert context.logger.name == "qtforge.plugin.sample"


@pytest.mark.parametrize("fields", ["token", ("",), ("a..b",), ("a b",), ("${a}",), (".a",)])
def test_secret_fields_are_paths(fields: Any) -> None:
    with pytest.raises(ValueError, match="secret_fields are paths"):
        operation("note.read", secret_fields=fields)


@pytest.mark.parametrize("options", [{"secret_fields": ("token",)}, {"keep_secrets": True}])
def test_the_secrets_of_an_answer_are_declared_by_the_operation_and_by_no_wrapper(
    options: dict[str, Any],
) -> None:
    def read(message: int) -> str:
        return str(message)

    spec = operation_spec(operation("note.read", **options)(read))
    assert spec is not None
    assert spec.secrets is not None
    assert spec.secrets.fields == options.get("secret_fields", ())
    assert spec.secrets.keep is options.get("keep_secrets", False)
    with pytest.raises(ValueError, match="options of the wrapped operation"):
        operation("note.read", wrapper=True, **options)
