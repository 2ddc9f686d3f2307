"""Executes a document over a `Run`: each effect is a step, named by its task's JSON pointer."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from qtforge_sample_openworkflow import expressions
from qtforge_sample_openworkflow.definition import KINDS, duration_of, tasks_of
from qtforge_sample_openworkflow.evaluation import (
    CPU_S,
    EVALUATE,
    EXPRESSION_FAILED,
    WAIT_S,
    Evaluation,
)
from qtforge_sample_openworkflow.faults import Fault, same_type, standard_fault
from qtforge_sdk import Run
from qtforge_sdk.errors import RequestTimeoutError, StageFailedError

__all__ = ["Ended", "Execution"]

_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_FAILURES: Final = tuple(range(400, 600))  # statuses whose answer becomes an error of its own
_DEFAULT_ATTEMPTS: Final = 5
# By the signal that ended the worker process.
_ENDED: Final = {
    "SIGVTALRM": f"more than {CPU_S:g} s of processor time",
    "SIGABRT": "jq got no more memory, which [host] worker_memory limits",
}

Names = Mapping[str, Any]


class Ended(Exception):
    """The workflow ends here (``then: end``).

    Args:
        output: Its output.
    """

    def __init__(self, output: Any, /) -> None:
        super().__init__(output)
        self.output = output


class Execution:
    """One execution of a document.

    Args:
        run: The run.
        document: The document.
        started: What ``$workflow.startedAt`` is, as ISO 8601.
    """

    def __init__(self, run: Run, document: Mapping[str, Any], started: str) -> None:
        self._run = run
        self._document = document
        self._context: Any = None
        self._visits: dict[str, int] = {}
        self._about = {
            "runtime": {"name": "qtforge-host", "version": "1"},
            "workflow": {
                "id": run.id,
                "definition": dict(document),
                "input": dict(run.input),
                "startedAt": {"iso8601": started},
            },
        }

    async def execute(self) -> Any:
        """Return the workflow's output.

        Raises:
            Fault: A task failed, and no other catches its error.
        """
        document = self._document
        given = await self._filtered(document, "input", "from", dict(self._run.input), "", {})
        names = {"input": given}
        try:
            output = await self._tasks(document["do"], "/do", given, names)
        except Ended as ended:
            output = ended.output
        return await self._filtered(document, "output", "as", output, "", names)

    async def _tasks(self, given: object, at: str, data: Any, names: Names) -> Any:
        tasks = tasks_of(given)
        places = {name: index for index, (name, _) in enumerate(tasks)}
        index = 0
        while index < len(tasks):
            name, task = tasks[index]
            data, then = await self._task(task, f"{at}/{index}/{name}", data, names)
            if then == "end":
                raise Ended(data)
            if then == "exit":
                break
            index = index + 1 if then == "continue" else places[then]
        return data

    async def _task(
        self, task: Mapping[str, Any], at: str, raw: Any, names: Names
    ) -> tuple[Any, str]:
        """Return a task's output, and where the flow continues."""
        if "if" in task and not await self._truth("if", task["if"], raw, at, names):
            await self._run.skip(self._step(at), "its condition does not hold")
            return raw, "continue"
        given = await self._filtered(task, "input", "from", raw, at, names)
        inner = {**names, "input": given, "task": {"reference": at}}
        kind = next(each for each in KINDS if each in task)
        output, then = await getattr(self, f"_do_{kind}")(task, at, given, inner)
        shown = {**inner, "output": output}
        output = await self._filtered(task, "output", "as", output, at, shown)
        if "export" in task:
            self._context = await self._filtered(task, "export", "as", output, at, inner)
        return output, str(then or task.get("then", "continue"))

    # The tasks. Each returns its output and, a switch, where the flow continues.

    async def _do_set(self, task: Any, at: str, data: Any, names: Names) -> tuple[Any, None]:
        return await self._evaluate("set", task["set"], data, at, names), None

    async def _do_do(self, task: Any, at: str, data: Any, names: Names) -> tuple[Any, None]:
        return await self._tasks(task["do"], f"{at}/do", data, names), None

    async def _do_switch(self, task: Any, at: str, data: Any, names: Names) -> tuple[Any, Any]:
        for index, (name, case) in enumerate(tasks_of(task["switch"])):
            part = f"switch/{index}/{name}/when"
            if "when" not in case or await self._truth(part, case["when"], data, at, names):
                return data, case.get("then", "continue")
        return data, None

    async def _do_for(self, task: Any, at: str, data: Any, names: Names) -> tuple[Any, None]:
        loop = task["for"]
        items = await self._evaluate("for/in", expressions.whole(loop["in"]), data, at, names)
        if not isinstance(items, list):
            raise standard_fault("expression", at, f"{loop['in']} is no list")
        for index, item in enumerate(items):
            inner = {**names, loop.get("each", "item"): item, loop.get("at", "index"): index}
            if "while" in task and not await self._truth(
                f"for/{index}/while", task["while"], data, at, inner
            ):
                break
            data = await self._tasks(task["do"], f"{at}/for/{index}/do", data, inner)
        return data, None

    async def _do_fork(self, task: Any, at: str, data: Any, names: Names) -> tuple[Any, None]:
        branches = tasks_of(task["fork"]["branches"])

        async def branch(index: int, name: str, inner: Any) -> tuple[Any]:
            here = f"{at}/fork/branches/{index}/{name}"
            output, _ = await self._task(inner, here, data, names)
            return (output,)  # a tuple, since None stands for a branch that was cut off

        parts = [branch(index, name, inner) for index, (name, inner) in enumerate(branches)]
        if task["fork"].get("compete"):
            ended = await self._run.gather(*parts, first=1)
            return next(each[0] for each in ended if each is not None), None
        return [each[0] for each in await self._run.gather(*parts)], None

    async def _do_raise(self, task: Any, at: str, data: Any, names: Names) -> tuple[Any, None]:
        error = task["raise"]["error"]
        if isinstance(error, str):
            error = self._document.get("use", {}).get("errors", {}).get(error)
            if error is None:
                raise standard_fault("configuration", at, "there is no such error in use.errors")
        found = await self._evaluate("raise/error", error, data, at, names)
        raise Fault({"instance": at, **found})

    async def _do_try(self, task: Any, at: str, data: Any, names: Names) -> tuple[Any, None]:
        caught = task.get("catch", {})
        retries = 0
        while True:
            try:
                return await self._tasks(task["try"], f"{at}/try", data, names), None
            except Fault as fault:
                inner = {**names, str(caught.get("as", "error")): fault.error}
                if not await self._catches(caught, fault.error, data, at, inner):
                    raise
                retries += 1
                delay = _delay(caught.get("retry"), retries, self._document)
                if delay is not None:
                    await self._run.sleep(delay, name=self._step(f"{at}/retry/{retries}"))
                    continue
                if "do" in caught:
                    return await self._tasks(caught["do"], f"{at}/catch/do", data, inner), None
                return data, None

    async def _do_wait(self, task: Any, at: str, data: Any, _: Names) -> tuple[Any, None]:
        await self._run.sleep(duration_of(task["wait"]), name=self._step(at))
        return data, None

    async def _do_emit(self, task: Any, at: str, data: Any, names: Names) -> tuple[Any, None]:
        event_with = task["emit"]["event"]["with"]
        given = await self._evaluate("emit/event/with", event_with, data, at, names)
        step = self._step(at)

        def make() -> dict[str, Any]:
            fresh = {"id": str(uuid4()), "time": self._run.now().isoformat()}
            return {"specversion": "1.0", **fresh, **given}

        event: dict[str, Any] = await self._run.step(step, make)
        await self._run.publish(f"{step}/publish", str(event["type"]), event)
        return event, None

    async def _do_listen(self, task: Any, at: str, data: Any, _: Names) -> tuple[Any, None]:
        wanted = task["listen"]["to"]
        if "one" in wanted:
            return [await self._event(wanted["one"], at, self._step(at))], None
        kind = "all" if "all" in wanted else "any"
        waits = [
            self._event(each, at, self._step(f"{at}/{kind}/{index}"))
            for index, each in enumerate(wanted[kind])
        ]
        got = await self._run.gather(*waits, first=None if kind == "all" else 1)
        return [each for each in got if each is not None], None

    async def _event(self, wanted: Mapping[str, Any], at: str, step: str) -> Any:
        if "type" not in wanted.get("with", {}):
            raise standard_fault("configuration", at, "an event is waited for by its type")
        return await self._run.wait_event(str(wanted["with"]["type"]), step=step)

    async def _do_run(self, task: Any, at: str, data: Any, names: Names) -> tuple[Any, None]:
        wanted = task["run"]["workflow"]
        given = await self._evaluate("run/workflow/input", wanted.get("input", {}), data, at, names)
        try:
            return await self._run.run_workflow(wanted["name"], given, step=self._step(at)), None
        except StageFailedError as error:
            raise standard_fault("runtime", at, str(error)) from error

    async def _do_call(self, task: Any, at: str, data: Any, names: Names) -> tuple[Any, None]:
        given = await self._evaluate("with", task.get("with", {}), data, at, names)
        if task["call"] == "http":
            return await self._call_http(task, given, at, data, names), None
        return await self._request(task, str(task["call"]), given, at), None

    async def _call_http(self, task: Any, given: Any, at: str, data: Any, names: Names) -> Any:
        endpoint = given["endpoint"]
        details = endpoint if isinstance(endpoint, dict) else {"uri": endpoint}
        values = {**(data if isinstance(data, dict) else {}), **names}
        uri = _PLACEHOLDER.sub(lambda found: str(values.get(found[1], found[0])), details["uri"])
        method = str(given.get("method", "get")).upper()
        headers = {**given.get("headers", {}), **_authorization(details.get("authentication"))}
        parameters = {"method": method, "headers": headers, "format": "text",
                      "accept_status": list(_FAILURES)}  # fmt: skip
        if "query" in given:
            parameters["query"] = given["query"]
        if "body" in given:
            parameters["json"] = given["body"]
        message = {"name": at, "endpoint": uri, "parameters": parameters}
        answer = await self._request(task, "http.request", message, at)
        status = int(answer["details"].get("status", 200))
        text = "".join(row.get("text", "") for row in answer["rows"] or ())
        if status >= _FAILURES[0]:
            kind = {401: "authentication", 403: "authorization"}.get(status, "communication")
            raise standard_fault(kind, at, f"{method} {uri}: {status}", status)
        content = _content(text)
        if given.get("output") == "raw":
            return base64.b64encode(text.encode()).decode()
        if given.get("output") != "response":
            return content
        sent = {"method": method, "uri": uri, "headers": given.get("headers", {})}
        return {"request": sent, "statusCode": status, "headers": {}, "content": content}

    async def _request(self, task: Any, topic: str, message: Any, at: str) -> Any:
        limit = task.get("timeout", {}).get("after") if "timeout" in task else None
        timeout = None if limit is None else duration_of(limit)
        try:
            return await self._run.request(self._step(at), topic, message, timeout=timeout)
        except StageFailedError as error:
            late = isinstance(error.__cause__, RequestTimeoutError)
            kind = "timeout" if late else "communication"
            raise standard_fault(kind, at, str(error.__cause__ or error)) from error

    # What tasks share.

    async def _catches(
        self, caught: Mapping[str, Any], error: Mapping[str, Any], data: Any, at: str, names: Names
    ) -> bool:
        for key, wanted in caught.get("errors", {}).get("with", {}).items():
            found = error.get(key)
            if key == "type" and not same_type(str(wanted), str(found)):
                return False
            if key != "type" and found != wanted:
                return False
        for key, wanted in (("when", True), ("exceptWhen", False)):
            if key not in caught:
                continue
            if await self._truth(f"catch/{key}", caught[key], data, at, names) is not wanted:
                return False
        return True

    def _step(self, at: str) -> str:
        """Return the name of a step: the task's pointer, numbered where the flow came back."""
        self._visits[at] = count = self._visits.get(at, 0) + 1
        return at if count == 1 else f"{at}#{count}"

    def _names(self, names: Names) -> dict[str, Any]:
        unset = {"error": None, "input": None, "output": None, "task": None}
        return {**unset, **self._about, "context": self._context, **names}

    async def _filtered(
        self, task: Mapping[str, Any], part: str, key: str, data: Any, at: str, names: Names
    ) -> Any:
        given = task.get(part, {}).get(key)
        if given is None:
            return data
        template = expressions.whole(given) if isinstance(given, str) else given
        return await self._evaluate(f"{part}/{key}", template, data, at, names)

    async def _truth(self, part: str, expression: str, data: Any, at: str, names: Names) -> bool:
        """Return whether a condition holds: as in jq, all but false and null does."""
        value = await self._evaluate(part, expressions.whole(expression), data, at, names)
        return value not in (False, None)

    async def _evaluate(self, part: str, template: Any, data: Any, at: str, names: Names) -> Any:
        """Return a template's value; its expressions are one request to a worker process.

        Raises:
            Fault: An expression failed, or took more time or memory than it may.
        """
        found = list(expressions.expressions_of(template))
        if not found:
            return template
        mentioned = expressions.variables_of(found)
        visible = {name: value for name, value in self._names(names).items() if name in mentioned}
        message = Evaluation(template=template, data=data, names=visible)
        step = self._step(f"{at}/{part}")
        try:
            answer: Any = await self._run.request(step, EVALUATE, message, timeout=WAIT_S)
        except StageFailedError as error:
            raise standard_fault("expression", at, _why(error, found)) from error
        return answer["value"]


