"""Operations that a test makes up."""

from __future__ import annotations

import inspect
from collections import deque
from typing import Any

from qtforge_sdk.operations import operation

__all__ = ["make_fake"]


class _Answers:
    """Gives answers in turn; the last again and again.

    Args:
        answers: Values, exceptions to raise, or functions of the message.
    """

    def __init__(self, answers: tuple[Any, ...]) -> None:
        self._left = deque(answers)

    async def give(self, message: Any) -> Any:
        answer = self._left.popleft() if len(self._left) > 1 else self._left[0]
        if isinstance(answer, type) and issubclass(answer, Exception):
            raise answer()
        if isinstance(answer, Exception):
            raise answer
        if not callable(answer):
            return answer
        found = answer(message)
        return await found if inspect.isawaitable(found) else found


def make_fake(topic: str, answers: tuple[Any, ...]) -> object:
    """Return a plugin with one operation.

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
    given = _Answers(answers)

    async def answer(self: object, message: Any) -> Any:
        return await given.give(message)

    # A class of its own, for pluggy finds the mark of an operation on the class's functions.
    return type("Fake", (), {"answer": operation(topic, tryfirst=True)(answer)})()
