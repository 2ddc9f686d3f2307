"""The scenarios of the specification's conformance test kit, version 1.0.3.

Written after the features under ``ctk/`` of the Open Workflow Specification (formerly CNCF
Serverless Workflow), https://github.com/open-workflow-specification/specification, which is under
the Apache License 2.0. Services of the internet are answered by the test. Of its 21 scenarios 19
pass; the two that call OpenAPI documents are refused when the definition is checked.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from qtforge_sample_openworkflow.plugin import OpenWorkflows, definition_of

from qtforge_host.testing import WorkflowKit, WorkflowRun
from qtforge_sdk.errors import WorkflowInvalidError

PETS = {1: {"id": 1, "name": "Rex", "status": "available"}, 2: {"id": 2, "name": "Milou"}}
COLOURS = "\n".join(
    f"""  - set{name.title()}:
      set: {{ colors: '${{ .colors + [ "{name}" ] }}' }}
      then: THEN"""
    for name in ("red", "green", "blue")
)
CASES = "\n".join(
    f"""        - {name}: {{ when: '.color == "{name}"', then: set{name.title()} }}"""
    for name in ("red", "green", "blue")
)


def answer(message: dict[str, Any]) -> dict[str, Any]:
    """Answer as the pet store and the service with a password would."""
    url, headers = message["endpoint"], message["parameters"]["headers"]
    status, body = 200, ""
    if "findByStatus?status=available" in url:
        body = json.dumps([PETS[1]])
    elif "/basic-auth/" in url:
        status = 200 if headers.get("Authorization", "").startswith("Basic ") else 401
    elif url.rpartition("/")[2] in ("1", "2"):
        body = json.dumps(PETS[int(url.rpartition("/")[2])])
    else:
        status = 404
    return {"rows": [{"text": body}], "count": 1, "details": {"status": status}}


class Conformance:
    """Executes documents of the specification."""

    def __init__(self, workflows: WorkflowKit) -> None:
        self._workflows = workflows
        workflows.add(OpenWorkflows())
        workflows.fake("http.request", answer)

    def __call__(self, tasks: str, given: dict[str, Any] | None = None) -> WorkflowRun:
        source = (
            "document: { dsl: '1.0.3', namespace: default, name: scenario, version: '1.0.0' }\n"
            f"do:\n{tasks}\n"
        )
        self._workflows.add(definition_of(source))
        return self._workflows.run("scenario", given or {})


@pytest.fixture
def execute(workflows: WorkflowKit) -> Conformance:
    return Conformance(workflows)


def test_call_http_with_content_output(execute: Conformance) -> None:
    run = execute(
        """
  - findPet:
      call: http
      with:
        method: get
        endpoint: { uri: "https://petstore.swagger.io/v2/pet/findByStatus?status={status}" }
      output: { as: '.[0]' }
""",
        {"status": "available"},
    )
    assert {"id", "name", "status"} <= set(run.result)


def test_call_http_with_response_output(execute: Conformance) -> None:
    run = execute(
        """
  - getPet:
      call: http
      with:
        method: get
        endpoint: { uri: "https://petstore.swagger.io/v2/pet/{petId}" }
        output: response
""",
        {"petId": 1},
    )
    assert {"request", "headers", "statusCode", "content"} <= set(run.result)
    assert {"method", "uri", "headers"} <= set(run.result["request"])
    assert {"id", "name", "status"} <= set(run.result["content"])


def test_call_http_using_basic_authentication(execute: Conformance) -> None:
    run = execute(
        """
  - login:
      call: http
      with:
        method: get
        endpoint:
          uri: https://httpbin.org/basic-auth/{username}/{password}
          authentication:
            basic: { username: '${ .username }', password: '${ .password }' }
""",
        {"username": "serverless-workflow", "password": "conformance-test"},
    )
    assert run.status == "succeeded"


@pytest.mark.parametrize("output", ["content", "response"])
def test_openapi_documents_are_refused(execute: Conformance, output: str) -> None:
    with pytest.raises(WorkflowInvalidError, match="'call: openapi' is not supported"):
        execute(f"""
  - findPet:
      call: openapi
      with:
        document: {{ endpoint: "https://petstore.swagger.io/v2/swagger.json" }}
        operationId: findPetsByStatus
        parameters: {{ status: available }}
        output: {output}
""")


def test_input_filtering(execute: Conformance) -> None:
    run = execute(
        """
  - setPlayerId:
      input: { from: .user.claims.subject }
      set: { playerId: '${ . }' }
""",
        {"user": {"claims": {"subject": "6AsnRgGEB0q2O7ux9JXFAw"}}},
    )
    assert run.result == {"playerId": "6AsnRgGEB0q2O7ux9JXFAw"}


def test_output_filtering(execute: Conformance) -> None:
    run = execute(
        """
  - getPet:
      call: http
      with: { method: get, endpoint: { uri: "https://petstore.swagger.io/v2/pet/{petId}" } }
      output: { as: .id }
""",
        {"petId": 1},
    )
    assert run.result == 1


def test_an_output_that_is_no_object_is_the_next_input(execute: Conformance) -> None:
    run = execute(
        """
  - getPetById1:
      call: http
      with: { method: get, endpoint: { uri: "https://petstore.swagger.io/v2/pet/{petId}" } }
      output: { as: .id }
  - getPetById2:
      call: http
      with: { method: get, endpoint: { uri: "https://petstore.swagger.io/v2/pet/2" } }
      output: { as: '{ ids: [ $input, .id ] }' }
