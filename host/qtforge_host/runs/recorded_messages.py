"""Messages of steps and compensations as the journal has them: for people, never sent again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Self

import msgspec

from qtforge_host.runs.run_secrets import RunSecrets, without_known
from qtforge_host.runs.serialization import normalize
from qtforge_host.sizes import size_text
from qtforge_sdk import Record
from qtforge_sdk.records import CompensationStarted, StepStarted

__all__ = ["MOST_MESSAGE_BYTES", "RecordedMessage", "without_messages"]

MOST_MESSAGE_BYTES: Final = 8 << 20
"""A message whose encoding is longer is recorded by its size and digest alone."""

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Any)


class RecordedMessage(msgspec.Struct, frozen=True):
    """A message of a step, or what is recorded instead.

    Attributes:
        plain: The message at the time at which it was sent, as plain values without known secrets.
        note: Why it is not there, in words, or "".
    """

    plain: Any = None
    note: str = ""

    @classmethod
    def of(cls, message: Any, secrets: RunSecrets) -> Self:
        """Return what is recorded of a message; whatever the message holds, it does not fail.

        Args:
            message: The message, with references in place of the run's secrets.
            secrets: The run's.
        """
        try:
            encoded = _ENCODER.encode(message)
        except Exception:  # noqa: BLE001 - whatever its values raise
            try:
                encoded = _ENCODER.encode(normalize(message))
            except Exception as error:  # noqa: BLE001
                return cls(note=f"it can't be stored: {type(error).__name__}")
        if len(encoded) > MOST_MESSAGE_BYTES:
            import hashlib  # its first import makes OpenSSL ready, in 3 ms

            digest = hashlib.sha256(encoded).hexdigest()
            return cls(note=f"it has {size_text(len(encoded))}, sha256 {digest}")
        plain = _DECODER.decode(encoded)  # a copy: its handler may change the message
        if secrets.known.any_hidden:
            plain = without_known(plain, secrets.known, secrets.known.mask)
        return cls(plain)


def without_messages(records: Iterable[Record], reason: str) -> list[Record]:
    """Return records without the messages of steps, which the journal has refused."""
    return [
        msgspec.structs.replace(each, message=None, message_note=f"it can't be stored: {reason}")
        if isinstance(each, StepStarted | CompensationStarted) and each.message is not None
        else each
        for each in records
    ]
