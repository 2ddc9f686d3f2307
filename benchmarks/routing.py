"""A routing decision over many rules, beside cel-python on the same rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import celpy
from celpy import celtypes
from celpy.adapter import json_to_cel

from benchmarks.measuring import Candidate, Figure, Goal, measure
from qtforge_builtin_plugins.orchestrators.rules import Rule, decide
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.prepared import PreparedNames

__all__ = ["measure_routing"]

_RULES = 100
_GROUP = f"a decision over {_RULES} rules on 10 names, of which the last holds"
_GOAL = Goal(time_s=400e-6)
_PEER_GOAL = Goal(least_ratio=20)
_ROUND_S = 0.1  # cel-python takes a fifth of that for one decision
_SHAPES = (
    "documentType == 'kind{n}' || keywords.contains('word{n}') || keywords.contains('other{n}')",
    "language == 'l{n}' && confidenceScore > 0.5",
    "'word{n}' in keywords || contentCategory == 'category{n}'",
    "features['words'] > 1{n}000.0 && sender.endsWith('@company{n}.example')",
    "pages > 1{n}000 || title.startsWith('Report {n} ') || sizeBytes > 1{n}00000",
)
_STAGE = {
    "documentType": "general",
    "language": "en",
    "keywords": ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota"],
    "confidenceScore": 0.8,
    "features": {"words": 1200.0, "lines": 80.0, "numbers_per_100_words": 3.5},
    "contentCategory": "correspondence",
    "pages": 12,
    "sender": "ada@letters.example",
    "title": "A quarterly report",
    "sizeBytes": 20480,
}


async def measure_routing(rounds: int) -> list[Figure]:
    """Time decisions.

    Raises:
        RuntimeError: The two decided differently, so something else was timed.
    """
    conditions = [_SHAPES[n % len(_SHAPES)].format(n=n) for n in range(_RULES - 1)]
    conditions.append("documentType == 'general' && pages == 12")
    host, peer = _host(conditions), _cel_python(conditions)
    if (host(), peer()) != (_RULES - 1, _RULES - 1):
        raise RuntimeError(f"the host decided for {host()}, and cel-python for {peer()}")
    candidates = [
        Candidate("conditional: names rendered, rules tried, reasons told", _many(host), _GOAL),
        Candidate("cel-python: rules tried", _many(peer), _PEER_GOAL),
    ]
    return await measure(_GROUP, candidates, rounds, _ROUND_S)


def _host(conditions: list[str]) -> Callable[[], int]:
    """Decide as the orchestrator does: everything but the journal's record of it."""
    expressions = Expressions()
    names = {name: f"${{stages.analysis.data.{name}}}" for name in _STAGE}
    scope = {"stages": {"analysis": {"data": _STAGE}}}
    rules = [
        Rule(name=str(number), condition=condition, target="somewhere")
        for number, condition in enumerate(conditions)
    ]

    def once() -> int:
        values = {
            name: expressions.template(template).render(scope) for name, template in names.items()
        }
        found, _ = decide(rules, PreparedNames(expressions, values, scope), values, every=False)
        return -1 if found is None else int(found.name)

    return once


def _cel_python(conditions: list[str]) -> Callable[[], int]:
    """Compile once too; its names are converted for each decision, as the host's are."""
    environment = celpy.Environment()
    functions: dict[str, Any] = {"contains": _contains}
    programs = [
        environment.program(environment.compile(condition), functions=functions)
        for condition in conditions
    ]

    def once() -> int:
        names: Any = json_to_cel(_STAGE)
        held = (number for number, each in enumerate(programs) if each.evaluate(names))
        return next(held, -1)

    return once


def _contains(values: Any, value: Any) -> celtypes.BoolType:
    return celtypes.BoolType(value in values)


def _many(once: Callable[[], int]) -> Callable[[int], Awaitable[None]]:
    async def call(times: int) -> None:
        for _ in range(times):
            once()

    return call
