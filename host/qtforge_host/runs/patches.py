"""Building a JSON Patch (RFC 6902) of changes that name stages, and applying one."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jsonpatch
import jsonpointer

from qtforge_sdk.errors import AmendmentRefusedError

__all__ = ["Operation", "PatchBuilder", "apply_patch"]

Operation = dict[str, Any]
"""One operation of a JSON Patch: ``op``, ``path``, and ``value`` or ``from``."""


def apply_patch(run_id: str, plain: Any, patch: Iterable[Mapping[str, Any]]) -> Any:
    """Return a definition after a patch; the one given stays as it is.

    Raises:
        AmendmentRefusedError: It is not a patch, or does not fit the definition.
    """
    try:
        return jsonpatch.JsonPatch([dict(each) for each in patch]).apply(plain)
    except jsonpatch.JsonPatchTestFailed as error:
        raise AmendmentRefusedError(
            run_id, f"the definition is not the one that the patch was made for: {error}"
        ) from error
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise AmendmentRefusedError(run_id, f"the patch does not apply: {error}") from error
    except (TypeError, ValueError, AttributeError, KeyError) as error:  # not a patch at all
        raise AmendmentRefusedError(
            run_id, f"it is not a JSON Patch: {error}", "a list of operations, see RFC 6902"
        ) from error


class PatchBuilder:
    """Collects changes of a definition, each on top of the one before.

    A stage is any table with that ``name`` in a list of the definition. Each change begins
    with a ``test`` of the stage's name: positions shift when somebody else amends the run
    first, and then the patch is refused instead of changing another stage.

    Args:
        run_id: For errors.
        definition: As it is now, as plain values.
    """

    def __init__(self, run_id: str, definition: Mapping[str, Any]) -> None:
        self._run_id = run_id
        self._after: Any = copy.deepcopy(dict(definition))
        self._operations: list[Operation] = []

    @property
    def operations(self) -> list[Operation]:
        """The patch so far."""
        return list(self._operations)

    def insert_after(self, stage: str, table: Mapping[str, Any]) -> None:
        """Put a new stage behind another.

        Raises:
            AmendmentRefusedError: There is no such stage. Also of every other change.
        """
        key, position = self._find(stage)
        self._change(key, position, {"op": "add", "path": _pointer(key, position + 1)}, table)

    def replace(self, stage: str, table: Mapping[str, Any]) -> None:
        """Put a new stage in the place of another."""
        key, position = self._find(stage)
        self._change(key, position, {"op": "replace", "path": _pointer(key, position)}, table)

    def remove(self, stage: str) -> None:
        """Take a stage out."""
        key, position = self._find(stage)
        self._change(key, position, {"op": "remove", "path": _pointer(key, position)})

    def skip(self, stage: str) -> None:
        """Leave a stage in the definition, and never do it."""
        self.set(stage, ["when"], "false")

    def set(self, stage: str, keys: Sequence[str], value: Any) -> None:
        """Set one key of a stage.

        Args:
            stage: Its name.
            keys: The key, and those within it; tables on the way are made where they lack.
            value: A plain value.
        """
        key, position = self._find(stage)
        table = self._after[key][position]
        for depth, name in enumerate(keys[:-1]):
            inner = table.get(name)
            if inner is None:
                for missing in reversed(keys[depth + 1 :]):
                    value = {missing: value}
                keys = keys[: depth + 1]
                break
            if not isinstance(inner, dict):
                path = ".".join(keys[: depth + 1])
                raise AmendmentRefusedError(
                    self._run_id, f"'{path}' of the stage '{stage}' is a value, not a table"
                )
            table = inner
        self._change(key, position, {"op": "add", "path": _pointer(key, position, *keys)}, value)

    def extend(self, operations: Iterable[Mapping[str, Any]]) -> None:
        """Add operations as they are.

        Raises:
            AmendmentRefusedError: They are no patch, or do not fit.
        """
        made = [dict(each) if isinstance(each, Mapping) else {} for each in operations]
        self._after = apply_patch(self._run_id, self._after, made)
        self._operations += made

    def _change(self, key: str, position: int, operation: Operation, value: Any = None) -> None:
        name = self._after[key][position]["name"]
        if operation["op"] != "remove":
            operation["value"] = value
        test = {"op": "test", "path": _pointer(key, position, "name"), "value": name}
        self.extend([test, operation])

    def _find(self, stage: str) -> tuple[str, int]:
        known = []
        for key, value in self._after.items():
            for position, each in enumerate(value if isinstance(value, list) else ()):
                if isinstance(each, dict) and "name" in each:
                    if each["name"] == stage:
                        return key, position
                    known.append(str(each["name"]))
        near = difflib.get_close_matches(stage, known, n=1)
        fix = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known) or 'none'}"
        raise AmendmentRefusedError(self._run_id, f"the definition has no stage '{stage}'", fix)


def _pointer(*parts: str | int) -> str:
    return str(jsonpointer.JsonPointer.from_parts(parts).path)
