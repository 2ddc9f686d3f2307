from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import qtforge_sdk

API = Path(__file__).parents[1] / "typing" / "api.py"


@pytest.mark.parametrize(
    "module_name", ["qtforge_sdk", "qtforge_sdk.testing", "qtforge_host.testing"]
)
def test_every_public_name_is_sorted_exists_and_has_its_types_checked(module_name: str) -> None:
    module = importlib.import_module(module_name)
    used = {
        alias.name
        for node in ast.walk(ast.parse(API.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == module_name
        for alias in node.names
    }
    functions = [name for name in module.__all__ if name[0].islower()]
    classes = [name for name in module.__all__ if not name[0].islower()]
    assert module.__all__ == sorted(classes) + sorted(functions)
    assert all(hasattr(module, name) for name in module.__all__)
    assert used == set(module.__all__)


def test_an_author_has_at_most_thirty_names_to_learn() -> None:
    assert len(qtforge_sdk.__all__) <= 30
