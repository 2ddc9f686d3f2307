"""Operations that a test makes up."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from qtforge_sdk.operations import OperationContext, operation

__all__ = ["Fake", "make_fake"]


class Fake:
    """Gives answers in turn; the last again and again.

    The same attempt of a step that is asked again, by a process that follows one that died,
    gets the same answer again.

    Args:
        answers: Values, exceptions to raise, or functions of the message.

    Attributes:
        on_given: Called with the idempotency key and the attempt that the next answer is for.
    """

    def __init__(self, answers: tuple[Any, ...]) -> None:
        self._answers = answers
        self._given: dict[tuple[str, int], int] = {}
        self._asked = 0
        self.on_given: Callable[[str, int], None] = lambda key, attempt: None

    def begin_again(self, given: Iterable[tuple[str, int]] = ()) -> None:
        """Give the first answer next, after those that another process has given.

        Args:
            given: For which keys and attempts it has, in order.
        """
        self._given.clear()
        self._asked = 0
        for key in given:
            self._note(key)

    def _note(self, key: tuple[str, int]) -> int:
        number, self._asked = self._asked, self._asked + 1
        self._given[key] = number
        return number

    async def give(self, message: Any, context: OperationContext) -> Any:
        """Give the next answer."""
        key = (context.idempotency_key or "", context.attempt)
        number = self._given.get(key)
        if number is None or not key[0]:
            self.on_given(*key)
            number = self._note(key)
        answer = self._answers[min(number, len(self._answers) - 1)]
        if isinstance(answer, type) and issubclass(answer, Exception):
            raise answer()
        if isinstance(answer, Exception):
            raise answer
        if not callable(answer):
            return answer
        found = answer(message)
        return await found if inspect.isawaitable(found) else found


def make_fake(topic: str, answers: tuple[Any, ...]) -> tuple[object, Fake]:
    """Return a plugin with one operation, and what it answers.

    Args:
        topic: The topic that it answers.
        answers: Values, exceptions to raise, or functions of the message; in turn, the last
            again and again.

    Raises:
        InvalidTopicError: The topic is not well formed.
        ValueError: There is no answer.
    """
    if not answers:
        raise ValueError(f"a fake of '{topic}' needs an answer: a value, an error or a function")
    given = Fake(answers)

    async def answer(self: object, message: Any, context: OperationContext) -> Any:
        return await given.give(message, context)

    # A class of its own, for pluggy finds the mark of an operation on the class's functions.
    plugin = type("Fake", (), {"answer": operation(topic, tryfirst=True)(answer)})()
    return plugin, given
