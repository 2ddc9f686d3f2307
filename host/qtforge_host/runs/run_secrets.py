"""`RunSecrets`: keep the secrets of one run out of its records, and fill them in where needed.

The value of a known secret, and what a workflow or an operation declares as secret, is replaced
by a reference before it is recorded, and before the run sees it. A reference has a random mark,
so that no text that comes from outside can name a secret of the run. Requests are sent with the
values; so a resumed run sends the same as one that was never interrupted.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from qtforge_host.runs.serialization import normalize
from qtforge_sdk import Record
from qtforge_sdk.errors import OperationError
from qtforge_sdk.journal import InboxMessage, Journal, RunSecret
from qtforge_sdk.operations import AnswerSecrets
from qtforge_sdk.records import CompensationSucceeded, RunStarted, StepSucceeded
from qtforge_sdk.runs import AmendingAnswer
from qtforge_sdk.secrets import LEAST_REPLACED, Secrets

__all__ = ["RunSecrets", "is_masked", "masked_answer", "without_known"]

R = TypeVar("R", bound=Record | InboxMessage)
T = TypeVar("T")

_ENCODER: Final = msgspec.msgpack.Encoder()
_REFERENCE: Final = re.compile(r"\$\{(?:secret|input|field)\.[\w.-]+~[0-9a-f]{16}\}")
_MARK_BYTES: Final = 8
_HIDDEN: Final = "***"
_NOT_IN_NAMES: Final = re.compile(r"[^\w.-]")
_LONGEST_NAME: Final = 64


class RunSecrets:
    """The secrets of one run.

    Args:
        run_id: The run.
        journal: Stores what its references stand for, apart from its records.
        known: The secrets that this process knows.

    Attributes:
        run_id: The run.
        known: The secrets that this process knows; a result may contain one of those hidden.
        any_referred: Whether a message may contain a reference.
    """

    __slots__ = (
        "_by_value", "_journal", "_lock", "_new", "_stored", "any_referred", "known", "run_id"
    )  # fmt: skip

    def __init__(self, run_id: str, journal: Journal, known: Secrets) -> None:
        self.run_id = run_id
        self._journal = journal
        self.known = known
        self._lock: asyncio.Lock | None = None
        self._stored: dict[str, RunSecret] = {}
        self._new: dict[str, RunSecret] = {}
        self.any_referred = False
        self._by_value: dict[str, str] = {}  # the reference of a text, or of a secret's name

    async def load(self) -> None:
        """Read what the journal stores for the run."""
        self._add(await self._journal.secrets(self.run_id))

    async def adopt(self, run_id: str, value: Any) -> None:
        """Store what the references in a value of another run stand for."""
        theirs = await self._journal.secrets(run_id)
        if theirs:
            found = {each: theirs[each] for each in references_in(value) if each in theirs}
            await self.take({each: found[each] for each in found if each not in self._stored})

    async def take(self, found: Mapping[str, RunSecret]) -> None:
        """Store references of another run."""
        if found:
            await self._journal.store_secrets(self.run_id, found)
            self._add(found)

    def close(self) -> None:
        """Forget the values once this process no longer executes the run."""
        for each in (*self._stored.values(), *self._new.values()):
            if _is_text(each.value):
                self.known.forget(each.value)
        self._stored, self._new, self._by_value = {}, {}, {}
        self.any_referred = False

    def referred(self, value: Any) -> dict[str, RunSecret]:
        """Return what the references in a value stand for."""
        if not self.any_referred:
            return {}
        return {each: self._stored[each] for each in references_in(value) if each in self._stored}

    def mask(self, text: str) -> str:
        """Return a text that is only shown, without the known secrets."""
        return self.known.mask(text)

    def fill(self, message: Any) -> Any:
        """Return a message with each reference replaced by what it stands for.

        Raises:
            OperationError: ``secret.missing``: there is no secret of that name any more, or the
                value did not come with the run, which was imported or restored.
        """
        return changed_texts(message, self._filled)

    async def conceal_inputs(self, given: Mapping[str, Any], names: Sequence[str]) -> Any:
        """Return a run's input, as plain values, with references for secrets.

        Args:
            given: The input, as plain values.
            names: The keys whose values are secret, or paths of keys such as ``auth.password``.
        """
        if not names and not self.known.any_hidden:
            return given
        made: Any = dict(given)
        for name in names:
            words = [name] if name in made else name.split(".")
            made = self._without_field(made, words, "input", name)
        made = self._without_known(made)
        await self._store_new()
        return made

    async def conceal(self, answer: Any, declared: AnswerSecrets | None = None) -> Any:
        """Return an answer with references for secrets; itself where it contains none.

        Args:
            answer: The answer.
            declared: What the operation says of it.
        """
        if isinstance(answer, AmendingAnswer):
            inner = await self.conceal(answer.answer, declared)
            return msgspec.structs.replace(answer, answer=inner)
        try:
            plain = normalize(answer)
        except Exception:  # noqa: BLE001 - it can't be stored: recording it reports so
            return answer
        made = plain
        if declared is not None:
            for path in declared.fields:
                made = self._without_field(made, path.split("."), "field", path)
        if declared is None or not declared.keep:
            made = self._without_known(made)
        await self._store_new()
        return answer if made is plain else made

    async def conceal_record(self, record: R) -> R:
        """Return a record, or a message, with references for the known secrets in it.

        Answers were looked at before they became part of a record.
        """
        if isinstance(record, StepSucceeded) and record.degraded is not None:
            degraded = self._without_known_text(record.degraded)
            made: R = msgspec.structs.replace(record, degraded=degraded)
            await self._store_new()
            return made
        if isinstance(record, StepSucceeded | CompensationSucceeded | RunStarted):
            return record
        made = self._without_known(record)
        await self._store_new()
        return made

    async def _store_new(self) -> None:
        """Store what the new references stand for; the records follow it."""
        if not self._new:
            return
        self._lock = self._lock or asyncio.Lock()
        async with self._lock:  # another step may have the same secret in its answer
            new = dict(self._new)
            if new:
                await self._journal.store_secrets(self.run_id, new)
                self._stored |= new
                self._new = {each: self._new[each] for each in self._new if each not in new}

    def _add(self, found: Mapping[str, RunSecret]) -> None:
        for reference, each in found.items():
            if reference in self._stored:
                continue
            self._stored[reference] = each
            self.any_referred = True
            self._note(reference, each)

    def _note(self, reference: str, each: RunSecret) -> None:
        if each.name:
            self._by_value[f"${{secret.{each.name}}}"] = reference
        elif _is_text(each.value):
            self._by_value[each.value] = reference
            self.known.hide(each.value)

    def _without_known(self, value: T) -> T:
        return without_known(value, self.known, self._without_known_text)

    def _without_known_text(self, text: str) -> str:
        return self.known.replace(text, self._refer_known)

    def _refer_known(self, name: str, found: str) -> str:
        key = f"${{secret.{name}}}" if name else found
        if key in self._by_value:
            return self._by_value[key]
        each = RunSecret(name=name) if name else RunSecret(value=found)
        return self._make("secret", name or "value", each)

    def _refer_whole(self, kind: str, name: str, value: Any) -> Any:
        """Return the reference of a value that was declared as secret."""
        if isinstance(value, str):
            if value == "" or _REFERENCE.fullmatch(value):
                return value
            if value in self._by_value:
                return self._by_value[value]
        return self._make(kind, name, RunSecret(value=value))

    def _make(self, kind: str, name: str, each: RunSecret) -> str:
        shown = _NOT_IN_NAMES.sub("_", name)[:_LONGEST_NAME] or "_"
        import secrets as random_bits  # it imports hashlib, and few runs have secrets

        mark = random_bits.token_hex(_MARK_BYTES)
        reference = f"${{{kind}.{shown}~{mark}}}"
        self._new[reference] = each
        self.any_referred = True
        self._note(reference, each)
        return reference

    def _without_field(self, value: Any, words: Sequence[str], kind: str, path: str) -> Any:
        return changed_field(value, words, lambda found: self._refer_whole(kind, path, found))

    def _filled(self, text: str) -> Any:
        if "~" not in text:
            return text
        whole = self._stored.get(text)
        if whole is not None:
            return self._value_of(text, whole)
        return _REFERENCE.sub(self._text_of, text)

    def _text_of(self, match: re.Match[str]) -> str:
        found = self._stored.get(match[0])
        if found is None:  # a text from outside, or a reference of another run
            return match[0]
        value = self._value_of(match[0], found)
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()

    def _value_of(self, reference: str, found: RunSecret) -> Any:
        if found.is_missing:
            raise OperationError(
                "secret.missing",
                f"what {reference} stands for is not here",
                "the run was imported or restored, and no archive contains a secret",
                "start a new run with the secret inputs, or fork this one with them",
                retryable=False,
            )
        return self.known.reveal(f"${{secret.{found.name}}}") if found.name else found.value


def references_in(value: Any) -> set[str]:
    """Return the references in a value."""
    found: set[str] = set()

    def note(text: str) -> str:
        if "~" in text:
            found.update(_REFERENCE.findall(text))
        return text

    changed_texts(value, note)
    return found


def is_masked(value: Any) -> bool:
    """Return whether a value, or one within it, has something in the place of a secret.

    >>> is_masked({"card": {"number": "${input.card.number~0123456789abcdef}"}}), is_masked(["***"])
    (True, True)
    """
    if isinstance(value, Mapping):
        return any(is_masked(each) for pair in value.items() for each in pair)
    if isinstance(value, list | tuple):
        return any(map(is_masked, value))
    return isinstance(value, str) and (
        _HIDDEN in value or ("~" in value and _REFERENCE.search(value) is not None)
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) >= LEAST_REPLACED


def masked_answer(answer: Any, known: Secrets, declared: AnswerSecrets | None) -> Any:
    """Return an answer that is only shown, with ``***`` for what is secret in it.

    Args:
        answer: The answer, as plain values.
        known: The secrets that this process has revealed.
        declared: What the operation says of its answers.
    """
    for path in () if declared is None else declared.fields:
        answer = changed_field(answer, path.split("."), lambda _: _HIDDEN)
    if (declared is None or not declared.keep) and known.any_hidden:
        answer = changed_texts(answer, known.mask)
    return answer


def changed_field(value: Any, words: Sequence[str], change: Callable[[Any], Any]) -> Any:
    """Return plain values with one field changed, in each item of a list, where it is there."""
    if isinstance(value, list):
        return [changed_field(each, words, change) for each in value]
    if not isinstance(value, dict) or value.get(words[0]) is None:
        return value
    found = value[words[0]]
    inner = change(found) if len(words) == 1 else changed_field(found, words[1:], change)
    return {**value, words[0]: inner}


def without_known(value: T, known: Secrets, change: Callable[[str], str]) -> T:
    """Return a value with every text changed; itself where it contains no known secret.

    Args:
        value: Plain values, or a record of them.
        known: The secrets.
        change: Replaces them in a text.
    """
    try:
        if not known.occur_in(_ENCODER.encode(value)):
            return value
    except (TypeError, ValueError, OverflowError, RecursionError):
        pass  # it can't be stored; until that is reported, it is searched text by text
    changed: T = changed_texts(value, change)
    return changed


def changed_texts(value: Any, change: Callable[[str], Any]) -> Any:
    """Return a value with every text in it changed; itself where none is."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        pairs = [
            (_changed_key(key, change), changed_texts(each, change)) for key, each in value.items()
        ]
        same = all(
            key is new_key and each is new_each
            for (key, each), (new_key, new_each) in zip(value.items(), pairs, strict=True)
        )
        return value if same else dict(pairs)
    if isinstance(value, list | tuple | set | frozenset):
        items = [changed_texts(each, change) for each in value]
        if all(each is item for each, item in zip(value, items, strict=True)):
            return value
        return items if type(value) is list else type(value)(items)
    if isinstance(value, msgspec.Struct):
        fields = _changed_fields(value, change)
        return msgspec.structs.replace(value, **fields) if fields else value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = _changed_fields(value, change)
        return dataclasses.replace(value, **fields) if fields else value
    return value


def _changed_key(key: Any, change: Callable[[str], Any]) -> Any:
    changed = change(key) if isinstance(key, str) else key
    return changed if isinstance(changed, str) else key  # only a text can be a key


def _changed_fields(value: Any, change: Callable[[str], Any]) -> dict[str, Any]:
    if isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
    else:
        names = tuple(each.name for each in dataclasses.fields(value) if each.init)
    made = {}
    for name in names:
        before = getattr(value, name)
        after = changed_texts(before, change)
        if after is not before:
            made[name] = after
    return made
