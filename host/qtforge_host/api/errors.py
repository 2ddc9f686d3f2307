"""What the use cases refuse by themselves.

::

    QtForgeError
    ├── NotFoundError           cli.not_found
    ├── ServeNotInstalledError  serve.not_installed
    ├── TooManyRunsError        http.busy
    ├── KeyInvalidError         http.invalid_request
    └── KeyReusedError          http.key_reused
"""

from __future__ import annotations

from qtforge_sdk.errors import QtForgeError

__all__ = [
    "KeyInvalidError",
    "KeyReusedError",
    "NoRetentionError",
    "NotFoundError",
    "QueueInvalidError",
    "SearchInvalidError",
    "ServeNotInstalledError",
    "TooManyRunsError",
]


class NotFoundError(QtForgeError):
    """Nothing has the name that was given, or several things have it."""

    code = "cli.not_found"
    exit_code = 3
    http_status = 404


class ServeNotInstalledError(QtForgeError):
    """The libraries of the extra ``serve`` are not installed.

    Args:
        missing: The modules that are missing, separated by commas.
    """

    code = "serve.not_installed"
    http_status = 501

    def __init__(self, missing: str, /) -> None:
        super().__init__(
            "serving needs libraries that are not installed",
            f"missing: {missing}",
            "pip install 'qtforge-host[serve]'",
        )
        self.missing = missing


class TooManyRunsError(QtForgeError):
    """The process executes as many runs as it may.

    Args:
        count: How many it executes.
    """

    code = "http.busy"
    http_status = 503
    retryable = True
    retry_after_s = 1.0

    def __init__(self, count: int, /) -> None:
        super().__init__(
            "too many runs execute at once",
            f"there are {count}",
            "try again later, or raise --max-runs",
        )
        self.count = count


class KeyInvalidError(QtForgeError):
    """An idempotency key is empty, too long, or has other characters than printable ASCII.

    Args:
        longest: How many characters a key may have.
    """

    code = "http.invalid_request"
    exit_code = 2
    http_status = 400

    def __init__(self, longest: int, /) -> None:
        super().__init__(
            "the idempotency key can't be used",
            f"it must be 1 to {longest} printable ASCII characters",
            "such as a UUID",
        )
        self.longest = longest


class QueueInvalidError(QtForgeError):
    """A pool, a priority or a time can't be used for a run that waits in the queue.

    Args:
        what: Which one.
        why: Why not.
        fix: An example.
    """

    code = "queue.invalid"
    exit_code = 2
    http_status = 400


class SearchInvalidError(QtForgeError):
    """A search has no word.

    Args:
        text: What was searched for.
    """

    code = "run.search_invalid"
    exit_code = 2
    http_status = 422

    def __init__(self, text: str, /) -> None:
        super().__init__(
            f"there is nothing to search for in '{text}'",
            "a search needs a letter or a digit",
            "give the beginnings of words, such as: acme 2026",
        )
        self.text = text


class NoRetentionError(QtForgeError):
    """Runs are to be deleted as ``[retention]`` says, and the configuration has none.

    Args:
        path: The configuration file.
    """

    code = "retention.missing"
    exit_code = 2
    http_status = 422

    def __init__(self, path: str, /) -> None:
        super().__init__(
            f"there is no [retention] in {path}", "", 'write one, such as succeeded = "30d"'
        )
        self.path = path


class KeyReusedError(QtForgeError):
    """An idempotency key has started another workflow, or one with another input.

    Args:
        run_id: The run that it started.
    """

    code = "http.key_reused"
    http_status = 422

    def __init__(self, run_id: str, /) -> None:
        super().__init__(
            f"the idempotency key has started another run, {run_id}",
            "the workflow or the input is not the same",
            "use a new key for each run",
        )
        self.run_id = run_id
