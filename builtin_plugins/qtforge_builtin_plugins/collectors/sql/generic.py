"""Any other database of SQLAlchemy, without protection against writes."""

from __future__ import annotations

import contextlib
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupt
from qtforge_builtin_plugins.collectors.sql.query import Query
from qtforge_sdk.errors import OperationError

__all__ = ["GenericDatabase"]

# Drivers whose package has another name than their module.
_PACKAGES: Final = MappingProxyType(
    {"MySQLdb": "mysqlclient", "mysql": "mysql-connector-python", "ibm_db_dbi": "ibm-db"}
)


class GenericDatabase:
    """A database whose dialect the configuration allows."""

    def engine(self, url: URL, query: Query) -> Engine:
        """Return the engine; nothing is connected yet."""
        try:
            engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
        except NoSuchModuleError as error:
            why = f"SQLAlchemy has no dialect '{url.drivername}'"
            raise _unknown(
                url, why, "install the package of its dialect, or check the spelling"
            ) from error
        except ImportError as error:
            module = error.name or url.get_driver_name()
            fix = f"pip install {_PACKAGES.get(module, module)}"
            raise _unknown(url, f"its driver is not installed: {error}", fix) from error
        except ArgumentError as error:
            raise _unknown(url, "SQLAlchemy refuses its options", "check the endpoint") from error
        if engine.dialect.is_async:
            why = f"{url.drivername} is an asynchronous driver"
            raise _unknown(url, why, f"write {url.get_backend_name()}:// with a synchronous one")
        return engine

    def prepare(self, connection: Connection, query: Query, interrupt: Interrupt) -> None:
        """Do nothing: there is no common way to make a transaction read-only."""

    def cancel(self, driver_connection: Any) -> None:
        """Cancel the statement if the driver has a method for it."""
        cancel = getattr(driver_connection, "cancel", None)
        if callable(cancel):
            with contextlib.suppress(Exception):  # the connection may be closed by now
                cancel()

    def failure(self, error: BaseException) -> OperationError | None:
        """Return None: the drivers' errors are reported unchanged."""
        return None


def _unknown(url: URL, why: str, fix: str) -> OperationError:
    what = f"there is no driver for '{url.drivername}'"
    return OperationError("database.unknown_driver", what, why, fix, retryable=False)
