"""The secrets of a run as lines, of which those that were written whole can be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from qtforge_sdk.conversion import to_plain
from qtforge_sdk.journal import RunSecret, is_run_id
from qtforge_sdk.journal_errors import RecordNotStorableError
from qtforge_sdk.validation import decoded

__all__ = ["decode_secrets", "encode_secrets"]


class _Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    reference: str
    name: str = ""
    value: bytes = b""  # in MessagePack, which has every type that a record has
    is_missing: bool = False


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(_Entry)


def encode_secrets(run_id: str, secrets: Mapping[str, RunSecret]) -> bytes:
    """Return the lines of a run's file.

    Raises:
        RecordNotStorableError: A value can't be stored, or the id is none.
    """
    if not is_run_id(run_id):
        raise RecordNotStorableError(run_id, "secrets", "it is not the id of a run")
    try:
        return b"".join(
            b"\n%b\n"
            % _ENCODER.encode(
                _Entry(
                    reference,
                    each.name,
                    msgspec.msgpack.encode(to_plain(each.value)),
                    each.is_missing,
                )
            )
            for reference, each in secrets.items()
        )
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise RecordNotStorableError(run_id, "secrets", str(error)) from error


def decode_secrets(content: bytes) -> dict[str, RunSecret]:
    """Return what the lines of a run's file say; a line that was cut off says nothing."""
    found = {}
    for line in content.splitlines():
        if line:
            try:
                entry = decoded(_DECODER.decode, line)
                value = decoded(msgspec.msgpack.decode, entry.value)
            except msgspec.DecodeError:
                continue
            found[entry.reference] = RunSecret(
                name=entry.name, value=value, is_missing=entry.is_missing
            )
    return found
