"""The public API as an author uses it; mypy --strict checks it, and nothing runs it.

Every name of ``qtforge_sdk.__all__``, ``qtforge_sdk.testing.__all__`` and
``qtforge_host.testing.__all__`` is used here, with
the type that an author may rely on.
"""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, assert_type

import msgspec

from qtforge_host.testing import (
    Answered,
    Call,
    CrashReport,
    Delivered,
    Failed,
    PluginTestHost,
    PublishedMessage,
    RecordedMessage,
    ReplayedFile,
    Replays,
    Requested,
    WorkflowKit,
    WorkflowRun,
)
from qtforge_sdk import (
    Bus,
    Compensation,
    Definition,
    DefinitionChecker,
    Document,
    Duration,
    ErrorInfo,
    HandlerInfo,
    HandlerStatistics,
    Health,
    InputCheck,
    OperationContext,
    OperationError,
    Orchestrator,
    Plugin,
    PluginContext,
    Proceed,
    Published,
    QtForgeError,
    Record,
    Run,
    RunStatus,
    StepResult,
    StepStatus,
    Subscription,
    Template,
    hookimpl,
    operation,
    subscriber,
    workflow,
)
from qtforge_sdk.checkpoints import (
    AcceptedEvent,
    Checkpoint,
    Ended,
    EventTrigger,
    ReceivedEvent,
)
from qtforge_sdk.clock import Clock
from qtforge_sdk.durations import seconds
from qtforge_sdk.graphs import Graph
from qtforge_sdk.messages import DocumentStored, ParseRequest, ParseResponse
from qtforge_sdk.policies import Breaker, Cache, Fallback, Limits, Retry
from qtforge_sdk.records import CheckpointSaved
from qtforge_sdk.runs import AmendingAnswer, Amendment, EvaluationScope
from qtforge_sdk.testing import VirtualClock


class Settings(msgspec.Struct, frozen=True):
    limit: int = 10


class Author(Plugin):
    requires = ("document-storage >= 1.0.0",)
    after = ("content-analyzer",)
    Config = Settings
    config: Settings

    async def start(self, context: PluginContext) -> None:
        assert_type(context.name, str)
        assert_type(context.version, str)
        assert_type(context.data_dir, Path)
        assert_type(context.host_version, str)
        assert_type(context.bus, Bus)
        context.logger.info("started")

    async def stop(self) -> None: ...

    async def health(self) -> Health:
        return Health("degraded", "the mirror answers")

    @operation("document.parse", accepts="message.document.name != ''", tryfirst=True)
    async def parse(self, request: ParseRequest, context: OperationContext) -> ParseResponse:
        assert_type(request.document, Document)
        assert_type(context.remaining_s(), float | None)
        context.progress(1, 2, "half")
        raise OperationError(
            "document.empty", "it is empty", "", "write it", retryable=False, retry_after_s=None
        )

    @operation("document.count", execution="process")
    def count(self, request: ParseRequest) -> int:
        return self.config.limit

    @operation("document.parse", wrapper=True)
    async def around(
        self, request: ParseRequest, context: OperationContext, proceed: Proceed
    ) -> ParseResponse:
        response: ParseResponse = await proceed(request)
        return response

    @subscriber("document.>", where="topic != ''", capacity=8)
    async def hear(self, event: DocumentStored) -> None: ...

    @hookimpl
    def qtforge_workflows(self) -> Iterable[Path | str]:
        return [Path("flow.toml")]


def a_decorated_method_keeps_its_type(author: Author, request: ParseRequest) -> None:
    assert_type(author.count(request), int)


async def the_bus(bus: Bus, request: ParseRequest) -> None:
    assert_type(await bus.request("a.b", request, response_type=ParseResponse), ParseResponse)
    assert_type(await bus.request("a.b", request, timeout=1.0, plugin="acme"), Any)
    published = await bus.publish("a.b", request)
    assert_type(published, Published)
    assert_type(published.delivered, int)

    async def hear(event: DocumentStored) -> None: ...

    with bus.subscribe("a.>", hear, where="true", capacity=1) as subscription:
        as_protocol: Subscription = subscription
        assert_type(as_protocol.pattern, str)
    assert_type(bus.topics(), Mapping[str, Sequence[HandlerInfo]])
    assert_type(bus.statistics(), Sequence[HandlerStatistics])


class Steps(Definition, frozen=True, kw_only=True):
    pause: Duration = "1s"


