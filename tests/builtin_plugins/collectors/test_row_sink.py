from __future__ import annotations

import datetime
import decimal
import hashlib
from pathlib import Path

import msgspec
import pytest

from qtforge_builtin_plugins.collectors.row_sink import INLINE_ROWS, RowSink, plain_value
from qtforge_sdk.errors import OperationError


def test_few_rows_stay_in_the_answer(tmp_path: Path) -> None:
    with RowSink(tmp_path, "few") as sink:
        assert sink.add({"a": 1})
        collected = sink.finish({"pages": 2})
    assert collected.rows == [{"a": 1}]
    assert (collected.count, collected.dataset, collected.details) == (1, None, {"pages": 2})
    assert list(tmp_path.iterdir()) == []


def test_many_rows_go_to_a_file_with_its_sum(tmp_path: Path) -> None:
    with RowSink(tmp_path / "run", "many: ../x") as sink:
        for number in range(INLINE_ROWS + 5):
            assert sink.add({"number": number})
        collected = sink.finish()
    assert collected.rows is None
    assert collected.dataset is not None
    path = Path(collected.dataset.path)
    assert path.parent == tmp_path / "run"
    content = path.read_bytes()
    rows = [msgspec.json.decode(line) for line in content.splitlines()]
    assert [row["number"] for row in rows] == list(range(INLINE_ROWS + 5))
    assert collected.dataset.sha256 == hashlib.sha256(content).hexdigest()
    assert collected.dataset.size_bytes == len(content)
    assert collected.count == collected.dataset.rows == INLINE_ROWS + 5


def test_outside_a_run_what_does_not_fit_is_cut_off_and_said() -> None:
    with RowSink(None, "rows") as sink:
        taken = sum(sink.add({"number": number}) for number in range(INLINE_ROWS + 5))
        collected = sink.finish()
    assert taken == collected.count == INLINE_ROWS
    assert collected.truncated


def test_a_limit_cuts_off_and_says_so() -> None:
    with RowSink(None, "rows", limit=2) as sink:
        assert [sink.add({"number": number}) for number in range(3)] == [True, True, False]
        assert sink.finish().truncated


def test_an_unfinished_file_is_removed(tmp_path: Path) -> None:
    with RowSink(tmp_path, "rows") as sink:
        for number in range(INLINE_ROWS + 1):
            sink.add({"number": number})
        assert list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (decimal.Decimal("12"), 12),
        (decimal.Decimal("12.50"), 12.5),
        (decimal.Decimal("NaN"), None),
        (float("nan"), None),
        (2**64 - 1, 2**64 - 1),
        (2**64, float(2**64)),
        (decimal.Decimal(-(2**70)), -float(2**70)),
        (10**400, None),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.timedelta(minutes=1), 60.0),
        (b"\x00\xff", "00ff"),
        ({1: (2, None)}, {"1": [2, None]}),
    ],
)
def test_values_become_plain(value: object, plain: object) -> None:
    assert plain_value(value) == plain


def test_a_value_without_a_plain_form_is_an_error() -> None:
    with pytest.raises(OperationError, match="object has no JSON form"):
        plain_value(object())
