"""JSON Schemas in files, and the lines of TOML files that name them for editors.

taplo (Even Better TOML) and tombi read the comment ``#:schema FILE`` where no key is before it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.files import write_atomically

__all__ = [
    "SchemaFileError",
    "add_header",
    "config_schema_path",
    "kind_header",
    "kind_schema_path",
    "refresh_schema",
    "schema_text",
    "write_schema",
]

_FOLDER: Final = ".schemas"  # beside the definitions
_HEADER: Final = re.compile(r"^#:schema\s", re.MULTILINE)


class SchemaFileError(QtForgeError):
    """A schema, or the definition that is to name it, can't be read or written.

    Args:
        what: What happened, in one line.
        why: The cause.
        fix: How to fix it.
    """

    code = "schema.no_access"
    exit_code = 2


def schema_text(schema: Mapping[str, Any]) -> str:
    """Return a schema as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode()


def config_schema_path(config: Path) -> Path:
    """Return the file of a configuration's schema, such as ``config.schema.json``."""
    return config.with_suffix(".schema.json")


def kind_schema_path(folder: Path, kind: str) -> Path:
    """Return the file of a kind's schema, for the definitions in a folder."""
    return folder / _FOLDER / f"{kind}.json"


def kind_header(kind: str) -> str:
    """Return the first line of a definition, which names its kind's schema."""
    return f"#:schema ./{_FOLDER}/{kind}.json"


def write_schema(file: Path, schema: Mapping[str, Any]) -> None:
    """Write a schema; the folder is made where it is not there.

    Raises:
        SchemaFileError: It can't be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(file.parent, "made", error) from error
    _write(file, schema_text(schema) + "\n")


def refresh_schema(file: Path, schema: Mapping[str, Any]) -> bool:
    """Write a schema where its file does not hold it yet; return whether it was written.

    Raises:
        SchemaFileError: It can't be written.
    """
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if file.read_text(encoding="utf-8") == schema_text(schema) + "\n":
            return False
    write_schema(file, schema)
    return True


def add_header(file: Path, kind: str, schema: Mapping[str, Any]) -> Path | None:
    """Let a definition name the schema of its kind, which is written beside it.

    Args:
        file: The definition.
        kind: Its kind.
        schema: The kind's schema. Where it is beside the definition already, it is renewed.

    Returns:
        The schema's file; None where the definition names one already.

    Raises:
        SchemaFileError: A file can't be read or written.
    """
    try:
        text = file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(file, "read", error) from error
    target = kind_schema_path(file.parent, kind)
    if _HEADER.search(text):
        if target.is_file():
            refresh_schema(target, schema)
        return None
    write_schema(target, schema)
    break_ = "\r\n" if "\r\n" in text else "\n"
    _write(file, f"{kind_header(kind)}{break_}{text}")
    return target


def _write(file: Path, text: str) -> None:
    try:
        write_atomically(file, text.encode())
    except OSError as error:
        raise _refused(file, "written", error) from error


def _refused(path: Path, doing: str, error: OSError | UnicodeDecodeError) -> SchemaFileError:
    why = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return SchemaFileError(f"{path} can't be {doing}", why, "check its folder and permissions")