""",
        {"petId": 1},
    )
    assert run.result == {"ids": [1, 2]}


def test_do_executes_its_tasks_in_order(execute: Conformance) -> None:
    inner = COLOURS.replace("THEN", "continue").replace("\n", "\n      ")
    run = execute(f"  - composite:\n      do:\n      {inner}")
    assert run.result == {"colors": ["red", "green", "blue"]}


def test_emit_answers_with_its_event(execute: Conformance, workflows: WorkflowKit) -> None:
    run = execute(
        """
  - emitEvent:
      emit:
        event:
          with:
            source: https://fake-source.com
            type: com.fake-source.user.greeted.v1
            data:
              greetings: ${ "Hello \\(.user.firstName) \\(.user.lastName)!" }
""",
        {"user": {"firstName": "John", "lastName": "Doe"}},
    )
    assert {"id", "specversion", "time"} <= set(run.result)
    assert run.result["source"] == "https://fake-source.com"
    assert run.result["type"] == "com.fake-source.user.greeted.v1"
    assert run.result["data"] == {"greetings": "Hello John Doe!"}
    assert workflows.published("com.fake-source.>")[0].message == run.result


def test_an_implicit_sequence(execute: Conformance) -> None:
    run = execute(COLOURS.replace("THEN", "continue"))
    assert run.result == {"colors": ["red", "green", "blue"]}


def test_an_explicit_sequence(execute: Conformance) -> None:
    run = execute("""
  - setRed:
      set: { colors: '${ .colors + [ "red" ] }' }
      then: setGreen
  - setBlue:
      set: { colors: '${ .colors + [ "blue" ] }' }
      then: end
  - setGreen:
      set: { colors: '${ .colors + [ "green" ] }' }
      then: setBlue
""")
    assert run.result == {"colors": ["red", "green", "blue"]}


def test_for_executes_its_tasks_for_each_item(execute: Conformance) -> None:
    run = execute(
        """
  - loopColors:
      for: { each: color, in: .colors }
      do:
        - markProcessed:
            set:
              colors: ${ .colors }
              processed:
                colors: ${ .processed.colors + [ $color ] }
                indexes: ${ .processed.indexes + [ $index ] }
      output: { as: '{ processed }' }
""",
        {"colors": ["red", "green", "blue"]},
    )
    assert run.result == {"processed": {"colors": ["red", "green", "blue"], "indexes": [0, 1, 2]}}


def test_the_branches_of_a_fork_compete(execute: Conformance) -> None:
    inner = COLOURS.replace("THEN", "continue").replace("\n", "\n          ")
    run = execute(
        "  - branchWithCompete:\n      fork:\n        compete: true\n        branches:\n"
        f"          {inner}"
    )
    assert len(run.result["colors"]) == 1


def test_raise_faults_with_its_error_and_its_place(execute: Conformance) -> None:
    run = execute("""
  - raiseError:
      raise:
        error:
          status: 400
          type: https://serverlessworkflow.io/errors/types/compliance
          title: Compliance Error
""")
    assert run.status == "failed"
    assert run.error is not None
    assert run.error.code == "open_workflow.faulted"
    for part in ("Compliance Error", "400 at /do/0/raiseError", "errors/types/compliance"):
        assert part in run.error.message


def test_set_replaces_the_data(execute: Conformance) -> None:
    sides, colours = {"width": 6, "height": 6}, {"red": 69, "green": 69, "blue": 69}
    run = execute(
        """
  - initialize:
      set:
        shape: circle
        size: ${ .configuration.size }
        fill: ${ .configuration.fill }
""",
        {"configuration": {"size": sides, "fill": colours}},
    )
    assert run.result == {"shape": "circle", "size": sides, "fill": colours}


def test_a_case_that_matches_decides(execute: Conformance) -> None:
    tasks = f"  - switchColor:\n      switch:\n{CASES}\n{COLOURS.replace('THEN', 'end')}"
    run = execute(tasks, {"color": "red"})
    assert run.result == {"colors": ["red"]}


def test_a_switch_without_a_match_continues_as_it_says(execute: Conformance) -> None:
    colours = COLOURS.replace("THEN", "continue")
    tasks = f"  - switchColor:\n      switch:\n{CASES}\n      then: end\n{colours}"
    run = execute(tasks, {"color": "yellow"})
    assert run.result == {"color": "yellow"}


def test_a_case_without_a_condition_is_the_rest(execute: Conformance) -> None:
    run = execute(
        f"""  - switchColor:
      switch:
{CASES}
        - anyOtherColor: {{ then: setCustomColor }}
{COLOURS.replace("THEN", "end")}
  - setCustomColor:
      set: {{ colors: '${{ .colors + [ $input.color ] }}' }}
""",
        {"color": "yellow"},
    )
    assert run.result == {"colors": ["yellow"]}


TRY = """
  - tryGetPet:
      try:
        - getPet:
            call: http
            with:
              method: get
              endpoint: { uri: "https://petstore.swagger.io/v2/pet/getPetByName/{petName}" }
      catch:
        errors:
          with:
            type: https://serverlessworkflow.io/dsl/errors/types/communication
            status: STATUS
        as: err
        do:
          - setError: { set: { error: '${ $err }' } }
"""


def test_try_handles_an_error_that_it_catches(execute: Conformance) -> None:
    run = execute(TRY.replace("STATUS", "404"), {"petName": "Milou"})
    error = run.result["error"]
    assert {"type", "status", "title"} <= set(error)
    assert error["status"] == 404
    assert error["instance"] == "/do/0/tryGetPet/try/0/getPet"


def test_try_faults_with_an_error_that_it_does_not_catch(execute: Conformance) -> None:
    run = execute(TRY.replace("STATUS", "503"), {"petName": "Milou"})
    assert run.status == "failed"
