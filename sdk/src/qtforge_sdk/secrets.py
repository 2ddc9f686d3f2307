"""`Secrets`: replace ``${secret.NAME}`` by its value, and mask that value in texts.

Definitions, inputs and the journal contain only the placeholder. The plugin that uses the value
reveals it immediately before the use, and returns nothing that contains it.
"""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any, Final

from qtforge_sdk.errors import OperationError

__all__ = ["Secrets"]

_PLACEHOLDER: Final = re.compile(r"\$\{\s*secret\.([A-Za-z_]\w*)\s*\}")
_HIDDEN: Final = "***"
_LEAST_BASE64: Final = 6  # shorter pieces would stand in innocent texts too


class Secrets:
    """Reveals secrets, and masks those that it has revealed.

    Args:
        find: Returns a secret's value by its name, or None where there is no such secret.

    >>> secrets = Secrets({"TOKEN": "s3cret"}.get)
    >>> secrets.reveal({"headers": ["Bearer ${secret.TOKEN}"]})
    {'headers': ['Bearer s3cret']}
    >>> secrets.mask("no access with s3cret")
    'no access with ***'
    """

    def __init__(self, find: Callable[[str], str | None]) -> None:
        self._find = find
        self._shown: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def reveal(self, value: Any, *, encode: Callable[[str], str] = str) -> Any:
        """Return a value with each ``${secret.NAME}`` in its texts replaced.

        Args:
            value: Text, or mappings and lists that contain text; anything else is not changed.
            encode: Encodes a secret before it is inserted, such as quoting it for a URL.

        Raises:
            OperationError: ``secret.missing``: there is no secret of that name.
        """
        if isinstance(value, str):
            if "secret." not in value:
                return value
            return _PLACEHOLDER.sub(lambda match: encode(self._value_of(match[1])), value)
        if isinstance(value, Mapping):
            return {key: self.reveal(each, encode=encode) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.reveal(each, encode=encode) for each in value]
        return value

    def mask(self, text: str) -> str:
        """Return a text with every revealed secret replaced by ``***``.

        Secrets are found also percent-encoded, in Base64 (alone or within a longer value, as in
        a header), and escaped for JSON or HTML.
        """
        return text if self._pattern is None else self._pattern.sub(_HIDDEN, text)

    def hide(self, value: str) -> None:
        """Mask another text too, such as one that was derived from a secret."""
        if value and value not in self._shown:
            self._shown.add(value)
            forms = {form for each in self._shown for form in _forms(each)}
            longest_first = sorted(forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def _value_of(self, name: str) -> str:
        value = self._find(name)
        if value is None:
            raise OperationError(
                "secret.missing",
                f"there is no secret '{name}'",
                "",
                f"set the variable QTFORGE_SECRET_{name}, or write it into the secrets file",
                retryable=False,
            )
        self.hide(value)
        return value


def _forms(value: str) -> set[str]:
    """Return the encodings in which a value can occur in a text."""
    raw = value.encode()
    quoted = {urllib.parse.quote(value), urllib.parse.quote(value, safe="")}
    quoted |= {urllib.parse.quote_plus(value)}
    forms = {value, repr(value)[1:-1], repr(raw)[2:-1], html.escape(value), *quoted}
    forms |= {re.sub("%..", lambda code: code[0].lower(), form) for form in quoted}
    forms |= {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    forms |= {base64.b64encode(raw).decode().rstrip("="), *_within_base64(raw)}
    return {form for form in forms if form}


def _within_base64(raw: bytes) -> set[str]:
    """Return the Base64 of bytes that are part of a longer value, as in ``user:password``.

    Three bytes are four characters, so the text depends on where the bytes begin; characters
    that encode bits of neighbouring bytes are left out.
    """
    forms = set()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw).decode()
        whole = (before + len(raw)) * 8 // 6
        forms.add(encoded[(before * 8 + 5) // 6 : whole])
    forms |= {form.replace("+", "-").replace("/", "_") for form in forms}  # as in URLs
    return {form for form in forms if len(form) >= _LEAST_BASE64}
