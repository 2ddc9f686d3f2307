"""What the use cases refuse by themselves.

::

    QtForgeError
    └── NotFoundError  cli.not_found
"""

from __future__ import annotations

from qtforge_sdk.errors import QtForgeError

__all__ = ["NotFoundError"]


class NotFoundError(QtForgeError):
    """Nothing has the name that was given, or several things have it."""

    code = "cli.not_found"
    exit_code = 3
    http_status = 404
