"""The plugins that are asked; a worker process imports them from here too."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from qtforge_sdk import OperationContext, Plugin, Proceed, operation

__all__ = ["Answer", "Answers", "Question", "Wraps"]


class Question(msgspec.Struct, frozen=True):
    """What is asked."""

    text: str
    number: int


class Answer(msgspec.Struct, frozen=True):
    """What is answered."""

    number: int


class Answers(Plugin):
    """Answers at once, in every way in which a plugin can."""

    @operation("bench.plain")
    async def plain(self, question: Question) -> Answer:
        return Answer(question.number)

    @operation("bench.context")
    async def with_context(self, question: Question, context: OperationContext) -> Answer:
        return Answer(question.number)

    @operation("bench.suspends")
    async def suspending(self, question: Question) -> Answer:
        await asyncio.sleep(0)
        return Answer(question.number)

    @operation("bench.accepts", accepts="message.number > 0")
    async def choosy(self, question: Question) -> Answer:
        return Answer(question.number)

    @operation("bench.wrapped")
    async def wrapped(self, question: Question) -> Answer:
        return Answer(question.number)

    @operation("bench.thread")
    def in_a_thread(self, question: Question) -> Answer:
        return Answer(question.number)

    @operation("bench.process", execution="process")
    def in_a_process(self, question: Question) -> Answer:
        return Answer(question.number)


class Wraps(Plugin):
    """Stands around one topic and changes nothing."""

    @operation("bench.wrapped", wrapper=True)
    async def around(self, question: Question, context: OperationContext, ask: Proceed) -> Any:
        return await ask(question)
