"""Logging to standard error, as text or as JSON, with the run and step of each message."""

from __future__ import annotations

import datetime
import logging
import sys
import warnings
from typing import Final, Literal

from qtforge_host.cli.terminal import clean_line, clean_lines
from qtforge_host.runs.context import RUN, STEP
from qtforge_host.trace_context import current_ids

__all__ = ["JsonFormatter", "LogFormat", "TextFormatter", "log_to_stderr"]

LogFormat = Literal["text", "json"]
_QUIET: Final = "warning: %(message)s"
_LOUD: Final = "%(levelname)s %(name)s: %(message)s"
_LIBRARIES: Final = (  # whose details help only their own authors
    "PIL", "asyncio", "charset_normalizer", "httpcore", "httpx", "pypdfium2", "stevedore",
    "urllib3", "watchfiles",
)  # fmt: skip


class TextFormatter(logging.Formatter):
    """Format a message as a line of text; a message of a run ends with ``[run step]``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the lines of a traceback, which are indented."""
        line, *traceback = clean_lines(super().format(record)).split("\n")
        return "\n".join([line, *(f"  {each}" for each in traceback)])

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line, without a traceback."""
        where = " ".join(filter(None, (RUN.get(), STEP.get())))
        line = clean_line(super().formatMessage(record))
        return f"{line} [{where}]" if where else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line.

    Its keys are ``time`` (UTC, ISO 8601), ``level``, ``logger`` and ``message``; ``run`` and
    ``step`` where they are known, ``trace_id`` and ``span_id`` of a trace that is recorded;
    ``error`` with the traceback where there is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        import msgspec  # only where JSON is asked for

        trace_id, span_id = current_ids()
        made = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        content = {
            "time": made.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "run": RUN.get(),
            "step": STEP.get(),
            "trace_id": trace_id,
            "span_id": span_id,
            "error": record.exc_text or self._traceback(record),
        }
        kept = {key: value for key, value in content.items() if value or key == "message"}
        return msgspec.json.encode(kept).decode()

    def _traceback(self, record: logging.LogRecord) -> str:
        return self.formatException(record.exc_info) if record.exc_info else ""


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Write to the current ``sys.stderr``, which a progress display may have replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        self.setStream(sys.stderr)
        super().emit(record)


def log_to_stderr(log_format: LogFormat, *, debug: bool) -> None:
    """Log to standard error: warnings and errors, or with ``debug`` all but libraries' details.

    Python's own warnings, such as that of a coroutine that was never awaited, have the same form.
    """
    handler = _StderrHandler(sys.stderr)
    formatter: logging.Formatter = TextFormatter(_LOUD if debug else _QUIET)
    # The loggers of plugins may log more than is printed, since it is kept with their runs.
    handler.setLevel(logging.DEBUG if debug else logging.WARNING)
    if log_format == "json":
        formatter = JsonFormatter()
    handler.setFormatter(formatter)

    def format_warning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        line: str | None = None,
    ) -> str:
        text = f"{category.__name__}: {message} ({filename}:{lineno})"
        record = logging.LogRecord("py.warnings", logging.WARNING, "", 0, text, None, None)
        return f"{formatter.format(record)}\n"

    warnings.formatwarning = format_warning
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, handlers=[handler])
    if debug:
        for name in _LIBRARIES:
            logging.getLogger(name).setLevel(logging.INFO)
    else:  # what fails in an expression is raised as well, and shown then
        logging.getLogger("cel").setLevel(logging.ERROR)
