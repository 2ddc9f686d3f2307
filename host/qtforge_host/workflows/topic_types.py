"""What the operations of topics take and return, as far as their annotations say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from qtforge_sdk.conversion import is_untyped, to_plain
from qtforge_sdk.members import Members, members_of
from qtforge_sdk.operations import Signature
from qtforge_sdk.validation import UNKNOWN_KEY, FieldError, validation_errors

__all__ = ["NO_TYPES", "TopicTypes", "has_template"]

_TEMPLATE: Final = "${"


class TopicTypes:
    """The types of messages and answers, by topic.

    They are those of the handlers that are registered here; nothing is imported for them. Of a
    topic that has a handler without types, or on another node, nothing is known.

    Args:
        signatures: Returns the signatures of the operations that a request of a topic may reach,
            by the topic and the only plugin that may answer, or None; nothing where one of them
            is not known.
    """

    def __init__(self, signatures: Callable[[str, str | None], Sequence[Signature]]) -> None:
        self._signatures = signatures

    def message_errors(
        self, topic: str, plugin: str | None, message: object, path: str
    ) -> Sequence[FieldError]:
        """Return what is wrong with a message, whatever its templates will give.

        Args:
            topic: The topic.
            plugin: The only plugin that may answer, or None.
            message: A template of the message.
            path: Its own path.

        Returns:
            The errors; none where one of the topic's operations can take it.
        """
        plain, found = to_plain(message), []
        for signature in self._signatures(topic, plugin):
            errors = _errors(plain, signature.message_type, path)
            if not errors:
                return ()
            found.append(errors)
        return min(found, key=len, default=())

    def answer(self, topic: str, plugin: str | None) -> Members:
        """Return what is known of a topic's answer."""
        return members_of([each.response_type for each in self._signatures(topic, plugin)])


NO_TYPES: Final = TopicTypes(lambda topic, plugin: ())
"""Knows no types."""


def _errors(plain: Any, target: Any, path: str) -> list[FieldError]:
    if is_untyped(target):
        return []
    try:
        found = validation_errors(plain, target, path, forbid_unknown=True)
    except (TypeError, NameError, AttributeError, RecursionError):
        return []  # msgspec has no rules for the type
    return [
        each
        for each in found
        if each.what == UNKNOWN_KEY or not has_template(_at(plain, each.path.removeprefix(path)))
    ]


def _at(value: Any, path: str) -> Any:
    """Return what is at a path within a value; None where there is nothing."""
    while path:
        if isinstance(value, Mapping):
            path = path.removeprefix(".")
            keys = [key for key in value if path == key or path.startswith((f"{key}.", f"{key}["))]
            if not keys:
                return None
            value, path = value[keys[0]], path.removeprefix(keys[0])
        elif isinstance(value, list | tuple) and path.startswith("["):
            place, _, path = path[1:].partition("]")
            value = value[int(place)]
        else:
            return None
    return value


def has_template(value: Any) -> bool:
    """Return whether the value is another one, or has others, when it is rendered."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, str):
            if _TEMPLATE in each:
                return True
        elif isinstance(each, Mapping):
            left += each.values()
        elif isinstance(each, list | tuple):
            left += each
    return False