class OneStep(Orchestrator[Steps]):
    kind = "one-step"

    def check(self, definition: Steps, checker: DefinitionChecker) -> None:
        checker.duration("pause", definition.pause)
        checker.topic("topic", "a.b")
        checker.plugin("plugin", "acme", "a.b")
        checker.condition("when", "true", ["one"])
        checker.template("message", "${input}", ["one"])
        checker.condition("rule", "pages > 3", ["one"], {"pages": None})
        checker.template("input", "${pages}", ["one"], {"pages": None})
        checker.workflow("target", "another")
        assert_type(definition.checks, tuple[InputCheck, ...])
        checker.problem("pause", "too long", "shorten it")

    async def execute(self, run: Run) -> Any:
        undo = Compensation(topic="a.undo", message=Template({"id": "${run.id}"}), timeout="5s")
        answers = await run.gather(
            run.request("one", "a.b", Template("${input}"), compensation=undo),
            run.request("two", "a.b", {}, required=False, timeout=1.0, plugin="acme"),
        )
        assert_type(answers, list[Any])
        late = run.request("late", "a.b", {}, required=False)
        await run.gather(late, deadline=2.5, first=1, concurrency=8, name="together")
        assert_type(run.topics(), Collection[str])
        await run.skip("three", "not needed")
        await run.sleep(1.0)
        assert_type(run.evaluate("true"), bool)
        assert_type(run.evaluate("pages > 3", {"pages": 4}), bool)
        names: EvaluationScope = run.prepare({"pages": 4})
        assert_type(names.holds("pages > 3"), bool)
        assert_type(names.used_by("pages > 3"), frozenset[str])
        assert_type(run.steps, Mapping[str, StepResult])
        return run.render("${run.id}")


class Stateful(Orchestrator[Steps]):
    kind = "stateful"
    definition_type: ClassVar[type[Definition]] = Steps
    stateful = True

    def check(self, definition: Steps, checker: DefinitionChecker) -> None:
        checker.duration("pause", definition.paus)  # type: ignore[attr-defined]

    async def execute(self, run: Run) -> Ended:
        await run.checkpoint(Checkpoint(state={}, label="begun"))
        event = await run.next_event()
        assert_type(event, ReceivedEvent)
        return Ended(result=event.data, names={})

    def graph(self, definition: Steps) -> Graph:
        return Graph(title=definition.name)

    def graph_of_run(self, definition: Steps, checkpoints: Sequence[CheckpointSaved]) -> Graph:
        return Graph(title=f"{definition.name}, after {len(checkpoints)}")

    def accepts(self, definition: Steps, state: Any) -> Sequence[AcceptedEvent]:
        return [AcceptedEvent(event="go", transition="leave")]

    def triggers(self, definition: Steps) -> Sequence[EventTrigger]:
        return [EventTrigger(topic="a.>", starts=True)]

    def check_amendment(
        self, before: Steps, after: Steps, steps: Mapping[str, StepResult]
    ) -> Sequence[str]:
        return [] if before.pause == after.pause else ["the pause has begun"]


class Unfinished(Orchestrator[Steps]):
    kind = "unfinished"


class OfNoDefinition(Orchestrator[int]):  # type: ignore[type-var]
    kind = "of-no-definition"


def an_orchestrator_is_recognised() -> list[Orchestrator[Steps]]:
    return [OneStep(), Stateful()]


def an_orchestrator_without_its_duties_is_not() -> Orchestrator[Steps]:
    return Unfinished()  # type: ignore[abstract]


class Total(msgspec.Struct, frozen=True):
    amount: float


async def a_response_type_gives_the_result_its_fields(run: Run, bus: Bus) -> None:
    total = await run.request("one", "a.b", {}, response_type=Total)
    assert_type(total, Total)
    str(total.amont)  # type: ignore[attr-defined]
    maybe = await run.request("two", "a.b", {}, required=False, response_type=Total)
    assert_type(maybe, Total | None)
    str(maybe.amount)  # type: ignore[union-attr]
    assert_type(await run.request("three", "a.b", {}), Any)
    assert_type(await run.request("four", "a.b", {}, response_type=list[Total]), list[Total])
    assert_type(await run.step("now", lambda: 3, response_type=int), int)
    assert_type(await run.step("then", lambda: 3), Any)
    child = await run.run_workflow("other", {}, response_type=Total)
    str(child.amont)  # type: ignore[attr-defined]
    optional = await run.run_workflow("other", {}, step="b", required=False, response_type=Total)
    assert_type(optional, Total | None)
    assert_type(await run.run_workflow("other", {}, step="c"), Any)
    event = await run.wait_event("paid", timeout="1h", response_type=Total)
    str(event.amont)  # type: ignore[attr-defined]
    assert_type(await run.wait_event("sent"), Any)
    answer = await bus.request("a.b", {}, response_type=Total)
    str(answer.amont)  # type: ignore[attr-defined]
    both = await run.gather(
        run.request("five", "a.b", {}, response_type=Total),
        run.request("six", "a.b", {}, response_type=Total),
    )
    assert_type(both, list[Total])
    some = await run.gather(run.request("seven", "a.b", {}, response_type=Total), first=1)
    str(some[0].amount)  # type: ignore[union-attr]


