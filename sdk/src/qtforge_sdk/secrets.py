"""`Secrets`: replace ``${secret.NAME}`` by its value, and mask that value in texts.

Definitions, inputs and the journal contain only the placeholder. The plugin that uses the value
reveals it immediately before the use. Where its answer contains the value all the same, the
journal holds a reference in its place.
"""

from __future__ import annotations

import base64
import re
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from qtforge_sdk.errors import OperationError

__all__ = ["LEAST_REPLACED", "Secrets"]

# Compiled when it is first used, which most commands never do.
_PLACEHOLDER: Final = r"\$\{\s*secret\.([A-Za-z_]\w*)\s*\}"
_HIDDEN: Final = "***"
_LEAST_BASE64: Final = 6  # shorter pieces would stand in innocent texts too
_LENIENT: Final = "surrogatepass"  # a value may have come from a text that is not UTF-8
LEAST_REPLACED: Final = 8
"""The characters of the shortest value that is replaced in the results of runs."""


class Secrets:
    """Reveals secrets, and masks those that it has revealed.

    Args:
        find: Returns a secret's value by its name, or None where there is no such secret.

    Attributes:
        any_hidden: Whether there is a value to mask or to replace.

    >>> secrets = Secrets({"TOKEN": "s3cret"}.get)
    >>> secrets.reveal({"headers": ["Bearer ${secret.TOKEN}"]})
    {'headers': ['Bearer s3cret']}
    >>> secrets.mask("no access with s3cret")
    'no access with ***'
    """

    def __init__(self, find: Callable[[str], str | None]) -> None:
        self._find = find
        self._shown: dict[str, int] = {}  # how often each is hidden
        self._names: dict[str, str] = {}  # of the values that were revealed
        self._pattern: re.Pattern[str] | None = None
        self._long: re.Pattern[str] | None = None  # finds what `replace` replaces
        self._origins: dict[str, str] = {}  # the value that each such text stands for
        self._encoded: tuple[bytes, ...] = ()  # each such text in UTF-8
        self._is_stale = False
        self.any_hidden = False

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
            return re.sub(_PLACEHOLDER, lambda match: encode(self._value_of(match[1])), value)
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
        if not self._shown:
            return text
        pattern = self._compiled()[0]
        return text if pattern is None else pattern.sub(_HIDDEN, text)

    def replace(self, text: str, refer: Callable[[str, str], str]) -> str:
        """Return a text with every hidden value, in each of its forms, replaced by a reference.

        Values of fewer than `LEAST_REPLACED` characters stay: they occur in innocent texts too.

        Args:
            text: The text.
            refer: Given the secret's name and what was found, returns what replaces it. The
                name is "" for a value that is no secret's own, or that was found encoded.
        """
        if not self._shown:
            return text
        _, pattern, origins = self._compiled()
        if pattern is None:
            return text

        def replacement(match: re.Match[str]) -> str:
            found = match[0]
            name = self._names.get(found, "") if origins.get(found) == found else ""
            return refer(name, found)

        return pattern.sub(replacement, text)

    def occur_in(self, encoded: bytes) -> bool:
        """Return whether `replace` may change a text whose UTF-8 is a part of these bytes.

        To search the encoding of a large value takes a hundredth of the time of its texts.
        """
        if not self._shown:
            return False
        self._compiled()
        return any(each in encoded for each in self._encoded)

    def hide(self, value: str) -> None:
        """Mask another text too, such as one that was derived from a secret."""
        if value:
            if value not in self._shown:
                self._is_stale = True
            self._shown[value] = self._shown.get(value, 0) + 1
            self.any_hidden = True

    def forget(self, value: str) -> None:
        """Undo one `hide` of a text; it is masked as long as another one is left."""
        count = self._shown.get(value, 0)
        if count > 1:
            self._shown[value] = count - 1
        elif count:
            del self._shown[value]
            self._is_stale = True
            self.any_hidden = bool(self._shown)

    def _compiled(
        self,
    ) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None, dict[str, str]]:
        if self._is_stale:
            self._is_stale = False  # first: another thread may hide a value meanwhile
            values = sorted(self._shown, key=len)
            origins = {form: each for each in values for form in _forms(each)}
            # A value that is a form of another one stands for itself.
            origins |= {each: each for each in values}
            long = {form: each for form, each in origins.items() if len(each) >= LEAST_REPLACED}
            self._pattern, self._long, self._origins = _any_of(origins), _any_of(long), long
            self._encoded = tuple(each.encode("utf-8", _LENIENT) for each in long)
        return self._pattern, self._long, self._origins

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
        if value and self._names.get(value) is None:
            self._names[value] = name
            self.hide(value)  # for as long as the process lives
        return value


def _any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def _forms(value: str) -> set[str]:
    """Return the encodings in which a value can occur in a text."""
    import html  # with json slow to import, and most processes hide nothing
    import json

    raw = value.encode("utf-8", _LENIENT)
    quoted = {urllib.parse.quote(raw), urllib.parse.quote(raw, safe="")}
    quoted |= {urllib.parse.quote_plus(raw)}
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
