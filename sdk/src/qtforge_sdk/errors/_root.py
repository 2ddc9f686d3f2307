"""The base class of all errors, and the error that plugins raise."""

from __future__ import annotations

__all__ = ["OperationError", "QtForgeError"]


class QtForgeError(Exception):
    """The base class of every deliberate error.

    Args:
        what: What happened, in one line.
        why: The cause, where it is known and not already in ``what``.
        fix: How to fix it.

    Attributes:
        code: The stable code, ``<subject>.<what is wrong>``.
        retryable: Whether another attempt may succeed; None where that is not known.
        retry_after_s: The minimum delay before another attempt, in seconds, or None.
        exit_code: The exit code of a command that ends with the error.
        http_status: The HTTP status of a request that ends with the error.

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
    """The error that a plugin raises, with a code of its own.

    Args:
        code: A stable code, ``<subject>.<what is wrong>``, such as ``document.encrypted``.
        what: What happened, in one line.
        why: The cause.
        fix: How to fix it.
        retryable: False where another attempt must fail too (the input is wrong), True where it
            may succeed (a service is busy or unreachable), None where that is not known. Retry
            policies and circuit breakers use it.
        retry_after_s: The minimum delay before another attempt, in seconds, such as HTTP's
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
