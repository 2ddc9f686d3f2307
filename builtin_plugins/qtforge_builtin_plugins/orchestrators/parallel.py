"""``kind = "parallel"``: read many sources at once, and make one result of them.

The original is QtForge's DataAggregationOrchestrator. New are ``required``, ``retry``,
``quorum``, ``first``, sources that are workflows, and that a resumed run reads no source twice.
"""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from qtforge_builtin_plugins.aggregation.messages import AggregateRequest
from qtforge_builtin_plugins.aggregation.options import read_aggregation
from qtforge_builtin_plugins.orchestrators.drawing import END, START, start_node
from qtforge_builtin_plugins.orchestrators.places import Places
from qtforge_builtin_plugins.orchestrators.source_results import (
    Outcome,
    SourceResult,
    check_enough,
    needed,
    outcome_of,
)
from qtforge_builtin_plugins.orchestrators.sources import (
    Source,
    check_types,
    name_problem,
    read_sources,
    timeout_of,
    topic_of,
)
from qtforge_builtin_plugins.orchestrators.stage_checks import step_members
from qtforge_sdk import Definition, DefinitionChecker, Duration, Orchestrator, Run, StepResult
from qtforge_sdk.durations import DurationError, seconds
from qtforge_sdk.errors import OperationError, StageFailedError
from qtforge_sdk.graphs import Edge, Graph, Node
from qtforge_sdk.messages import CollectRequest

__all__ = ["ParallelDefinition", "ParallelOrchestrator"]


_UNTIL_READ: Final = ("concurrency", "deadline", "first")
_UNTIL_AGGREGATED: Final = ("quorum", "aggregation", "aggregation_timeout")


