"""Evaluate the tags, title and keys of a new run."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from qtforge_host.runs.errors import RunKeysError
from qtforge_sdk import Definition, Document
from qtforge_sdk.durations import seconds
from qtforge_sdk.journal_kit.admission import changed_tags
from qtforge_sdk.records import RunKeys, RunPlace, StartedBy, UniqueRun
from qtforge_sdk.run_keys import MOST_KEY, MOST_TITLE

if TYPE_CHECKING:  # what shows runs needs the names of documents, and evaluates nothing
    from qtforge_host.expressions.evaluator import Evaluator

__all__ = [
    "NO_START",
    "Start",
    "default_title",
    "document_name",
    "evaluate_keys",
    "evaluate_priority",
    "has_keys",
    "without_secrets",
]

_MOST_PRIORITY: Final = 100
# Compiled when they are first used, which most commands never do.
_BREAKS: Final = r"[\s\x00-\x1f\x7f-\x9f]+"
_SURROGATES: Final = r"[\ud800-\udfff]"


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What the starter of a run gives it, besides its input.

    Attributes:
        by: What starts it; None where a run does.
        tags: Tags besides those of the definition; of two with one name these count.
        like: The ``traceparent`` of the run that it is like; "" for none.
    """

    by: StartedBy | None = None
    tags: Mapping[str, str] = {}
    like: str = ""


NO_START: Final = Start()
"""Nothing but the input."""


def has_keys(definition: Definition, start: Start) -> bool:
    """Return whether a run has tags, a title or keys; mostly it has none."""
    return bool(
        definition.tags
        or definition.title
        or start.tags
        or definition.unique is not None
        or definition.concurrency_key is not None
    )


def document_name(given: Any) -> str:
    """Return the name of the document that a run with this input is about, or "".

    >>> document_name({"document": {"name": "a.pdf"}})
    'a.pdf'
    """
    document = given.get("document") if isinstance(given, Mapping) else None
    if isinstance(document, Document):
        return document.name
    return str(document.get("name") or "") if isinstance(document, Mapping) else ""


def default_title(given: Any) -> str:
    """Return the title of a run whose definition has none."""
    return _line(re.sub(_SURROGATES, "\N{REPLACEMENT CHARACTER}", document_name(given)))


def evaluate_keys(
    definition: Definition,
    given: Any,
    start: Start,
    evaluator: Evaluator,
    *,
    is_child: bool,
) -> RunKeys:
    """Return the tags, title and keys of a new run.

    Args:
        definition: The definition of its workflow.
        given: Its input, with references in place of secrets.
        start: What its starter gives it.
        evaluator: Renders templates.
        is_child: Whether another run starts it; then it is neither unique nor needs a place.

    Raises:
        TagsInvalidError: A tag can't be used.
        RunKeysError: Another value can't be used.
        ExpressionError: A template failed.
    """
    names = {"input": given}

    def text(path: str, template: str, most: int) -> str:
        return _text(definition.name, path, evaluator.render(template, names), most)

    tags = {
        name: _text(definition.name, f"tags.{name}", evaluator.render(value, names), None)
        for name, value in definition.tags.items()
    }
    all_tags = changed_tags({}, {**{k: v for k, v in tags.items() if v}, **start.tags})
    title = _line(text("title", definition.title, 1 << 20)) if definition.title else ""
    title = title or default_title(given)
    unique = place = None
    if definition.unique is not None and not is_child:
        within = definition.unique.within
        unique = UniqueRun(
            key=text("unique.key", definition.unique.key, MOST_KEY),
            within_s=None if within is None else seconds(within),
        )
    if definition.concurrency_key is not None and not is_child:
        wanted = definition.concurrency_key
        place = RunPlace(
            key=text("concurrency_key.key", wanted.key, MOST_KEY),
            limit=wanted.limit,
            when_full=wanted.when_full,
        )
    return RunKeys(tags=all_tags, title=title, unique=unique, place=place)


def evaluate_priority(definition: Definition, given: Any, evaluator: Evaluator) -> int:
    """Return the priority of a new run in the queue.

    Raises:
        RunKeysError: It is no integer from -100 to 100.
        ExpressionError: The template failed.
    """
    found = definition.priority
    if isinstance(found, str):
        found = evaluator.render(found, {"input": given})
        if isinstance(found, float) and found.is_integer():
            found = int(found)
    if (
        isinstance(found, bool)
        or not isinstance(found, int)
        or not -_MOST_PRIORITY <= found <= _MOST_PRIORITY
    ):
        why = f"it must be an integer from -{_MOST_PRIORITY} to {_MOST_PRIORITY}"
        raise RunKeysError(definition.name, "priority", str(found)[:80], why)
    return found


def without_secrets(given: Any, names: Sequence[str]) -> Any:
    """Return an input with ``***`` in place of its secrets.

    Args:
        given: The input, or what is in it.
        names: Keys, or paths of keys such as ``auth.password``.

    >>> without_secrets({"a": {"b": "x"}, "c": [{"d": "y"}]}, ["a.b", "c.d"])
    {'a': {'b': '***'}, 'c': [{'d': '***'}]}
    """
    if isinstance(given, list):
        return [without_secrets(each, names) for each in given]
    if not isinstance(given, dict) or not names:
        return given
    found = {}
    for key, value in given.items():
        inner = [name.removeprefix(f"{key}.") for name in names if name.startswith(f"{key}.")]
        found[key] = "***" if key in names else without_secrets(value, inner)
    return found


def _text(workflow: str, path: str, value: Any, most: int | None) -> str:
    """Return a rendered value as text.

    Raises:
        RunKeysError: It is no scalar, or too long.
    """
    match value:
        case None:
            found = ""
        case bool():
            found = str(value).lower()
        case str():
            found = value
        case int() | float():
            found = f"{value:g}" if isinstance(value, float) else str(value)
        case datetime.date():
            found = value.isoformat()
        case _:
            why = "it must be a text, a number, true or false, or a time"
            raise RunKeysError(workflow, path, f"a {type(value).__name__}", why)
    if most is not None and len(found) > most:
        why = f"it has {len(found):,} characters, and may have {most:,}"
        raise RunKeysError(workflow, path, f"{found[:40]}…", why)
    if re.search(_SURROGATES, found) is not None:
        raise RunKeysError(workflow, path, ascii(found[:40]), "it is no text that can be stored")
    return found


def _line(text: str) -> str:
    """Return a title in one line that is not too long."""
    line = re.sub(_BREAKS, " ", text).strip()
    return line if len(line) <= MOST_TITLE else f"{line[: MOST_TITLE - 1]}…"
