"""What a journal refuses: codes, exit codes, and errors that travel between processes."""

from __future__ import annotations

import copy
import pickle

import pytest

from qtforge_sdk import journal_errors
from qtforge_sdk.errors import QtForgeError, StorageError
from qtforge_sdk.journal_errors import (
    ArchiveInvalidError,
    JournalDamagedError,
    JournalUnavailableError,
    RecordNotStorableError,
    RecordTooLargeError,
    RunConcurrencyError,
    RunDuplicateError,
    RunExistsError,
    RunNotFoundError,
    RunOwnedError,
    StaleOwnerError,
    TagsInvalidError,
)

EXAMPLES = (
    (ArchiveInvalidError("why"), "run.archive_invalid"),
    (JournalDamagedError("state", "run", 3, "why"), "journal.damaged"),
    (JournalUnavailableError("postgresql://db", "why", "fix"), "journal.unavailable"),
    (RecordNotStorableError("run", "step_succeeded a", "why"), "run.not_storable"),
    (RecordTooLargeError("run", "step_succeeded a", 11, 10), "run.too_large"),
    (RunConcurrencyError("w", "acme", ["run", "other"]), "run.concurrency"),
    (RunDuplicateError("run", "17"), "run.duplicate"),
    (RunExistsError("run"), "run.exists"),
    (RunNotFoundError("run"), "run.not_found"),
    (RunOwnedError("run", "process 1 on host ada"), "run.owned"),
    (StaleOwnerError("run", 2), "run.stale_owner"),
    (TagsInvalidError("the tag 'a b' can't be used", "why", "fix"), "run.tags_invalid"),
)


@pytest.mark.parametrize(("error", "code"), EXAMPLES, ids=[code for _, code in EXAMPLES])
def test_an_error_has_its_code_says_what_and_survives_copying(
    error: QtForgeError, code: str
) -> None:
    assert error.code == code
    assert error.what
    assert error.fix
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is type(error)
        assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))


def test_every_error_has_an_example_here() -> None:
    assert [type(error).__name__ for error, _ in EXAMPLES] == journal_errors.__all__


def test_a_damaged_run_is_a_matter_of_the_storage() -> None:
    error = JournalDamagedError("state", "run", 3, "a reason")
    assert isinstance(error, StorageError)
    assert error.exit_code == 4
    assert "record 3 of the run 'run'" in error.why
    assert "record" not in JournalDamagedError("state", "run", None, "a reason").why