async def a_time_is_given_in_one_way(run: Run, bus: Bus, virtual: VirtualClock) -> None:
    hour = datetime.timedelta(hours=1)
    for each in (1, 2.5, hour, "1h30m"):
        length: Duration = each
        await run.sleep(length)
        await run.request("one", "a.b", {}, timeout=length)
        await run.wait_event("paid", timeout=length)
        await run.gather(run.skip("two", "not needed"), deadline=length)
        await bus.request("a.b", {}, timeout=length)
        await virtual.advance(length)
        assert_type(seconds(length), float)
        Retry(initial_delay=length, max_delay=length)
        Breaker(window=length, open_for=length)
        Cache(ttl=length)
        Compensation(topic="a.b", message={}, timeout=length)
        workflow("other", timeout=length)
    await run.sleep([1])  # type: ignore[arg-type]
    await bus.request("a.b", {}, timeout=b"1s")  # type: ignore[call-overload]


def a_step_has_results(step: StepResult, run_status: RunStatus) -> StepStatus | None:
    assert_type(step.error, ErrorInfo | None)
    return step.status if run_status == "failed" else None


def policies_have_one_set_of_names(policy: Retry | Breaker) -> tuple[object, ...]:
    assert_type(policy, Retry | Breaker)
    retry = Retry(max_attempts=3, initial_delay="1s", include=("http.*",), exclude=("http.gone",))
    limits = Limits(concurrency=2, rate="10/s", queue=8)
    return retry, limits, Fallback(value=None), Cache(ttl="1h", max_entries=10), Breaker(failures=3)


async def time_passes_when_a_test_says_so(virtual: VirtualClock) -> Clock:
    async with virtual.auto() as clock:
        await clock.sleep(3600)
    await virtual.advance(1)
    assert_type(virtual.next_due_s, float | None)
    return virtual


class Watching:
    @hookimpl
    def qtforge_on_run_event(self, event: Record) -> None:
        assert_type(event.run_id, str)


def changes_its_own_run() -> AmendingAnswer:
    change = Amendment(patch=[{"op": "remove", "path": "/stages/2"}], reason="not needed")
    return AmendingAnswer(answer="done", amendments=[change])


@workflow("in-python", timeout="1h")
async def in_python(run: Run, given: Mapping[str, Any]) -> Any:
    await run.sleep(1.5, name="a while")
    await run.step("now", lambda: "today")
    await run.request("ask", "a.b", given, retry=Retry(max_attempts=3), cache=Cache(ttl="1m"))
    return await run.wait_event("done", timeout=3.0)


def errors_tell_what_why_and_fix(error: QtForgeError) -> tuple[str, str, str, str]:
    return error.code, error.what, error.why, error.fix


def the_test_host(tmp_path: Path, record: Callable[[object], Awaitable[None]]) -> None:
    with PluginTestHost(tmp_path) as host:
        assert_type(host.add(Author(), "author", "1.0.0", {"limit": 3}), Author)
        assert_type(host.request("a.b", {}, response_type=ParseResponse), ParseResponse)
        assert_type(host.request("a.b", {}, timeout=1.0, plugin="author"), Any)
        assert_type(host.publish("a.b", {}, timeout=1.0), Published)
        assert_type(host.bus, Bus)
        assert_type(host.data_dir, Path)

        async def three() -> int:
            return 3

        assert_type(host.run(three(), timeout=1.0), int)
        for message in host.messages:
            assert_type(message, RecordedMessage)
            match message:
                case Answered() | Delivered():
                    assert_type(message.plugin, str)
                case Failed():
                    assert_type(message.error, BaseException)
                case Requested():
                    assert_type(message.topic, str)
                case PublishedMessage():
                    assert_type(message.delivered, int)


def the_test_workflows(kit: WorkflowKit) -> None:
    kit.add(Path("a.toml"), in_python, Author(), config={"author": {"limit": 3}})
    kit.add_installed("author", config={"author": {"limit": 3}})
    kit.fake("a.b", OperationError("a.busy", "busy", retryable=True), {"id": 1}, plugin="c")
    run = kit.run("in-python", {"name": "Ada"})
    assert_type(run, WorkflowRun)
    assert_type(run.status, str)
    assert_type(run.steps, Mapping[str, StepResult])
    assert_type(run.error, ErrorInfo | None)
    assert_type(run.waits_for, list[str])
    assert_type(run.accepts, list[str])
    assert_type(run.state, str)
    kit.advance("1h30m")
    kit.advance(2.5)
    run.send("done", by="Ada")
    assert_type(kit.calls("a.b"), list[Call])
    assert_type(kit.published("a.>"), list[PublishedMessage])
    assert_type(kit.runs, list[WorkflowRun])
    kit.publish("a.b", {})
    report = kit.crash_at_every_write("in-python", {}, story=lambda run: run.send("done"))
    assert_type(report, CrashReport)
    assert_type(report.repeated, frozenset[str])
    report.check()
    replays = kit.replay("runs/*.qtforge-run")
    assert_type(replays, Replays)
    replays.expect(next_step="ship")
    for replayed in replays:
        assert_type(replayed, ReplayedFile)
