"""The root of the tree, and the error that plugins raise."""

from __future__ import annotations

__all__ = ["OperationError", "QtForgeError"]


class QtForgeError(Exception):
    """The root of every deliberate failure.

    Args:
        what: What happened, in one line.
        why: The cause, where it is known and not already in ``what``.
        fix: What the reader can do about it.

    Attributes:
        retryable: Whether the same call may succeed when it is tried again; None where
            that is not known.
        retry_after_s: Seconds before which a further try is pointless, or None.
        exit_code: What a command that ends with it exits with.
        http_status: The HTTP status of a request that ends with it.

    >>> error = QtForgeError("no such file", "a.pdf is missing", "check the name")
    >>> print(error)
    no such file: a.pdf is missing (fix: check the name)
    """

    code: str = "qtforge.error"
    retryable: bool | None = None
    retry_after_s: float | None = None
    exit_code: int = 1
    http_status: int = 500

    def __init__(self, what: str, why: str = "", fix: str = "", /) -> None:
        # Exception.__init__ is not called: BaseException.__new__ has already kept
        # the positional arguments in `args`, and a leaf's own must stay there.
        self.what = what
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        text = f"{self.what}: {self.why}" if self.why else self.what
        return f"{text} (fix: {self.fix})" if self.fix else text


class OperationError(QtForgeError):
    """What a plugin raises when an operation can't be done; it names its own code.

    Args:
        code: ``<subject>.<what is wrong>``, such as ``document.encrypted``. Stable.
        what: What happened, in one line.
        why: The cause.
        fix: What the caller can do about it.
        retryable: False where a further try is bound to fail as well (the input is wrong),
            True where it may succeed (something is busy or unreachable), None where that is
            not known. A retry policy and a circuit breaker heed it.
        retry_after_s: Seconds before which a further try is pointless, such as HTTP's
            ``Retry-After``; None where that is not known.

    >>> OperationError("document.empty", "a.pdf has no content", "", "check the file").code
    'document.empty'
    >>> OperationError("http.busy", "it is busy", retryable=True, retry_after_s=30).retry_after_s
    30
    """

    def __init__(
        self,
        code: str,
        what: str,
        why: str = "",
        fix: str = "",
        /,
        *,
        retryable: bool | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(what, why, fix)
        self.code = code
        # Not in `args`, but in the instance's dict, which pickle and copy carry over.
        self.retryable = retryable
        self.retry_after_s = retry_after_s
