from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator

import pytest

from qtforge_sdk import errors
from qtforge_sdk.errors import OperationError, QtForgeError

EXAMPLES: tuple[tuple[QtForgeError, str], ...] = (
    (errors.QtForgeError("what", "why", "fix"), "qtforge.error"),
    (errors.OperationError("note.torn", "what", "why", "fix"), "note.torn"),
    (errors.BusError("what"), "qtforge.error"),
    (errors.InvalidTopicError("a..b", "empty word"), "bus.invalid_topic"),
    (errors.NoHandlerError("a.b", "why", "fix"), "bus.no_handler"),
    (errors.InvalidMessageError("a.b", "at $.x", "response"), "bus.invalid_message"),
    (
        errors.HandlerFailedError("a.b", "plug", "1.0", "why", "note.torn", "glue"),
        "bus.handler_failed",
    ),
    (errors.RequestTimeoutError("a.b", 0.5, "plug", "1.0"), "bus.timeout"),
    (errors.OverloadedError("a.b", "plug", "1.0", 8), "bus.overloaded"),
    (errors.BusUnavailableError("nats://bus", "why", "fix"), "bus.unavailable"),
    (errors.NodeGoneError("a.b", "node-1", "it stops"), "bus.node_gone"),
    (errors.NodeLostError("a.b", "node-1", "why"), "bus.node_lost"),
    (errors.BusClosedError("closed", "stopping"), "bus.closed"),
    (errors.PolicyError("what"), "qtforge.error"),
    (errors.BreakerOpenError("a.b", "plug", 12.5), "policy.breaker_open"),
    (errors.PolicyOverloadedError("a.b", "why"), "policy.overloaded"),
    (errors.ExpressionError("1 +", "why", "fix", "expression.failed"), "expression.failed"),
    (errors.WorkflowError("what"), "qtforge.error"),
    (errors.WorkflowNotFoundError("flow", "fix"), "workflow.not_found"),
    (errors.WorkflowInvalidError("flow", "why"), "workflow.invalid"),
    (errors.WorkflowUnmetError("flow", "why", "fix"), "workflow.unmet"),
    (errors.WorkflowVersionError("flow", "why"), "workflow.version"),
    (errors.RunError("what"), "qtforge.error"),
    (errors.DuplicateStepError("step"), "run.duplicate_step"),
    (errors.StageFailedError("stage", "why"), "run.stage_failed"),
    (errors.RunDivergedError("stage", "why"), "run.diverged"),
    (errors.RunInputError("w", "timeout", "what", "fix"), "run.invalid_input"),
    (errors.AmendmentRefusedError("run", "why", "fix"), "run.amendment_refused"),
    (errors.PluginError("plug", "plugin.broken", "why", "fix"), "plugin.broken"),
    (errors.ConfigError("a.toml", "why", "fix"), "config.invalid"),
    (errors.StorageError("what"), "qtforge.error"),
    (errors.StateDirectoryError("state", "why", "fix"), "state.unusable"),
)


def descendants(root: type[QtForgeError]) -> Iterator[type[QtForgeError]]:
    for child in root.__subclasses__():
        if child.__module__.startswith(errors.__name__):
            yield child
            yield from descendants(child)


def through_pickle(error: QtForgeError) -> QtForgeError:
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, QtForgeError)
    return again


def name_of(value: object) -> str:
    return type(value).__name__ if isinstance(value, QtForgeError) else str(value)


@pytest.mark.parametrize(("error", "code"), EXAMPLES, ids=name_of)
def test_an_error_has_its_stable_code(error: QtForgeError, code: str) -> None:
    assert error.code == code


@pytest.mark.parametrize("duplicate", [through_pickle, copy.copy])
@pytest.mark.parametrize("error", [error for error, _ in EXAMPLES], ids=name_of)
def test_an_error_survives_pickling_and_copying(
    error: QtForgeError, duplicate: Callable[[QtForgeError], QtForgeError]
) -> None:
    again = duplicate(error)
    assert type(again) is type(error)
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))


def test_every_error_of_the_tree_has_an_example_here_and_is_public() -> None:
    tree: set[type[QtForgeError]] = {QtForgeError, *descendants(QtForgeError)}
    assert {type(error) for error, _ in EXAMPLES} == tree
    assert {each.__name__ for each in tree} == set(errors.__all__)
    assert errors.__all__ == sorted(errors.__all__)


def test_an_error_says_what_why_and_how_to_mend_it() -> None:
    assert str(OperationError("a.b", "it broke", "it is old", "buy")) == (
        "it broke: it is old (fix: buy)"
    )
    assert str(OperationError("a.b", "it broke")) == "it broke"
    failed = errors.HandlerFailedError("a.b", "plug", "1.0", "it broke", "", "")
    assert str(failed) == "plug 1.0 failed on 'a.b': it broke"


def test_a_timeout_without_a_handler_names_none() -> None:
    assert str(errors.RequestTimeoutError("a.b", 2.0)).startswith("no handler answered")


def test_a_run_that_diverged_is_to_be_resumed_with_code_that_fits_it() -> None:
    error = errors.RunDivergedError("charge", "the journal has 'pay'")
    assert "the journal has 'pay'; the code has changed since" in str(error)
    assert "'runs resume' it" in error.fix