class ParallelDefinition(Definition, frozen=True, kw_only=True):
    """A workflow that reads sources at once. Every key may be a template: ``${input.x}``.

    Attributes:
        sources: Tables, or a template of them.
        concurrency: The most sources at once.
        deadline: A duration, for all of them together, or None.
        quorum: The number of sources that must succeed, or a share as ``0.6`` or ``"60%"``;
            None for one.
        first: The number of successes after which the others are cancelled; None for no limit.
        aggregation: A table with ``method`` and that method's options; None for no
            aggregation.
        aggregation_timeout: The timeout of the aggregation.
    """

    sources: list[Source] | str
    concurrency: int | str = 32
    deadline: Duration | None = None
    quorum: int | float | str | None = None
    first: int | str | None = None
    aggregation: dict[str, Any] | str | None = None
    aggregation_timeout: Duration = "10m"


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The definition with its templates rendered."""

    sources: list[Source]
    concurrency: int
    deadline_s: float | None
    quorum: int | None
    first: int | None
    aggregation: dict[str, Any] | None
    aggregation_timeout_s: float


class ParallelOrchestrator(Orchestrator[ParallelDefinition]):
    """Read all sources at once, and aggregate the rows of those that answer in time."""

    kind: ClassVar[str] = "parallel"

    def check(self, definition: ParallelDefinition, checker: DefinitionChecker) -> None:
        """Check every source in the definition, and every template."""
        if isinstance(definition.sources, str):
            checker.template("sources", definition.sources, ())
            names: list[str] = []
        else:
            names = self._check_sources(definition.sources, checker)
        for key in ("concurrency", "quorum", "first", "deadline", "aggregation_timeout"):
            value = getattr(definition, key)
            if isinstance(value, str) and "${" in value:
                checker.template(key, value, ())
            elif key == "quorum" and names:
                self._check_quorum(value, len(names), checker)
            elif key in ("deadline", "aggregation_timeout") and value is not None:
                checker.duration(key, value)
        if definition.aggregation is not None:
            checker.topic("aggregation", "rows.aggregate")
            checker.template("aggregation", definition.aggregation, ())
            self._check_aggregation(definition.aggregation, checker)
        members = {"stages": self._members(definition, names, checker)}
        checker.template("result", definition.result, (), members)
        checker.template("summary", definition.summary, (), members)

    def graph(self, definition: ParallelDefinition) -> Graph:
        """Return the sources side by side, and their aggregation."""
        nodes, edges = [start_node()], []
        for node in _source_nodes(definition.sources):
            nodes.append(node)
            edges.append(Edge(source=START, target=node.id))
        last = [node.id for node in nodes[1:]]
        if definition.aggregation is not None:
            nodes.append(Node(id="aggregate", label="aggregate\nrows.aggregate"))
            edges += [Edge(source=each, target="aggregate") for each in last]
            last = ["aggregate"]
        nodes.append(Node(id=END, label="end", kind="end"))
        edges += [Edge(source=each, target=END) for each in last]
        return Graph(title=definition.name, nodes=tuple(nodes), edges=tuple(edges))

    async def execute(self, run: Run) -> dict[str, Any]:
        """Read the sources; return ``aggregated`` and the outcome of each source.

        Raises:
            OperationError: ``aggregation.*``.
            StageFailedError: A required source failed, or the aggregation.
        """
        reading = _Reading(run)
        plan = await reading.plan()
        check_types([each for each in plan.sources if each.name not in run.steps], run.topics())
        await reading.read(plan)
        plan = await reading.plan()
        outcomes = [outcome_of(source, run.steps[source.name]) for source in plan.sources]
        _check_required(plan.sources, outcomes)
        results = [each.result for each in outcomes]
        check_enough(results, plan.quorum)
        aggregated = None
        if plan.aggregation is not None:
            rows = [each.rows for each in outcomes if each.rows is not None]
            request = AggregateRequest(sources=rows, aggregation=plan.aggregation)
            aggregated = await run.request(
                "aggregate", "rows.aggregate", request, timeout=plan.aggregation_timeout_s
            )
        return {"aggregated": aggregated, **_counts(results), "source_results": results}

    def check_amendment(
        self,
        before: ParallelDefinition,
        after: ParallelDefinition,
        steps: Mapping[str, StepResult],
    ) -> list[str]:
        """Return the reasons against an amendment: what has begun stays as it is."""
        reasons = []
        begun = [step for step in steps if step != "aggregate"]
        if begun:
            reasons += [
                f"a source has begun: '{field}' can't be changed"
                for field in _UNTIL_READ
                if getattr(before, field) != getattr(after, field)
            ]
            reasons += _source_problems(before, after, steps)
        if "aggregate" in steps:
            reasons += [
                f"'aggregate' has begun: '{field}' can't be changed"
                for field in _UNTIL_AGGREGATED
                if getattr(before, field) != getattr(after, field)
            ]
        return reasons

    def repeated_with(
        self,
        definition: ParallelDefinition,
        steps: Collection[str],
        ended: Sequence[str],
        failed: Collection[str],
    ) -> set[str] | None:
        """Return what a retry does again together with some steps: no other source's."""
        if definition.first is not None:  # whether others are needed depends on all of them
            return None
        again = {*steps}
        if again <= {*failed}:
            again |= {*failed}
        if again - {"aggregate"}:
            again |= {"aggregate", "deadline"}
        again |= {timeout_of(name) for name in again}
        return again.intersection(ended)

    def _check_sources(self, sources: Sequence[Source], checker: DefinitionChecker) -> list[str]:
        if not sources:
            checker.problem("sources", "a parallel workflow has at least one source")
        names: list[str] = []
        for position, source in enumerate(sources):
            path = f"sources[{position}]"
            problem = name_problem(source.name, names)
            if problem:
                checker.problem(f"{path}.name", problem)
            names.append(source.name)
            if source.type is not None:
                checker.topic(f"{path}.type", topic_of(source.type))
                if source.plugin is not None:
                    checker.plugin(f"{path}.plugin", source.plugin, topic_of(source.type))
            if source.workflow is not None:
                checker.workflow(f"{path}.workflow", source.workflow, source.input, f"{path}.input")
            checker.duration(f"{path}.timeout", source.timeout)
            for key in ("endpoint", "parameters", "input"):
                checker.template(f"{path}.{key}", getattr(source, key), ())
        return names

    def _members(
        self, definition: ParallelDefinition, names: Sequence[str], checker: DefinitionChecker
    ) -> Mapping[str, Any]:
        """Return what templates can use of the sources and of the aggregation."""
        topics: dict[str, tuple[str | None, str | None]] = dict.fromkeys(names, (None, None))
        if not isinstance(definition.sources, str):
            for source in definition.sources:
                if source.type is not None:
                    topics[source.name] = topic_of(source.type), source.plugin
        topics["aggregate"] = "rows.aggregate", None
        return {
            name: step_members(None if topic is None else checker.answer(topic, plugin))
            for name, (topic, plugin) in topics.items()
            if name.isidentifier()
        }

    def _check_quorum(self, quorum: object, of: int, checker: DefinitionChecker) -> None:
        try:
            needed(quorum, of)
        except OperationError as error:
            checker.problem("quorum", f"{error.what}: {error.why}", error.fix)

    def _check_aggregation(self, given: dict[str, Any] | str, checker: DefinitionChecker) -> None:
        if isinstance(given, str) or "${" in str(given):
            return  # a template can be read only with the run's input
        try:
            read_aggregation(given)
        except OperationError as error:
            what = f"{error.what}: {error.why}" if error.why else error.what
            checker.problem("aggregation", what, error.fix)


def _source_problems(
    before: ParallelDefinition, after: ParallelDefinition, steps: Mapping[str, StepResult]
) -> list[str]:
    """Return the reasons against other sources, where one has begun."""
    if before.sources == after.sources:
        return []
    if isinstance(before.sources, str) or isinstance(after.sources, str):
        return ["a source has begun: the template of 'sources' can't be changed"]
    if before.first is not None:
        return ["a source has begun: with 'first' the sources can't be changed"]
    kept = {source.name: source for source in after.sources}
    reasons = [
        f"the source '{source.name}' has begun: it can't be changed or removed"
        for source in before.sources
        if source.name in steps and kept.get(source.name) != source
    ]
    names = {source.name for source in before.sources}
    if all(name in steps and steps[name].status != "running" for name in names):
        reasons += [
            f"all sources have been read: '{name}' can't be added"
            for name in kept
            if name not in names
        ]
    return reasons


