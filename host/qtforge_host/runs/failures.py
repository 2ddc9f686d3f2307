"""Exceptions as `ErrorInfo`: what the journal keeps and the reader sees."""

from __future__ import annotations

from qtforge_sdk import ErrorInfo, QtForgeError
from qtforge_sdk.errors import (
    HandlerFailedError,
    OverloadedError,
    RequestTimeoutError,
    StageFailedError,
)

__all__ = ["RecordedFailureError", "error_info"]


class RecordedFailureError(QtForgeError):
    """A failure that the journal holds, raised again when the run is resumed."""

    def __init__(self, info: ErrorInfo, /) -> None:
        super().__init__(info.message, "", info.fix or "")
        self.code = info.code
        self.info = info


def error_info(error: BaseException, stage: str | None = None) -> ErrorInfo:
    """Return an exception in the form that can be stored.

    The code is the plugin's own where it named one: ``document.encrypted`` says more than
    ``bus.handler_failed``, and the plugin stands beside it.
    """
    if isinstance(error, StageFailedError) and error.__cause__ is not None:
        return error_info(error.__cause__, error.stage)
    if isinstance(error, RecordedFailureError):
        return error.info
    if not isinstance(error, QtForgeError):
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return ErrorInfo(code="run.orchestrator_failed", message=text, stage=stage)
    plugin = version = None
    code, message = error.code, f"{error.what}: {error.why}" if error.why else error.what
    if isinstance(error, HandlerFailedError | RequestTimeoutError | OverloadedError):
        plugin, version = error.plugin or None, error.version or None
    if isinstance(error, HandlerFailedError):
        code = error.cause_code or code
        message = error.why if error.cause_code else message
    return ErrorInfo(
        code=code,
        message=message,
        stage=stage,
        plugin=plugin,
        plugin_version=version,
        fix=error.fix or None,
        retryable=error.retryable,
        retry_after_s=error.retry_after_s,
    )
