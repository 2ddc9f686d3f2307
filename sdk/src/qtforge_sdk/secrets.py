"""`Secrets`: what stands for ``${secret.NAME}``, and how it stays out of texts.

A definition, an input and the journal hold only the placeholder. The plugin that uses the
value asks for it at the last moment, and gives nothing back that holds it.
"""

from __future__ import annotations

import base64
import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any, Final

from qtforge_sdk.errors import OperationError

__all__ = ["Secrets"]

_PLACEHOLDER: Final = re.compile(r"\$\{\s*secret\.([A-Za-z_]\w*)\s*\}")
_HIDDEN: Final = "***"


class Secrets:
    """Finds secrets, and hides those that it has given out.

    Args:
        find: Returns a secret's value by its name, or None.

    >>> secrets = Secrets({"TOKEN": "s3cret"}.get)
    >>> secrets.reveal({"headers": ["Bearer ${secret.TOKEN}"]})
    {'headers': ['Bearer s3cret']}
    >>> secrets.conceal("no access with s3cret")
    'no access with ***'
    """

    def __init__(self, find: Callable[[str], str | None]) -> None:
        self._find = find
        self._shown: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def reveal(self, value: Any) -> Any:
        """Return the value with each ``${secret.NAME}`` in its texts replaced.

        Args:
            value: Text, or mappings and lists that hold texts; anything else is returned as it is.

        Raises:
            OperationError: ``secret.missing``: there is none of that name.
        """
        if isinstance(value, str):
            return _PLACEHOLDER.sub(self._value_of, value) if "secret." in value else value
        if isinstance(value, Mapping):
            return {key: self.reveal(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.reveal(each) for each in value]
        return value

    def conceal(self, text: str) -> str:
        """Return a text with every secret that was given out replaced by ``***``.

        Also where it stands percent-encoded or in Base64, as in a URL or a header.
        """
        return text if self._pattern is None else self._pattern.sub(_HIDDEN, text)

    def _value_of(self, match: re.Match[str]) -> str:
        name = match[1]
        value = self._find(name)
        if value is None:
            raise OperationError(
                "secret.missing",
                f"there is no secret '{name}'",
                "",
                f"set the variable QTFORGE_SECRET_{name}, or write it into the secrets file",
                retryable=False,
            )
        if value and value not in self._shown:
            self._shown.add(value)
            forms = {form for each in self._shown for form in _forms(each)}
            longest_first = sorted(forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))
        return value


def _forms(value: str) -> set[str]:
    """Return the ways in which a value may stand in a text."""
    raw = value.encode()
    encoded = base64.b64encode(raw).decode().rstrip("=")
    forms = {value, urllib.parse.quote(value), urllib.parse.quote(value, safe="")}
    forms |= {urllib.parse.quote_plus(value), encoded, repr(value)[1:-1]}
    return {form for form in forms if form}
