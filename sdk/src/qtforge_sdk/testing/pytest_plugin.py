"""The pytest plugin: a failed assertion of the journal contract shows the values that it compares.

pytest loads it in every project that has the SDK installed.
"""

from __future__ import annotations

import pytest

__all__: list[str] = []

pytest.register_assert_rewrite(
    "qtforge_sdk.testing.journal_contract",
    "qtforge_sdk.testing._journal_following",
    "qtforge_sdk.testing._journal_listing",
    "qtforge_sdk.testing._journal_messages",
    "qtforge_sdk.testing._journal_waiting",
)
