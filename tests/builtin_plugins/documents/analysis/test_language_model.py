"""The language model is unpacked once, and gives the package's own answers from there."""

# ruff: noqa: RUF001 - it has a sentence in Russian

from __future__ import annotations

import os
from pathlib import Path

import pytest
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from qtforge_builtin_plugins.documents.analysis.language_model import load_language_identifier

TEXTS = (
    "The parties agree that the supplier delivers the goods in March.",
    "Die Parteien vereinbaren, dass der Lieferant die Ware im März liefert.",
    "Les parties conviennent que le fournisseur livre les marchandises en mars.",
    "Стороны договорились о поставке товара в марте.",
    "1234567890",
    "",
)


@pytest.fixture(scope="module")
def expected() -> list[tuple[str, float]]:
    reference = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    return [reference.classify(text) for text in TEXTS]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "qtforge-host" / "language-models"


def test_the_answers_are_those_of_the_package(
    cache: Path, expected: list[tuple[str, float]]
) -> None:
    for _ in range(2):  # the second one finds the files
        identifier = load_language_identifier()
        assert [identifier.classify(text) for text in TEXTS] == expected
    (model,) = cache.iterdir()
    assert len(list(model.iterdir())) == 6


def test_a_cut_file_is_replaced(cache: Path, expected: list[tuple[str, float]]) -> None:
    load_language_identifier()
    (model,) = cache.iterdir()
    moves = model / "moves.npy"
    size = moves.stat().st_size
    os.truncate(moves, 1_000)

    assert [load_language_identifier().classify(text) for text in TEXTS] == expected
    assert [load_language_identifier().classify(text) for text in TEXTS] == expected
    assert moves.stat().st_size == size


def test_a_model_is_loaded_where_no_folder_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: list[tuple[str, float]]
) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    assert [load_language_identifier().classify(text) for text in TEXTS] == expected


def test_what_earlier_versions_and_killed_processes_left_is_removed(cache: Path) -> None:
    for name in (".killed", "old1", "old2", "old3"):
        (cache / name).mkdir(parents=True)
        os.utime(cache / name, (1, 1 + int(name[-1]) if name[-1].isdigit() else 1))

    load_language_identifier()

    left = sorted(each.name for each in cache.iterdir())
    assert len(left) == 2
    assert "old3" in left