def _source_nodes(sources: list[Source] | str) -> list[Node]:
    if isinstance(sources, str):
        return [Node(id="sources", label=f"for each of\n{sources}")]
    return [
        Node(
            id=f"source {each.name}",
            label=f"{each.name}\n{each.workflow or topic_of(each.type or '')}",
            kind="step" if each.workflow is None else "workflow",
        )
        for each in sources
    ]


def _plan(run: Run) -> _Plan:
    """Return the definition with its templates rendered.

    Raises:
        OperationError: ``aggregation.*``: a rendered value is not valid.
    """
    definition: ParallelDefinition = run.definition
    given = definition.sources
    sources = read_sources(
        run.render(given if isinstance(given, str) else msgspec.to_builtins(given))
    )
    aggregation = run.render(definition.aggregation)
    if aggregation is not None:
        read_aggregation(aggregation)
    first = _number(run.render(definition.first), "first")
    required = next((each.name for each in sources if each.required), None)
    if first is not None and required is not None:
        why = f"'{required}' is required, but with 'first' it may be cancelled"
        raise _invalid("first", why, "remove one of the two")
    return _Plan(
        sources=sources,
        concurrency=_number(run.render(definition.concurrency), "concurrency") or 32,
        deadline_s=_duration(run.render(definition.deadline), "deadline"),
        quorum=needed(run.render(definition.quorum), len(sources)),
        first=first,
        aggregation=aggregation,
        aggregation_timeout_s=_duration(
            run.render(definition.aggregation_timeout), "aggregation_timeout"
        )
        or 600.0,
    )


class _Reading:
    """Reads the sources of a run, those included that an amendment adds meanwhile.

    A source is taken from the definition when its turn comes, so that an amendment counts for
    each that has not begun.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._definition: Definition | None = None
        self._plan: _Plan | None = None
        self._sources: dict[str, Source] = {}  # of the plan, by name
        self._taken: set[str] = set()

    async def plan(self) -> _Plan:
        """Return the definition as it is now, with its templates rendered."""
        while self._plan is None or self._definition is not self._run.definition:
            definition = self._run.definition
            self._plan = await self._run.compute(lambda: _plan(self._run))
            self._definition = definition
            self._sources = {source.name: source for source in self._plan.sources}
        return self._plan

    async def read(self, plan: _Plan) -> None:
        """Read all sources, as many at once as may be, until the deadline or enough of them."""
        places = Places(plan.concurrency)
        await self._run.gather(
            *self._branches(plan, places),
            deadline=plan.deadline_s,
            first=plan.first,
            name="deadline",
        )

    def _branches(self, plan: _Plan, places: Places) -> list[Coroutine[Any, Any, None]]:
        names = [each.name for each in plan.sources if each.name not in self._taken]
        self._taken.update(names)
        return [self._branch(name, places) for name in names]

    async def _branch(self, name: str, places: Places) -> None:
        if not places.take(at_once=name in self._run.steps):
            await places.wait()
        try:
            if self._definition is not self._run.definition:
                await self.plan()
            source = self._sources.get(name)
            if source is not None:  # else an amendment has removed it
                await _read(self._run, source)
        finally:
            places.give()
        if self._definition is not self._run.definition:
            added = self._branches(await self.plan(), places)
            if added:
                await self._run.gather(*added)


async def _read(run: Run, source: Source) -> None:
    if source.workflow is not None:
        await _run_workflow(run, source)
        return
    request = CollectRequest(
        name=source.name, endpoint=source.endpoint, parameters=source.parameters
    )
    await run.request(
        source.name,
        topic_of(source.type or ""),
        request,
        timeout=source.timeout,
        plugin=source.plugin,
        required=source.required,
        retry=source.retry,
        cache=source.cache,
    )


async def _run_workflow(run: Run, source: Source) -> None:
    child = run.run_workflow(source.workflow or "", source.input, step=source.name)
    try:
        await run.gather(child, deadline=source.timeout, name=timeout_of(source.name))
    except StageFailedError:
        if source.required:
            raise


def _check_required(sources: Sequence[Source], outcomes: Sequence[Outcome]) -> None:
    """Check that required sources answered with rows; the engine handles other failures."""
    for source, outcome in zip(sources, outcomes, strict=True):
        error = outcome.result.error
        if source.required and error is not None:
            raise OperationError(error.code, f"the source '{source.name}' failed", error.message)


def _counts(results: Sequence[SourceResult]) -> Mapping[str, int]:
    statuses = [each.status for each in results]
    return {name: statuses.count(name) for name in ("succeeded", "failed", "late", "not_needed")}


def _number(value: object, key: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _invalid(key, f"it is {value!r}", "write a whole number of 1 or more")
    return value


def _duration(value: object, key: str) -> float | None:
    if value is None:
        return None
    try:
        return seconds(value)  # type: ignore[arg-type]  # a template gives anything
    except DurationError as error:
        raise _invalid(key, error.why, error.fix) from error


def _invalid(key: str, why: str, fix: str) -> OperationError:
    return OperationError("aggregation.invalid", f"{key} can't be used", why, fix, retryable=False)