def _why(error: StageFailedError, found: Sequence[str]) -> str:
    """Return why expressions have no value, in the same words when the run is resumed."""
    cause = error.__cause__ or error
    said = str(cause)
    why = said.partition(f"'{EVALUATE}': ")[2] or said
    # The code is that of the cause's own cause until the failure is read from the journal.
    if EXPRESSION_FAILED in (getattr(each, "code", "") for each in (cause, cause.__cause__)):
        return why
    # An ended process can't say which of the expressions it was, so that all are named.
    ended = next((each for signal, each in _ENDED.items() if signal in why), why)
    return f"{expressions.title(*found)}: {ended}"


def _delay(policy: Any, retries: int, document: Mapping[str, Any]) -> float | None:
    """Return how long to wait before another attempt, in seconds; None for no further one."""
    if isinstance(policy, str):
        policy = document.get("use", {}).get("retries", {}).get(policy)
    if not isinstance(policy, dict):
        return None
    attempts = policy.get("limit", {}).get("attempt", {}).get("count", _DEFAULT_ATTEMPTS)
    if retries > attempts:
        return None
    delay = duration_of(policy["delay"]) if "delay" in policy else 0.0
    backoff = policy.get("backoff", {})
    if "exponential" in backoff:
        return float(delay * 2 ** (retries - 1))
    return delay * retries if "linear" in backoff else delay


def _authorization(given: Any) -> dict[str, str]:
    if isinstance(given, dict) and "basic" in given:
        words = f"{given['basic']['username']}:{given['basic']['password']}"
        return {"Authorization": f"Basic {base64.b64encode(words.encode()).decode()}"}
    if isinstance(given, dict) and "bearer" in given:
        return {"Authorization": f"Bearer {given['bearer']['token']}"}
    return {}


def _content(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
