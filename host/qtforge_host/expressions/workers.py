"""Evaluate costly expressions in worker processes, which are killed when their time is over."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

import msgspec

from qtforge_host.bus.frames import Call
from qtforge_host.bus.processes import ProcessWorkers, WorkerDiedError, WorkerFailedError
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.limits import ExpressionLimits, too_costly
from qtforge_sdk.durations import duration_text
from qtforge_sdk.errors import ExpressionError, OperationError

__all__ = ["ExpressionWorkers", "WorkerEvaluator", "pack", "unpack"]

_TARGET: Final = "qtforge_host.expressions.workers:WorkerEvaluator"
_MOMENT, _DURATION, _DATE, _TIME = 1, 2, 3, 4
_KINDS: Final[Mapping[int, Any]] = MappingProxyType(
    {_MOMENT: datetime.datetime, _DATE: datetime.date, _TIME: datetime.time}
)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)


class EvaluationRequest(msgspec.Struct, frozen=True):
    """An expression, and the packed plain values of its variables."""

    source: str
    names: bytes


class WorkerEvaluator:
    """Evaluates expressions; it runs in the worker process.

    It looks like a plugin to `qtforge_host.bus.worker`: a class without arguments, whose
    ``config`` is set.
    """

    Config: ClassVar[type[ExpressionLimits]] = ExpressionLimits
    config: ExpressionLimits

    def __init__(self) -> None:
        self._expressions: Expressions | None = None

    def evaluate(self, request: EvaluationRequest) -> bytes:
        """Return the packed value of an expression.

        Raises:
            OperationError: It is too costly, it failed, or its value is too large.
        """
        self._expressions = self._expressions or Expressions(self.config)
        names = unpack(request.names)
        try:
            expression = self._expressions.compile(request.source)
            cost = expression.cost(names)
            if self.config.max_cost < cost < float("inf"):  # not estimated: only its time counts
                raise too_costly(request.source, cost, self.config.max_cost)
            return pack(expression.execute(names))
        except ExpressionError as error:
            raise OperationError(error.code, error.what, error.why, error.fix) from error


class ExpressionWorkers:
    """Worker processes for expressions, started when the first one is needed.

    Args:
        limits: The limits of each evaluation.
        size: The most evaluations at a time.
        memory_bytes: How much memory each process may take.
    """

    def __init__(self, limits: ExpressionLimits, size: int, memory_bytes: int) -> None:
        self._limits = limits
        self._places = asyncio.Semaphore(size)  # waiting for a place is not limited in time
        config = msgspec.to_builtins(limits)
        self._workers = ProcessWorkers(_TARGET, config, size, memory_bytes=memory_bytes)

    async def evaluate(self, source: str, names: Mapping[str, Any]) -> Any:
        """Return the value of an expression over plain values.

        Raises:
            ExpressionError: It is too costly, it failed, or its value is too large.
        """
        call = Call(
            method="evaluate",
            message={"source": source, "names": _packed(source, names)},
            topic="",
            plugin="expressions",
            run_id=None,
            step=None,
            attempt=1,
            remaining_s=None,
            idempotency_key=None,
        )
        timeout_s = self._limits.timeout_s
        try:
            async with self._places, asyncio.timeout(timeout_s):
                return unpack(await self._workers.run(call, None))
        except TimeoutError:
            why = f"its evaluation did not end within {duration_text(timeout_s)}"
        except OperationError as error:
            if error.code.startswith("expression."):
                raise ExpressionError(source, error.why, error.fix, error.code) from error
            why = error.what
        except (WorkerDiedError, WorkerFailedError) as error:
            why = str(error)
        raise ExpressionError(
            source,
            why,
            "go over shorter lists, or raise expression_timeout in [host]",
            "expression.too_costly",
        )

    async def close(self) -> None:
        """Kill every process, and wait for their ends."""
        await self._workers.close()


def _packed(source: str, names: Mapping[str, Any]) -> bytes:
    try:
        return pack(dict(names))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ExpressionError(source, str(error), "", "expression.failed") from error


def pack(value: Any) -> bytes:
    """Encode plain values; dates, times and durations keep their types, which msgpack lacks."""
    return msgspec.msgpack.encode(_replaced(value))


def unpack(data: bytes) -> Any:
    """Decode what `pack` encoded.

    >>> unpack(pack({"after": datetime.timedelta(hours=1)}))
    {'after': datetime.timedelta(seconds=3600)}
    """
    return msgspec.msgpack.decode(data, ext_hook=_restored)


def _replaced(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(each) for each in value]
    if isinstance(value, datetime.timedelta):
        return msgspec.msgpack.Ext(_DURATION, str(value // _MICROSECOND).encode())
    if isinstance(value, datetime.datetime):
        return msgspec.msgpack.Ext(_MOMENT, value.isoformat().encode())
    if isinstance(value, datetime.date):
        return msgspec.msgpack.Ext(_DATE, value.isoformat().encode())
    if isinstance(value, datetime.time):
        return msgspec.msgpack.Ext(_TIME, value.isoformat().encode())
    return value


def _restored(code: int, data: memoryview) -> Any:
    text = bytes(data).decode()
    if code == _DURATION:
        return int(text) * _MICROSECOND
    return _KINDS[code].fromisoformat(text)
