"""Why a scaffold is not written."""

from __future__ import annotations

from qtforge_sdk.errors import QtForgeError

__all__ = ["ScaffoldError"]


class ScaffoldError(QtForgeError):
    """Nothing was written: a name can't be used, or a file can't be made.

    Args:
        what: What happened, in one line.
        why: The cause.
        fix: How to fix it.
    """

    code = "scaffold.refused"
    exit_code = 2
    http_status = 422
