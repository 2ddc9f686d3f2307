"""fraud-detector: find contradictions within an invoice and with earlier ones."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from qtforge_builtin_plugins.pipelines.financial.messages import (
    FraudForgetRequest,
    FraudForgetResponse,
    FraudRequest,
    FraudResponse,
)
from qtforge_sdk import OperationError, Plugin, PluginContext, operation
from qtforge_sdk.durations import Duration, check_duration, wait_seconds

if TYPE_CHECKING:
    from qtforge_builtin_plugins.pipelines.financial.register import Register

__all__ = ["FraudConfig", "FraudDetector"]

_FILE_NAME: Final = "invoices.sqlite"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class FraudConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of fraud-detector.

    Attributes:
        path: The register of invoices; None for ``invoices.sqlite`` in the plugin's folder.
        busy_timeout: How long to wait for another writer; 0s to 60s.
    """

    path: str | None = None
    busy_timeout: Duration = "5s"

    def __post_init__(self) -> None:
        """Check the time.

        Raises:
            DurationError: It is not a duration from 0s to 60s.
        """
        check_duration(self, "busy_timeout", most_s=60)


class FraudDetector(Plugin):
    """Checks invoices: items, sums, taxes, dates, accounts, and numbers used twice.

    A finding is a contradiction in every possible reading of the text. A check of values that
    can't be read with certainty is reported as unchecked instead.
    """

    placement = "one node"
    Config = FraudConfig
    config: FraudConfig = FraudConfig()
    _register: Register

    async def start(self, context: PluginContext) -> None:
        """Prepare the register."""
        from qtforge_builtin_plugins.pipelines.financial.register import Register  # imports sqlite3

        self._register = Register(
            _path(self.config, context), wait_seconds(self.config.busy_timeout)
        )

    @operation("fraud.detect", trylast=True)
    def detect(self, request: FraudRequest) -> FraudResponse:
        """Check an invoice, and register it; the same request gives the same answer.

        Raises:
            OperationError: ``fraud.invalid_now``, ``fraud.register_unusable``.
        """
        # Imported when first needed: dateparser takes 0.2 s.
        from qtforge_builtin_plugins.pipelines.financial.inspection import inspect_invoice

        return inspect_invoice(request, _day(request.now), self._register)

    @operation("fraud.forget", trylast=True)
    def forget(self, request: FraudForgetRequest) -> FraudForgetResponse:
        """Undo a request's registration; an unknown request is no error.

        Raises:
            OperationError: ``fraud.register_unusable``.
        """
        return FraudForgetResponse(forgotten=self._register.forget(request.request_id))


def _path(config: FraudConfig, context: PluginContext) -> Path:
    return Path(config.path).expanduser() if config.path else context.data_dir / _FILE_NAME


def _day(now: str) -> datetime.date:
    try:
        return datetime.datetime.fromisoformat(now).date()
    except ValueError as error:
        raise OperationError(
            "fraud.invalid_now", f"'{now}' is not a date", str(error),
            "write now in ISO 8601, such as 2026-03-31",
        ) from error  # fmt: skip
